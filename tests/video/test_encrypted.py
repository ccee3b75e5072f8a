"""An encrypted video is refused as such: by the decoder, by its users in the client, and while it is watched."""

from collections.abc import Callable
from pathlib import Path

import pytest

from staa_client.errors import StreamError
from staa_client.video import frames_at, sampled
from staa_client.watch.settings import WatchSettings
from staa_client.watch.stream import StopSignal, stream_frames
from staa_video import decode, header
from staa_video.errors import DecodeError
from tests.made.awkward import SHARED, film
from tests.made.encrypted import ENCRYPTED

FILES: dict[str, Callable[[], bytes]] = dict(ENCRYPTED)
if (SHARED / "encrypted_cenc.mp4").exists():
    FILES["encrypted_cenc.mp4"] = (SHARED / "encrypted_cenc.mp4").read_bytes


@pytest.mark.parametrize("name", FILES)
def test_the_reason_is_encryption_for_all(name: str, tmp_path: Path) -> None:
    """Whatever says that it is encrypted, and whoever asks, the message says it."""
    path = tmp_path / "film"
    path.write_bytes(FILES[name]())
    with pytest.raises(DecodeError, match="encrypted"):
        decode(path, 8)
    with pytest.raises(ValueError, match="encrypted"):
        sampled(path, 8, lambda height, width: (height, width))
    with pytest.raises(ValueError, match="encrypted"):
        frames_at(path, [0])
    with pytest.raises(StreamError, match="encrypted"):
        list(stream_frames(path, WatchSettings(latency="keep"), StopSignal()))


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "flv", "avi"])
def test_what_is_not_encrypted_is_not_taken_for_it(container: str, tmp_path: Path) -> None:
    """Plain films of each container pass, and nothing is missing at their end."""
    path = tmp_path / "film"
    path.write_bytes(film(container, "mpeg4" if container == "avi" else "libx264"))
    with path.open("rb") as file:
        assert not header.is_scrambled(file)
        assert file.tell() == 0
        file.seek(5)
        assert not header.is_cut(file)
        assert file.tell() == 5
