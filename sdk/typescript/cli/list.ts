// The tool list of a server, within bounds.
import { FerroMcpClient, ConnectionError, FerroMcpError, ProtocolError, TimeoutError, UnauthenticatedError, type Tool } from "@ferromcp/sdk";

/** What the user can read, and what to do about it. */
export class Failure extends Error {}

export interface Source { url: string; key: string | undefined; timeoutMs: number }

const MAX_TOOLS = 10_000;
const MAX_BYTES = 64 << 20;
const POLL_MS = 100;

/** All tools, and which parts of the server are not up, so that theirs may be missing. */
export async function list(source: Source): Promise<{ tools: Tool[]; down: string[] }> {
  const big = new AbortController();
  let client: FerroMcpClient;
  try {
    const key = source.key === undefined ? {} : { apiKey: source.key };
    client = new FerroMcpClient({ baseUrl: source.url, ...key, timeoutMs: source.timeoutMs, signal: big.signal, fetch: counted(big) });
  } catch (error) {
    throw new Failure(`--url ${source.url}: ${error instanceof Error ? error.message : error}; as in http://127.0.0.1:8080`);
  }
  try {
    const down = await started(client, source.timeoutMs);
    return { tools: await pages(client), down };
  } catch (error) {
    throw explained(error, source);
  }
}

/** Waits for what is starting; gives what is not ready then. A server behind a proxy may keep its state to itself. */
async function started(client: FerroMcpClient, timeoutMs: number): Promise<string[]> {
  for (const end = performance.now() + timeoutMs; ;) {
    const health = await client.health().catch(() => undefined);
    const parts = (health?.sources ?? []).filter((part) => part.state !== "ready");
    if (!parts.some((part) => part.state === "starting") || performance.now() > end) return parts.map((part) => `${part.name} (${part.state})`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function pages(client: FerroMcpClient): Promise<Tool[]> {
  const tools = new Map<string, Tool>();
  const cursors = new Set<string>();
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page = await client.listTools(cursor === undefined ? {} : { cursor });
    for (const tool of page.tools as unknown[]) {
      const { name } = (tool ?? {}) as Partial<Tool>;
      if (typeof name !== "string") throw new Failure("the server lists a tool without a name; is this FerroMCP?");
      if (tools.has(name)) throw new Failure(`the server lists ${JSON.stringify(name)} twice; did its tools change meanwhile? Try again`);
      tools.set(name, tool as Tool);
    }
    if (tools.size > MAX_TOOLS) throw new Failure(`the server lists more than ${MAX_TOOLS} tools; use a key whose tenant has fewer`);
    cursor = page.next_cursor ?? null;
    if (cursor !== null && cursors.has(cursor)) throw new Failure("the server gives the same page again and again; is this FerroMCP?");
    if (cursor !== null) cursors.add(cursor);
  }
  if (tools.size === 0) throw new Failure("the server lists no tool; if it has some, give the key of a tenant that may use them");
  return [...tools.values()];
}

/** A `fetch` that gives up on more than `MAX_BYTES`, all answers together. */
function counted(big: AbortController): typeof globalThis.fetch {
  let bytes = 0;
  return async (input, init) => {
    const response = await fetch(input, init);
    const count = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.byteLength;
        if (bytes <= MAX_BYTES) return controller.enqueue(chunk);
        big.abort(new Failure(`the list is larger than ${MAX_BYTES >> 20} MiB; use a key whose tenant has fewer tools`));
        controller.error(big.signal.reason);
      },
    });
    return new Response(response.body?.pipeThrough(count) ?? null, response);
  };
}

function explained(error: unknown, source: Source): unknown {
  if (error instanceof UnauthenticatedError) {
    const advice = source.key === undefined ? "give a key with --key or FERROMCP_TENANT_KEY" : "is the key right, and for this server?";
    return new Failure(`${source.url}: ${error.message}; ${advice}`);
  }
  if (error instanceof TimeoutError) return new Failure(`${source.url}: ${error.message}; --timeout gives it longer`);
  if (error instanceof ConnectionError) return new Failure(`${error.message}; is the server running, and is --url right?`);
  if (error instanceof ProtocolError) {
    const status = error.status === undefined || error.status === 200 ? "" : ` (status ${error.status})`;
    return new Failure(`${source.url}${status}: ${error.message}; is --url the address of FerroMCP, without /mcp or /v1?`);
  }
  return error instanceof FerroMcpError ? new Failure(`${source.url}: ${error.message}`) : error;
}
