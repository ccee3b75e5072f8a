"""Options: which there are, and which are about maps."""

import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Client
from tests.client.servers import Recorder, client
from tests.client.timeline.conftest import ByBrightness, bright


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


def test_numbers_of_numpy_are_numbers(clip: bytes, tmp_path: Path) -> None:
    """Of every call: they are sent as Python's, and can be kept in a store and in a file of answers."""
    video, store = bright(tmp_path / "long.mp4", 8, [(0, 8)]), tmp_path / "store.jsonl"
    options: Any = {"target": np.int64(4), "mass": np.float32(0.5), "explain_when": np.array(["always", "label_in=4"])}
    recorder = Recorder()
    with Client(store=store, transport=httpx2.MockTransport(recorder)) as staa:
        staa.explain(clip, **options)
        (item,) = staa.batch([clip], output=tmp_path / "answers.jsonl", **options)
    assert item.error is None
    assert [request.headers["x-staa-target"] for request in recorder.requests] == ["4", "4"]
    assert [request.headers["x-staa-explain-when"] for request in recorder.requests] == ["always;label_in=4"] * 2
    kept = [json.loads(line)["options"] for line in store.read_bytes().splitlines()]
    assert [(each["target"], each["mass"]) for each in kept] == [(4, 0.5)] * 2
    frames = ((number / 4, np.zeros((48, 64, 3), np.uint8)) for number in range(16))
    with Client(store=store, transport=httpx2.MockTransport(ByBrightness())) as staa:
        for tracked in (np.int64(4), {np.int64(4)}, np.array([4])):
            lengths: Any = {"window": np.float32(4), "stride": np.float64(1), "track": tracked}
            output = tmp_path / "spans.jsonl"
            (made,) = staa.timelines([video], output=output, **lengths)
            assert made.timeline is not None
            assert [span.label for span in made.timeline.known] == ["spins"]
        numbers: Any = {"window": np.float32(4), "frames": np.int64(8), "smooth": np.int64(1)}
        with staa.watch(frames, latency="keep", **numbers, **options) as sights:
            assert next(sights).explanation is not None


def test_rules_without_a_rule_are_told_at_once(clip: bytes) -> None:
    """Of every call an empty text or list is refused in words, before anything is sent."""
    with client(recorder := Recorder()) as staa:
        for empty in ("", " ; ", [], [""]):
            for call in (staa.explain, staa.timeline):
                with pytest.raises(ValueError, match=r'explain_when is empty: name a rule such as "score_below=0\.6"'):
                    call(clip, explain_when=empty)
            for kind in (staa, AsyncClient()):
                with pytest.raises(ValueError, match="explain_when is empty"):
                    kind.batch([clip], explain_when=empty)
            with pytest.raises(ValueError, match="explain_when is empty"):
                staa.watch(iter([]), explain_when=empty)
    assert recorder.requests == []
