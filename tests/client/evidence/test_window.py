"""Asking again about a window of a timeline or of a watch: its frames are taken from the video again."""

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Client, StoreError
from staa_client.video.frames import Frames
from staa_client.video.origin import Origin
from tests.client.timeline.conftest import ByBrightness, bright
from tests.made.videos import encode

SIZE = (500, 640)
"""Rows and columns of a video that a watch scales down."""


def lines(store: Path) -> list[dict[str, Any]]:
    """The lines of a store as JSON data."""
    return [json.loads(line) for line in store.read_bytes().splitlines()]


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A video of 24 s that is bright at two times."""
    return bright(tmp_path / "long.mp4", times=[(4, 9), (14, 20)])


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A video of 5 s, each frame other than the one before, larger than what a watch keeps."""
    rng = np.random.default_rng(0)
    frames = [np.kron(rng.integers(0, 256, (10, 10, 3), np.uint8), np.ones((50, 64, 1), np.uint8)) for _ in range(25)]
    (tmp_path / "large.mp4").write_bytes(encode(frames, rate=5))
    return tmp_path / "large.mp4"


def asked(store: Path, sent: list[list[bytes]] | None = None) -> Client:
    """A client of a server that knows bright frames; it notes the pictures of each explanation that was asked for."""
    answer, noted = ByBrightness(), [] if sent is None else sent

    def note(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.startswith("/explanations"):
            with zipfile.ZipFile(io.BytesIO(request.read())) as archive:
                noted.append([archive.read(f"{number}.jpg") for number in range(16)])
        return answer(request)

    return Client(store=store, max_retries=0, transport=httpx2.MockTransport(note))


def test_a_span_of_a_timeline_can_be_asked_again(store: Path, long: Path) -> None:
    """Its line names the file and its hash; the very same pictures are sent again."""
    sent: list[list[bytes]] = []
    with asked(store, sent) as staa:
        made = staa.timeline(long)
        kept = lines(store)
        assert len(kept) == len(made.known) == 2
        for number, line in enumerate(kept, 1):
            video = line["video"]
            assert (video["name"], video["kind"], video["longest"]) == ("long.mp4", "window", None)
            assert video["source_sha256"] == hashlib.sha256(long.read_bytes()).hexdigest()
            replay = staa.replay(f"{store}:{number}", long)
            assert replay.same, str(replay)
            assert sent[-1] in sent[:2]
            assert replay.now.clip.frames.tolist() == line["reply"]["clip"]["frames"]
        assert staa.replay(f"{store}:1", long.read_bytes()).same
        other = bright(long.with_name("other.mp4"), times=[(1, 2)])
        assert "video" in {check.name for check in staa.replay(f"{store}:1", other).checks if not check.same}
        short = bright(long.with_name("short.mp4"), 2)
        with pytest.raises(ValueError, match=r"has no frame .* is it the file that was explained\?"):
            staa.replay(f"{store}:1", short)


def test_a_span_of_a_video_of_another_size_is_told(store: Path, long: Path) -> None:
    """A video that is not of the size that the line has is another one, which no server needs to say."""
    with asked(store) as staa:
        staa.timeline(long)
        other = encode([np.zeros((80, 96, 3), np.uint8)] * 120, rate=5)
        with pytest.raises(ValueError, match=r"the video has 96x80 pixels, that of the line \d+x\d+: another"):
            staa.replay(f"{store}:1", other)


def test_the_video_of_a_timeline_is_hashed_once(store: Path, long: Path) -> None:
    """For the line of its first map: a file that takes its place meanwhile is not read."""
    sha256, answer = hashlib.sha256(long.read_bytes()).hexdigest(), ByBrightness()

    def replace(request: httpx2.Request) -> httpx2.Response:
        if answer.times["explanations"]:  # this is not the first one
            long.unlink()
            bright(long, 2)
        return answer(request)

    with Client(store=store, max_retries=0, transport=httpx2.MockTransport(replace)) as staa:
        staa.timeline(long, concurrency=1)
    assert [line["video"]["source_sha256"] for line in lines(store)] == [sha256, sha256]


def test_a_span_can_be_asked_again_in_an_event_loop(store: Path, long: Path) -> None:
    """The lines of both clients are the same, and so is what they ask again."""

    async def main() -> bool:
        transport = httpx2.MockTransport(ByBrightness())
        async with AsyncClient(store=store, max_retries=0, transport=transport) as staa:
            await staa.timeline(long)
            return (await staa.replay(f"{store}:1", long)).same

    assert asyncio.run(main())
    assert {line["video"]["kind"] for line in lines(store)} == {"window"}


def test_a_window_of_a_watched_file_can_be_asked_again(store: Path, large: Path) -> None:
    """Its frames are scaled as the watch did it; bytes, of which nothing can be watched, are refused."""
    sent: list[list[bytes]] = []
    with asked(store, sent) as staa:
        with staa.watch(large, latency="keep", window=3, stride=1, smooth=1) as sights:
            seen = list(sights)
        kept = lines(store)
        assert len(kept) == len(seen) > 2
        assert kept[1]["video"]["kind"] == "window"
        assert kept[1]["video"]["longest"] == 480
        assert staa.replay(f"{store}:2", large).same
        assert sent[-1] == sent[1] != sent[0]
        assert staa.replay(f"{store}:2", seen[1].frames).same, "also of frames that were kept"
        with pytest.raises(ValueError, match="a watch of a file: give its path"):
            staa.replay(f"{store}:2", large.read_bytes())
        with pytest.raises(ValueError, match=r"has no frame .* is it the file that was watched\?"):
            staa.replay(f"{store}:{len(kept)}", bright(large.with_name("short.mp4"), 1))


def test_a_window_of_a_camera_cannot_be_asked_again(store: Path, long: Path) -> None:
    """Its line says that it is of a live source, and a replay says so in words; frames that were kept are taken."""
    frames = Frames.of(np.full((16, 48, 64, 3), 220, np.uint8))
    live = Frames(frames.images, frames.seconds, frames.indices, 25.0, 0.64, (64, 48), (), Origin("/dev/video0"))
    with asked(store) as staa:
        staa.explain(live)
        (line,) = lines(store)
        assert (line["video"]["name"], line["video"]["kind"]) == ("/dev/video0", "live")
        assert line["video"]["source_sha256"] is None
        with pytest.raises(ValueError, match=r"cannot be asked again: its frames came from /dev/video0, a live source"):
            staa.replay(f"{store}:1", long)
        assert staa.replay(f"{store}:1", frames).same


def fill(store: Path) -> None:
    """Make that nothing can be written into a store."""
    store.unlink()
    store.mkdir()


def ask(store: Path, video: Path, output: Path) -> None:
    """Ask for a timeline with a store that can no longer be written."""
    with asked(store) as staa:
        fill(store)
        list(staa.timelines([video], output=output, concurrency=1))


def ask_in_a_loop(store: Path, video: Path, output: Path) -> None:
    """Do what `ask` does, in an event loop."""

    async def main() -> None:
        async with AsyncClient(store=store, max_retries=0, transport=httpx2.MockTransport(ByBrightness())) as staa:
            await asyncio.to_thread(fill, store)
            [item async for item in staa.timelines([video], output=output, concurrency=1)]

    asyncio.run(main())


@pytest.mark.parametrize("first_run", [ask, ask_in_a_loop])
def test_the_maps_of_a_timeline_are_not_lost_with_the_store(
    store: Path, long: Path, first_run: Callable[[Path, Path, Path], None]
) -> None:
    """A store that fails is told, and the next run asks for no map again that came before."""
    sent: list[list[bytes]] = []
    output = store.with_name("spans.jsonl")
    with pytest.raises(StoreError, match="cannot be kept"):
        first_run(store, long, output)
    store.rmdir()
    with asked(store, sent) as staa:
        (item,) = staa.timelines([long], output=output)
    assert item.timeline is not None
    assert [span.explanation is not None for span in item.timeline.known] == [True, True]
    assert len(sent) == 1, "the map of the other span alone"


def test_frames_of_the_caller_have_no_video(store: Path) -> None:
    """A timeline of frames in memory has lines that say so."""
    with asked(store) as staa:
        staa.timeline(Frames.of(np.full((100, 48, 64, 3), 220, np.uint8), 10.0))
    assert {(line["video"]["kind"], line["video"]["source_sha256"]) for line in lines(store)} == {("memory", None)}
