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
