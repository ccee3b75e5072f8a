"""Server and client make the same of any file: the same frames, times and duration, or the same refusal.

The files are those of the table of awkward videos, and those of ../shared/cases where that folder is. What a server
spends on a video is its own affair: it is compared without limits.
"""

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from staa_client import Explanation, contract
from staa_client.errors import StreamError
from staa_client.results.result import ClipInfo
from staa_client.video import frames_at, sampled
from staa_client.watch.settings import WatchSettings
from staa_client.watch.stream import StopSignal, stream_frames
from staa_video import LIMITS, UNLIMITED, Clip, StaaError, decode
from staa_video.pool import Pool
from tests.client.conftest import document
from tests.made.awkward import SHARED, TABLE
from tests.made.formats import FORMATS

FILES: dict[str, Callable[[], bytes]] = {name: case.make for name, case in (TABLE | FORMATS).items()}
ATTACKS = {"scans_without_end": FILES.pop("scans_without_end")}
"""Files that are made to take gigabytes, or minutes."""
for path in sorted(SHARED.glob("*")):
    if path.name.endswith(("one_packet.mkv", "scans.mp4", ".bin")):
        ATTACKS[path.name] = path.read_bytes
    elif path.suffix not in {".md", ".req"}:
        FILES[path.name] = path.read_bytes
UNLIMITED_CHILD = dataclasses.replace(LIMITS, duration=1e6)
CHILD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
from staa_client.video import sampled
from staa_video import LIMITS, StaaError, decode
def told(ask):
    try:
        clip = ask()
        return clip.indices.tolist(), clip.duration
    except (StaaError, ValueError, MemoryError) as error:
        return str(error)
here = told(lambda: decode(sys.argv[1], 8, limits=LIMITS))
there = told(lambda: sampled(sys.argv[1], 8, lambda height, width: (height, width)))
print(here == there or str(here) in str(there), here, there, sep="|")
"""


@cache
def source(name: str) -> bytes:
    """Make a file once."""
    return FILES[name]()


@cache
def served(name: str, wanted: int = 8, start: float | None = None, end: float | None = None) -> Clip | StaaError:
    """What the server makes of a file."""
    try:
        return decode(source(name), wanted, start, end, UNLIMITED)
    except StaaError as error:
        return error


@pytest.mark.parametrize(("wanted", "start", "end"), [(8, None, None), (64, None, None), (5, 0.3, 0.9)])
@pytest.mark.parametrize("name", FILES)
def test_sampling_here_is_what_the_server_does(
    name: str, wanted: int, start: float | None, end: float | None, tmp_path: Path
) -> None:
    """The same frames, times, duration, rate and size; or the reason of the server, in the client's words around it."""
    expected = served(name, wanted, start, end)
    path = tmp_path / "film"
    path.write_bytes(source(name))
    for given in (path, source(name)):
        if isinstance(expected, StaaError):
            with pytest.raises(ValueError, match=r"\w") as caught:
                sampled(given, wanted, lambda height, width: (height, width), start, end)
            assert str(expected) in str(caught.value)
            continue
        found = sampled(given, wanted, lambda height, width: (height, width), start, end)
        np.testing.assert_array_equal(found.images, expected.frames)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_array_equal(found.seconds, expected.seconds)
        assert (found.duration, found.fps, found.size) == (expected.duration, expected.fps, expected.source)
        assert found.notes == expected.notes


@pytest.mark.parametrize("name", FILES)
def test_what_was_explained_can_be_drawn(name: str, tmp_path: Path) -> None:
    """Pictures, movies and reports show the frames that the server saw; of what it refused, its reason is given."""
    clip = served(name)
    path = tmp_path / "film"
    path.write_bytes(source(name))
    if isinstance(clip, StaaError):
        with pytest.raises(ValueError, match="is it the file that was explained") as caught:
            frames_at(path, range(30))
        assert str(clip) in str(caught.value) or clip.code == "video_undecodable"
        return
    for image, frame in zip(frames_at(path, clip.indices), clip.frames, strict=True):
        np.testing.assert_array_equal(image, frame)
    explanation = explained(clip, path)
    for ending in (".png", ".html", ".gif", ".mp4"):
        assert explanation.save(tmp_path / f"x{ending}").stat().st_size > 500


def explained(clip: Clip, path: Path) -> Explanation:
    """What a server would answer about a clip."""
    width, height = clip.source
    about = ClipInfo(width, height, clip.fps, clip.duration, clip.indices, clip.seconds, (0, 0, width, height))
    answer = contract.of_document(document())
    assert isinstance(answer, Explanation)
    return dataclasses.replace(answer, clip=about, source=path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_watched_as_it_is_decoded(name: str, tmp_path: Path) -> None:
    """The frames are the video's, at times that do not run back; what is no video for the server is none here."""
    clip = served(name, 64)
    path = tmp_path / "film"
    path.write_bytes(source(name))
    stream = stream_frames(path, WatchSettings(latency="keep", longest=4096), StopSignal())
    if isinstance(clip, StaaError) and clip.code == "not_a_video":
        with pytest.raises(StreamError, match="cannot be read as a video"):
            next(stream)
    elif isinstance(clip, Clip):
        frames = list(stream)
        assert len(frames) >= len(set(clip.indices.tolist()))
        assert {frame.source_size for frame in frames} == {clip.source}
        notes = [note for note in frames[-1].notes if not note.startswith("damaged frames")]  # a recording counts them
        assert set(notes) <= set(clip.notes)
        assert bool(notes) == any(note.startswith(("HDR", "colours", "pixels", "crop")) for note in clip.notes)
        assert np.diff([frame.seconds for frame in frames]).min() >= 0


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """The children in which a server decodes."""
    with Pool(workers=1, limits=UNLIMITED_CHILD) as children:
        yield children


@pytest.mark.parametrize("name", FILES)
def test_a_child_of_the_server_does_the_same(name: str, pool: Pool) -> None:
    """The same frames, times and notes, or the same error."""
    expected = served(name)
    if isinstance(expected, StaaError):
        with pytest.raises(StaaError) as caught:
            pool.decode(source(name), 8, limits=UNLIMITED_CHILD)
        assert (caught.value.code, str(caught.value)) == (expected.code, str(expected))
        return
    clip = pool.decode(source(name), 8, limits=UNLIMITED_CHILD)
    np.testing.assert_array_equal(clip.frames, expected.frames)
    np.testing.assert_array_equal(clip.indices, expected.indices)
    assert (clip.duration, clip.fps, clip.source, clip.notes) == (
        expected.duration,
        expected.fps,
        expected.source,
        expected.notes,
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_met_alike(name: str, tmp_path: Path) -> None:
    """What is made to take gigabytes ends within bounds, at both ends with the same."""
    path = tmp_path / "film"
    path.write_bytes(ATTACKS[name]())
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.startswith("True|"), done.stdout + done.stderr
