"""Client of FerroMCP: lists, calls, streams and batches the tools of any MCP server."""

from ._version import __version__
from .aio import AsyncClient, AsyncStream
from .batch import Batch, BatchHandle, reference
from .errors import (
    CancelledError, ConnectionError, FerroMcpError, InternalError, InvalidArgumentsError, InvalidRequestError, Issue,
    PayloadTooLargeError, PermissionDeniedError, ProtocolError, QuotaExceededError, RateLimitedError, TimeoutError, ToolError,
    ToolNotFoundError, UnauthenticatedError, UnavailableError, UpstreamError,
)  # fmt: skip
from .retry import Retry
from .sse import SseEvent, SseParser
from .sync import Cancellation, Client, Stream
from .types import (
    BatchRequest, BatchResponse, BatchResult, BatchSizeUsage, CallResult, ConcurrentUsage, ContentBlock, Health, Log, Progress,
    Quotas, QuotaUsage, RateUsage, Result, Source, StreamEvent, Tool, ToolPage, Usage,
)  # fmt: skip

__all__ = [
    "AsyncClient", "AsyncStream", "Batch", "BatchHandle", "BatchRequest", "BatchResponse", "BatchResult", "BatchSizeUsage",
    "CallResult", "Cancellation", "CancelledError", "Client", "ConcurrentUsage", "ConnectionError", "ContentBlock",
    "FerroMcpError", "Health", "InternalError", "InvalidArgumentsError", "InvalidRequestError", "Issue", "Log",
    "PayloadTooLargeError", "PermissionDeniedError", "Progress", "ProtocolError", "QuotaExceededError", "QuotaUsage", "Quotas",
    "RateLimitedError", "RateUsage", "Result", "Retry", "Source", "SseEvent", "SseParser", "Stream", "StreamEvent",
    "TimeoutError", "Tool", "ToolError", "ToolNotFoundError", "ToolPage", "UnauthenticatedError", "UnavailableError",
    "UpstreamError", "Usage", "__version__", "reference",
]  # fmt: skip
