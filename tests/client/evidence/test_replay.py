"""Asking again by a line of a store: what is the same is said to be, and what differs is named."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Replay
from staa_client.evidence.record import line_sha256
from staa_client.evidence.replay import likeness
from tests.client.conftest import checked, document, server
from tests.client.evidence.conftest import Made


def differing(replay: Replay) -> set[str]:
    """The names of what differs."""
    return {check.name for check in replay.checks if not check.same}


def test_the_same_video_and_model_are_the_same(client: Made, store: Path, video: Path, clip: bytes) -> None:
    """By number or by the request's id, of the file or of its bytes, also in an event loop."""
    kept = client(store, checked(document()))
    kept.explain(video, verify=4)
    staa = client(None, checked(document()))
    for line, again in ((f"{store}:1", video), (f"{store}:request-1", clip)):
        replay = staa.replay(line, again)
        assert replay.same
        assert differing(replay) == set()
        names = ["line", "video", "model", "frames", "label", "scores", "method", "target", "map", "verdict"]
        assert [check.name for check in replay.checks] == names

    async def main() -> Replay:
        async with AsyncClient(transport=httpx2.MockTransport(server(checked(document())))) as staa:
            return await staa.replay(f"{store}:1", video)

    assert asyncio.run(main()).same
    assert len(store.read_bytes().splitlines()) == 1, "a replay keeps nothing"


def test_the_question_is_the_same(store: Path, client: Made, video: Path) -> None:
    """The options of the line are sent again, and frames where frames were sent."""
    client(store).explain(video, "motions/1.0", top_k=5, mass=0.5, explain_when="score_below=1", sample="client")
    asked: list[httpx2.Request] = []

    def note(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return server()(request)

    async def main() -> Replay:
        async with AsyncClient(transport=httpx2.MockTransport(note)) as staa:
            return await staa.replay(f"{store}:1", video)

    assert asyncio.run(main()).same
    headers = asked[-1].headers
    assert headers["content-type"] == "application/x-staa-frames"
    sent = [headers[f"x-staa-{name}"] for name in ("top-k", "mass", "explain-when", "maps")]
    assert sent == ["5", "0.5", "score_below=1", "base64"]
    assert asked[-1].url.path == "/explanations/motions/1.0"


def changed(**fields: Any) -> dict[str, Any]:
    """The server's reply with other fields."""
    return document() | fields


def other_map() -> dict[str, Any]:
    """The server's reply with the steps of the map in the opposite order."""
    reply = document()
    shown = reply["explanation"]
    return changed(explanation=shown | {name: shown[name][::-1] for name in ("temporal", "joint")})


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        (changed(model=document()["model"] | {"version": "1.1"}), {"model"}),
        (changed(predictions=[{**document()["predictions"][0], "score": 0.92}]), {"scores"}),
        (changed(predictions=[{**document()["predictions"][0], "score": 0.925}]), set()),
        (document(label="moves up"), {"label"}),
        (changed(explanation=document()["explanation"] | {"method_version": "2"}), {"method"}),
        (changed(clip=document()["clip"] | {"frames": [*range(16)]}), {"frames"}),
        (other_map(), {"map"}),
        (checked(document()), {"verdict"}),
    ],
)
def test_what_differs_is_named(client: Made, store: Path, video: Path, reply: dict[str, Any], names: set[str]) -> None:
    """Another version, score, label, method, frame, map or verdict is one line of the table."""
    client(store).explain(video)
    replay = client(None, reply).replay(f"{store}:1", video)
    assert differing(replay) == names
    assert replay.same == (not names)
    assert str(replay).count("DIFFERS") == len(names)


def test_another_video_differs(client: Made, store: Path, video: Path) -> None:
    """By its hash, whatever the answer is."""
    client(store).explain(video)
    other = video.with_name("other.mp4")
    other.write_bytes(video.read_bytes() + b"\0")
    assert differing(client().replay(f"{store}:1", other)) == {"video"}


def test_a_map_where_there_was_none_differs(client: Made, store: Path, video: Path) -> None:
    """A video that was left out then, and is explained now."""
    client(store).explain(video, explain_when="score_below=0.5")
    now = document()
    now["predictions"][0]["score"] = 0.4
    replay = client(None, now).replay(f"{store}:1", video)
    assert differing(replay) == {"scores", "map"}


def rewritten(store: Path, change: Any, *, digest: bool = False) -> None:
    """Change the first line of a store; `digest` makes its own digest that of the changed line."""
    line = json.loads(store.read_bytes())
    change(line)
    if digest:
        line["sha256"] = line_sha256(line)
    store.write_text(json.dumps(line) + "\n")


def test_a_line_that_was_changed_is_found(client: Made, store: Path, video: Path) -> None:
    """By its digest, whichever field was changed; the map has one of its own."""
    client(store).explain(video)
    kept = store.read_bytes()

    def to_other_time(line: dict[str, Any]) -> None:
        line["time"] = "2001-01-01T00:00:00.000Z"

    def to_other_score(line: dict[str, Any]) -> None:
        line["reply"]["predictions"][0]["score"] = 0.9313

    def to_other_map(line: dict[str, Any]) -> None:
        line["reply"]["explanation"]["joint"]["data"] = "A" * len(line["reply"]["explanation"]["joint"]["data"])

    for change, names in ((to_other_time, {"line"}), (to_other_score, {"line"}), (to_other_map, {"line", "map"})):
        store.write_bytes(kept)
        rewritten(store, change)
        assert differing(client().replay(f"{store}:1", video)) == names
    store.write_bytes(kept)
    rewritten(store, to_other_map, digest=True)
    assert differing(client().replay(f"{store}:1", video)) == {"line", "map"}
    store.write_bytes(kept)
    rewritten(store, lambda line: line.update(line))
    assert client().replay(f"{store}:1", video).same, "another way to write the same JSON is no change"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "it has the form 2"),
        ({"options": {"X": 1}}, "its options are"),
        ({"options": {"top_k": [1]}}, "its options are"),
        ({"options": None}, "no line of a store"),
        ({"reply": {}}, "no line of a store"),
        ({"video": {}}, "no line of a store"),
        ({"video": 5}, "no line of a store"),
        ({"model": 5}, "its model is 5"),
        ({"model": "a/b/c"}, 'a model is "name" or "name/version"'),
        ({"time": 7}, "its time is 7"),
        ({"request_id": 3}, "its request_id is 3"),
        ({"options": []}, "its options is"),
        ({"options": {"mass": True}}, "its options are"),
        ({"options": {"target": "x\ny"}}, "option target travels in an HTTP header"),
    ],
)
def test_a_line_that_holds_none_is_told(
    client: Made, store: Path, video: Path, change: dict[str, Any], said: str
) -> None:
    """A line that cannot be asked again is an error with its number, and nothing is sent."""
    client(store).explain(video)
    rewritten(store, lambda line: line.update(change), digest=True)
    with pytest.raises(ValueError, match=f"line 1 of .*{said}"):
        client().replay(f"{store}:1", video)


@pytest.mark.parametrize(
    "change",
    [
        *({"name": None}, {"size": "9"}, {"size": True}, {"sha256": 5}, {"source_sha256": 5}, {"as_frames": 1}),
        *({"longest": "480"}, {"kind": "other"}, {"kind": 7}),
    ],
)
def test_what_is_said_of_the_video_has_its_types(
    client: Made, store: Path, video: Path, change: dict[str, Any]
) -> None:
    """A field of another type is an error with the line's number, and not one of Python somewhere."""
    client(store).explain(video)
    rewritten(store, lambda line: line["video"].update(change), digest=True)
    with pytest.raises(ValueError, match="line 1 of .*its (video|" + "|".join(change) + ") is"):
        client().replay(f"{store}:1", video)


def test_maps_are_compared_whatever_they_are(client: Made, store: Path, video: Path) -> None:
    """The cosine of a map and itself is 1, of other shapes 0, and of two maps of nothing 1."""
    grid = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    assert likeness(grid, grid)[0] == pytest.approx(1)
    assert likeness(grid, grid)[1] == 0
    assert likeness(grid, grid[:1]) == (0, 1)
    assert likeness(0 * grid, 0 * grid) == (1, 0)
    assert likeness(grid, 0 * grid)[0] == 0
    client(store).explain(video)
    with pytest.raises(ValueError, match="tolerance"):
        client().replay(f"{store}:1", video, tolerance=float("nan"))
    replay = client().replay(f"{store}:1", video)
    assert dataclasses.replace(replay, checks=()).same
