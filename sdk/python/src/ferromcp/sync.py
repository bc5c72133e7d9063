"""`Client`: an `AsyncClient` on a thread of its own, so that both mean the same by every option and error."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import httpx

from .aio import AsyncClient, AsyncStream
from .batch import Batch
from .errors import cancelled
from .retry import Retry
from .types import BatchRequest, BatchResult, CallResult, Health, StreamEvent, Tool, ToolPage, Usage

T = TypeVar("T")


class Cancellation:
    """Ends requests from another thread: give it to them as `cancel`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._watchers: dict[object, Callable[[], object]] = {}

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Requests that run end with `CancelledError`, later ones do not begin."""
        with self._lock:
            self._cancelled = True
            watchers = list(self._watchers.values())
            self._watchers.clear()
        for watcher in watchers:
            watcher()

    @contextmanager
    def _watch(self, watcher: Callable[[], object]) -> Iterator[None]:
        token = object()
        with self._lock:
            cancelled = self._cancelled
            if not cancelled:
                self._watchers[token] = watcher
        if cancelled:
            watcher()
        try:
            yield
        finally:
            with self._lock:
                self._watchers.pop(token, None)


class _Closed(RuntimeError):
    """The client is closed."""


class _Loop:
    """An event loop on a thread."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=_forever, args=(self._loop,), name="ferromcp", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], cancel: Cancellation | None) -> T:
        with self._closing:
            if self._closed:
                work.close()
                raise _Closed("the client is closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            if cancel is None:
                return future.result()
            with cancel._watch(future.cancel):
                return future.result()
        except concurrent.futures.CancelledError:
            raise cancelled("the caller cancelled the request") from None
        except BaseException:
            # Ctrl-C here ends the request there.
            future.cancel()
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
        if self.process != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(_end(last), self._loop)
        # The garbage collector may close a client on any thread, that of the loop too.
        if threading.current_thread() is not self._thread:
            self._thread.join()


def _forever(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _end(last: Callable[[], Coroutine[Any, Any, None]]) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    try:
        await asyncio.gather(*others, return_exceptions=True)
        await last()
    finally:
        asyncio.get_running_loop().stop()


class Stream:
    """What a call says on its way; the last event is the result. Leaving `with` cancels the call."""

    def __init__(self, loop: _Loop, stream: AsyncStream, cancel: Cancellation | None) -> None:
        self._loop = loop
        self._stream = stream
        self._cancel = cancel
        self._begun = False
        self._task: asyncio.Task[Any] | None = None

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> StreamEvent:
        if self._cancel is not None and self._cancel.cancelled:
            # Not to be begun first and cancelled then: that could send it.
            self.close()
            raise cancelled("the caller cancelled the request")
        try:
            event = self._loop.run(self._next(), self._cancel)
        except _Closed:
            if not self._begun:
                raise
            raise cancelled("the client was closed") from None
        except BaseException:
            # An event that came in that moment is nobody's, and the connection is still open.
            with suppress(_Closed):
                self._loop.run(self._given_up(), None)
            raise
        self._begun = True
        if event is None:
            raise StopIteration
        return event

    async def _next(self) -> StreamEvent | None:
        self._task = asyncio.current_task()
        # A coroutine cannot end with StopAsyncIteration.
        async for event in self._stream:
            return event
        return None

    async def _given_up(self) -> None:
        if self._task is not None:
            await asyncio.wait({self._task})
        await self._stream.aclose()

    def close(self) -> None:
        # With its client, all of it has ended.
        with suppress(_Closed):
            self._loop.run(self._stream.aclose(), None)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Client:
    """Client for code without asyncio; threads may share it. The options are those of `AsyncClient`. Close it, or use it
    in `with`: requests that still run then end with `CancelledError`. After a fork, make a new one."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | Callable[[], str] | None = None,
        timeout_ms: float | None = None,
        retry: Retry | None = Retry(),
        http: httpx.AsyncClient | None = None,
    ) -> None:
        key: str | Callable[[], Awaitable[str]] | None
        # A provider that waits must not hold up the client's other requests.
        key = _on_thread(api_key) if callable(api_key) else api_key
        self._client = AsyncClient(base_url, api_key=key, timeout_ms=timeout_ms, retry=retry, http=http)
        self._loop = _Loop()
        self._finish = weakref.finalize(self, self._loop.close, self._client.aclose)

    def close(self) -> None:
        self._finish()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def list_tools(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        timeout_ms: float | None = None,
        cancel: Cancellation | None = None,
    ) -> ToolPage:
        """One page of the tools that the caller may use."""
        return self._run(self._client.list_tools(cursor=cursor, limit=limit, timeout_ms=timeout_ms), cancel)

    def tools(
        self, *, limit: int | None = None, timeout_ms: float | None = None, cancel: Cancellation | None = None
    ) -> Iterator[Tool]:
        """All tools, page by page. `limit` is that of a page, `timeout_ms` too."""
        cursor = None
        while True:
            page = self.list_tools(cursor=cursor, limit=limit, timeout_ms=timeout_ms, cancel=cancel)
            yield from page.tools
            cursor = page.next_cursor
            if cursor is None:
                return

    def call_tool(
        self,
        tool: str,
        arguments: Any = None,
        *,
        deadline_ms: int | None = None,
        tenant_id: str | None = None,
        idempotent: bool = False,
        timeout_ms: float | None = None,
        cancel: Cancellation | None = None,
    ) -> CallResult:
        """Calls a tool; the options are those of `AsyncClient.call_tool`, and `cancel` ends it from another thread."""
        work = self._client.call_tool(
            tool,
            arguments,
            deadline_ms=deadline_ms,
            tenant_id=tenant_id,
            idempotent=idempotent,
            timeout_ms=timeout_ms,
        )
        return self._run(work, cancel)

    def call_tool_stream(
        self, tool: str, arguments: Any = None, *, timeout_ms: float | None = None, cancel: Cancellation | None = None
    ) -> Stream:
        """Calls a tool over MCP and gives what it says on the way; the last event is the result. Sent once, without
        retries. Use it in `with` if you may leave the loop early: that cancels the call."""
        return Stream(self._loop, self._client.call_tool_stream(tool, arguments, timeout_ms=timeout_ms), cancel)

    def batch_call(
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
        cancel: Cancellation | None = None,
    ) -> BatchResult:
        """Makes many calls in one request. A call that fails is a response with an `error`, not an exception."""
        work = self._client.batch_call(
            requests,
            parallel=parallel,
            max_parallel=max_parallel,
            stop_on_error=stop_on_error,
            deadline_ms=deadline_ms,
            tenant_id=tenant_id,
            idempotent=idempotent,
            timeout_ms=timeout_ms,
        )
        return self._run(work, cancel)

    def usage(self, *, timeout_ms: float | None = None, cancel: Cancellation | None = None) -> Usage:
        """What the caller's tenant may use, and has used at this moment. Asking counts against no rate and no quota."""
        return self._run(self._client.usage(timeout_ms=timeout_ms), cancel)

    def health(self, *, timeout_ms: float | None = None, cancel: Cancellation | None = None) -> Health:
        """State of every part of the server."""
        return self._run(self._client.health(timeout_ms=timeout_ms), cancel)

    def _run(self, work: Coroutine[Any, Any, T], cancel: Cancellation | None) -> T:
        if self._loop.process != os.getpid():
            work.close()
            raise RuntimeError("the client was made before the fork of this process; make a new one")
        if cancel is not None and cancel.cancelled:
            work.close()
            raise cancelled("the caller cancelled the request")
        return self._loop.run(work, cancel)


def _on_thread(provider: Callable[[], str]) -> Callable[[], Awaitable[str]]:
    return lambda: asyncio.to_thread(provider)
