"""`AsyncClient`: every request of the package is made here."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from . import wire
from ._version import __version__
from .batch import Batch
from .errors import FerroMcpError, TimeoutError, cancelled, connection_error, protocol_error
from .retry import Retry, delay_after
from .sse import SseParser
from .types import BatchRequest, BatchResult, CallResult, Health, Result, StreamEvent, Tool, ToolPage, Usage

T = TypeVar("T")

ApiKey = str | Callable[[], "str | Awaitable[str]"]

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_CONNECT_SECONDS = 10.0


def _base(text: str) -> str:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"base_url: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"base_url: {text!r} is no address with http or https")
    if url.userinfo:
        raise ValueError("base_url: no user name or password; use api_key")
    if url.query or url.fragment or "?" in text or "#" in text:
        raise ValueError("base_url: no query and no fragment")
    return str(url).rstrip("/")


class _Limit:
    """The time that is left of a request, its retries and waits."""

    def __init__(self, timeout_ms: float | None) -> None:
        if timeout_ms is not None and not 0 < timeout_ms < math.inf:
            raise ValueError("timeout_ms: a number above 0")
        self.timeout_ms = timeout_ms
        self._end = None if timeout_ms is None else asyncio.get_running_loop().time() + timeout_ms / 1000

    def left(self) -> float | None:
        """In seconds; None: for ever."""
        return None if self._end is None else max(0.0, self._end - asyncio.get_running_loop().time())


class _Running:
    """The requests of a client, which end when it closes."""

    def __init__(self) -> None:
        self.closed = False
        self._stops: set[asyncio.Future[None]] = set()

    def close(self) -> None:
        self.closed = True
        for stop in self._stops:
            if not stop.done():
                stop.set_result(None)

    async def within(self, work: Callable[[], Awaitable[T]], limit: _Limit) -> T:
        """What comes of the work, if it comes before the time limit and before the client closes."""
        if self.closed:
            raise RuntimeError("the client is closed")
        task = asyncio.ensure_future(work())
        stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        first: set[asyncio.Future[Any]] = {task, stop}
        self._stops.add(stop)
        try:
            await asyncio.wait(first, timeout=limit.left(), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            self._stops.discard(stop)
            if not task.done():
                # Its connection is closed before anybody hears of its end.
                task.cancel()
                await asyncio.wait({task})
            if not task.cancelled():
                # Whoever gave it up does not want it, and asyncio complains of what nobody looked at.
                task.exception()
        if stop.done():
            raise cancelled("the client was closed")
        raise TimeoutError(f"no answer within {limit.timeout_ms:g} ms", code="timeout", details={"may_have_run": True})


class AsyncStream:
    """What a call says on its way; the last event is the result. Leaving `async with` cancels the call."""

    def __init__(
        self, events: Callable[[], AsyncIterator[StreamEvent]], requests: _Running, timeout_ms: float | None
    ) -> None:
        self._events = events
        self._requests = requests
        self._timeout_ms = timeout_ms
        self._limit: _Limit | None = None
        self._running: Any = None
        self._closed = False

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> StreamEvent:
        if self._closed:
            raise StopAsyncIteration
        if self._limit is None:
            self._limit = _Limit(self._timeout_ms)
            self._running = self._events()
        elif self._requests.closed:
            await self.aclose()
            raise cancelled("the client was closed")
        try:
            return await self._requests.within(self._running.__anext__, self._limit)
        except StopAsyncIteration:
            raise
        except BaseException:
            # Whoever is cancelled as an event arrives does not get it, and the connection is still open.
            await self.aclose()
            raise

    async def aclose(self) -> None:
        self._closed = True
        if self._running is not None:
            await self._running.aclose()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncClient:
    """Client for asyncio. Cancelling the task that waits ends the request and its connection, and with it the call.

    base_url: address of the server, as in `http://127.0.0.1:8080`; may have a path.
    api_key: key or token of a tenant, or what gives one: it is asked before every attempt.
    timeout_ms: longest time of a request with its retries. Default: none but the server's.
    retry: None: none.
    http: an `httpx.AsyncClient` of your own, for proxies, certificates or limits; you close it.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: ApiKey | None = None,
        timeout_ms: float | None = None,
        retry: Retry | None = Retry(),
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._base = _base(base_url)
        self._key = api_key
        if timeout_ms is not None and not 0 < timeout_ms < math.inf:
            raise ValueError("timeout_ms: a number above 0")
        self._timeout_ms = timeout_ms
        self._retry = retry
        self._requests = _Running()
        self._own = http is None
        # The time limit is on the whole; those of httpx are on single reads.
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS)) if http is None else http

    async def aclose(self) -> None:
        """Requests that still run end with `CancelledError`; later ones are refused with a `RuntimeError`."""
        self._requests.close()
        if self._own:
            await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def list_tools(
        self, *, cursor: str | None = None, limit: int | None = None, timeout_ms: float | None = None
    ) -> ToolPage:
        """One page of the tools that the caller may use."""
        return wire.read_tools(await self._json(wire.ask_tools(cursor, limit), timeout_ms))

    async def tools(self, *, limit: int | None = None, timeout_ms: float | None = None) -> AsyncIterator[Tool]:
        """All tools, page by page. `limit` is that of a page, `timeout_ms` too."""
        cursor = None
        while True:
            page = await self.list_tools(cursor=cursor, limit=limit, timeout_ms=timeout_ms)
            for tool in page.tools:
                yield tool
            cursor = page.next_cursor
            if cursor is None:
                return

    async def call_tool(
        self,
        tool: str,
        arguments: Any = None,
        *,
        deadline_ms: int | None = None,
        tenant_id: str | None = None,
        idempotent: bool = False,
        timeout_ms: float | None = None,
    ) -> CallResult:
        """Calls a tool.

        deadline_ms: the server's deadline for the call: it ends the tool.
        tenant_id: the tenant to act for, where the credential may.
        idempotent: the call may be made twice: it is also retried when it may have run.
        """
        ask = wire.ask_call(tool, arguments, deadline_ms, tenant_id, idempotent)
        return wire.read_call(await self._json(ask, timeout_ms))

    def call_tool_stream(self, tool: str, arguments: Any = None, *, timeout_ms: float | None = None) -> AsyncStream:
        """Calls a tool over MCP and gives what it says on the way; the last event is the result. Sent once, without
        retries. Use it in `async with` if you may leave the loop early: that cancels the call."""
        ask = wire.ask_stream(tool, arguments)
        limit_ms = timeout_ms if timeout_ms is not None else self._timeout_ms
        return AsyncStream(lambda: self._stream(ask), self._requests, limit_ms)

    async def batch_call(
        self,
        requests: Sequence[BatchRequest] | Batch,
        *,
        parallel: bool | None = None,
        max_parallel: int | None = None,
        stop_on_error: bool | None = None,
        deadline_ms: int | None = None,
        tenant_id: str | None = None,
        idempotent: bool = False,
        timeout_ms: float | None = None,
    ) -> BatchResult:
        """Makes many calls in one request. A call that fails is a response with an `error`, not an exception.

        max_parallel: most calls at the same time, 1 to 100; implies `parallel`.
        stop_on_error: once a call has failed, begin no more.
        """
        ask = wire.ask_batch(requests, parallel, max_parallel, stop_on_error, deadline_ms, tenant_id, idempotent)
        return wire.read_batch(await self._json(ask, timeout_ms))

    async def usage(self, *, timeout_ms: float | None = None) -> Usage:
        """What the caller's tenant may use, and has used at this moment. Asking counts against no rate and no quota."""
        return wire.read_usage(await self._json(wire.ASK_USAGE, timeout_ms))

    async def health(self, *, timeout_ms: float | None = None) -> Health:
        """State of every part of the server."""
        return wire.read_health(await self._json(wire.ASK_HEALTH, timeout_ms))

    async def _json(self, ask: wire.Ask, timeout_ms: float | None) -> dict[str, Any]:
        limit = _Limit(timeout_ms if timeout_ms is not None else self._timeout_ms)
        return await self._requests.within(lambda: self._attempts(ask), limit)

    async def _attempts(self, ask: wire.Ask) -> dict[str, Any]:
        attempt = 1
        while True:
            try:
                return await self._once(ask)
            except FerroMcpError as error:
                delay = delay_after(error, attempt, self._retry, ask.idempotent)
                if delay is None:
                    raise
            await asyncio.sleep(delay / 1000)
            attempt += 1

    async def _once(self, ask: wire.Ask) -> dict[str, Any]:
        response = await self._send(ask)
        try:
            return await _read(response)
        finally:
            await response.aclose()

    async def _send(self, ask: wire.Ask) -> httpx.Response:
        headers = {"accept": "application/json", "user-agent": f"ferromcp-python/{__version__}", **ask.headers}
        key = self._key() if callable(self._key) else self._key
        if inspect.isawaitable(key):
            key = await key
        if key is not None:
            headers["authorization"] = wire.bearer(key)
        if ask.body is not None:
            headers["content-type"] = "application/json"
        request = self._http.build_request(ask.method, self._base + ask.path, headers=headers, content=ask.body)
        try:
            # A redirect would carry the key away.
            return await self._http.send(request, stream=True, follow_redirects=False)
        except httpx.TransportError as error:
            message = f"{self._base} cannot be reached: {error or type(error).__name__}"
            raise connection_error(message, may_have_run=not isinstance(error, _NOT_SENT)) from error

    async def _stream(self, ask: wire.Ask) -> AsyncIterator[StreamEvent]:
        response = await self._send(ask)
        try:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                yield wire.read_final(await _read(response))
                return
            parser = SseParser()
            async for data in _bytes(response):
                for one in _parsed(parser, data):
                    event = wire.read_event(one)
                    if event is not None:
                        yield event
                    if isinstance(event, Result):
                        return
            raise connection_error("the stream ended before the result")
        finally:
            await response.aclose()


def _parsed(parser: SseParser, data: bytes) -> list[str]:
    try:
        return [event.data for event in parser.push(data)]
    except ValueError as error:
        raise protocol_error(str(error)) from None


async def _bytes(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for data in response.aiter_bytes():
            yield data
    except httpx.RequestError as error:
        raise connection_error(f"the stream broke off before the result: {error or type(error).__name__}") from error


async def _read(response: httpx.Response) -> dict[str, Any]:
    body = bytearray()
    try:
        async for data in response.aiter_bytes():
            body += data
            if len(body) > wire.LARGEST:
                raise protocol_error(f"the answer is larger than {wire.LARGEST} bytes", status=response.status_code)
    except httpx.RequestError as error:
        raise connection_error(f"the answer broke off: {error or type(error).__name__}") from error
    return wire.read_answer(response.status_code, response.headers.get("retry-after"), bytes(body))
