"""Calls that are given up at every point on their way: by a time limit, by the caller, by the end of the client."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ferromcp
from ferromcp import AsyncClient, Cancellation, Client, Progress, Retry
from support import LIMIT, Driven, Proxy, Request, Silence, Tool, refuse

PROGRESS = b'data: {"method":"notifications/progress","params":{"progress":1}}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
GIVEN = {"text": "x"}


class Trickle(Silence):
    """A fault: an answer that never ends, a byte at a time, until the client goes."""

    def __call__(self, connection: socket.socket, request: Request) -> None:
        connection.sendall(self.first)
        connection.settimeout(0.005)
        self.began.set()
        while True:
            try:
                connection.sendall(b" ")
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.closed.set()


HANGS: dict[str, Callable[[], Silence]] = {
    "before the answer": Silence,
    "in its head": lambda: Silence(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "after its head": lambda: Silence(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"),
    "in its body": lambda: Silence(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"success":'),
    "in a chunk": lambda: Silence(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\n{"success":'),
    "in a slow body": lambda: Trickle(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"),
    "in an event": lambda: Silence(STREAM + b'data: {"method"'),
    "after an event": lambda: Silence(STREAM + PROGRESS),
}


class Sync:
    """A call of a `Client` on another thread, and the ways to give it up."""

    ways = ("time", "caller", "close")

    def __init__(self, url: str, way: str, **options: Any) -> None:
        self.way = way
        self.cancel = Cancellation()
        self.client = Client(url, **options)
        self.loop = self.client._loop._loop
        self._pool = ThreadPoolExecutor(1)
        self._timeout = 150 if way == "time" else None

    def begin(self, tool: str, stream: bool) -> None:
        work = self._stream if stream else self._call
        self._running = self._pool.submit(work, tool)

    def _call(self, tool: str) -> Any:
        return self.client.call_tool(tool, GIVEN, idempotent=True, cancel=self.cancel, timeout_ms=self._timeout)

    def _stream(self, tool: str) -> Any:
        return list(self.client.call_tool_stream(tool, GIVEN, cancel=self.cancel, timeout_ms=self._timeout))

    def give_up(self) -> None:
        if self.way == "caller":
            self.cancel.cancel()
        elif self.way == "close":
            self.client.close()

    def ended(self) -> type[BaseException]:
        error = self._running.exception(LIMIT)
        assert error is not None
        return type(error)

    def stop(self) -> None:
        self.client.close()
        self._pool.shutdown()


class Async:
    """The same with an `AsyncClient` and a loop of its own."""

    ways = ("time", "caller", "close")

    def __init__(self, url: str, way: str, **options: Any) -> None:
        self.way = way
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.client = AsyncClient(url, **options)
        self._timeout = 150 if way == "time" else None

    def begin(self, tool: str, stream: bool) -> None:
        async def make() -> asyncio.Task[Any]:
            return asyncio.create_task(self._stream(tool) if stream else self._call(tool))

        self._task: asyncio.Task[Any] = self._run(make())

    async def _call(self, tool: str) -> Any:
        return await self.client.call_tool(tool, GIVEN, idempotent=True, timeout_ms=self._timeout)

    async def _stream(self, tool: str) -> Any:
        return [event async for event in self.client.call_tool_stream(tool, GIVEN, timeout_ms=self._timeout)]

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(LIMIT)

    def give_up(self) -> None:
        if self.way == "caller":
            self.loop.call_soon_threadsafe(self._task.cancel)
        elif self.way == "close":
            self._run(self.client.aclose())

    def ended(self) -> type[BaseException]:
        async def wait() -> BaseException | None:
            await asyncio.wait({self._task})
            return asyncio.CancelledError() if self._task.cancelled() else self._task.exception()

        error = self._run(wait())
        assert error is not None
        return type(error)

    def stop(self) -> None:
        self._run(self.client.aclose())
        self._run(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LIMIT)
        self.loop.close()


WAYS = [(kind, way) for kind in (Sync, Async) for way in kind.ways]
EITHER = pytest.mark.parametrize(("kind", "way"), WAYS, ids=[f"{kind.__name__}-{way}" for kind, way in WAYS])
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])


def wanted(kind: type, way: str) -> type[BaseException]:
    if way == "time":
        return ferromcp.TimeoutError
    # Who cancels a task wants asyncio's own; the end of the client is told in ours.
    return asyncio.CancelledError if (kind, way) == (Async, "caller") else ferromcp.CancelledError


@pytest.fixture
def between(tool: Tool) -> Iterator[Proxy]:
    proxy = Proxy(tool.server.url)
    tool.ran()
    yield proxy
    proxy.stop()
    assert not proxy.faults, "every fault was used"


@EITHER
@STREAMS
@pytest.mark.parametrize("where", HANGS)
def test_a_call_that_hangs_ends_with_its_connection(
    between: Proxy, tool: Tool, kind: Any, way: str, stream: bool, where: str
) -> None:
    hang = HANGS[where]()
    between.faults.append(hang)
    one = kind(between.url, way)
    one.begin("t__note", stream)
    assert hang.began.wait(LIMIT)
    one.give_up()
    assert one.ended() is wanted(kind, way)
    assert hang.closed.wait(LIMIT)
    # It may be repeated, and is not: nobody waits for it any more.
    assert (len(between.seen), tool.ran()) == (1, 0)
    one.stop()


@EITHER
@STREAMS
def test_the_tool_that_runs_hears_of_it(tool: Tool, kind: Any, way: str, stream: bool) -> None:
    tool.ran()
    one = kind(tool.server.url, way)
    one.begin("t__wait", stream)
    tool.wait("began")
    one.give_up()
    assert one.ended() is wanted(kind, way)
    tool.wait("cancelled")
    assert tool.ran() == 1
    one.stop()


@EITHER
def test_a_wait_between_attempts_ends(between: Proxy, tool: Tool, kind: Any, way: str) -> None:
    answered = threading.Event()

    def later(connection: socket.socket, request: Request) -> None:
        refuse(503, {"code": "unavailable", "retry_after_ms": 60_000})(connection, request)
        connection.close()
        answered.set()

    between.faults.append(later)
    one = kind(between.url, way, retry=Retry(max_delay_ms=100_000))
    one.begin("t__note", False)
    assert answered.wait(LIMIT)
    one.give_up()
    assert one.ended() is wanted(kind, way)
    assert (len(between.seen), tool.ran()) == (1, 0)
    one.stop()


@EITHER
@STREAMS
def test_a_call_that_waits_for_its_key_is_never_sent(between: Proxy, tool: Tool, kind: Any, way: str, stream: bool) -> None:
    asked, go = threading.Event(), threading.Event()

    def slow() -> str:
        asked.set()
        assert go.wait(LIMIT)
        return "key"

    async def waiting() -> str:
        asked.set()
        await asyncio.Event().wait()
        return "key"

    one = kind(between.url, way, api_key=slow if kind is Sync else waiting)
    one.begin("t__note", stream)
    assert asked.wait(LIMIT)
    if kind is Sync:
        # A thread cannot be ended; what it gives is not used.
        threading.Timer(0.3, go.set).start()
    one.give_up()
    assert one.ended() is wanted(kind, way)
    one.stop()
    assert (between.seen, tool.ran()) == ([], 0)


@pytest.fixture
def full() -> Iterator[str]:
    """An address that takes no connection any more: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"
        for one in waiting:
            one.close()


@EITHER
@STREAMS
def test_a_call_that_waits_for_its_connection_ends(full: str, kind: Any, way: str, stream: bool) -> None:
    asked = threading.Event()

    def key() -> str:
        asked.set()
        return "key"

    async def turns() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    one = kind(full, way, api_key=key)
    one.begin("t__note", stream)
    assert asked.wait(LIMIT)
    # So that it connects already: what anyio has not begun when it is cancelled it warns of.
    asyncio.run_coroutine_threadsafe(turns(), one.loop).result(LIMIT)
    one.give_up()
    assert one.ended() is wanted(kind, way)
    one.stop()


def test_the_end_of_a_client_ends_all_its_calls_and_no_other_clients(between: Proxy, tool: Tool) -> None:
    hangs = [Silence() for _ in range(4)]
    between.faults += hangs
    closing, kept = Client(between.url), Client(between.url)
    with ThreadPoolExecutor(4) as pool:
        calls = []
        for hang, client in zip(hangs, (closing, closing, closing, kept), strict=True):
            calls.append(pool.submit(client.call_tool, "t__note", GIVEN))
            assert hang.began.wait(LIMIT)
        closing.close()
        for hang, call in list(zip(hangs, calls, strict=True))[:3]:
            assert isinstance(call.exception(LIMIT), ferromcp.CancelledError) and hang.closed.wait(LIMIT)
        assert not calls[3].done() and not hangs[3].closed.is_set()
        kept.close()
        assert isinstance(calls[3].exception(LIMIT), ferromcp.CancelledError)
    assert tool.ran() == 0


def test_the_end_of_an_async_client_ends_all_its_calls(between: Proxy, tool: Tool) -> None:
    hangs = [Silence() for _ in range(3)]
    between.faults += hangs

    async def main() -> None:
        client = AsyncClient(between.url)
        calls = []
        for hang in hangs:
            calls.append(asyncio.create_task(client.call_tool("t__note", GIVEN)))
            assert await asyncio.to_thread(hang.began.wait, LIMIT)
        await client.aclose()
        for end in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(end, ferromcp.CancelledError) and end.may_have_run
        await client.aclose()
        # Nothing of it is left on the loop.
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert all(hang.closed.wait(LIMIT) for hang in hangs)
    assert tool.ran() == 0


def test_a_stream_between_two_events_ends_with_its_client(between: Proxy) -> None:
    silence = Silence(STREAM + PROGRESS)
    between.faults.append(silence)
    client = Client(between.url)
    with client.call_tool_stream("t__note", GIVEN) as events:
        assert next(events) == Progress(1)
        client.close()
        assert silence.closed.wait(LIMIT)
        with pytest.raises(ferromcp.CancelledError):
            next(events)
    # Leaving it, and closing it again, is no error.
    events.close()


def test_an_async_stream_between_two_events_ends_with_its_client(between: Proxy) -> None:
    silence = Silence(STREAM + PROGRESS)
    between.faults.append(silence)

    async def main() -> None:
        client = AsyncClient(between.url)
        async with client.call_tool_stream("t__note", GIVEN) as events:
            assert await events.__anext__() == Progress(1)
            await client.aclose()
            assert await asyncio.to_thread(silence.closed.wait, LIMIT)
            with pytest.raises(ferromcp.CancelledError):
                await events.__anext__()

    asyncio.run(main())


def test_a_closed_client_sends_nothing_more(between: Proxy) -> None:
    client = Driven(between.url)
    stream = client.call_tool_stream("t__note", GIVEN)
    client.run(client._client.aclose())
    for ask in (client.usage, client.health, lambda: client.call_tool("t__note"), lambda: list(stream)):
        with pytest.raises(RuntimeError, match="closed"):
            ask()
    assert between.seen == []
    client.close()


@pytest.mark.parametrize("key", ["", "a b", "secret\r\nx-evil: 1", "sécret", "secret\0"])
def test_a_key_that_no_header_can_have_is_not_sent_and_not_told(between: Proxy, key: str) -> None:
    client = Driven(between.url, api_key=key)
    with pytest.raises(ValueError, match="api_key") as caught:
        client.usage()
    assert "cret" not in str(caught.value) and between.seen == []
    client.close()
