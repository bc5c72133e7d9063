export { FerroMcpClient } from "./client.js";
export { Batch, reference, type BatchHandle, type Reference } from "./batch.js";
export type { ClientOptions, TokenProvider } from "./http.js";
export type { RetryOptions } from "./retry.js";
export { SseParser, type SseEvent } from "./sse.js";
export type * from "./types.js";
export {
  CancelledError, ConnectionError, FerroMcpError, InternalError, InvalidArgumentsError, InvalidRequestError, PayloadTooLargeError,
  PermissionDeniedError, ProtocolError, QuotaExceededError, RateLimitedError, TimeoutError, ToolError, ToolNotFoundError,
  UnauthenticatedError, UnavailableError, UpstreamError, type ErrorCode, type ErrorDetails, type Issue,
} from "./errors.js";
