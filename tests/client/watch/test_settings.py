"""The options of a watch, checked before anything is read."""

from typing import Any

import httpx2
import pytest

from staa_client import AsyncClient, Client
from staa_client.watch import watch, watch_async
from tests.client.conftest import server
from tests.client.watch.conftest import SlowAsyncClient, SlowClient, grabbed


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 0},
        {"stride": float("nan")},
        {"latency": "fast"},
        {"smooth": 0},
        {"on_error": "ignore"},
        {"max_pending": 0},
        {"stall": 0},
        {"longest": 2},
        {"reconnect_max": -1},
        {"frames": 0},
    ],
)
def test_arguments_are_checked_at_once(wrong: dict[str, Any]) -> None:
    """An argument out of its range is a ValueError that shows it, before anything is opened."""
    shown = str(next(iter(wrong.values())))
    with pytest.raises(ValueError, match=shown) as raised:
        watch(SlowClient(), grabbed(4), **{"frames": 4, **wrong})
    assert "self." not in str(raised.value)
    with Client(transport=httpx2.MockTransport(server())) as client, pytest.raises(ValueError, match=shown):
        client.watch(grabbed(4), **wrong)
    with pytest.raises(ValueError, match=shown):
        AsyncClient().watch(grabbed(4), **wrong)


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        ({"explain": False, "method": "staa"}, ValueError, "method are about maps"),
        ({"explain": False, "smooth": 2, "mass": 0.5, "verify": 2}, ValueError, "mass, verify are about maps"),
        ({"smoth": 2}, TypeError, "unknown options smoth: expected some of .*smooth.*reconnect"),
        ({"explain": False, "tpo_k": 2}, TypeError, "unknown options tpo_k"),
    ],
)
def test_options_are_checked_at_once(wrong: dict[str, Any], kind: type[Exception], said: str) -> None:
    """An option that is none, or is about maps where labels are asked for, is refused before anything is read."""
    with pytest.raises(kind, match=said):
        watch(SlowClient(), grabbed(4), frames=4, **wrong)
    with pytest.raises(kind, match=said):
        watch_async(SlowAsyncClient(), grabbed(4), frames=4, **wrong)
    with Client(transport=httpx2.MockTransport(server())) as client, pytest.raises(kind, match=said):
        client.watch(grabbed(4), **wrong)
