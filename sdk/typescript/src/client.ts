import { Batch } from "./batch.js";
import { connectionError, FerroMcpError, protocolError, toError, ToolError, type WireError } from "./errors.js";
import { failure, Http, isObject, read, type ClientOptions } from "./http.js";
import { events } from "./sse.js";
import type {
  BatchOptions, BatchRequest, BatchResponse, BatchResult, CallOptions, CallResult, ContentBlock, Health, RequestOptions,
  StreamEvent, Tool, ToolPage, Usage,
} from "./types.js";

const REVISION = "2026-07-28";
const META = "io.modelcontextprotocol/";

export class FerroMcpClient {
  readonly #http: Http;

  constructor(options: ClientOptions) {
    this.#http = new Http(options);
  }

  /** One page of the tools that the caller may use. */
  async listTools(options: RequestOptions & { cursor?: string; limit?: number } = {}): Promise<ToolPage> {
    const query = new URLSearchParams();
    if (options.cursor !== undefined) query.set("cursor", options.cursor);
    if (options.limit !== undefined) query.set("limit", String(options.limit));
    const path = query.size > 0 ? `/v1/tools?${query}` : "/v1/tools";
    const page = await this.#http.json({ method: "GET", path, idempotent: true }, options);
    if (!isObject(page) || !Array.isArray(page["tools"])) throw protocolError("the answer is no list of tools; is this FerroMCP?");
    return page as unknown as ToolPage;
  }

  /** All tools, page by page. `limit` is that of a page. */
  async *tools(options: RequestOptions & { limit?: number } = {}): AsyncGenerator<Tool, void, void> {
    let cursor: string | null = null;
    do {
      const page: ToolPage = await this.listTools(cursor === null ? options : { ...options, cursor });
      yield* page.tools;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /** Calls a tool. `T` is what its output is taken for; it is not checked. */
  async callTool<T = unknown>(tool: string, args?: unknown, options: CallOptions = {}): Promise<CallResult<T>> {
    const body: Record<string, unknown> = { tool };
    if (args !== undefined) body["arguments"] = args;
    common(body, options);
    const idempotent = options.idempotent === true;
    const answer = await this.#http.json({ method: "POST", path: "/v1/tools/call", body, idempotent }, options);
    return result<T>(answer);
  }

  /**
   * Calls a tool over MCP and yields what it says on the way; the last event is the result. Leaving the loop cancels
   * the call. It is sent once, without retries.
   */
  async *callToolStream<T = unknown>(tool: string, args: unknown = {}, options: RequestOptions = {}): AsyncGenerator<StreamEvent<T>, void, void> {
    const _meta = {
      progressToken: 1,
      [`${META}protocolVersion`]: REVISION,
      [`${META}clientInfo`]: { name: "@ferromcp/sdk", version: "0.1.0" },
      [`${META}clientCapabilities`]: {},
      [`${META}logLevel`]: "debug",
    };
    const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: tool, arguments: args, _meta } };
    const headers = {
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": REVISION,
      "mcp-method": "tools/call",
      "mcp-name": headerValue(tool),
    };
    yield* this.#http.stream({ method: "POST", path: "/mcp", body, headers, idempotent: false }, options, messages<T>);
  }

  /** Makes many calls in one request. A call that fails is a response with an `error`, not an exception. */
  async batchCall(requests: BatchRequest[] | Batch, options: BatchOptions = {}): Promise<BatchResult> {
    const list = requests instanceof Batch ? requests.requests : requests;
    const wire = list.map(({ timeoutMs, ...rest }) => (timeoutMs === undefined ? rest : { ...rest, timeout_ms: timeoutMs }));
    const body: Record<string, unknown> = { requests: wire };
    if (options.parallel !== undefined) body["parallel"] = options.parallel;
    if (options.maxParallel !== undefined) body["max_parallel"] = options.maxParallel;
    if (options.stopOnError !== undefined) body["stop_on_error"] = options.stopOnError;
    common(body, options);
    const idempotent = options.idempotent === true;
    const answer = await this.#http.json({ method: "POST", path: "/v1/tools/batch", body, idempotent }, options);
    if (!isObject(answer) || !Array.isArray(answer["responses"])) throw protocolError("the answer is none to a batch");
    return {
      responses: answer["responses"].map(response),
      successCount: answer["success_count"] as number,
      errorCount: answer["error_count"] as number,
      latencyMs: answer["latency_ms"] as number,
    };
  }

  /** What the caller's tenant may use, and has used at this moment. Asking counts against no rate and no quota. */
  async usage(options: RequestOptions = {}): Promise<Usage> {
    const usage = await this.#http.json({ method: "GET", path: "/v1/usage", idempotent: true }, options);
    if (!isObject(usage) || typeof usage["tenant"] !== "string" || !isObject(usage["quotas"])) {
      throw protocolError("the answer is no usage of a tenant; is this FerroMCP?");
    }
    return usage as unknown as Usage;
  }

  /** State of every part of the server. */
  async health(options: RequestOptions = {}): Promise<Health> {
    const health = await this.#http.json({ method: "GET", path: "/health", idempotent: true }, options);
    if (!isObject(health) || typeof health["status"] !== "string") throw protocolError("the answer is no state of a server");
    return health as unknown as Health;
  }
}

function common(body: Record<string, unknown>, options: CallOptions): void {
  if (options.deadlineMs !== undefined) body["timeout_ms"] = options.deadlineMs;
  if (options.tenantId !== undefined) body["tenant_id"] = options.tenantId;
}

function result<T>(answer: unknown): CallResult<T> {
  if (!isObject(answer) || answer["success"] !== true) throw protocolError("the answer is none to a call; is this FerroMCP?");
  return {
    output: answer["output"] as T,
    content: (answer["content"] ?? []) as ContentBlock[],
    requestId: answer["request_id"] as string,
    latencyMs: answer["latency_ms"] as number,
  };
}

function response(answer: unknown): BatchResponse {
  if (!isObject(answer)) throw protocolError("a response of the batch is no object");
  const id = typeof answer["id"] === "string" ? { id: answer["id"] } : {};
  if (answer["success"] === true) return { success: true, ...id, ...result(answer) };
  const error = failure(answer);
  if (!(error instanceof FerroMcpError)) throw error;
  return { success: false, ...id, error };
}

/** What does not fit in a header as it is goes as Base64 (MCP 2026-07-28, "Streamable HTTP"). */
function headerValue(text: string): string {
  if (/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !text.startsWith("=?base64?")) return text;
  return `=?base64?${btoa(String.fromCharCode(...new TextEncoder().encode(text)))}?=`;
}

async function* messages<T>(answer: Response): AsyncGenerator<StreamEvent<T>, void, void> {
  if (!(answer.headers.get("content-type") ?? "").startsWith("text/event-stream") || answer.body === null) {
    yield final<T>(await read(answer));
    return;
  }
  try {
    for await (const { data } of events(answer.body)) {
      const message = parse(data);
      if (message["method"] === undefined) {
        yield final<T>(message);
        return;
      }
      const params = isObject(message["params"]) ? message["params"] : {};
      if (message["method"] === "notifications/progress") {
        const { progressToken: _, _meta: __, ...rest } = params;
        yield { type: "progress", ...rest } as StreamEvent<T>;
      } else if (message["method"] === "notifications/message") {
        yield { type: "log", ...params } as StreamEvent<T>;
      }
    }
  } catch (error) {
    if (error instanceof FerroMcpError || (error instanceof Error && error.name === "AbortError")) throw error;
    throw connectionError("the stream broke off before the result", error);
  }
  throw connectionError("the stream ended before the result");
}

function parse(data: string): Record<string, unknown> {
  let message: unknown;
  try {
    message = JSON.parse(data);
  } catch (error) {
    throw protocolError("an event of the stream is no JSON", {}, error);
  }
  if (!isObject(message)) throw protocolError("an event of the stream is no message");
  return message;
}

function final<T>(message: unknown): StreamEvent<T> {
  if (!isObject(message)) throw protocolError("the answer is no message of MCP");
  const error = message["error"];
  if (isObject(error)) {
    const data = isObject(error["data"]) ? error["data"] : {};
    if (typeof data["code"] !== "string") throw protocolError(String(error["message"] ?? "an error without a message"));
    const { code, rule, retry_after_ms, ...details } = data;
    throw toError({ code, message: String(error["message"]), rule, retry_after_ms, details } as WireError);
  }
  const outcome = message["result"];
  if (!isObject(outcome)) throw protocolError("the answer has no result");
  if (outcome["resultType"] !== undefined && outcome["resultType"] !== "complete") {
    throw protocolError(`the tool wants more of its caller (${outcome["resultType"]}), which this client does not give`);
  }
  const content = (Array.isArray(outcome["content"]) ? outcome["content"] : []) as ContentBlock[];
  const textOnly = content.length > 0 && content.every((block) => block.type === "text");
  const text = textOnly ? content.map((block) => block.text ?? "").join("\n") : null;
  if (outcome["isError"] === true) {
    throw new ToolError({ code: "tool_error", message: text || "the tool failed" }, { content, output: outcome["structuredContent"] });
  }
  return { type: "result", output: (outcome["structuredContent"] ?? text) as T, content };
}
