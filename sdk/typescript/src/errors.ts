/**
 * What the server answers in `error.code`; `tool_error` is the tool's own failure. Each has its class.
 *
 * @category Errors
 */
export type ErrorCode =
  | "invalid_request" | "unauthenticated" | "permission_denied" | "tool_not_found" | "invalid_arguments"
  | "payload_too_large" | "rate_limited" | "quota_exceeded" | "timeout" | "unavailable" | "upstream_error"
  | "cancelled" | "internal" | "tool_error";

/**
 * A mistake in the arguments.
 *
 * @category Errors
 */
export interface Issue {
  /** JSON Pointer (RFC 6901) to its place in the arguments. */
  pointer: string;
  /** What is wrong there, for people. */
  message: string;
}

/**
 * What an error says besides. Servers may say more.
 *
 * @category Errors
 */
export interface ErrorDetails {
  /** Mistakes in the arguments. */
  issues?: Issue[];
  /** The tool may have run: a blind retry is not safe. */
  may_have_run?: boolean;
  /** The JSON-RPC error of the server that carries the tool out. */
  rpc?: unknown;
  /** What later servers say. */
  [name: string]: unknown;
}

/** The error as it is on the wire. */
export interface WireError {
  code: string;
  message: string;
  rule?: string;
  retry_after_ms?: number;
  details?: ErrorDetails;
}

/** Where an error came from, as far as it is known. */
export interface Origin { requestId?: string; status?: number; retryAfterMs?: number; content?: unknown[]; output?: unknown }

/**
 * Every error that is not an abort by the caller. Its own class stands for a code that this client does not know, as of a later server.
 *
 * @example
 * ```ts
 * import { FerroMcpClient, FerroMcpError } from "@ferromcp/sdk";
 *
 * const client = new FerroMcpClient({ baseUrl: "http://127.0.0.1:8080" });
 * try {
 *   await client.callTool("no_such_tool");
 * } catch (error) {
 *   if (!(error instanceof FerroMcpError)) throw error;
 *   console.log(error.code, error.status, error.mayHaveRun);
 * }
 * // prints: tool_not_found 404 false
 * ```
 *
 * @category Errors
 */
export class FerroMcpError extends Error {
  /** Name of the class. */
  override readonly name: string = "FerroMcpError";
  /** An {@link ErrorCode}, or `connection` or `protocol`. */
  readonly code: string;
  /** Stable name of the rule that refused the call. */
  readonly rule: string | undefined;
  /** A retry makes no sense before so many milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** What the server says besides. */
  readonly details: ErrorDetails | undefined;
  /** Names the call in the server's logs and records. */
  readonly requestId: string | undefined;
  /** Status of the HTTP answer; undefined if there was none, or in a stream or batch. */
  readonly status: number | undefined;
  /** False: the call did not take effect, so it may be made again. */
  readonly mayHaveRun: boolean;

  /** @hidden */
  constructor(error: WireError, origin: Origin = {}, options?: ErrorOptions) {
    super(error.message, options);
    this.code = error.code;
    this.rule = error.rule;
    this.retryAfterMs = error.retry_after_ms ?? origin.retryAfterMs;
    this.details = error.details;
    this.requestId = origin.requestId;
    this.status = origin.status;
    this.mayHaveRun = error.details?.may_have_run ?? !NOT_RUN.has(error.code);
  }
}

/** Codes of calls that were refused before the tool, unless `details.may_have_run` says otherwise. */
const NOT_RUN: ReadonlySet<string> = new Set([
  "invalid_request", "unauthenticated", "permission_denied", "tool_not_found", "invalid_arguments",
  "payload_too_large", "rate_limited", "quota_exceeded", "unavailable",
]);

/**
 * The request is malformed: wrong fields, a bad cursor, a bad batch (400).
 *
 * @category Errors
 */
export class InvalidRequestError extends FerroMcpError { override readonly name = "InvalidRequestError" }
/**
 * No credential, or one that is not accepted (401).
 *
 * @category Errors
 */
export class UnauthenticatedError extends FerroMcpError { override readonly name = "UnauthenticatedError" }
/**
 * The credential may not do this (403). A tool that the caller may not use is a {@link ToolNotFoundError}.
 *
 * @category Errors
 */
export class PermissionDeniedError extends FerroMcpError { override readonly name = "PermissionDeniedError" }
/**
 * There is no such tool for this caller (404).
 *
 * @category Errors
 */
export class ToolNotFoundError extends FerroMcpError { override readonly name = "ToolNotFoundError" }
/**
 * The arguments break a rule: schema, size, depth or pattern (422). `rule` names it.
 *
 * @category Errors
 */
export class InvalidArgumentsError extends FerroMcpError {
  override readonly name = "InvalidArgumentsError";
  /** Each mistake and its place; empty if the rule has no places. */
  get issues(): Issue[] { return this.details?.issues ?? [] }
}
/**
 * The request is larger than the server allows (413).
 *
 * @category Errors
 */
export class PayloadTooLargeError extends FerroMcpError { override readonly name = "PayloadTooLargeError" }
/**
 * Too many calls in a short time (429). `retryAfterMs` says when there is room.
 *
 * @category Errors
 */
export class RateLimitedError extends FerroMcpError { override readonly name = "RateLimitedError" }
/**
 * The tenant's quota is used up (429). `retryAfterMs` says when there is room; without it, waiting does not help.
 *
 * @category Errors
 */
export class QuotaExceededError extends FerroMcpError { override readonly name = "QuotaExceededError" }
/**
 * The server's deadline (504), or this client's `timeoutMs`, passed.
 *
 * @category Errors
 */
export class TimeoutError extends FerroMcpError { override readonly name = "TimeoutError" }
/**
 * What carries the tool out is down, or the server ends (503).
 *
 * @category Errors
 */
export class UnavailableError extends FerroMcpError { override readonly name = "UnavailableError" }
/**
 * What carries the tool out broke its protocol (502).
 *
 * @category Errors
 */
export class UpstreamError extends FerroMcpError { override readonly name = "UpstreamError" }
/**
 * The call was cancelled before its end, as in a batch that stopped.
 *
 * @category Errors
 */
export class CancelledError extends FerroMcpError { override readonly name = "CancelledError" }
/**
 * A fault of the server (500). `requestId` finds it in the server's log.
 *
 * @category Errors
 */
export class InternalError extends FerroMcpError { override readonly name = "InternalError" }
/**
 * The tool ran and reports a failure of its own.
 *
 * @category Errors
 */
export class ToolError extends FerroMcpError {
  override readonly name = "ToolError";
  /** Content blocks exactly as the tool gave them. */
  readonly content: unknown[];
  /** The tool's structured content, if it gave any. */
  readonly output: unknown;

  /** @hidden */
  constructor(error: WireError, origin: Origin = {}, options?: ErrorOptions) {
    super(error, origin, options);
    this.content = origin.content ?? [];
    this.output = origin.output;
  }
}
/**
 * No answer, or half of one: the server may have carried out the call. `cause` is what the platform says.
 *
 * @category Errors
 */
export class ConnectionError extends FerroMcpError { override readonly name = "ConnectionError" }
/**
 * An answer that is not FerroMCP's, such as the page of a proxy, or one of more than 256 MiB.
 *
 * @category Errors
 */
export class ProtocolError extends FerroMcpError { override readonly name = "ProtocolError" }

const CLASSES = {
  invalid_request: InvalidRequestError,
  unauthenticated: UnauthenticatedError,
  permission_denied: PermissionDeniedError,
  tool_not_found: ToolNotFoundError,
  invalid_arguments: InvalidArgumentsError,
  payload_too_large: PayloadTooLargeError,
  rate_limited: RateLimitedError,
  quota_exceeded: QuotaExceededError,
  timeout: TimeoutError,
  unavailable: UnavailableError,
  upstream_error: UpstreamError,
  cancelled: CancelledError,
  internal: InternalError,
  tool_error: ToolError,
} as const satisfies Record<ErrorCode, typeof FerroMcpError>;

/** The error of a code; a code of a later server is a plain `FerroMcpError`. */
export function toError(error: WireError, origin: Origin = {}): FerroMcpError {
  const known = Object.hasOwn(CLASSES, error.code) ? CLASSES[error.code as ErrorCode] : FerroMcpError;
  return new known(error, origin);
}

export function connectionError(message: string, cause?: unknown): ConnectionError {
  return new ConnectionError({ code: "connection", message }, {}, { cause });
}

export function protocolError(message: string, origin: Origin = {}, cause?: unknown): ProtocolError {
  return new ProtocolError({ code: "protocol", message }, origin, { cause });
}
