"""A request is sent to a server once: never again after any of it may have been read."""

from collections.abc import Iterator

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import Proxy
from tests.deploy.upstreams import Heard, Upstream, good, listening
from tests.made.programs import free_ports


@pytest.fixture
def pair() -> Iterator[tuple[Upstream, Upstream]]:
    """Return two servers."""
    with listening() as one, listening() as other:
        yield one, other


@pytest.fixture
def proxy(pair: tuple[Upstream, Upstream]) -> Iterator[Proxy]:
    """Return a proxy before both."""
    with proxies.running(*(each.port for each in pair)) as up:
        yield up


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_request_that_was_sent_is_not_sent_again(proxy: Proxy, pair: tuple[Upstream, Upstream], method: str) -> None:
    """A server that goes with a request takes it along: the caller is told, and no other server hears of it."""

    def go(_: Heard) -> None:
        return None

    for each in pair:
        each.answer = go
    for number in range(1, 7):
        answer = proxy.call(method=method, body=b"x" * 300_000)
        assert (answer.status, answer.code) == (502, "server_lost")
        assert sum(len(each.heard) for each in pair) == number


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_connection_that_was_kept_too_long(proxy: Proxy, pair: tuple[Upstream, Upstream], method: str) -> None:
    """A server that closes a kept connection as the next request comes costs that request at most an error, no copy."""
    calls = 0

    def every_second(heard: Heard) -> bytes | None:
        nonlocal calls
        calls += 1
        return good(heard) if calls % 2 else None

    for each in pair:
        each.answer = every_second
    statuses = [proxy.call(method=method).status for _ in range(12)]
    assert sum(len(each.heard) for each in pair) == 12
    assert statuses.count(200) == statuses.count(502) == 6


def test_a_server_that_is_gone_costs_nothing(pair: tuple[Upstream, Upstream]) -> None:
    """With a second server, a first one that nobody can connect to is passed over, and every request is answered."""
    with proxies.running(*free_ports(), pair[1].port) as proxy:
        assert [proxy.call(method=method).status for method in ("POST",) * 8] == [200] * 8
        assert len(pair[1].heard) == 8
