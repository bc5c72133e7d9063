"""The real server, and a TCP proxy in front of it that breaks things."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ferromcp import AsyncClient

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("FERROMCP_BIN", str(ROOT / "target/debug/ferromcp"))
LIMIT = 30.0
"""Seconds after which a test that waits has failed."""


class Server:
    """`ferromcp serve` with a configuration; `DIR` in it is a directory of its own."""

    def __init__(self, config: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ferromcp-python-"))
        (self.directory / "hello.txt").write_text("hello from a file")
        file = self.directory / "ferromcp.yaml"
        file.write_text(config.replace("DIR", str(self.directory)))
        self.child = subprocess.Popen(
            [BINARY, "serve", "--config", str(file), "--addr", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
        )
        assert self.child.stderr is not None
        said = ""
        for line in self.child.stderr:
            said += line
            if found := re.search(r"^listening (http://\S+)", line):
                self.url = found[1]
                break
        else:
            raise AssertionError(f"the server did not start: {said}")
        # Who does not read would hold the server up once the pipe is full.
        self._drain = threading.Thread(target=self.child.stderr.read, daemon=True)
        self._drain.start()

    def stop(self) -> None:
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(LIMIT)
        self._drain.join()
        assert self.child.stderr is not None
        self.child.stderr.close()
        shutil.rmtree(self.directory)


class Request:
    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Fault = Callable[[socket.socket, Request], None]


class Proxy:
    """Passes requests on to the server, one a connection, after the faults that are queued in `faults`."""

    def __init__(self, target: str, at: int = 0) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self.target = (host, int(port))
        self.faults: deque[Fault] = deque()
        self.early: deque[Callable[[socket.socket], None]] = deque()
        """Faults of connections whose request is not read."""
        self.seen: list[Request] = []
        self._listener = socket.create_server(("127.0.0.1", at))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def stop(self) -> None:
        # Closing alone does not wake `accept`.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive(), "a connection was never closed"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            if self.early:
                self.early.popleft()(connection)
                return
            request = _read_request(connection)
            if request is None:
                return
            self.seen.append(request)
            if self.faults:
                self.faults.popleft()(connection, request)
            else:
                self._pass_on(connection, request)

    def carried_out(self, request: Request) -> bytes:
        """The server's whole answer, which the client has not had."""
        with self._sent(request) as onward:
            return read_whole(onward)

    def _sent(self, request: Request) -> socket.socket:
        kept = [line for line in request.head.split(b"\r\n") if not line.lower().startswith((b"host:", b"connection:"))]
        kept[1:1] = [b"host: %s:%d" % (self.target[0].encode(), self.target[1]), b"connection: close"]
        onward = socket.create_connection(self.target)
        onward.sendall(b"\r\n".join(kept) + b"\r\n\r\n" + request.body)
        return onward

    def _pass_on(self, connection: socket.socket, request: Request) -> None:
        with self._sent(request) as onward:
            while True:
                ready, _, _ = select.select([onward, connection], [], [])
                if connection in ready:
                    return
                data = onward.recv(65536)
                if not data:
                    return
                connection.sendall(data)


def _read_request(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(Request(head, b"").headers.get("content-length", "0"))
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            return None
        body += more
    return Request(head, body)


def answer(status: int, body: Any, **headers: str) -> Fault:
    """A fault: an answer of its own."""
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    fields = {"content-type": "application/json", "content-length": str(len(data)), "connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = f"HTTP/1.1 {status} injected\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return lambda connection, request: connection.sendall(head.encode() + b"\r\n" + data)


def refuse(status: int, error: dict[str, Any], **headers: str) -> Fault:
    return answer(status, {"success": False, "error": {"message": "injected", **error}}, **headers)


def reset(connection: socket.socket) -> None:
    """Ends a connection as a machine does that knows nothing of it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_whole(connection: socket.socket) -> bytes:
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


def hang_up(connection: socket.socket, request: Request) -> None:
    """A fault: the connection ends without an answer."""


def break_off(connection: socket.socket, request: Request) -> None:
    """A fault: half an answer."""
    connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"success":')


def trickle(connection: socket.socket, request: Request) -> None:
    """A fault: an answer that never ends, a byte at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    connection.settimeout(0.01)
    while True:
        try:
            connection.sendall(b" ")
            if connection.recv(1) == b"":
                return
        except TimeoutError:
            continue
        except OSError:
            return


class Silence:
    """A fault: nothing at all, or the first bytes of an answer, until the client goes."""

    def __init__(self, first: bytes = b"") -> None:
        self.first = first
        self.began = threading.Event()
        self.closed = threading.Event()

    def __call__(self, connection: socket.socket, request: Request) -> None:
        connection.sendall(self.first)
        self.began.set()
        try:
            connection.recv(1)
        except OSError:
            pass
        self.closed.set()


class Tool:
    """A server behind FerroMCP. Each call of its tools is known here before its tool goes on."""

    def __init__(self) -> None:
        self._heard: list[str] = []
        self._changed = threading.Condition()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(LIMIT)
            arguments = [str(Path(__file__).with_name("counting_tool.py")), str(listener.getsockname()[1])]
            spec = {"command": sys.executable, "args": arguments, "era": "legacy"}
            self.server = Server(json.dumps({"servers": {"t": spec}}))
            self._connection, _ = listener.accept()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        self.wait("listed")

    def listed(self) -> None:
        """Until its tools are listed: it has told of them, and FerroMCP may not have read it yet."""
        client = Driven(self.server.url)
        deadline = time.monotonic() + LIMIT
        while not any(tool.name == "t__note" for tool in client.tools()):
            assert time.monotonic() < deadline
        client.close()

    def stop(self) -> None:
        self.server.stop()
        self._reading.join(LIMIT)
        assert not self._reading.is_alive(), "the tool did not end"
        self._connection.close()

    def ran(self) -> int:
        """How many calls its tools have begun since the last time."""
        with self._changed:
            count = self._heard.count("began")
            self._heard.clear()
            return count

    def wait(self, what: str) -> None:
        """Until it says so."""
        with self._changed:
            assert self._changed.wait_for(lambda: what in self._heard, LIMIT), f"the tool has not {what}: {self._heard}"

    def _read(self) -> None:
        with self._connection.makefile("rb") as said:
            for line in said:
                with self._changed:
                    self._heard.append(line.decode().strip())
                    self._changed.notify_all()
                try:
                    self._connection.sendall(b"+")
                except OSError:
                    return


class Driven:
    """An `AsyncClient` used as if it were a `Client`, so that one test is for both."""

    def __init__(self, *positional: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        try:
            self._client = AsyncClient(*positional, **options)
        except BaseException:
            self._loop.close()
            raise

    def tools(self, **options: Any) -> Iterator[Any]:
        return self._each(self._client.tools(**options))

    def call_tool_stream(self, *positional: Any, **options: Any) -> Any:
        return DrivenStream(self, self._client.call_tool_stream(*positional, **options))

    def close(self) -> None:
        self.run(self._client.aclose())
        self.run(self._loop.shutdown_asyncgens())
        self._loop.close()

    def run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def _each(self, items: Any) -> Iterator[Any]:
        while True:
            try:
                yield self.run(items.__anext__())
            except StopAsyncIteration:
                return

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return lambda *positional, **options: self.run(method(*positional, **options))


class DrivenStream:
    def __init__(self, client: Driven, stream: Any) -> None:
        self._client = client
        self._stream = stream

    def __iter__(self) -> Iterator[Any]:
        return self._client._each(self._stream)

    def __enter__(self) -> DrivenStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.run(self._stream.aclose())
