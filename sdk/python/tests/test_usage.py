"""What the tenant has used, from the real server, through both clients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ferromcp
from conftest import QUICK, Make
from ferromcp import BatchSizeUsage, Cancellation, Client, ConcurrentUsage, Quotas, QuotaUsage, RateUsage
from support import LIMIT, Fault, Proxy, Server, Silence, answer, hang_up, refuse

HOUR = 3_600_000
KEYS = {"spent": "fmk_usage_spent", "free": "fmk_usage_free", "gone": "fmk_usage_gone"}


@pytest.fixture
def tenants() -> Iterator[Server]:
    given: dict[str, dict[str, Any]] = {
        "spent": {"limits": {"rate": "10/h", "burst": 20}, "quotas": {"tool_calls": "3/h", "concurrent": 2, "batch_size": 4}},
        "free": {},
        "gone": {"suspended": True},
    }
    for name, settings in given.items():
        settings["keys"] = ["sha256:" + hashlib.sha256(KEYS[name].encode()).hexdigest()]
    one = Server(json.dumps({"limits": {"rate": "10/h", "burst": 50}, "tenants": given}))
    yield one
    one.stop()


def test_values_change_with_calls_until_the_quota_is_reached(make: Make, tenants: Server) -> None:
    client = make(tenants.url, api_key=KEYS["spent"], retry=QUICK)
    first = client.usage()
    assert first.tenant == "spent"
    assert first.rate == RateUsage(limit=20, used=0, remaining=20, resets_in_ms=0, calls=10, window_ms=HOUR)
    assert first.client_rate == RateUsage(limit=50, used=0, remaining=50, resets_in_ms=0, calls=10, window_ms=HOUR)
    assert first.concurrent == ConcurrentUsage(limit=2, now=0, remaining=2)
    calls = QuotaUsage(limit=3, used=0, remaining=3, window_ms=HOUR, resets_in_ms=0)
    assert first.quotas == Quotas(tool_calls=calls, batch_size=BatchSizeUsage(4))
    assert first.raw["quotas"]["tool_calls"]["limit"] == 3
    for used in (1, 2, 3):
        client.call_tool("echo", {"msg": "hi"})
        usage = client.usage()
        assert (usage.quotas.tool_calls.used, usage.quotas.tool_calls.remaining) == (used, 3 - used)
        assert (usage.rate.used, usage.client_rate.used) == (used, used)
        assert usage.quotas.tool_calls.resets_in_ms > HOUR / 2
    with pytest.raises(ferromcp.QuotaExceededError) as caught:
        client.call_tool("echo", {"msg": "hi"})
    assert caught.value.rule == "quota.tool_calls"
    assert client.usage().quotas.tool_calls.remaining == 0
    # Another tenant sees its own.
    other = make(tenants.url, api_key=KEYS["free"]).usage()
    assert (other.tenant, other.rate, other.concurrent, other.quotas) == ("free", None, None, Quotas())
    assert other.client_rate.used == 0


def test_a_server_without_tenants_limits_nobody(make: Make) -> None:
    usage = make().usage()
    assert (usage.tenant, usage.rate, usage.client_rate, usage.concurrent) == ("local", None, None, None)
    assert usage.quotas == Quotas()


@pytest.mark.parametrize("key", [None, "nobody"])
def test_no_key_or_a_wrong_one(make: Make, tenants: Server, key: str | None) -> None:
    with pytest.raises(ferromcp.UnauthenticatedError) as caught:
        make(tenants.url, api_key=key).usage()
    assert caught.value.status == 401


def test_a_tenant_that_is_suspended(make: Make, tenants: Server) -> None:
    with pytest.raises(ferromcp.PermissionDeniedError) as caught:
        make(tenants.url, api_key=KEYS["gone"]).usage()
    assert caught.value.rule == "auth.tenant.suspended"


@pytest.mark.parametrize(
    "fault", [hang_up, answer(502, "<html>"), refuse(503, {"code": "unavailable"})], ids=["lost", "proxy", "drains"]
)
def test_it_is_asked_for_again(through: Make, between: Proxy, fault: Fault) -> None:
    between.faults.append(fault)
    assert through().usage().tenant == "local"
    assert len(between.seen) == 2


BODIES = [
    "[]", "null", "{}", '{"tenant":7,"quotas":{}}', '{"tenant":"a"}', '{"tenant":"a","quotas":[]}',
    '{"tenant":"a","quotas":{"bytes":{"limit":1}}}', '{"tenant":"a","quotas":{},"rate":7}',
    '{"tenant":"a","quotas":{"batch_size":{"limit":true}}}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_an_answer_of_something_else(through: Make, between: Proxy, body: str) -> None:
    between.faults.append(answer(200, body))
    with pytest.raises(ferromcp.ProtocolError):
        through().usage()


def test_timeout_ms_ends_it(through: Make, between: Proxy) -> None:
    silence = Silence()
    between.faults.append(silence)
    with pytest.raises(ferromcp.TimeoutError):
        through().usage(timeout_ms=50)
    assert silence.closed.wait(LIMIT)


def test_a_cancellation_ends_it(between: Proxy) -> None:
    silence, cancel = Silence(), Cancellation()
    between.faults.append(silence)
    with Client(between.url) as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.usage, cancel=cancel)
        assert silence.began.wait(LIMIT)
        cancel.cancel()
        with pytest.raises(ferromcp.CancelledError):
            asked.result(LIMIT)
        assert silence.closed.wait(LIMIT)
