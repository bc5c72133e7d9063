"""What the server does, through both clients."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ferromcp
from conftest import KEY, QUICK, Make
from ferromcp import Batch, BatchRequest, Client, Log, Progress, Result, reference
from support import Proxy, Server, answer

TWO = {"requests": [{"tool": "echo", "arguments": {"msg": "a"}}, {"tool": "echo", "arguments": {"msg": "b"}}]}


def echo(client: Any, **options: Any) -> Any:
    return client.call_tool("echo", {"msg": "hi"}, **options)


def test_tools_are_listed(make: Make) -> None:
    page = make().list_tools()
    tool = next(tool for tool in page.tools if tool.name == "echo")
    assert tool.annotations["readOnlyHint"] is True
    assert tool.input_schema["required"] == ["msg"]
    assert (tool.source, tool.available, page.next_cursor) == ("builtin", True, None)


def test_the_iterator_gives_all_pages_each_tool_once(make: Make) -> None:
    client = make()
    names = [tool.name for tool in client.tools(limit=1)]
    assert names == [tool.name for tool in client.list_tools().tools]
    assert len(names) > 3


def test_leaving_the_iterator_asks_for_no_more_pages(through: Make, between: Proxy) -> None:
    for _ in through().tools(limit=1):
        break
    assert len(between.seen) == 1


@pytest.mark.parametrize("options", [{"cursor": "x"}, {"limit": 0}])
def test_a_bad_page_is_an_invalid_request(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(ferromcp.InvalidRequestError):
        make().list_tools(**options)


def test_a_call_gives_output_content_request_id_and_latency(make: Make) -> None:
    result = echo(make())
    assert (result.output, result.content) == ("hi", [{"type": "text", "text": "hi"}])
    assert re.fullmatch("[0-9a-f]{32}", result.request_id)
    assert result.latency_ms >= 0


@pytest.mark.parametrize("text", ["", "día 日本 👩‍👩‍👧", '\n"\\\u2028', "x" * 100_000], ids=["empty", "scripts", "controls", "long"])
def test_text_comes_back_as_it_was(make: Make, text: str) -> None:
    assert make().call_tool("echo", {"msg": text}).output == text


def test_threads_share_a_client(server: Server) -> None:
    with Client(server.url) as client, ThreadPoolExecutor(20) as pool:
        texts = [str(number) for number in range(50)]
        assert [one.output for one in pool.map(lambda text: client.call_tool("echo", {"msg": text}), texts)] == texts


def test_an_unknown_tool(make: Make) -> None:
    with pytest.raises(ferromcp.ToolNotFoundError) as caught:
        make().call_tool("nothing")
    assert (caught.value.status, caught.value.may_have_run) == (404, False)


def test_wrong_arguments_say_where_and_which_rule(make: Make) -> None:
    with pytest.raises(ferromcp.InvalidArgumentsError) as caught:
        make().call_tool("echo", {"msg": 7})
    assert (caught.value.rule, caught.value.issues[0].pointer) == ("schema.arguments", "/msg")
    assert re.fullmatch("[0-9a-f]{32}", caught.value.request_id or "")


@pytest.mark.parametrize("arguments", [[1], "text", 7], ids=str)
def test_arguments_that_are_no_object(make: Make, arguments: Any) -> None:
    with pytest.raises(ferromcp.InvalidArgumentsError):
        make().call_tool("echo", arguments)


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1, 2}], ids=["nan", "half a character", "a set"])
def test_what_is_no_json_is_not_sent(through: Make, between: Proxy, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        through().call_tool("echo", {"msg": value})
    assert between.seen == []


def test_a_body_over_the_limit(make: Make) -> None:
    # The server may close before it has read all of it.
    with pytest.raises((ferromcp.PayloadTooLargeError, ferromcp.ConnectionError)):
        make().call_tool("echo", {"msg": "x" * (5 << 20)})


def test_a_failure_of_the_tool_has_its_content(make: Make) -> None:
    with pytest.raises(ferromcp.ToolError) as caught:
        make().call_tool("read_file", {"path": "no.txt"})
    assert caught.value.may_have_run and caught.value.content


def test_a_deadline_of_nothing(make: Make) -> None:
    with pytest.raises(ferromcp.InvalidRequestError):
        echo(make(), deadline_ms=0)


def test_a_tenant_that_is_not_ones_own(make: Make) -> None:
    with pytest.raises(ferromcp.PermissionDeniedError):
        echo(make(), tenant_id="other")


@pytest.mark.parametrize("key", [None, "nobody"])
def test_no_key_or_a_wrong_one(make: Make, guarded: Server, key: str | None) -> None:
    with pytest.raises(ferromcp.UnauthenticatedError) as caught:
        echo(make(guarded.url, api_key=key))
    assert caught.value.status == 401


def test_a_key_a_provider_and_a_used_up_quota(make: Make, guarded: Server) -> None:
    assert echo(make(guarded.url, api_key=KEY)).output == "hi"
    client = make(guarded.url, api_key=lambda: KEY, retry=QUICK)
    assert echo(client).output == "hi"
    with pytest.raises(ferromcp.QuotaExceededError) as caught:
        echo(client)
    assert caught.value.status == 429
    assert caught.value.retry_after_ms is not None and caught.value.retry_after_ms > 1000


def test_a_batch_over_the_tenants_size_is_refused_at_once(make: Make, guarded: Server) -> None:
    with pytest.raises(ferromcp.QuotaExceededError) as caught:
        make(guarded.url, api_key=KEY).batch_call([BatchRequest("echo")] * 3)
    assert caught.value.rule == "quota.batch_size"


def test_health_is_open_without_a_key(make: Make, guarded: Server) -> None:
    health = make(guarded.url).health()
    assert (health.status, health.name) == ("ok", "ferromcp")
    assert health.raw["status"] == "ok"


def test_health_names_its_sources(make: Make) -> None:
    assert ("builtin", "ready") in [(source.name, source.state) for source in make().health().sources]


def test_a_batch_with_references_each_call_with_an_answer(make: Make) -> None:
    batch = Batch()
    who = batch.add("echo", {"msg": '{"name":"Ada"}'})
    batch.add("echo", {"msg": who.ref("/name")}, id="name", timeout_ms=5000)
    batch.add("nothing")
    result = make().batch_call(batch, parallel=True)
    assert (result.success_count, result.error_count) == (2, 1)
    assert (result.responses[1].id, result.responses[1].output) == ("name", "Ada")
    assert result.responses[1].success and not result.responses[2].success
    with pytest.raises(ferromcp.ToolNotFoundError):
        result.responses[2].output


def test_stop_on_error_makes_no_more_calls(make: Make) -> None:
    result = make().batch_call([BatchRequest("nothing"), BatchRequest("echo", {"msg": "a"})], stop_on_error=True)
    assert isinstance(result.responses[1].error, ferromcp.CancelledError)
    assert result.responses[1].error.rule == "batch.stopped"


def test_a_batch_of_a_circle_is_refused(make: Make) -> None:
    with pytest.raises(ferromcp.FerroMcpError) as caught:
        make().batch_call([BatchRequest("echo", {"msg": reference("a")}, id="a")])
    assert caught.value.rule == "batch.cycle"


@pytest.mark.parametrize(("requests", "options"), [([], {}), ([BatchRequest("echo")], {"max_parallel": 101})], ids=["empty", "parallel"])
def test_a_batch_out_of_bounds_is_refused(make: Make, requests: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ferromcp.InvalidRequestError):
        make().batch_call(requests, **options)


def test_the_builder_refuses_an_id_twice() -> None:
    batch = Batch()
    batch.add("echo", id="a")
    with pytest.raises(ValueError, match="two calls"):
        batch.add("echo", id="a")


def test_the_builders_own_ids_keep_clear_of_given_ones() -> None:
    batch = Batch()
    batch.add("echo", id="call-2")
    assert batch.add("echo").id == "call-3"


def test_a_reference_checks_its_pointer() -> None:
    with pytest.raises(ValueError, match="JSON Pointer"):
        reference("a", "name")


def test_a_stream_tells_of_progress_then_gives_the_result(make: Make) -> None:
    *before, last = list(make().call_tool_stream("batch_call", TWO))
    assert before == [Progress(1, 2), Progress(2, 2)]
    assert isinstance(last, Result) and last.output["success_count"] == 2


def test_a_stream_of_a_quick_call_is_its_result(make: Make) -> None:
    events = list(make().call_tool_stream("echo", {"msg": "día"}))
    assert events == [Result("día", [{"type": "text", "text": "día"}])]


def test_a_stream_of_an_unknown_tool(make: Make) -> None:
    with pytest.raises(ferromcp.FerroMcpError) as caught:
        list(make().call_tool_stream("日本"))
    assert caught.value.code != "protocol"


def test_a_stream_of_a_failing_tool(make: Make) -> None:
    with pytest.raises(ferromcp.ToolError):
        list(make().call_tool_stream("read_file", {"path": "no.txt"}))


def test_a_stream_without_a_key(make: Make, guarded: Server) -> None:
    with pytest.raises(ferromcp.FerroMcpError):
        list(make(guarded.url).call_tool_stream("echo"))


def test_a_stream_says_what_the_tool_logs(through: Make, between: Proxy) -> None:
    messages = [
        '{"method":"notifications/message","params":{"level":"info","data":{"a":1}}}',
        '{"method":"notifications/other","params":{}}',
        '{"id":1,"result":{"content":[],"structuredContent":[1]}}',
    ]
    body = "".join(f"data: {one}\n\n" for one in messages)
    between.faults.append(answer(200, body, content_type="text/event-stream"))
    assert list(through().call_tool_stream("echo")) == [Log("info", {"a": 1}), Result([1], [])]
