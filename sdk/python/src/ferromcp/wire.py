"""Requests and answers as they are on the wire; nothing here waits."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from ._version import __version__
from .batch import Batch
from .errors import CLASSES, FerroMcpError, ProtocolError, ToolError, protocol_error
from .types import (
    BatchRequest, BatchResponse, BatchResult, BatchSizeUsage, CallResult, ConcurrentUsage, Health, Log, Progress, Quotas,
    QuotaUsage, RateUsage, Result, Source, StreamEvent, Tool, ToolPage, Usage,
)  # fmt: skip

T = TypeVar("T")

REVISION = "2026-07-28"
_META = "io.modelcontextprotocol/"

LARGEST = 256 * 1024 * 1024
"""Largest answer, in bytes, unpacked; a server that never ends one must not fill the memory."""


@dataclass(frozen=True)
class Ask:
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotent: bool = False


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def ask_tools(cursor: str | None, limit: int | None) -> Ask:
    query = _present(cursor=cursor, limit=limit)
    return Ask("GET", "/v1/tools" + ("?" + urlencode(query) if query else ""), idempotent=True)


def ask_call(tool: str, arguments: Any, deadline_ms: int | None, tenant_id: str | None, idempotent: bool) -> Ask:
    body = _present(tool=tool, arguments=arguments, timeout_ms=deadline_ms, tenant_id=tenant_id)
    return Ask("POST", "/v1/tools/call", _json(body), idempotent=idempotent)


def ask_stream(tool: str, arguments: Any) -> Ask:
    meta = {
        "progressToken": 1,
        f"{_META}protocolVersion": REVISION,
        f"{_META}clientInfo": {"name": "ferromcp-python", "version": __version__},
        f"{_META}clientCapabilities": {},
        f"{_META}logLevel": "debug",
    }
    params = {"name": tool, "arguments": {} if arguments is None else arguments, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": REVISION,
        "mcp-method": "tools/call",
        "mcp-name": _header_value(tool),
    }
    return Ask("POST", "/mcp", _json(body), headers)


def ask_batch(
    requests: Sequence[BatchRequest] | Batch,
    parallel: bool | None,
    max_parallel: int | None,
    stop_on_error: bool | None,
    deadline_ms: int | None,
    tenant_id: str | None,
    idempotent: bool,
) -> Ask:
    calls = requests.requests if isinstance(requests, Batch) else requests
    body = {
        "requests": [_present(id=one.id, tool=one.tool, arguments=one.arguments, timeout_ms=one.timeout_ms) for one in calls],
        **_present(
            parallel=parallel,
            max_parallel=max_parallel,
            stop_on_error=stop_on_error,
            timeout_ms=deadline_ms,
            tenant_id=tenant_id,
        ),
    }
    return Ask("POST", "/v1/tools/batch", _json(body), idempotent=idempotent)


def bearer(key: str) -> str:
    """The value of `authorization`. What no header can have is not shown: errors are logged."""
    if not re.fullmatch("[!-~]+", key):
        raise ValueError("api_key: visible ASCII characters only")
    return f"Bearer {key}"


ASK_HEALTH = Ask("GET", "/health", idempotent=True)
ASK_USAGE = Ask("GET", "/v1/usage", idempotent=True)


def _header_value(text: str) -> str:
    """What does not fit in a header as it is goes as Base64 (MCP 2026-07-28, "Streamable HTTP")."""
    if re.fullmatch(r"[!-~]([ -~]*[!-~])?", text) and not text.startswith("=?base64?"):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def _retry_after_ms(value: str | None) -> float | None:
    """`Retry-After` in seconds or as a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,12}", value):
        return int(value) * 1000
    try:
        at = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at - time.time()) * 1000)


def parse(text: str | bytes) -> Any:
    """JSON; a ValueError when it is none, or too deep to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too deep") from None


def read_answer(status: int, retry_after: str | None, body: bytes) -> dict[str, Any]:
    """The object in an answer, or the error that it is."""
    after = _retry_after_ms(retry_after)
    shown = body[:200].decode(errors="replace")
    try:
        value = parse(body)
    except ValueError:
        raise protocol_error(f"status {status}, and no JSON: {shown}", status=status, retry_after_ms=after) from None
    if not isinstance(value, dict):
        raise protocol_error(f"status {status}, and no JSON object: {shown}", status=status, retry_after_ms=after)
    if value.get("success") is False:
        raise failure(value, status, after)
    # A server that drains or has lost a source answers the question for its health with 503 and an object.
    if not 200 <= status < 300 and "status" not in value and "result" not in value and "error" not in value:
        raise protocol_error(f"status {status}: {shown}", status=status, retry_after_ms=after)
    return value


def failure(value: Mapping[str, Any], status: int | None = None, retry_after_ms: float | None = None) -> FerroMcpError:
    error = value.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("code"), str) or not isinstance(error.get("message"), str):
        return protocol_error("a failure without code and message; is this FerroMCP?", status=status)
    content = value.get("content")
    return _error(
        error,
        request_id=_or_none(value.get("request_id"), str),
        status=status,
        retry_after_ms=retry_after_ms,
        content=content if isinstance(content, list) else None,
        output=value.get("output"),
    )


def _error(error: Mapping[str, Any], *, retry_after_ms: float | None = None, **more: Any) -> FerroMcpError:
    """The error of a code; a code of a later server is a plain `FerroMcpError`."""
    asked = error.get("retry_after_ms")
    known = CLASSES.get(error["code"], FerroMcpError)
    return known(
        error["message"],
        code=error["code"],
        rule=_or_none(error.get("rule"), str),
        retry_after_ms=asked if _is_number(asked) else retry_after_ms,
        details=_or_none(error.get("details"), dict),
        **more,
    )


def _or_none(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class _Object:
    """Takes the fields of an answer out, each with its type."""

    def __init__(self, value: Any, what: str) -> None:
        self.what = what
        if not isinstance(value, dict):
            raise self.wrong("is no object")
        self.value: dict[str, Any] = value

    def wrong(self, how: str) -> ProtocolError:
        return protocol_error(f"{self.what} {how}; is this FerroMCP?")

    def get(self, name: str, kind: type) -> Any:
        value = self.value.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(f"has no `{name}`")
        return value

    def number(self, name: str) -> Any:
        value = self.value.get(name)
        if not _is_number(value):
            raise self.wrong(f"has no number `{name}`")
        return value

    def optional(self, name: str, kind: type) -> Any:
        return _or_none(self.value.get(name), kind)


def read_tools(answer: Any) -> ToolPage:
    page = _Object(answer, "the list of tools")
    return ToolPage([_tool(one) for one in page.get("tools", list)], page.optional("next_cursor", str))


def _tool(value: Any) -> Tool:
    tool = _Object(value, "a tool of the list")
    return Tool(
        name=tool.get("name", str),
        input_schema=tool.get("input_schema", dict),
        source=tool.get("source", str),
        available=tool.get("available", bool),
        title=tool.optional("title", str),
        description=tool.optional("description", str),
        output_schema=tool.optional("output_schema", dict),
        annotations=tool.optional("annotations", dict) or {},
    )


def read_call(answer: Any) -> CallResult:
    call = _Object(answer, "the answer to a call")
    if call.get("success", bool) is not True:
        raise call.wrong("has no result")
    return CallResult(
        call.value.get("output"), call.optional("content", list) or [], call.get("request_id", str), call.number("latency_ms")
    )


def read_batch(answer: Any) -> BatchResult:
    batch = _Object(answer, "the answer to a batch")
    return BatchResult(
        [_response(one) for one in batch.get("responses", list)],
        batch.number("success_count"),
        batch.number("error_count"),
        batch.number("latency_ms"),
    )


def _response(value: Any) -> BatchResponse:
    response = _Object(value, "a response of the batch")
    id = response.optional("id", str)
    if response.get("success", bool):
        return BatchResponse(id, result=read_call(value))
    return BatchResponse(id, error=failure(value))


def read_health(answer: Any) -> Health:
    health = _Object(answer, "the state of the server")
    return Health(
        health.get("status", str),
        health.get("name", str),
        health.get("version", str),
        health.number("uptime_seconds"),
        health.number("in_flight"),
        [_source(one) for one in health.get("sources", list)],
        health.value,
    )


def _source(value: Any) -> Source:
    source = _Object(value, "the state of a source")
    return Source(
        source.get("name", str),
        source.get("state", str),
        source.number("tools"),
        source.number("resources"),
        source.number("prompts"),
        source.optional("reason", str),
    )


def read_usage(answer: Any) -> Usage:
    usage = _Object(answer, "the usage of the tenant")
    quotas = _Object(usage.get("quotas", dict), "the usage of the tenant")
    return Usage(
        usage.get("tenant", str),
        _used(usage, "rate", RateUsage),
        _used(usage, "client_rate", RateUsage),
        _used(usage, "concurrent", ConcurrentUsage),
        Quotas(
            _used(quotas, "tool_calls", QuotaUsage),
            _used(quotas, "bytes", QuotaUsage),
            _used(quotas, "batch_size", BatchSizeUsage),
        ),
        usage.value,
    )


def _used(of: _Object, name: str, kind: type[T]) -> T | None:
    """A limit whose fields are all numbers; None: not limited."""
    value = of.value.get(name)
    if value is None:
        return None
    limit = _Object(value, f"`{name}` of the usage")
    return kind(**{one: limit.get(one, int) for one in kind.__annotations__})


def read_event(data: str) -> StreamEvent | None:
    """One message of a stream; None: nothing for the caller."""
    try:
        value = parse(data)
    except ValueError:
        raise protocol_error("an event of the stream is no JSON") from None
    message = _Object(value, "an event of the stream")
    method = message.value.get("method")
    if method is None:
        return read_final(message.value)
    params = _Object(message.value.get("params", {}), "a notification of the stream")
    if method == "notifications/progress":
        total = params.value.get("total")
        return Progress(params.number("progress"), total if _is_number(total) else None, params.optional("message", str))
    if method == "notifications/message":
        return Log(params.get("level", str), params.value.get("data"), params.optional("logger", str))
    return None


def read_final(message: Mapping[str, Any]) -> Result:
    error = message.get("error")
    if isinstance(error, dict):
        text = str(error.get("message", "an error without a message"))
        data = error.get("data")
        if not isinstance(data, dict) or not isinstance(data.get("code"), str):
            raise protocol_error(text)
        details = {name: value for name, value in data.items() if name not in ("code", "rule", "retry_after_ms")}
        raise _error({**data, "message": text, "details": details})
    outcome = _Object(message.get("result"), "the result of the stream")
    kind = outcome.value.get("resultType", "complete")
    if kind != "complete":
        raise protocol_error(f"the tool wants more of its caller ({kind}), which this client does not give")
    content: list[dict[str, Any]] = [one for one in outcome.optional("content", list) or [] if isinstance(one, dict)]
    only_text = bool(content) and all(one.get("type") == "text" for one in content)
    text_of = "\n".join(str(one.get("text", "")) for one in content) if only_text else None
    structured = outcome.value.get("structuredContent")
    if outcome.value.get("isError") is True:
        raise ToolError(text_of or "the tool failed", code="tool_error", content=content, output=structured)
    return Result(text_of if structured is None else structured, content)
