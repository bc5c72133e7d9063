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
  status: "ok" | "degraded" | "draining";
  name: string;
  version: string;
  uptime_seconds: number;
  in_flight: number;
  sources: { name: string; state: "starting" | "ready" | "down"; reason?: string; tools: number; resources: number; prompts: number }[];
  [name: string]: unknown;
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
