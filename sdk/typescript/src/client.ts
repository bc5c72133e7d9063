import { Batch } from "./batch.js";
import { connectionError, FerroMcpError, protocolError, toError, ToolError, type WireError } from "./errors.js";
import { failure, Http, isObject, read, type ClientOptions } from "./http.js";
import { events } from "./sse.js";
import type {
  BatchOptions, BatchRequest, BatchResponse, BatchResult, CallOptions, CallResult, ContentBlock, Health, ListOptions,
  RequestOptions, StreamEvent, Tool, ToolPage, Usage,
} from "./types.js";

const REVISION = "2026-07-28";
const META = "io.modelcontextprotocol/";

/**
 * Client of one FerroMCP server. It holds no connection of its own and need not be closed.
 *
 * Every request can throw a {@link FerroMcpError}: that of the server's answer, a {@link ConnectionError}, a {@link ProtocolError} or a
 * {@link TimeoutError}. One that is given up by a signal throws the signal's reason.
 *
 * @example
 * ```ts
 * import { FerroMcpClient } from "@ferromcp/sdk";
 *
 * const client = new FerroMcpClient({ baseUrl: "http://127.0.0.1:8080", timeoutMs: 30_000 });
 * const { output } = await client.callTool<string>("echo", { msg: "hello" });
 * console.log(output.toUpperCase());
 * // prints: HELLO
 * ```
 *
 * @category Client
 */
export class FerroMcpClient {
  readonly #http: Http;

  /**
   * Makes a client; nothing is sent.
   *
   * @param options Address, credential, time limit, retries.
   * @throws TypeError if `baseUrl` is no http or https URL or has a user name, query or fragment, or an option of `retry` is out of its bounds.
   */
  constructor(options: ClientOptions) {
    this.#http = new Http(options);
  }

  /**
   * One page of the tools that the caller may use.
   *
   * @param options Which page, and how large.
   * @throws {@link InvalidRequestError} if the cursor is not one of this server, or the limit out of its bounds.
   */
  async listTools(options: ListOptions = {}): Promise<ToolPage> {
    const query = new URLSearchParams();
    if (options.cursor !== undefined) query.set("cursor", options.cursor);
    if (options.limit !== undefined) query.set("limit", String(options.limit));
    const path = query.size > 0 ? `/v1/tools?${query}` : "/v1/tools";
    const page = await this.#http.json({ method: "GET", path, idempotent: true }, options);
    if (!isObject(page) || !Array.isArray(page["tools"])) throw protocolError("the answer is no list of tools; is this FerroMCP?");
    return page as unknown as ToolPage;
  }

  /**
   * All tools that the caller may use, page by page. A page is asked for when the loop comes to it.
   *
   * @param options `limit` is that of a page; `timeoutMs` too.
   * @example
   * ```ts
   * import { FerroMcpClient } from "@ferromcp/sdk";
   *
   * const client = new FerroMcpClient({ baseUrl: "http://127.0.0.1:8080" });
   * for await (const tool of client.tools()) {
   *   if (tool.available) console.log(tool.name);
   * }
   * // prints: echo
   * // prints: batch_call
   * ```
   */
  async *tools(options: Omit<ListOptions, "cursor"> = {}): AsyncGenerator<Tool, void, void> {
    let cursor: string | null = null;
    do {
      const page: ToolPage = await this.listTools(cursor === null ? options : { ...options, cursor });
      yield* page.tools;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /**
   * Calls a tool and gives its result. A call that did not run is made again, as {@link RetryOptions} say; one that may have run only with
   * `idempotent`.
   *
   * @typeParam T What the output is taken for; it is not checked.
   * @param tool Name as listed.
   * @param args What the tool's `input_schema` asks for; without them, none are sent.
   * @param options Deadline, tenant, whether it may be made twice.
   * @throws {@link ToolError} if the tool reports a failure, {@link InvalidArgumentsError} if the arguments do not fit, and the other
   * classes of {@link FerroMcpError} for what they say.
   * @example
   * ```ts
   * import { FerroMcpClient, InvalidArgumentsError } from "@ferromcp/sdk";
   *
   * const client = new FerroMcpClient({ baseUrl: "http://127.0.0.1:8080" });
   * const signal = AbortSignal.timeout(60_000);
   * const { output } = await client.callTool("echo", { msg: "hello" }, { deadlineMs: 5000, idempotent: true, signal });
   * console.log(output);
   * // prints: hello
   * try {
   *   await client.callTool("echo", { msg: 7 });
   * } catch (error) {
   *   if (!(error instanceof InvalidArgumentsError)) throw error;
   *   for (const issue of error.issues) console.log(issue.pointer);
   * }
   * // prints: /msg
   * ```
   */
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
   *
   * @typeParam T What the output is taken for; it is not checked.
   * @param tool Name as listed.
   * @param args What the tool's `input_schema` asks for.
   * @param options `timeoutMs` is that of the whole stream.
   * @throws {@link ToolError} if the tool reports a failure, and also if the arguments do not fit, as MCP has it;
   * {@link ConnectionError} if the stream ends before the result.
   * @example
   * ```ts
   * import { FerroMcpClient } from "@ferromcp/sdk";
   *
   * const client = new FerroMcpClient({ baseUrl: "http://127.0.0.1:8080" });
   * const requests = [{ tool: "echo", arguments: { msg: "a" } }, { tool: "echo", arguments: { msg: "b" } }];
   * for await (const event of client.callToolStream<{ success_count: number }>("batch_call", { requests })) {
   *   if (event.type === "progress") console.log(`${event.progress} of ${event.total}`);
   *   if (event.type === "result") console.log(`${event.output.success_count} did well`);
   * }
   * // prints: 1 of 2
   * // prints: 2 of 2
   * // prints: 2 did well
   * ```
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

  /**
   * Makes many calls in one request. A call that fails is a response with an `error`, not an exception.
   *
   * @param requests The calls, 1 to 10,000, or a {@link Batch} of them.
   * @param options How they are made; `timeoutMs` is that of the whole request.
   * @throws {@link InvalidRequestError} if two have the same id, or references lead nowhere or in a circle;
   * {@link QuotaExceededError} if there are more than the tenant may have in a batch. Nothing ran then.
   * @example
   * ```ts
   * import { FerroMcpClient } from "@ferromcp/sdk";
   *
   * const client = new FerroMcpClient({ baseUrl: "http://127.0.0.1:8080" });
   * const { responses } = await client.batchCall([{ tool: "echo", arguments: { msg: "a" } }, { tool: "no_such_tool" }], { parallel: true });
   * for (const response of responses) console.log(response.success ? response.output : response.error.code);
   * // prints: a
   * // prints: tool_not_found
   * ```
   */
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

  /**
   * What the caller's tenant may use, and has used at this moment. Asking counts against no rate and no quota.
   *
   * @param options Time limit and signal.
   * @example
   * ```ts
   * import { FerroMcpClient } from "@ferromcp/sdk";
   *
   * const client = new FerroMcpClient({ baseUrl: "http://127.0.0.1:8080" });
   * const { quotas } = await client.usage();
   * console.log(quotas.tool_calls?.remaining ?? "not limited");
   * // prints: not limited
   * ```
   */
  async usage(options: RequestOptions = {}): Promise<Usage> {
    const usage = await this.#http.json({ method: "GET", path: "/v1/usage", idempotent: true }, options);
    if (!isObject(usage) || typeof usage["tenant"] !== "string" || !isObject(usage["quotas"])) {
      throw protocolError("the answer is no usage of a tenant; is this FerroMCP?");
    }
    return usage as unknown as Usage;
  }

  /**
   * State of the server and of what stands behind it.
   *
   * @param options Time limit and signal.
   */
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
