"""Live sources are opened so that what they name in turn opens nothing here, and read in the order of their display."""

import resource
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import av
import pytest

from staa_video import StaaError, live
from tests.made import awkward, hostile
from tests.made.videos import music


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and prints nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which it is served."""
    (tmp_path / "served").mkdir()
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield tmp_path / "served", f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def numbers(kind: str, name: str, options: dict[str, str] | None = None) -> list[int]:
    """The numbers that the pictures of a source show."""
    with live.opened(kind, name, None, options) as opened:  # type: ignore[arg-type]  # "stream" or "file"
        return [awkward.number(image) for image, *_ in live.pictures(opened, lambda size: size, "SLICE")]


def test_a_playlist_names_what_is_beside_it_and_no_file_of_this_machine(folder: tuple[Path, str]) -> None:
    """The parts of a playlist are fetched from the net; one that names a local file gives nothing of it."""
    place, address = folder
    (place / "film.ts").write_bytes(awkward.film("mpegts"))
    private = place.parent / "private.ts"
    private.write_bytes(awkward.film("mpegts"))
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\n{}\n#EXT-X-ENDLIST\n"
    (place / "right.m3u8").write_text(playlist.format("film.ts"))
    assert numbers("stream", f"{address}/right.m3u8") == list(range(30))
    for name in (f"file://{private}", str(private)):
        (place / "wrong.m3u8").write_text(playlist.format(name))
        with pytest.raises((av.FFmpegError, StaaError)):
            numbers("stream", f"{address}/wrong.m3u8")


def test_a_playlist_in_a_file_is_no_video(tmp_path: Path) -> None:
    """What a file names is not opened at all, whatever options came with it."""
    (tmp_path / "film.ts").write_bytes(awkward.film("mpegts"))
    path = tmp_path / "film.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\nfilm.ts\n#EXT-X-ENDLIST\n")
    assert numbers("file", str(tmp_path / "film.ts")) == list(range(30))
    with pytest.raises(StaaError, match="no video in a known container"):
        numbers("file", str(path), {"analyzeduration": "100000"})


def test_music_is_no_live_source(folder: tuple[Path, str]) -> None:
    """A stream without video is told as a file without it is."""
    place, address = folder
    (place / "song.mp4").write_bytes(music(cover=True))
    for kind, name in (("stream", f"{address}/song.mp4"), ("file", str(place / "song.mp4"))):
        with pytest.raises(StaaError, match="holds no video stream"):
            numbers(kind, name)


def test_a_recording_says_how_long_it_lasts(tmp_path: Path) -> None:
    """The seconds are those of its header; what has none lasts for ever."""
    for name, source, seconds in (
        ("film.mp4", awkward.film(), pytest.approx(1.2, abs=0.05)),
        ("film.h264", awkward.film("h264"), float("inf")),
    ):
        (tmp_path / name).write_bytes(source)
        with live.opened("file", str(tmp_path / name)) as (container, *_):
            assert live.length(container) == seconds


def test_a_packet_of_many_frames_gives_them_one_by_one(tmp_path: Path) -> None:
    """Two hundred frames in a packet of AV1 take the memory of a few."""
    (tmp_path / "film.ivf").write_bytes(hostile.one_packet(200, 2048, 1152))

    def taken() -> int:
        return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * resource.getpagesize()

    before = taken()
    with live.opened("file", str(tmp_path / "film.ivf")) as opened:
        frames = live.pictures(opened, lambda _: (64, 36), "SLICE")
        took = [taken() - before for _ in islice(frames, 20)]
        assert max(took) < 200 * 2**20
        assert len(took) + len(list(frames)) == 201


def test_scans_without_end_are_refused(tmp_path: Path) -> None:
    """A Motion JPEG is looked at before it is decoded, as in a file that is sent."""
    (tmp_path / "film").write_bytes(awkward.scans_without_end())
    with pytest.raises(StaaError, match="more than 64 scans"):
        numbers("file", str(tmp_path / "film"))


def test_filler_is_no_end(tmp_path: Path) -> None:
    """A transport stream goes on behind a megabyte of zeros, and ends with its last frame where more of them follow."""
    (tmp_path / "film.ts").write_bytes((awkward.film("mpegts") + bytes(2**20)) * 2)
    assert numbers("file", str(tmp_path / "film.ts")) == [*range(30)] * 2


def test_damaged_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    """Of a recording the notes say how many are missing so far, from the damage on; a clean one has none."""
    for name, source, missing in (("film.mp4", awkward.film(), 0), ("damaged.mp4", awkward.damaged(), 1)):
        (tmp_path / name).write_bytes(source)
        with live.opened("file", str(tmp_path / name)) as opened:
            notes = [picture.notes for picture in live.pictures(opened, lambda size: size, "SLICE")]
        assert notes[0] == ()
        assert notes[-1] == ((f"damaged frames left out so far: {missing}",) if missing else ())
