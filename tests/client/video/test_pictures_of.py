"""Frames by their number."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx2
import numpy as np
import pytest

from staa import prepare
from staa_client import Client
from staa_client.video import Frame, frames_at, pictures_of
from tests.client.conftest import server
from tests.made.videos import UPRIGHT, disc_at, displayed, moving_disc


def test_a_frame_is_the_one_of_its_number(clip: bytes) -> None:
    """Frame n shows the object where it is in frame n of the source, in the order asked for, repeats too."""
    numbers = [60, 0, 33, 33]
    frames = frames_at(clip, numbers)
    assert [frame.shape for frame in frames] == [(240, 320, 3)] * 4
    for number, frame in zip(numbers, frames, strict=True):
        rows, columns = np.nonzero(frame.astype(int)[..., 0] > 200)
        x, y = disc_at(number / 64 * 16)
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
    with pytest.raises(ValueError, match=r"cannot be read \(no video .*\); is it the file that was explained\?"):
        frames_at(b"no video at all", [0])
    with pytest.raises(ValueError, match="cannot be read"):
        frames_at(moving_disc(frames=4)[:600], [0])
    with pytest.raises(FileNotFoundError):
        frames_at(tmp_path / "none.mp4", [0])
    assert frames_at(clip, []) == []


def test_without_av_the_extra_is_named(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra `video` the error says what to install."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install ./video \"\./client\[video\]\" from a checkout"):
        frames_at(clip, [0])


def test_nobody_is_sent_to_a_package_index() -> None:
    """The README and the messages install from a checkout: the package is published nowhere."""
    texts = [path.read_text("utf-8") for path in (Path("client/README.md"), *Path("client/staa_client").glob("*.py"))]
    assert not any("install staa-client" in text or 'install "staa-client' in text for text in texts)
    assert "pip install ./client " in texts[0]
    assert 'pip install ./video "./client[cli,video,parquet]"' in texts[0]


def test_a_pipe_is_read_once(clip: bytes, tmp_path: Path) -> None:
    """A named pipe gives the frames of what comes through it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(clip,), daemon=True)
    writer.start()
    np.testing.assert_array_equal(frames_at(pipe, [40])[0], frames_at(clip, [40])[0])
    writer.join(5)


def test_frames_of_extreme_shape_are_refused_as_by_the_server() -> None:
    """A frame of 2 rows that the model's size would make millions of columns wide is refused before it is resized."""
    images = np.zeros((3, 2, 65000, 3), np.uint8)
    with Client(transport=httpx2.MockTransport(server())) as staa:
        with pytest.raises(ValueError, match=r"frames of 65000x2 become \d+x96 for this model, over 2359296 pixels"):
            staa.predict(images)
        with pytest.raises(ValueError, match=r"frames of 2x65000 become 96x\d+ for this model"):
            staa.predict(images.transpose(0, 2, 1, 3))


def test_the_bound_of_a_frame_is_the_server_s() -> None:
    """Both ends refuse the same frames."""
    assert pictures_of.MAX_RESIZED_PIXELS == prepare.MAX_RESIZED_PIXELS
