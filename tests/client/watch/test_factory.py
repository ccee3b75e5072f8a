"""Watching by the real clients: windows travel as frames, and the model's card says how many."""

import asyncio
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx2
import pytest

from staa_client import AsyncClient, Client, Explanation, Sight, StreamError
from staa_client.watch import watch
from staa_client.watch.factory import AsyncClientLike, ClientLike
from tests.client.conftest import card, server
from tests.client.servers import Recorder
from tests.client.watch.conftest import SlowClient, grabbed


def sent(recorder: Recorder) -> list[list[float]]:
    """Return the times of the frames in each request."""
    bodies = [io.BytesIO(request.content) for request in recorder.requests if request.content.startswith(b"PK")]
    return [json.loads(zipfile.ZipFile(body).read("clip.json"))["times"] for body in bodies]


def test_windows_of_a_file_travel_as_the_models_frames(clip: bytes, tmp_path: Path) -> None:
    """Every window of 2 s is sent as the 16 frames that the card asks for, with times of the stream."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    recorder = Recorder()
    with (
        Client(transport=httpx2.MockTransport(recorder)) as client,
        client.watch(path, latency="keep", stride=1.0, mass=0.5) as seen,
    ):
        sights = list(seen)
    assert [(sight.start, sight.end) for sight in sights] == [(float(s), float(s + 2)) for s in range(7)]
    assert all(isinstance(sight.explanation, Explanation) for sight in sights)
    assert len(recorder.requests) == 1 + 7
    assert recorder.requests[-1].headers["x-staa-mass"] == "0.5"
    for number, times in enumerate(sent(recorder)):
        assert len(times) == 16
        assert number <= times[0] < times[-1] < number + 2


def test_a_window_is_as_long_as_the_models_clips(clip: bytes, tmp_path: Path) -> None:
    """Nobody says how long it is: the middle of what the card says, and a new one each quarter of that."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    recorder = Recorder(then=server(told=card() | {"clip_seconds": [3.0, 5.0]}))
    with Client(transport=httpx2.MockTransport(recorder)) as client, client.watch(path, latency="keep") as seen:
        assert (seen.window, seen.stride, seen.clip_seconds) == (None, None, None)
        sights = list(seen)
        assert (seen.window, seen.stride, seen.clip_seconds) == (4.0, 1.0, (3.0, 5.0))
    assert [(sight.start, sight.end) for sight in sights] == [(float(s), float(s + 4)) for s in range(5)]


def test_a_window_of_another_length_is_warned_about(clip: bytes, tmp_path: Path) -> None:
    """The warning names both lengths, once, and each answer notes it; windows and frames are as they were asked for."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    recorder = Recorder(then=server(told=card() | {"clip_seconds": [3.0, 5.0]}))
    with (
        Client(transport=httpx2.MockTransport(recorder)) as client,
        client.watch(path, latency="keep", window=2, stride=3, frames=8) as seen,
        pytest.warns(UserWarning, match=r"the window is 2 s long.* clips of 3 to 5 s: do not trust") as warned,
    ):
        sights = list(seen)
    assert len(warned) == 1
    assert [(sight.start, sight.end) for sight in sights] == [(0.0, 2.0), (3.0, 5.0), (6.0, 8.0)]
    said = str(warned[0].message)
    assert [sight.explanation and sight.explanation.clip.notes for sight in sights] == [(said,)] * 3
    assert [len(set(times)) for times in sent(recorder)] == [8] * 3


def test_a_source_that_is_too_short_for_the_model_is_warned_about(clip: bytes, tmp_path: Path) -> None:
    """The window is as long as the model's clips, and the source has less than one: a plain loop and an event loop."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    answering = server(told=card() | {"clip_seconds": [9.0, 12.0]})
    said = "the video lasts 8 s, and motions was trained on clips of 9 to 12 s: do not trust its labels"

    async def watch() -> list[Sight]:
        async with (
            AsyncClient(transport=httpx2.MockTransport(answering)) as client,
            client.watch(path, latency="keep", explain=False) as seen,
        ):
            return [sight async for sight in seen]

    with (
        Client(transport=httpx2.MockTransport(answering)) as client,
        client.watch(path, latency="keep", explain=False) as seen,
        pytest.warns(UserWarning, match=said) as warned,
    ):
        plain = list(seen)
    assert [each.filename for each in warned] == [__file__]
    with pytest.warns(UserWarning, match=said):
        awaited = asyncio.run(watch())
    assert [sight.answer and sight.answer.clip.notes for sight in plain + awaited] == [(said,), (said,)]


def test_the_async_twin_sends_the_same(clip: bytes, tmp_path: Path) -> None:
    """AsyncClient.watch gives the same windows of labels."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    recorder = Recorder()

    async def watch() -> list[Sight]:
        async with (
            AsyncClient(transport=httpx2.MockTransport(recorder)) as client,
            client.watch(path, latency="keep", stride=1.0, explain=False, frames=8) as seen,
        ):
            return [sight async for sight in seen]

    sights = asyncio.run(watch())
    assert [sight.start for sight in sights] == [float(second) for second in range(7)]
    assert sights[0].predictions[0].label == "moves down"
    assert sights[0].explanation is None
    assert all(len(times) == 16 for times in sent(recorder))


def test_a_stream_that_is_not_there_is_said() -> None:
    """Nobody at the stream's address is a StreamError when iteration begins, and the server is not asked for maps."""
    recorder = Recorder()
    with (
        Client(transport=httpx2.MockTransport(recorder)) as client,
        client.watch("http://127.0.0.1:9/live.ts", stall=5) as seen,
        pytest.raises(StreamError, match="stream_unreachable"),
    ):
        next(seen)
    assert not sent(recorder)


def test_the_clients_can_be_asked() -> None:
    """Both clients have what a watch asks; the type checker holds the rest."""
    plain: type[ClientLike] = Client
    other: type[AsyncClientLike] = AsyncClient
    assert all(callable(getattr(kind, name)) for kind in (plain, other) for name in ("explain", "predict"))


def test_without_av_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera needs the extra `video`, and the error says how to get it; a caller's own frames do not."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install ./video \"\./client\[video\]\" from a checkout"):
        list(watch(SlowClient(), 0, frames=4))
    assert len(list(watch(SlowClient(), grabbed(2), frames=4, latency="keep"))) == 1


def test_importing_it_loads_neither_pillow_nor_av() -> None:
    """Neither the face of watching nor its functions load optional and slow packages; the face loads no room at all."""
    heavy = "{'av', 'PIL', 'multiprocessing'}"
    rooms = "{name for name in sys.modules if name.startswith('staa_client.watch.')}"
    code = f"import sys, staa_client.watch; early = {rooms}\n"
    code += f"from staa_client.watch import watch, watch_async; sys.exit(bool(early or {heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
