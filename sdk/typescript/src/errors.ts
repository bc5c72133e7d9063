/** What the server answers in `error.code`; `tool_error` is the tool's own failure. */
export type ErrorCode =
  | "invalid_request" | "unauthenticated" | "permission_denied" | "tool_not_found" | "invalid_arguments"
  | "payload_too_large" | "rate_limited" | "quota_exceeded" | "timeout" | "unavailable" | "upstream_error"
  | "cancelled" | "internal" | "tool_error";

/** A mistake in the arguments; `pointer` is a JSON Pointer (RFC 6901) to its place. */
export interface Issue { pointer: string; message: string }

/** The error as it is on the wire. */
export interface WireError {
  code: string;
  message: string;
  rule?: string;
  retry_after_ms?: number;
  details?: { issues?: Issue[]; may_have_run?: boolean; rpc?: unknown; [name: string]: unknown };
}

/** Where an error came from, as far as it is known. */
export interface Origin { requestId?: string; status?: number; retryAfterMs?: number; content?: unknown[]; output?: unknown }

/** Every error that is not an abort by the caller. */
export class FerroMcpError extends Error {
  override readonly name: string = "FerroMcpError";
  /** An `ErrorCode`, or `connection` or `protocol`. */
  readonly code: string;
  /** Stable name of the rule that refused the call. */
  readonly rule: string | undefined;
  /** A retry makes no sense before. */
  readonly retryAfterMs: number | undefined;
  readonly details: WireError["details"];
  /** Names the call in the server's logs and records. */
  readonly requestId: string | undefined;
  readonly status: number | undefined;
  /** False: the call did not take effect, so it may be made again. */
  readonly mayHaveRun: boolean;

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

export class InvalidRequestError extends FerroMcpError { override readonly name = "InvalidRequestError" }
export class UnauthenticatedError extends FerroMcpError { override readonly name = "UnauthenticatedError" }
export class PermissionDeniedError extends FerroMcpError { override readonly name = "PermissionDeniedError" }
export class ToolNotFoundError extends FerroMcpError { override readonly name = "ToolNotFoundError" }
export class InvalidArgumentsError extends FerroMcpError {
  override readonly name = "InvalidArgumentsError";
  get issues(): Issue[] { return this.details?.issues ?? [] }
}
export class PayloadTooLargeError extends FerroMcpError { override readonly name = "PayloadTooLargeError" }
export class RateLimitedError extends FerroMcpError { override readonly name = "RateLimitedError" }
export class QuotaExceededError extends FerroMcpError { override readonly name = "QuotaExceededError" }
/** The server's deadline, or this client's `timeoutMs`, passed. */
export class TimeoutError extends FerroMcpError { override readonly name = "TimeoutError" }
export class UnavailableError extends FerroMcpError { override readonly name = "UnavailableError" }
export class UpstreamError extends FerroMcpError { override readonly name = "UpstreamError" }
export class CancelledError extends FerroMcpError { override readonly name = "CancelledError" }
export class InternalError extends FerroMcpError { override readonly name = "InternalError" }
/** The tool ran and reports a failure of its own. */
export class ToolError extends FerroMcpError {
  override readonly name = "ToolError";
  readonly content: unknown[];
  readonly output: unknown;
  constructor(error: WireError, origin: Origin = {}, options?: ErrorOptions) {
    super(error, origin, options);
    this.content = origin.content ?? [];
    this.output = origin.output;
  }
}
/** No answer, or half of one: the server may have carried out the call. */
export class ConnectionError extends FerroMcpError { override readonly name = "ConnectionError" }
/** An answer that is not FerroMCP's, such as the page of a proxy. */
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
