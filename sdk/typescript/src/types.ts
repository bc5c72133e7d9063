import type { FerroMcpError } from "./errors.js";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A tool as `GET /v1/tools` lists it. */
export interface Tool {
  name: string;
  title?: string;
  description?: string;
  /** JSON Schema of the arguments. */
  input_schema: Record<string, unknown>;
  /** JSON Schema of structured output. */
  output_schema?: Record<string, unknown>;
  /** Hints of MCP, such as `readOnlyHint`. */
  annotations?: Record<string, unknown>;
  /** Who carries it out. */
  source: string;
  /** False while its source is down. */
  available: boolean;
}

export interface ToolPage { tools: Tool[]; next_cursor: string | null }

/** A content block of MCP: text, image, audio, a resource. */
export interface ContentBlock { type: string; text?: string; [name: string]: unknown }

export interface CallResult<T = unknown> {
  /** Structured content; else the text, if there is only text; else null. */
  output: T;
  content: ContentBlock[];
  requestId: string;
  latencyMs: number;
}

export interface Health {
  status: "starting" | "ok" | "degraded" | "draining";
  name: string;
  version: string;
  uptime_seconds: number;
  in_flight: number;
  sources: { name: string; state: "starting" | "ready" | "down"; reason?: string; tools: number; resources: number; prompts: number }[];
  [name: string]: unknown;
}

/** A rate, and what is used of it. */
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

/** A quota, and what is used of it. */
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

/** How many calls run at the same time. */
export interface ConcurrentUsage {
  /** Most calls at the same time. */
  limit: number;
  /** Calls that run now. */
  now: number;
  /** Calls that could begin now. */
  remaining: number;
}

/** What the caller's tenant may use, and has used at one moment, as `GET /v1/usage` answers it. */
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
  quotas: {
    /** Calls per window. */
    tool_calls?: QuotaUsage;
    /** Bytes of arguments and results per window. */
    bytes?: QuotaUsage;
    /** Most calls in one batch. */
    batch_size?: { limit: number };
  };
}

export interface RequestOptions {
  /** Gives the request up; the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Longest time for all attempts and waits together, in milliseconds. Default: the client's. */
  timeoutMs?: number;
}

export interface CallOptions extends RequestOptions {
  /** The server's deadline for the call, in milliseconds: it ends the tool. */
  deadlineMs?: number;
  /** The call may be made twice: it is also retried when it may have run. Default false. */
  idempotent?: boolean;
  /** The tenant to act for, where the credential may. */
  tenantId?: string;
}

export interface BatchOptions extends CallOptions {
  parallel?: boolean;
  /** Most calls at the same time, 1 to 100; implies `parallel`. */
  maxParallel?: number;
  /** Once a call has failed, begin no more. */
  stopOnError?: boolean;
}

export interface BatchRequest { id?: string; tool: string; arguments?: unknown; timeoutMs?: number }

export type BatchResponse<T = unknown> =
  | ({ success: true; id?: string } & CallResult<T>)
  | { success: false; id?: string; error: FerroMcpError };

export interface BatchResult { responses: BatchResponse[]; successCount: number; errorCount: number; latencyMs: number }

export type StreamEvent<T = unknown> =
  | { type: "progress"; progress: number; total?: number; message?: string }
  | { type: "log"; level: string; data: unknown; logger?: string }
  | { type: "result"; output: T; content: ContentBlock[] };
