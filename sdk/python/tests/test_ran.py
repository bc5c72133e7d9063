"""How often the tool really ran, for each fault before, in and after its call. The tool itself counts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ferromcp
from conftest import QUICK, Make
from ferromcp import Progress, Retry, wire
from support import LIMIT, Fault, Proxy, Request, Tool, answer, hang_up, refuse, reset

GIVEN = {"text": "día"}
Spoil = Callable[[socket.socket, bytes, bytes], None]


@pytest.fixture
def between(tool: Tool) -> Iterator[Proxy]:
    proxy = Proxy(tool.server.url)
    tool.ran()
    yield proxy
    proxy.stop()
    assert not proxy.faults and not proxy.early, "every fault was used"


def call(client: Any, **options: Any) -> Any:
    return client.call_tool("t__note", GIVEN, **options)


def drain(client: Any, **options: Any) -> Any:
    return list(client.call_tool_stream("t__note", GIVEN, **options))[-1]


def after(between: Proxy, spoil: Spoil) -> Fault:
    """A fault: the server carries out the call, and `spoil` makes of head and body of its answer what it likes."""

    def fault(connection: socket.socket, request: Request) -> None:
        head, _, body = between.carried_out(request).partition(b"\r\n\r\n")
        spoil(connection, head, body)

    return fault


def head(*fields: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"content-type: application/json", *fields)) + b"\r\n\r\n"


def in_chunks(*chunks: bytes) -> bytes:
    return head(b"transfer-encoding: chunked") + b"".join(chunks)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def lose(connection: socket.socket, *_: bytes) -> None:
    reset(connection)


def cut_head(connection: socket.socket, head: bytes, body: bytes) -> None:
    connection.sendall(head[: len(head) // 2])


def reset_in_head(connection: socket.socket, head: bytes, body: bytes) -> None:
    connection.sendall(head[: len(head) // 2])
    reset(connection)


def cut_body(connection: socket.socket, head: bytes, body: bytes) -> None:
    connection.sendall(head + b"\r\n\r\n" + body[: len(body) // 2])


def cut_chunk(connection: socket.socket, _: bytes, body: bytes) -> None:
    connection.sendall(in_chunks(b"%x\r\n" % len(body), body[:-5]))


def no_last_chunk(connection: socket.socket, _: bytes, body: bytes) -> None:
    connection.sendall(in_chunks(chunk(body)))


def no_size(connection: socket.socket, _: bytes, body: bytes) -> None:
    connection.sendall(in_chunks(b"no size\r\n", body, b"\r\n0\r\n\r\n"))


def no_http(connection: socket.socket, *_: bytes) -> None:
    connection.sendall(b"\0\xff this is no HTTP\r\n\r\n")


def endless_head(connection: socket.socket, *_: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    try:
        while True:
            connection.sendall(b"x-more: " + b"x" * 65536 + b"\r\n")
    except OSError:
        return


def no_gzip(connection: socket.socket, *_: bytes) -> None:
    connection.sendall(head(b"content-encoding: gzip", b"content-length: 7") + b"no gzip")


def page_504(connection: socket.socket, *_: bytes) -> None:
    connection.sendall(b"HTTP/1.1 504 Gateway Timeout\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>")


PAGE = {"content_type": "text/html"}
BEFORE: dict[str, tuple[Fault, str]] = {
    "lost": (hang_up, "ConnectionError"),
    "reset": (lambda connection, request: reset(connection), "ConnectionError"),
    "page 502": (answer(502, "<html>", **PAGE), "ProtocolError"),
    "page 503": (answer(503, "<html>", retry_after="0", **PAGE), "ProtocolError"),
}
AFTER: dict[str, tuple[Spoil, str]] = {
    "reset": (lose, "ConnectionError"),
    "closed": (lambda *_: None, "ConnectionError"),
    "cut in the head": (cut_head, "ConnectionError"),
    "reset in the head": (reset_in_head, "ConnectionError"),
    "cut in the body": (cut_body, "ConnectionError"),
    "cut in a chunk": (cut_chunk, "ConnectionError"),
    "no last chunk": (no_last_chunk, "ConnectionError"),
    "a chunk without a size": (no_size, "ConnectionError"),
    "no HTTP": (no_http, "ConnectionError"),
    "a head without end": (endless_head, "ConnectionError"),
    "no gzip": (no_gzip, "ConnectionError"),
    "page 504": (page_504, "ProtocolError"),
}
FAULTS = [("before", what) for what in BEFORE] + [("after", what) for what in AFTER]


@pytest.mark.parametrize(("when", "what"), FAULTS, ids=[f"{what} {when} the call" for when, what in FAULTS])
class TestALostAnswer:
    def fault(self, between: Proxy, when: str, what: str) -> tuple[Fault, str]:
        if when == "before":
            return BEFORE[what]
        spoil, name = AFTER[what]
        return after(between, spoil), name

    def test_the_call_runs_once(self, through: Make, between: Proxy, tool: Tool, when: str, what: str) -> None:
        fault, name = self.fault(between, when, what)
        between.faults.append(fault)
        with pytest.raises(ferromcp.FerroMcpError) as caught:
            call(through())
        assert (type(caught.value).__name__, caught.value.may_have_run) == (name, True)
        assert (len(between.seen), tool.ran()) == (1, int(when == "after"))

    def test_it_is_repeated_where_it_may_be(self, through: Make, between: Proxy, tool: Tool, when: str, what: str) -> None:
        between.faults.append(self.fault(between, when, what)[0])
        assert call(through(), idempotent=True).output == GIVEN
        assert (len(between.seen), tool.ran()) == (2, 1 + int(when == "after"))

    def test_a_stream_is_sent_once(self, through: Make, between: Proxy, tool: Tool, when: str, what: str) -> None:
        fault, name = self.fault(between, when, what)
        between.faults.append(fault)
        with pytest.raises(ferromcp.FerroMcpError) as caught:
            drain(through())
        assert type(caught.value).__name__ == name
        assert (len(between.seen), tool.ran()) == (1, int(when == "after"))


def leave_unread(connection: socket.socket) -> None:
    connection.recv(1, socket.MSG_PEEK)
    reset(connection)


def read_a_part(connection: socket.socket) -> None:
    connection.recv(1024)
    reset(connection)


@pytest.mark.parametrize("early", [leave_unread, read_a_part], ids=["before", "in"])
def test_a_connection_that_is_reset_before_its_request_is_read(
    through: Make, between: Proxy, tool: Tool, early: Callable[[socket.socket], None]
) -> None:
    large = {"text": "x" * 90_000, "more": ["x" * 90_000] * 20}
    between.early.append(early)
    with pytest.raises(ferromcp.ConnectionError) as caught:
        through().call_tool("t__note", large)
    # Nobody can know it here: the request was on its way.
    assert (caught.value.may_have_run, tool.ran()) == (True, 0)
    between.early.append(early)
    assert through().call_tool("t__note", large, idempotent=True).output == large
    assert (len(between.seen), tool.ran()) == (1, 1)


def test_a_connection_that_is_reset_as_it_is_made(through: Make, between: Proxy, tool: Tool) -> None:
    between.early.append(reset)
    # Whether the request was on its way already is a matter of luck; that it ran at most once is not.
    try:
        ran = int(call(through()).output == GIVEN)
    except ferromcp.ConnectionError:
        ran = 0
    assert tool.ran() == ran


def test_where_nobody_listened_the_call_is_made_once_somebody_does(make: Make, tool: Tool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    proxies: list[Proxy] = []
    asked = 0

    def key() -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            proxies.append(Proxy(tool.server.url, port))
        return "key"

    tool.ran()
    try:
        # Asked for the key before each attempt. The server has no tenants, so any is good.
        assert call(make(f"http://127.0.0.1:{port}", api_key=key, retry=QUICK)).output == GIVEN
        assert (asked, tool.ran()) == (2, 1)
    finally:
        for proxy in proxies:
            proxy.stop()


def test_a_kept_connection_that_the_server_closed_meanwhile_is_no_failure(through: Make, between: Proxy, tool: Tool) -> None:
    closed = threading.Event()

    def keep_then_close(connection: socket.socket, request: Request) -> None:
        body = between.carried_out(request).partition(b"\r\n\r\n")[2]
        connection.sendall(head(b"content-length: %d" % len(body), b"connection: keep-alive") + body)
        connection.close()
        closed.set()

    between.faults.append(keep_then_close)
    client = through()
    call(client)
    assert closed.wait(LIMIT)
    assert call(client).output == GIVEN
    assert (len(between.seen), tool.ran()) == (2, 2)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("idempotent", [False, True])
def test_what_says_that_nothing_ran_is_made_again_and_runs_once(
    through: Make, between: Proxy, tool: Tool, status: int, idempotent: bool
) -> None:
    code = "rate_limited" if status == 429 else "unavailable"
    between.faults.append(refuse(status, {"code": code}, retry_after="0"))
    assert call(through(), idempotent=idempotent).output == GIVEN
    assert (len(between.seen), tool.ran()) == (2, 1)


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_beyond_the_longest_wait_runs_nothing(through: Make, between: Proxy, tool: Tool, status: int) -> None:
    code = "rate_limited" if status == 429 else "unavailable"
    between.faults.append(refuse(status, {"code": code}, retry_after="60"))
    with pytest.raises(ferromcp.FerroMcpError) as caught:
        call(through(), idempotent=True)
    assert (caught.value.retry_after_ms, caught.value.status) == (60_000, status)
    assert (len(between.seen), tool.ran()) == (1, 0)


def test_the_wait_of_a_proxys_page_is_kept(through: Make, between: Proxy, tool: Tool) -> None:
    between.faults.append(answer(503, "<html>", retry_after="1", **PAGE))
    start = time.monotonic()
    assert call(through(retry=Retry(max_delay_ms=2_000)), idempotent=True).output == GIVEN
    assert (time.monotonic() - start >= 0.99, tool.ran()) == (True, 1)


def test_attempts_are_bounded_and_each_ran(through: Make, between: Proxy, tool: Tool) -> None:
    between.faults += [after(between, lose)] * 3
    with pytest.raises(ferromcp.ConnectionError):
        call(through(), idempotent=True)
    assert (len(between.seen), tool.ran()) == (3, 3)


def test_garbage_is_no_answer_and_is_not_asked_for_again(through: Make, between: Proxy, tool: Tool) -> None:
    between.faults.append(after(between, lambda connection, *_: connection.sendall(head(b"content-length: 9") + b"\0{no json")))
    with pytest.raises(ferromcp.ProtocolError):
        call(through(), idempotent=True)
    assert (len(between.seen), tool.ran()) == (1, 1)


def test_a_redirect_runs_nothing(through: Make, between: Proxy, tool: Tool) -> None:
    between.faults.append(answer(307, "", location=f"{tool.server.url}/v1/tools/call"))
    with pytest.raises(ferromcp.ProtocolError):
        call(through())
    assert tool.ran() == 0


@pytest.mark.parametrize("use", [call, drain], ids=["call", "stream"])
def test_an_answer_of_one_byte_at_a_time_is_whole(through: Make, between: Proxy, tool: Tool, use: Callable[..., Any]) -> None:
    def slowly(connection: socket.socket, head: bytes, body: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head + b"\r\n\r\n" + body:
            connection.sendall(bytes([byte]))

    between.faults.append(after(between, slowly))
    assert use(through()).output == GIVEN
    assert (len(between.seen), tool.ran()) == (1, 1)


def sent(data: bytes) -> Fault:
    def fault(connection: socket.socket, request: Request) -> None:
        try:
            connection.sendall(data)
        except OSError:
            return

    return fault


def test_a_large_answer_is_read(through: Make, between: Proxy) -> None:
    text = "x" * (32 << 20)
    between.faults.append(answer(200, {"success": True, "output": text, "content": [], "request_id": "a", "latency_ms": 1}))
    assert len(call(through()).output) == len(text)


@pytest.mark.parametrize("form", ["plain", "chunked", "packed"])
@pytest.mark.parametrize("use", [call, drain], ids=["call", "stream"])
def test_an_answer_beyond_the_bound_is_given_up(
    through: Make, between: Proxy, monkeypatch: pytest.MonkeyPatch, use: Callable[..., Any], form: str
) -> None:
    import gzip

    assert wire.LARGEST == 256 << 20
    monkeypatch.setattr(wire, "LARGEST", 1 << 20)
    data = b" " * (8 << 20)
    packed = gzip.compress(data)
    forms = {
        "plain": head(b"content-length: 8388608") + data,
        "chunked": in_chunks(chunk(data)),
        "packed": head(b"content-encoding: gzip", b"content-length: %d" % len(packed)) + packed,
    }
    between.faults.append(sent(forms[form]))
    # An idempotent one is not asked for again either: the answer would be as large.
    options = {"idempotent": True} if use is call else {}
    with pytest.raises(ferromcp.ProtocolError, match="larger than 1048576 bytes"):
        use(through(), **options)
    assert len(between.seen) == 1


def test_a_stream_whose_result_is_lost_ran_once(through: Make, between: Proxy, tool: Tool) -> None:
    progress = b'data: {"method":"notifications/progress","params":{"progress":1}}\n\n'

    def half(connection: socket.socket, head: bytes, body: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + progress + b"data: {")

    between.faults.append(after(between, half))
    seen: list[Any] = []
    with pytest.raises(ferromcp.ConnectionError):
        for event in through().call_tool_stream("t__note", GIVEN):
            seen.append(event)
    assert (seen, len(between.seen), tool.ran()) == ([Progress(1)], 1, 1)
