"""Giving a call up reaches the tool that carries it out."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

import ferromcp
from conftest import Make
from ferromcp import AsyncClient, Cancellation, Client
from support import LIMIT, Server

Slow = tuple[Server, IO[bytes]]


@pytest.fixture
def slow() -> Iterator[Slow]:
    script = Path(__file__).with_name("slow_tool.py")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT)
        arguments = f"[{str(script)!r}, '{listener.getsockname()[1]}']"
        server = Server(f"servers: {{ slow: {{ command: {sys.executable!r}, args: {arguments}, era: legacy }} }}\n")
        connection, _ = listener.accept()
        connection.settimeout(LIMIT)
        with connection, connection.makefile("rb") as said:
            yield server, said
            server.stop()


def name(client: Client) -> str:
    return next(tool.name for tool in client.tools() if tool.source == "slow")


def test_a_cancellation_reaches_the_tool(slow: Slow) -> None:
    server, said = slow
    cancel = Cancellation()
    with Client(server.url) as client, ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.call_tool, name(client), cancel=cancel)
        assert said.readline() == b"began\n"
        cancel.cancel()
        assert said.readline() == b"cancelled\n"
        with pytest.raises(ferromcp.CancelledError):
            call.result(LIMIT)


def test_a_cancelled_task_reaches_the_tool(slow: Slow) -> None:
    server, said = slow
    with Client(server.url) as client:
        tool = name(client)

    async def main() -> None:
        async with AsyncClient(server.url) as client:
            task = asyncio.create_task(client.call_tool(tool))
            assert await asyncio.to_thread(said.readline) == b"began\n"
            task.cancel()
            assert await asyncio.to_thread(said.readline) == b"cancelled\n"
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


def test_leaving_a_stream_reaches_the_tool(slow: Slow, make: Make) -> None:
    server, said = slow
    with Client(server.url) as client:
        tool = name(client)
    with make(server.url).call_tool_stream(tool) as events:
        for event in events:
            assert event.type == "progress"
            break
        assert said.readline() == b"began\n"
    assert said.readline() == b"cancelled\n"


def test_the_servers_deadline_ends_the_tool(slow: Slow, make: Make) -> None:
    server, said = slow
    with Client(server.url) as client:
        tool = name(client)
    with pytest.raises(ferromcp.TimeoutError) as caught:
        make(server.url).call_tool(tool, deadline_ms=200)
    assert caught.value.status == 504
    assert (said.readline(), said.readline()) == (b"began\n", b"cancelled\n")
