"""One class per error code of the server, and two for answers that never came or came from something else."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Issue:
    """A mistake in the arguments; `pointer` is a JSON Pointer (RFC 6901) to its place."""

    pointer: str
    message: str


# Codes of calls that were refused before the tool, unless `details.may_have_run` says otherwise.
_NOT_RUN = frozenset(
    {
        "invalid_request", "unauthenticated", "permission_denied", "tool_not_found", "invalid_arguments",
        "payload_too_large", "rate_limited", "quota_exceeded", "unavailable",
    }
)  # fmt: skip


class FerroMcpError(Exception):
    """Every error of a request."""

    code: str
    """The server's `error.code`, or `connection` or `protocol`."""
    rule: str | None
    """Stable name of the rule that refused the call."""
    retry_after_ms: float | None
    """A retry makes no sense before."""
    details: Mapping[str, Any]
    request_id: str | None
    """Names the call in the server's logs and records."""
    status: int | None
    """Status of HTTP."""
    may_have_run: bool
    """False: the call did not take effect, so it may be made again."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        rule: str | None = None,
        retry_after_ms: float | None = None,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        status: int | None = None,
        content: list[dict[str, Any]] | None = None,
        output: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.rule = rule
        self.retry_after_ms = retry_after_ms
        self.details = {} if details is None else details
        self.request_id = request_id
        self.status = status
        self.content = [] if content is None else content
        self.output = output
        said = self.details.get("may_have_run")
        self.may_have_run = said if isinstance(said, bool) else code not in _NOT_RUN

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross to other processes too, where `Exception` alone would lose the keywords.
        return _rebuilt, (type(self), {name: getattr(self, name) for name in _FIELDS})


_FIELDS = ("message", "code", "rule", "retry_after_ms", "details", "request_id", "status", "content", "output")


def _rebuilt(kind: type[FerroMcpError], fields: dict[str, Any]) -> FerroMcpError:
    return kind(fields.pop("message"), **fields)


class InvalidRequestError(FerroMcpError):
    pass


class UnauthenticatedError(FerroMcpError):
    pass


class PermissionDeniedError(FerroMcpError):
    pass


class ToolNotFoundError(FerroMcpError):
    pass


class InvalidArgumentsError(FerroMcpError):
    @property
    def issues(self) -> list[Issue]:
        found = self.details.get("issues")
        if not isinstance(found, list):
            return []
        return [Issue(str(one.get("pointer", "")), str(one.get("message", ""))) for one in found if isinstance(one, dict)]


class PayloadTooLargeError(FerroMcpError):
    pass


class RateLimitedError(FerroMcpError):
    pass


class QuotaExceededError(FerroMcpError):
    pass


class TimeoutError(FerroMcpError, builtins.TimeoutError):
    """The server's deadline, or this client's `timeout_ms`, passed."""


class UnavailableError(FerroMcpError):
    pass


class UpstreamError(FerroMcpError):
    pass


class CancelledError(FerroMcpError):
    """The server ended the call, or the caller of `Client` did, by a `Cancellation` or `close`."""


class InternalError(FerroMcpError):
    pass


class ToolError(FerroMcpError):
    """The tool ran and reports a failure of its own, in `content` and `output`."""


class ConnectionError(FerroMcpError, builtins.ConnectionError):
    """No answer, or half of one. Unless `may_have_run` is false, the server may have carried out the call."""


class ProtocolError(FerroMcpError):
    """An answer that is not FerroMCP's, such as the page of a proxy."""


CLASSES: Mapping[str, type[FerroMcpError]] = {
    "invalid_request": InvalidRequestError,
    "unauthenticated": UnauthenticatedError,
    "permission_denied": PermissionDeniedError,
    "tool_not_found": ToolNotFoundError,
    "invalid_arguments": InvalidArgumentsError,
    "payload_too_large": PayloadTooLargeError,
    "rate_limited": RateLimitedError,
    "quota_exceeded": QuotaExceededError,
    "timeout": TimeoutError,
    "unavailable": UnavailableError,
    "upstream_error": UpstreamError,
    "cancelled": CancelledError,
    "internal": InternalError,
    "tool_error": ToolError,
}


def cancelled(message: str) -> CancelledError:
    return CancelledError(message, code="cancelled", details={"may_have_run": True})


def connection_error(message: str, *, may_have_run: bool = True) -> ConnectionError:
    return ConnectionError(message, code="connection", details={"may_have_run": may_have_run})


def protocol_error(message: str, *, status: int | None = None, retry_after_ms: float | None = None) -> ProtocolError:
    return ProtocolError(message, code="protocol", status=status, retry_after_ms=retry_after_ms)
