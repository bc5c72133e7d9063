from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from ferromcp import Client, Retry
from support import Driven, Proxy, Server, Tool

KEY = "fmk_sdk_test_key"
QUICK = Retry(base_delay_ms=1, max_delay_ms=50)


class Make(Protocol):
    def __call__(self, url: str | None = None, **options: Any) -> Any: ...


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    one = Server("builtin: { batch: true, files: { roots: [DIR] } }\n")
    yield one
    one.stop()


@pytest.fixture
def guarded() -> Iterator[Server]:
    hash = hashlib.sha256(KEY.encode()).hexdigest()
    one = Server(f'tenants: {{ a: {{ keys: ["sha256:{hash}"], quotas: {{ tool_calls: 2/min, batch_size: 2 }} }} }}\n')
    yield one
    one.stop()


@pytest.fixture(params=[Client, Driven], ids=["sync", "async"])
def make(request: pytest.FixtureRequest, server: Server) -> Iterator[Make]:
    """Makes clients of both kinds, of the server if no other address is given."""
    made: list[Any] = []

    def new(url: str | None = None, **options: Any) -> Any:
        made.append(request.param(url or server.url, **options))
        return made[-1]

    yield new
    for client in made:
        client.close()


@pytest.fixture
def between(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.url)
    yield proxy
    proxy.stop()
    assert not proxy.faults, "every fault was used"


@pytest.fixture
def through(make: Make, between: Proxy) -> Make:
    """Makes clients of the proxy. What closes first is the client: the fixture of clients is the younger one."""

    def new(url: str | None = None, **options: Any) -> Any:
        return make(url or between.url, **{"retry": QUICK, **options})

    return new


@pytest.fixture(scope="module")
def tool() -> Iterator[Tool]:
    """A tool behind a server, which counts how often it runs."""
    one = Tool()
    one.listed()
    yield one
    one.stop()
