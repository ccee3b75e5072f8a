"""Frames by their number."""

import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from staa_client.video import Frame, frames_at
from tests.client.conftest import centre, video

UPRIGHT = (1, 0, 0, 1)


def displayed(data: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """The same mp4 with a display matrix (a, b, c, d) in its track header, as phones write it."""

    def packed(a: int, b: int, c: int, d: int) -> bytes:
        return struct.pack(">9i", *(part << 16 for part in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)

    at = data.index(packed(*UPRIGHT), data.index(b"tkhd"))
    return data[:at] + packed(*matrix) + data[at + 36 :]


def test_a_frame_is_the_one_of_its_number(clip: bytes) -> None:
    """Frame n shows the object where it is in frame n of the source, in the order asked for, repeats too."""
    numbers = [60, 0, 33, 33]
    frames = frames_at(clip, numbers)
    assert [frame.shape for frame in frames] == [(240, 320, 3)] * 4
    for number, frame in zip(numbers, frames, strict=True):
        rows, columns = np.nonzero(frame.astype(int)[..., 0] > 200)
        x, y = centre(number / 64 * 16)
        assert abs(columns.mean() - x) < 2
        assert abs(rows.mean() - y) < 2


def test_a_path_and_its_bytes_are_the_same(clip: bytes, tmp_path: Path) -> None:
    """A file on disk gives the frames of its bytes."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    np.testing.assert_array_equal(frames_at(path, [7])[0], frames_at(clip, [7])[0])


@pytest.mark.parametrize(
    ("matrix", "seen"),
    [
        (UPRIGHT, lambda plain: plain),
        ((0, 1, -1, 0), lambda plain: np.rot90(plain, -1)),
        ((-1, 0, 0, -1), lambda plain: np.rot90(plain, 2)),
        ((0, -1, 1, 0), lambda plain: np.rot90(plain, 1)),
        ((-1, 0, 0, 1), lambda plain: plain[:, ::-1]),
        ((0, 1, 1, 0), lambda plain: plain.transpose(1, 0, 2)),
    ],
)
def test_the_display_matrix_is_applied(
    clip: bytes, matrix: tuple[int, int, int, int], seen: Callable[[Frame], Frame]
) -> None:
    """A video to be turned clockwise, around, counter-clockwise or mirrored for display gives frames that are."""
    plain = frames_at(clip, [5])[0]
    np.testing.assert_array_equal(frames_at(displayed(clip, matrix), [5])[0], seen(plain))


def test_what_is_not_there_is_said(clip: bytes, tmp_path: Path) -> None:
    """No such frame, no video and no file are errors that say so."""
    with pytest.raises(ValueError, match="has no frame 64"):
        frames_at(clip, [3, 64])
    with pytest.raises(ValueError, match=r"cannot be read \(Invalid data .*\); is it the file that was explained\?"):
        frames_at(b"no video at all", [0])
    with pytest.raises(ValueError, match="cannot be read"):
        frames_at(video(frames=4)[:600], [0])
    with pytest.raises(FileNotFoundError):
        frames_at(tmp_path / "none.mp4", [0])
    assert frames_at(clip, []) == []


def test_without_av_the_extra_is_named(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package `av` the error says what to install."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install \"\./client\[video\]\" from a checkout"):
        frames_at(clip, [0])


def test_nobody_is_sent_to_a_package_index() -> None:
    """The README and the messages install from a checkout: the package is published nowhere."""
    texts = [path.read_text("utf-8") for path in (Path("client/README.md"), *Path("client/staa_client").glob("*.py"))]
    assert not any("install staa-client" in text or 'install "staa-client' in text for text in texts)
    assert "pip install ./client " in texts[0]
    assert 'pip install "./client[video,parquet]"' in texts[0]
