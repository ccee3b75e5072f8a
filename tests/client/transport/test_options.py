"""Options: which there are, and which are about maps."""

from typing import Any

import numpy as np
import pytest

from staa_client import AsyncClient, Client
from tests.client.servers import Recorder, client


@pytest.mark.parametrize("explain", [True, False])
def test_an_option_that_does_not_exist_is_said_at_once(explain: bool) -> None:
    """A misspelt option is a TypeError that names those there are, with maps or without, whatever its value."""
    for value in (3, None):
        options: Any = {"tpo_k": value}
        for kind in (Client, AsyncClient):
            with pytest.raises(TypeError, match=r"unknown options tpo_k: expected some of top_k"):
                kind().batch([b"x"], explain=explain, **options)
    with pytest.raises(ValueError, match="method are about maps"):
        Client().batch([b"x"], explain=False, method="staa")


@pytest.mark.parametrize("option", [{"target": 3}, {"contrast": "spins"}, {"refine": 16}])
def test_an_option_about_a_class_asks_for_a_class_map(option: dict[str, Any], clip: bytes) -> None:
    """In every call for maps the class method is asked if none is named; a named one is sent as it is."""
    recorder = Recorder()
    frames = ((number / 4, np.zeros((24, 32, 3), np.uint8)) for number in range(10))
    with client(recorder) as staa:
        staa.explain(clip, **option)
        list(staa.batch([clip], **option))
        with staa.watch(frames, latency="keep", frames=16, **option) as sights:
            next(sights)
        staa.explain(clip, method="rollout", **option)
        staa.explain(clip, top_k=2)
    maps = [request for request in recorder.requests if "explanations" in str(request.url)]
    methods = [request.headers.get("x-staa-method") for request in maps]
    assert methods[:3] == ["staa_class"] * 3
    assert methods[-2:] == ["rollout", None]
