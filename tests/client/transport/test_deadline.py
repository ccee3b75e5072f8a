"""Timeouts: of a part, of a call, and of a client."""

import socket
import time

import pytest

import staa_client
from staa_client import Client, TimedOutError, Timeout
from tests.client.socket_servers import answer_with, raw_server, say_nothing


def test_a_silent_server_times_out() -> None:
    """A server that accepts and says nothing is a TimedOutError after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, timeout=0.2) as staa, pytest.raises(TimedOutError, match="longer timeout"):
            staa.predict(b"x")


def test_the_total_counts_all_attempts_and_waits() -> None:
    """With a total there is no wait that would outlast it: the last error comes before."""
    began = time.monotonic()
    with (
        raw_server(answer_with("503 Busy")) as (url, asked),
        Client(url, timeout=Timeout(total=2), max_retries=100, backoff=0.2) as staa,
        pytest.raises(staa_client.UnavailableError),
    ):
        staa.predict(b"x")
    assert time.monotonic() - began < 30, "a hundred attempts would take much longer"
    assert 2 <= len(asked) < 20


def test_a_call_may_have_its_own_timeout() -> None:
    """The timeout of a call is instead of the client's, shorter or longer."""
    with raw_server(say_nothing) as (url, _), Client(url, timeout=60) as staa:
        began = time.monotonic()
        with pytest.raises(staa_client.TimedOutError):
            staa.predict(b"x", timeout=0.2)
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("wrong", [0, -1.0, Timeout])
def test_a_timeout_is_checked(wrong: float) -> None:
    """A timeout that is no positive number is refused at once."""
    with pytest.raises((ValueError, TypeError)):
        Client(timeout=wrong)


@pytest.mark.parametrize("timeout", [1e12, float("inf")])
def test_a_timeout_may_be_as_long_as_one_likes(timeout: float) -> None:
    """Seconds that no socket can count are as none: the call is made."""
    with (
        raw_server(answer_with("415 No Video")) as (url, _),
        Client(url, timeout=timeout) as staa,
        pytest.raises(staa_client.NotVideoError),
    ):
        staa.predict(b"x")
