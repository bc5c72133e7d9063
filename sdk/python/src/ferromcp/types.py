"""What goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union

from .errors import FerroMcpError

ContentBlock = dict[str, Any]
"""A content block of MCP: text, image, audio, a resource; `type` says which."""


@dataclass(frozen=True)
class Tool:
    name: str
    input_schema: dict[str, Any]
    """JSON Schema of the arguments."""
    source: str
    """Who carries it out."""
    available: bool
    """False while its source is down."""
    title: str | None = None
    description: str | None = None
    output_schema: dict[str, Any] | None = None
    """JSON Schema of structured output."""
    annotations: dict[str, Any] = field(default_factory=dict)
    """Hints of MCP, such as `readOnlyHint`."""


@dataclass(frozen=True)
class ToolPage:
    tools: list[Tool]
    next_cursor: str | None


@dataclass(frozen=True)
class CallResult:
    output: Any
    """Structured content; else the text, if there is only text; else None."""
    content: list[ContentBlock]
    request_id: str
    latency_ms: float


@dataclass(frozen=True)
class Source:
    name: str
    state: str
    """`starting`, `ready` or `down`."""
    tools: int
    resources: int
    prompts: int
    reason: str | None = None


@dataclass(frozen=True)
class Health:
    status: str
    """`ok`, `degraded` or `draining`."""
    name: str
    version: str
    uptime_seconds: float
    in_flight: int
    sources: list[Source]
    raw: dict[str, Any]
    """The answer as it came, with what later servers say too."""


@dataclass(frozen=True)
class RateUsage:
    """A rate, and what is used of it."""

    limit: int
    """Calls that may come at once (the burst)."""
    used: int
    """Those of them that are used now."""
    remaining: int
    """Calls that could come at once now."""
    resets_in_ms: int
    """Until all of `limit` is there again, if nobody calls."""
    calls: int
    """Calls that come back per `window_ms`."""
    window_ms: int


@dataclass(frozen=True)
class QuotaUsage:
    """A quota, and what is used of it."""

    limit: int
    """Most in a window."""
    used: int
    """Used in the window that ends now. May exceed the limit: results count once their size is known."""
    remaining: int
    """What is left; 0 if more is used than the limit."""
    window_ms: int
    """Length of the window."""
    resets_in_ms: int
    """Until all of it is free again, if nothing more is used."""


@dataclass(frozen=True)
class ConcurrentUsage:
    """How many calls run at the same time."""

    limit: int
    """Most calls at the same time."""
    now: int
    """Calls that run now."""
    remaining: int
    """Calls that could begin now."""


@dataclass(frozen=True)
class BatchSizeUsage:
    limit: int
    """Most calls in one batch."""


@dataclass(frozen=True)
class Quotas:
    """What is None is not limited."""

    tool_calls: QuotaUsage | None = None
    """Calls per window."""
    bytes: QuotaUsage | None = None
    """Bytes of arguments and results per window."""
    batch_size: BatchSizeUsage | None = None


@dataclass(frozen=True)
class Usage:
    """What the caller's tenant may use, and has used at one moment. What is None is not limited."""

    tenant: str
    """Its id; `local` for callers of a server without tenants."""
    rate: RateUsage | None
    """The rate of all the tenant's clients together."""
    client_rate: RateUsage | None
    """The rate of this client alone."""
    concurrent: ConcurrentUsage | None
    quotas: Quotas
    raw: dict[str, Any]
    """The answer as it came, with what later servers say too."""


@dataclass(frozen=True)
class BatchRequest:
    tool: str
    arguments: Any = None
    id: str | None = None
    timeout_ms: int | None = None


@dataclass(frozen=True)
class BatchResponse:
    """An answer to one call of a batch: `result` or `error`."""

    id: str | None
    result: CallResult | None = None
    error: FerroMcpError | None = None

    @property
    def success(self) -> bool:
        return self.error is None

    @property
    def output(self) -> Any:
        """The output, or the error as an exception."""
        if self.error is not None:
            raise self.error
        return None if self.result is None else self.result.output


@dataclass(frozen=True)
class BatchResult:
    responses: list[BatchResponse]
    success_count: int
    error_count: int
    latency_ms: float


@dataclass(frozen=True)
class Progress:
    progress: float
    total: float | None = None
    message: str | None = None
    type: Literal["progress"] = "progress"


@dataclass(frozen=True)
class Log:
    level: str
    data: Any
    logger: str | None = None
    type: Literal["log"] = "log"


@dataclass(frozen=True)
class Result:
    output: Any
    content: list[ContentBlock]
    type: Literal["result"] = "result"


StreamEvent = Union[Progress, Log, Result]

Arguments = Mapping[str, Any]
