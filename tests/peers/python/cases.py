"""The cases that both Python clients run; one JSON line per case tells how it went.

Arguments: PROFILES SERVER ERA http URL | PROFILES SERVER ERA stdio COMMAND [ARGUMENT...]
SERVER picks an entry of PROFILES: which tools the server has and what they answer. ERA is legacy or modern.
"""

import asyncio
import json
import sys
import traceback
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Protocol

# Only ends a hang; a busy machine takes its time.
CASE_LIMIT_S = 60
MODERN = "2026-07-28"
UNICODE = 'grüße, 世界 👩‍👩‍👧 "quoted" \\ \u2028 \t {"json":[1]}'


@dataclass
class Options:
    profile: dict[str, Any]
    era: str
    transport: str
    url: str
    command: str
    args: list[str]

    @property
    def mode(self) -> str:
        """The libraries' own word for the era: a pinned version never falls back."""
        return MODERN if self.era == "modern" else "legacy"


class Peer(Protocol):
    """What a client library has to offer; `call` answers (is_error, text)."""

    version: str

    async def tools(self) -> list[tuple[str, dict[str, Any]]]: ...

    async def call(self, name: str, arguments: dict[str, Any], progress: Any = None) -> tuple[bool, str]: ...

    def error_code(self, error: BaseException) -> int | None: ...


def parse_arguments() -> Options:
    if len(sys.argv) < 6 or sys.argv[3] not in ("legacy", "modern") or sys.argv[4] not in ("http", "stdio"):
        print(f"usage: {sys.argv[0]} PROFILES SERVER legacy|modern http URL", file=sys.stderr)
        print(f"       {sys.argv[0]} PROFILES SERVER legacy|modern stdio COMMAND [ARGUMENT...]", file=sys.stderr)
        raise SystemExit(2)
    profiles, server, era, transport, target = sys.argv[1:6]
    with open(profiles, encoding="utf-8") as file:
        profile = json.load(file)[server]
    return Options(profile, era, transport, target, target, sys.argv[6:])


def check(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


class Cases:
    def __init__(self, options: Options, peer: Peer) -> None:
        self.profile = options.profile
        self.era = options.era
        self.peer = peer
        self.failures = 0

    async def test(self, name: str, body: Callable[[], Awaitable[str | None]]) -> None:
        try:
            detail = await asyncio.wait_for(body(), CASE_LIMIT_S)
            report(name, True, detail or "")
        except Exception:
            self.failures += 1
            report(name, False, traceback.format_exc())

    async def echo(self, text: str) -> None:
        echo = self.profile["echo"]
        filled = {key: value.replace("$TEXT", text) for key, value in echo["arguments"].items()}
        is_error, answer = await self.peer.call(echo["tool"], filled)
        expected = echo["expect"].replace("$TEXT", text)
        check(not is_error, f"the tool reports an error: {answer}")
        check(answer == expected, f"expected {expected!r}, got {answer!r}")

    async def run(self) -> None:
        await self.test("connect", self.connected)
        await self.test("list tools", self.list_tools)
        await self.test("call", lambda: self.echo("hello"))
        await self.test("call with unicode", lambda: self.echo(UNICODE))
        await self.test("call with 60 kB", lambda: self.echo("x" * 60_000))
        await self.test("20 calls at once", self.parallel)
        await self.test("unknown tool", self.unknown_tool)
        await self.test("wrong arguments", self.wrong_arguments)
        await self.test("call after errors", lambda: self.echo("still here"))
        if "progress" in self.profile:
            await self.test("progress", self.progress)
        if "slow" in self.profile:
            await self.test("cancel", self.cancel)
            await self.test("call after cancel", lambda: self.echo("and still here"))

    async def connected(self) -> str:
        modern = self.peer.version == MODERN
        check(modern == (self.era == "modern"), f"asked for {self.era}, negotiated {self.peer.version}")
        return self.peer.version

    async def list_tools(self) -> str:
        tools = dict(await self.peer.tools())
        name = self.profile["echo"]["tool"]
        check(name in tools, f"{name} is not among {', '.join(tools)}")
        check(tools[name].get("type") == "object", f"its inputSchema is {tools[name]}")
        return f"{len(tools)} tools"

    async def parallel(self) -> None:
        await asyncio.gather(*(self.echo(f"parallel {index}") for index in range(20)))

    async def unknown_tool(self) -> None:
        try:
            is_error, _ = await self.peer.call("no_such_tool", {})
            outcome = "tool_error" if is_error else "result"
        except Exception as error:
            code = self.peer.error_code(error)
            outcome = "protocol_error" if code == -32602 else f"error {code}: {error}"
        expected = self.profile["unknown_tool"]
        check(outcome == expected, f"expected {expected}, got {outcome}")

    async def wrong_arguments(self) -> str:
        wrong = self.profile["wrong_arguments"]
        is_error, text = await self.peer.call(wrong["tool"], wrong["arguments"])
        check(is_error, f"expected isError, got {text}")
        check(bool(text), "the error says nothing")
        return text

    async def progress(self) -> str:
        seen: list[float] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            seen.append(progress)

        wanted = self.profile["progress"]
        is_error, text = await self.peer.call(wanted["tool"], wanted["arguments"], on_progress)
        check(not is_error, f"the tool reports an error: {text}")
        check(len(seen) >= wanted["at_least"], f"expected {wanted['at_least']} or more, got {seen}")
        check(seen == sorted(set(seen)), f"not increasing: {seen}")
        return str(seen)

    async def cancel(self) -> None:
        slow = self.profile["slow"]
        call = asyncio.ensure_future(self.peer.call(slow["tool"], slow["arguments"]))
        # The library gives no sign that the request is out, and the tool is slow enough for any delay to hit it running.
        done, _ = await asyncio.wait([call], timeout=0.3)
        check(not done, f"the slow call ended by itself: {done}")
        call.cancel()
        done, _ = await asyncio.wait([call], timeout=30)
        check(bool(done), "the cancelled call never ended")
        check(call.cancelled(), f"the cancelled call gave {done}")


def report(name: str, ok: bool, detail: str) -> None:
    print(json.dumps({"name": name, "ok": ok, "detail": detail}), flush=True)


async def run(options: Options, connect: Callable[[Options], Any]) -> int:
    """`connect(options)` is an async context manager that yields a Peer."""
    failures = 1
    try:
        async with connect(options) as peer:
            cases = Cases(options, peer)
            await cases.run()
            failures = cases.failures
        report("close", True, "")
    except Exception:
        report("connect or close", False, traceback.format_exc())
        return 1
    return 1 if failures else 0
