"""What type checkers see; mypy checks this file, and Python only reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ferromcp import AsyncClient, CallResult, Client, FerroMcpError, Log, Progress, QuotaUsage, RateUsage, Tool, Usage

if TYPE_CHECKING:
    from typing_extensions import assert_type


def sync(client: Client) -> None:
    assert_type(client.call_tool("a", {"b": [1, None]}), CallResult)
    assert_type(client.tools(), Iterator[Tool])
    assert_type(client.batch_call([]).responses[0].error, FerroMcpError | None)
    for event in client.call_tool_stream("a"):
        if event.type == "progress":
            assert_type(event, Progress)
        elif event.type == "log":
            assert_type(event, Log)
        else:
            event.output
    assert_type(client.usage().client_rate, RateUsage | None)
    assert_type(client.usage().quotas.tool_calls, QuotaUsage | None)
    client.usage().rate.remaining  # type: ignore[union-attr]
    client.usage(tenant_id="a")  # type: ignore[call-arg]
    client.call_tool("a", timeout_ms="1")  # type: ignore[arg-type]
    client.call_tool("a", unknown=1)  # type: ignore[call-arg]
    Client()  # type: ignore[call-arg]


async def asynchronous(client: AsyncClient) -> None:
    assert_type(await client.call_tool("a"), CallResult)
    assert_type(await client.usage(), Usage)
    async for tool in client.tools():
        assert_type(tool, Tool)
    async with client.call_tool_stream("a") as events:
        async for event in events:
            assert_type(event.type == "log", bool)
    client.call_tool("a").output  # type: ignore[attr-defined]


def test_this_file_is_checked_by_mypy() -> None:
    assert not TYPE_CHECKING
