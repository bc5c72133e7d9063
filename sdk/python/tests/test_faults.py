"""Errors, retries, time limits and cancellation, against injected faults."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import httpx
import pytest

import ferromcp
from conftest import QUICK, Make
from ferromcp import AsyncClient, Cancellation, Client, Progress, Retry
from support import LIMIT, Driven, Fault, Proxy, Server, Silence, answer, break_off, hang_up, refuse, trickle

PROGRESS = '{"method":"notifications/progress","params":{"progress":1}}'
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def echo(client: Any, **options: Any) -> Any:
    return client.call_tool("echo", {"msg": "hi"}, **options)


CODES = {
    "invalid_request": "InvalidRequestError", "unauthenticated": "UnauthenticatedError",
    "permission_denied": "PermissionDeniedError", "tool_not_found": "ToolNotFoundError",
    "invalid_arguments": "InvalidArgumentsError", "payload_too_large": "PayloadTooLargeError",
    "rate_limited": "RateLimitedError", "quota_exceeded": "QuotaExceededError", "timeout": "TimeoutError",
    "unavailable": "UnavailableError", "upstream_error": "UpstreamError", "cancelled": "CancelledError",
    "internal": "InternalError", "tool_error": "ToolError", "of_a_later_server": "FerroMcpError",
}  # fmt: skip


@pytest.mark.parametrize(("code", "name"), CODES.items())
def test_each_code_has_its_class(through: Make, between: Proxy, code: str, name: str) -> None:
    between.faults.append(refuse(500, {"code": code, "rule": "some.rule", "retry_after_ms": 7}))
    with pytest.raises(ferromcp.FerroMcpError) as caught:
        echo(through(retry=None))
    error = caught.value
    assert type(error).__name__ == name
    assert (error.code, error.rule, error.retry_after_ms, error.status) == (code, "some.rule", 7, 500)
    assert str(error) == "injected"
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other), other.__dict__) == (type(error), "injected", error.__dict__)


def test_a_timeout_is_pythons_own_too() -> None:
    assert issubclass(ferromcp.TimeoutError, TimeoutError) and issubclass(ferromcp.ConnectionError, ConnectionError)


@pytest.mark.parametrize("code", ["rate_limited", "unavailable"])
def test_a_call_that_did_not_run_is_made_again(through: Make, between: Proxy, code: str) -> None:
    between.faults += [refuse(503, {"code": code}), refuse(503, {"code": code})]
    assert echo(through()).output == "hi"
    assert len(between.seen) == 3


def test_attempts_end(through: Make, between: Proxy) -> None:
    between.faults += [refuse(503, {"code": "unavailable"})] * 2
    with pytest.raises(ferromcp.UnavailableError):
        echo(through(retry=Retry(attempts=2, base_delay_ms=1)))
    assert len(between.seen) == 2


def test_no_retry_if_none_are_wanted(through: Make, between: Proxy) -> None:
    between.faults.append(refuse(503, {"code": "unavailable"}))
    with pytest.raises(ferromcp.UnavailableError):
        echo(through(retry=None))
    assert len(between.seen) == 1


def test_a_quota_without_a_time_stands(through: Make, between: Proxy) -> None:
    between.faults.append(refuse(429, {"code": "quota_exceeded"}))
    with pytest.raises(ferromcp.QuotaExceededError):
        echo(through())
    assert len(between.seen) == 1


def test_the_wait_that_the_server_asks_for_is_kept(through: Make, between: Proxy) -> None:
    between.faults.append(refuse(429, {"code": "rate_limited", "retry_after_ms": 40}))
    start = time.monotonic()
    echo(through())
    assert time.monotonic() - start >= 0.039


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_beyond_the_longest_wait(through: Make, between: Proxy, form: str) -> None:
    value = "60" if form == "seconds" else formatdate(time.time() + 60, usegmt=True)
    between.faults.append(refuse(429, {"code": "rate_limited"}, retry_after=value))
    with pytest.raises(ferromcp.RateLimitedError) as caught:
        echo(through())
    assert caught.value.retry_after_ms is not None and 57_000 < caught.value.retry_after_ms <= 60_000
    assert len(between.seen) == 1


@pytest.mark.parametrize("value", ["soon", "-1", "9" * 40, ""])
def test_retry_after_that_is_none_is_overlooked(through: Make, between: Proxy, value: str) -> None:
    between.faults.append(refuse(503, {"code": "unavailable"}, retry_after=value))
    assert echo(through()).output == "hi"


MAY = {"may_have_run": True}
UNSURE: dict[str, tuple[Fault, str]] = {
    "lost": (hang_up, "ConnectionError"),
    "half": (break_off, "ConnectionError"),
    "timeout": (refuse(504, {"code": "timeout", "details": MAY}), "TimeoutError"),
    "died": (refuse(503, {"code": "unavailable", "rule": "upstream.died", "details": MAY}), "UnavailableError"),
    "internal": (refuse(500, {"code": "internal", "details": MAY}), "InternalError"),
    "proxy": (answer(502, "<html>bad gateway</html>"), "ProtocolError"),
}


@pytest.mark.parametrize("what", UNSURE)
def test_a_call_that_may_have_run_is_not_made_again(through: Make, between: Proxy, what: str) -> None:
    fault, name = UNSURE[what]
    between.faults.append(fault)
    with pytest.raises(ferromcp.FerroMcpError) as caught:
        echo(through())
    assert (type(caught.value).__name__, caught.value.may_have_run) == (name, True)
    assert len(between.seen) == 1


@pytest.mark.parametrize("what", UNSURE)
def test_an_idempotent_call_is_made_again(through: Make, between: Proxy, what: str) -> None:
    between.faults.append(UNSURE[what][0])
    assert echo(through(), idempotent=True).output == "hi"
    assert len(between.seen) == 2


def test_a_list_is_asked_for_again(through: Make, between: Proxy) -> None:
    between.faults.append(hang_up)
    assert through().list_tools().tools


BODIES = {
    "a list": "[]", "null": "null", "no error": '{"success":false}', "cut": '{"success":true', "empty": "", "other": '{"a":1}',
    "deep": "[" * 100_000, "no id": '{"success":true,"output":1}', "success of text": '{"success":"true"}',
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_an_answer_of_something_else(through: Make, between: Proxy, body: str) -> None:
    between.faults.append(answer(200, body))
    with pytest.raises(ferromcp.ProtocolError):
        echo(through())


@pytest.mark.parametrize("body", ['{"tools":{}}', '{"tools":[7]}', '{"tools":[{"name":"a"}]}'])
def test_a_list_of_something_else(through: Make, between: Proxy, body: str) -> None:
    between.faults.append(answer(200, body))
    with pytest.raises(ferromcp.ProtocolError):
        through().list_tools()


def test_a_redirect_is_not_followed(through: Make, between: Proxy, server: Server) -> None:
    between.faults.append(answer(307, "", location=server.url))
    with pytest.raises(ferromcp.ProtocolError):
        echo(through())


def test_nobody_listens(make: Make) -> None:
    with pytest.raises(ferromcp.ConnectionError) as caught:
        echo(make("http://127.0.0.1:1", retry=QUICK))
    assert caught.value.may_have_run is False


def test_the_provider_is_asked_before_every_attempt(through: Make, between: Proxy) -> None:
    between.faults.append(refuse(503, {"code": "unavailable"}))
    keys = iter(["key-1", "key-2"])
    # The server knows no tenants, so it refuses any key.
    try:
        echo(through(api_key=lambda: next(keys)))
    except ferromcp.UnauthenticatedError:
        pass
    assert [one.headers["authorization"] for one in between.seen] == ["Bearer key-1", "Bearer key-2"]


def test_an_error_of_the_provider_is_the_callers(through: Make) -> None:
    def provider() -> str:
        raise LookupError("no key")

    with pytest.raises(LookupError):
        echo(through(api_key=provider))


def test_a_provider_may_be_asynchronous(between: Proxy) -> None:
    async def provider() -> str:
        return "key"

    client = Driven(between.url, api_key=provider)
    between.faults.append(refuse(401, {"code": "unauthenticated"}))
    with pytest.raises(ferromcp.UnauthenticatedError):
        echo(client)
    client.close()
    assert between.seen[0].headers["authorization"] == "Bearer key"


@pytest.mark.parametrize("fault", [Silence, lambda: trickle], ids=["silence", "trickle"])
def test_timeout_ms_ends_a_request(through: Make, between: Proxy, fault: Any) -> None:
    between.faults.append(fault())
    with pytest.raises(ferromcp.TimeoutError) as caught:
        echo(through(), timeout_ms=50)
    assert caught.value.may_have_run


def test_timeout_ms_counts_waits_between_attempts_too(through: Make, between: Proxy) -> None:
    between.faults.append(refuse(503, {"code": "unavailable", "retry_after_ms": 60_000}))
    with pytest.raises(ferromcp.TimeoutError):
        echo(through(timeout_ms=50, retry=Retry(max_delay_ms=100_000)))


def test_the_servers_own_timeout_keeps_its_rule(through: Make, between: Proxy) -> None:
    between.faults.append(refuse(504, {"code": "timeout", "rule": "limits.timeout"}))
    with pytest.raises(ferromcp.TimeoutError) as caught:
        echo(through(timeout_ms=20_000))
    assert caught.value.rule == "limits.timeout"


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_time_limit_of_nothing_is_refused(make: Make, value: float) -> None:
    with pytest.raises(ValueError, match="timeout_ms"):
        make(timeout_ms=value)
    with pytest.raises(ValueError, match="timeout_ms"):
        echo(make(), timeout_ms=value)


@pytest.mark.parametrize("url", ["ftp://a", "http://u:p@a", "http://a/?q=1", "http://a/#f", "nothing", "", "http://", "http://a:x"])
def test_a_bad_base_url_is_refused(make: Make, url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        type(make())(url)


@pytest.mark.parametrize("options", [{"attempts": 0}, {"attempts": 1.5}, {"base_delay_ms": -1}, {"max_delay_ms": float("nan")}])
def test_a_bad_retry_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Retry(**options)


def test_a_base_url_may_have_a_path(through: Make, between: Proxy) -> None:
    between.faults.append(answer(200, {"tools": []}))
    through(between.url + "/behind/a/proxy/").list_tools()
    assert between.seen[0].head.startswith(b"GET /behind/a/proxy/v1/tools HTTP/1.1")


def test_an_http_client_of_ones_own_is_used_and_left_open(server: Server) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(headers={"x-mine": "1"}) as http:
            async with AsyncClient(server.url, http=http) as client:
                assert (await client.call_tool("echo", {"msg": "hi"})).output == "hi"
            assert not http.is_closed

    asyncio.run(main())


def test_cancelling_a_task_closes_its_connection(between: Proxy) -> None:
    silence = Silence()
    between.faults.append(silence)

    async def main() -> None:
        async with AsyncClient(between.url) as client:
            task = asyncio.create_task(client.call_tool("echo", {"msg": "hi"}))
            await asyncio.to_thread(silence.began.wait, LIMIT)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(silence.closed.wait, LIMIT)

    asyncio.run(main())


def test_a_cancellation_closes_the_connection(between: Proxy) -> None:
    silence, cancel = Silence(), Cancellation()
    between.faults.append(silence)
    with Client(between.url) as client, ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.call_tool, "echo", {"msg": "hi"}, cancel=cancel)
        assert silence.began.wait(LIMIT)
        cancel.cancel()
        with pytest.raises(ferromcp.CancelledError):
            call.result(LIMIT)
        assert silence.closed.wait(LIMIT)
        # Another request goes on.
        assert client.call_tool("echo", {"msg": "hi"}).output == "hi"


def test_after_a_cancellation_nothing_is_sent(between: Proxy) -> None:
    cancel = Cancellation()
    cancel.cancel()
    with Client(between.url) as client:
        for ask in (lambda: client.health(cancel=cancel), lambda: next(client.call_tool_stream("echo", cancel=cancel))):
            with pytest.raises(ferromcp.CancelledError):
                ask()
    assert cancel.cancelled and between.seen == []


def test_a_cancellation_ends_a_wait_between_attempts(between: Proxy) -> None:
    cancel = Cancellation()

    def refuse_then_cancel(*both: Any) -> None:
        refuse(503, {"code": "unavailable", "retry_after_ms": 60_000})(*both)
        threading.Timer(0.05, cancel.cancel).start()

    between.faults.append(refuse_then_cancel)
    with Client(between.url, retry=Retry(max_delay_ms=100_000)) as client, pytest.raises(ferromcp.CancelledError):
        client.call_tool("echo", {"msg": "hi"}, cancel=cancel)
    assert len(between.seen) == 1


def test_no_request_stays_with_its_cancellation(server: Server) -> None:
    cancel = Cancellation()
    with Client(server.url) as client:
        client.call_tool("echo", {"msg": "hi"}, cancel=cancel)
    assert cancel._watchers == {}


def test_closing_a_client_ends_its_requests(between: Proxy) -> None:
    silence = Silence()
    between.faults.append(silence)
    client = Client(between.url)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.health)
        assert silence.began.wait(LIMIT)
        client.close()
        with pytest.raises(ferromcp.CancelledError):
            call.result(LIMIT)
    assert silence.closed.wait(LIMIT)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.health()


def test_a_client_that_is_forgotten_ends_its_thread(server: Server) -> None:
    before = threading.active_count()
    client = Client(server.url)
    client.health()
    assert threading.active_count() == before + 1
    del client
    assert threading.active_count() == before


@pytest.mark.parametrize(("body", "kind"), [(f"data: {PROGRESS}\n\n", "ConnectionError"), (f"data: {PROGRESS}\n\ndata: x\n\n", "ProtocolError")])
def test_a_stream_that_ends_before_its_result(through: Make, between: Proxy, body: str, kind: str) -> None:
    between.faults.append(answer(200, body, content_type="text/event-stream"))
    seen: list[Any] = []
    with pytest.raises(ferromcp.FerroMcpError) as caught:
        for event in through().call_tool_stream("echo"):
            seen.append(event)
    assert (seen, type(caught.value).__name__) == ([Progress(1)], kind)


def test_a_stream_that_breaks_off(through: Make, between: Proxy) -> None:
    head = STREAM.replace(b"\r\n\r\n", b"\r\ncontent-length: 9999\r\n\r\n")
    between.faults.append(lambda connection, request: connection.sendall(head + f"data: {PROGRESS}\n\n".encode()))
    with pytest.raises(ferromcp.ConnectionError):
        list(through().call_tool_stream("echo"))


def test_a_stream_is_sent_once(through: Make, between: Proxy) -> None:
    between.faults.append(hang_up)
    with pytest.raises(ferromcp.ConnectionError):
        list(through().call_tool_stream("echo"))
    assert len(between.seen) == 1


def test_leaving_a_stream_closes_its_connection(through: Make, between: Proxy) -> None:
    silence = Silence(STREAM + f"data: {PROGRESS}\n\n".encode())
    between.faults.append(silence)
    with through().call_tool_stream("echo") as events:
        for event in events:
            assert event == Progress(1)
            break
    assert silence.closed.wait(LIMIT)
    assert list(events) == []


def test_timeout_ms_ends_a_stream(through: Make, between: Proxy) -> None:
    between.faults.append(Silence(STREAM + f"data: {PROGRESS}\n\n".encode()))
    with pytest.raises(ferromcp.TimeoutError):
        list(through().call_tool_stream("echo", {}, timeout_ms=100))


def test_a_cancellation_ends_a_stream(between: Proxy) -> None:
    silence, cancel = Silence(STREAM + f"data: {PROGRESS}\n\n".encode()), Cancellation()
    between.faults.append(silence)
    with Client(between.url) as client:
        with pytest.raises(ferromcp.CancelledError):
            for event in client.call_tool_stream("echo", cancel=cancel):
                assert event == Progress(1)
                cancel.cancel()
        assert silence.closed.wait(LIMIT)
