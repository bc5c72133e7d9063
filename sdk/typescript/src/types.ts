import type { FerroMcpError } from "./errors.js";

/**
 * What JSON can hold.
 *
 * @category Tools and calls
 */
export type Json = null | boolean | number | string | Json[] | {
  /** Members of an object. */
  [name: string]: Json;
};

/**
 * A tool as `GET /v1/tools` lists it.
 *
 * @category Tools and calls
 */
export interface Tool {
  /** Name to call it by. */
  name: string;
  /** Name for people. */
  title?: string;
  /** What it does, in its author's words. */
  description?: string;
  /** JSON Schema of the arguments. */
  input_schema: Record<string, unknown>;
  /** JSON Schema of structured output. */
  output_schema?: Record<string, unknown>;
  /** Hints of MCP, such as `readOnlyHint`. */
  annotations?: Record<string, unknown>;
  /** Who carries it out. */
  source: string;
  /** False while its source is down: it stays listed as it was last known, and calls of it fail at once. */
  available: boolean;
}

/**
 * One page of the tools that the caller may use.
 *
 * @category Tools and calls
 */
export interface ToolPage {
  /** The tools of this page. */
  tools: Tool[];
  /** Give it back as `cursor` for the next page; null on the last. */
  next_cursor: string | null;
}

/**
 * A content block of MCP: text, image, audio, a resource. Each `type` has members of its own.
 *
 * @category Tools and calls
 */
export interface ContentBlock {
  /** `text`, `image`, `audio`, `resource` or `resource_link`; later revisions may have more. */
  type: string;
  /** The text of a block of type `text`. */
  text?: string;
  /** Members of other types, as MCP defines them. */
  [name: string]: unknown;
}

/**
 * What a call gave.
 *
 * @typeParam T What the output is taken for; it is not checked.
 * @category Tools and calls
 */
export interface CallResult<T = unknown> {
  /** Structured content; else the text, if there is only text; else null. */
  output: T;
  /** Content blocks exactly as the tool gave them. */
  content: ContentBlock[];
  /** Names the call in the server's logs and records. */
  requestId: string;
  /** Milliseconds from start to end, in the server. */
  latencyMs: number;
}

/**
 * State of the server and of what stands behind it, as `GET /health` answers it.
 *
 * @category Server
 */
export interface Health {
  /** `starting`: servers behind it have not had the time to start. `degraded`: a source is not ready. `draining`: the server ends, and begins no more calls. */
  status: "starting" | "ok" | "degraded" | "draining";
  /** What the server calls itself. */
  name: string;
  /** Version of the server. */
  version: string;
  /** Seconds since it started. */
  uptime_seconds: number;
  /** Calls that are running. */
  in_flight: number;
  /** What stands behind the server: one for each server of MCP, API or set of builtin tools. */
  sources: SourceHealth[];
  /** What later servers say besides. */
  [name: string]: unknown;
}

/**
 * State of one source of tools.
 *
 * @category Server
 */
export interface SourceHealth {
  /** Its name in the configuration. */
  name: string;
  /** Whether its tools can be called. */
  state: "starting" | "ready" | "down";
  /** Why it is down. */
  reason?: string;
  /** How many tools it lists. */
  tools: number;
  /** How many resources it lists. */
  resources: number;
  /** How many prompts it lists. */
  prompts: number;
}

/**
 * A rate, and what is used of it.
 *
 * @category Rates and quotas
 */
export interface RateUsage {
  /** Calls that may come at once (the burst). */
  limit: number;
  /** Those of them that are used now. */
  used: number;
  /** Calls that could come at once now. */
  remaining: number;
  /** Milliseconds until all of `limit` is there again, if nobody calls. */
  resets_in_ms: number;
  /** Calls that come back per `window_ms`. */
  calls: number;
  /** Milliseconds. */
  window_ms: number;
}

/**
 * A quota, and what is used of it.
 *
 * @category Rates and quotas
 */
export interface QuotaUsage {
  /** Most in a window. */
  limit: number;
  /** Used in the window that ends now. May exceed the limit: results count once their size is known. */
  used: number;
  /** What is left; 0 if more is used than the limit. */
  remaining: number;
  /** Length of the window, in milliseconds. */
  window_ms: number;
  /** Milliseconds until all of it is free again, if nothing more is used. */
  resets_in_ms: number;
}

/**
 * How many calls run at the same time.
 *
 * @category Rates and quotas
 */
export interface ConcurrentUsage {
  /** Most calls at the same time. */
  limit: number;
  /** Calls that run now. */
  now: number;
  /** Calls that could begin now. */
  remaining: number;
}

/**
 * The quotas of a tenant. What is absent is not limited.
 *
 * @category Rates and quotas
 */
export interface Quotas {
  /** Calls per window. */
  tool_calls?: QuotaUsage;
  /** Bytes of arguments and results per window. */
  bytes?: QuotaUsage;
  /** Most calls in one batch. */
  batch_size?: {
    /** Calls. */
    limit: number;
  };
}

/**
 * What the caller's tenant may use, and has used at one moment, as `GET /v1/usage` answers it.
 *
 * @category Rates and quotas
 */
export interface Usage {
  /** Id of the tenant; `local` for callers of a server without tenants. */
  tenant: string;
  /** The rate of all the tenant's clients together; null: none is set. */
  rate: RateUsage | null;
  /** The rate of this client alone; null: none is set. */
  client_rate: RateUsage | null;
  /** Null: not limited, and not counted. */
  concurrent: ConcurrentUsage | null;
  /** What is absent is not limited. */
  quotas: Quotas;
}

/**
 * What every request takes.
 *
 * @category Options
 */
export interface RequestOptions {
  /** Gives the request up; the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Longest time for all attempts and waits together, in milliseconds, above 0. Default: the client's. */
  timeoutMs?: number;
}

/**
 * What a request for a page of tools takes.
 *
 * @category Options
 */
export interface ListOptions extends RequestOptions {
  /** `next_cursor` of the page before; without it, the first page. */
  cursor?: string;
  /** Most tools on the page, 1 to 1,000. Default 1,000. */
  limit?: number;
}

/**
 * What a call takes.
 *
 * @category Options
 */
export interface CallOptions extends RequestOptions {
  /**
   * The server's deadline for the call, in milliseconds, at least 1: it ends the tool. Never longer than the server's own. Default: the
   * server's own.
   */
  deadlineMs?: number;
  /** The call may be made twice: it is also retried when it may have run. Default false. */
  idempotent?: boolean;
  /** The tenant to act for, where the credential may. Default: the credential's. */
  tenantId?: string;
}

/**
 * What a batch takes. `deadlineMs` and `idempotent` are those of all of it.
 *
 * @category Options
 */
export interface BatchOptions extends CallOptions {
  /** Make calls at the same time, at most 10. Default false: one after the other. */
  parallel?: boolean;
  /** Most calls at the same time, 1 to 100, and never more than the tenant's quota; implies `parallel`. Default 10. */
  maxParallel?: number;
  /** Once a call has failed, begin no more; those that run go on. Default false. */
  stopOnError?: boolean;
}

/**
 * One call of a batch.
 *
 * @category Batches
 */
export interface BatchRequest {
  /** Unique in the batch, 1 to 128 bytes: other calls refer to it, and the response repeats it. */
  id?: string;
  /** Name as listed. */
  tool: string;
  /** What the tool's `input_schema` asks for, with {@link Reference | references} in it. */
  arguments?: unknown;
  /** The server's deadline for this call, in milliseconds, at least 1. */
  timeoutMs?: number;
}

/**
 * What came of one call of a batch: look at `success` first.
 *
 * @typeParam T What the output is taken for; it is not checked.
 * @category Batches
 */
export type BatchResponse<T = unknown> = BatchSuccess<T> | BatchFailure;

/**
 * A call of a batch that gave a result.
 *
 * @typeParam T What the output is taken for; it is not checked.
 * @category Batches
 */
export interface BatchSuccess<T = unknown> extends CallResult<T> {
  /** It gave a result. */
  success: true;
  /** The id of its request, where that has one. */
  id?: string;
}

/**
 * A call of a batch that failed, or was not made.
 *
 * @category Batches
 */
export interface BatchFailure {
  /** It gave none. */
  success: false;
  /** The id of its request, where that has one. */
  id?: string;
  /** Why. `mayHaveRun` tells whether the tool may have run. */
  error: FerroMcpError;
}

/**
 * What came of a batch.
 *
 * @category Batches
 */
export interface BatchResult {
  /** One for each request, in the order of the requests. */
  responses: BatchResponse[];
  /** How many gave a result. */
  successCount: number;
  /** How many failed, or were not made. */
  errorCount: number;
  /** Milliseconds from start to end of the whole batch, in the server. */
  latencyMs: number;
}

/**
 * What a tool says while it runs; the last event is the result.
 *
 * @typeParam T What the output is taken for; it is not checked.
 * @category Streams
 */
export type StreamEvent<T = unknown> = ProgressEvent | LogEvent | ResultEvent<T>;

/**
 * How far a tool has come.
 *
 * @category Streams
 */
export interface ProgressEvent {
  /** Tells it from other events. */
  type: "progress";
  /** How much is done; grows with every event. */
  progress: number;
  /** How much there is to do, in the unit of `progress`, if it is known. */
  total?: number;
  /** What is being done, for people. */
  message?: string;
}

/**
 * A line of a tool's log.
 *
 * @category Streams
 */
export interface LogEvent {
  /** Tells it from other events. */
  type: "log";
  /** From `debug` to `emergency`, as in syslog (RFC 5424). */
  level: string;
  /** What is logged: text or any other JSON. */
  data: unknown;
  /** Who logs it. */
  logger?: string;
}

/**
 * The result of a call, and the last event of its stream.
 *
 * @typeParam T What the output is taken for; it is not checked.
 * @category Streams
 */
export interface ResultEvent<T = unknown> {
  /** Tells it from other events. */
  type: "result";
  /** Structured content; else the text, if there is only text; else null. */
  output: T;
  /** Content blocks exactly as the tool gave them. */
  content: ContentBlock[];
}
