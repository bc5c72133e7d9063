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
    BatchRequest, BatchResponse, BatchResult, CallResult, ContentBlock, Health, Log, Progress, Result, Source, StreamEvent, Tool,
    ToolPage,
)  # fmt: skip

__all__ = [
    "AsyncClient", "AsyncStream", "Batch", "BatchHandle", "BatchRequest", "BatchResponse", "BatchResult", "CallResult",
    "Cancellation", "CancelledError", "Client", "ConnectionError", "ContentBlock", "FerroMcpError", "Health", "InternalError",
    "InvalidArgumentsError", "InvalidRequestError", "Issue", "Log", "PayloadTooLargeError", "PermissionDeniedError", "Progress",
    "ProtocolError", "QuotaExceededError", "RateLimitedError", "Result", "Retry", "Source", "SseEvent", "SseParser", "Stream",
    "StreamEvent", "TimeoutError", "Tool", "ToolError", "ToolNotFoundError", "ToolPage", "UnauthenticatedError",
    "UnavailableError", "UpstreamError", "__version__", "reference",
]  # fmt: skip
