"""What names a live source: a camera, a stream or a file; and that a stream's password is not shown."""

import os
from pathlib import Path

import pytest

from staa_client.watch.address import address_of, origin_of


@pytest.mark.parametrize(
    ("platform", "device", "kind"),
    [("linux", "/dev/video1", "v4l2"), ("darwin", "1:none", "avfoundation"), ("win32", "1", "dshow")],
)
def test_a_number_is_a_camera(platform: str, device: str, kind: str) -> None:
    """A camera's number is the device of the platform; options go to it."""
    address = address_of(1, {"video_size": "640x480"}, platform)
    assert (address.kind, address.name, address.device) == ("camera", device, kind)
    assert address.options["video_size"] == "640x480"


def test_an_address_is_a_stream_and_all_else_a_file() -> None:
    """Schemes of streams are streams, unknown ones are told; RTSP goes over TCP unless asked otherwise."""
    assert address_of("RTSP://host/x", {}).options["rtsp_transport"] == "tcp"
    assert address_of("rtsp://host/x", {"rtsp_transport": "udp"}).options["rtsp_transport"] == "udp"
    assert address_of("C:/clip.mp4", {}).kind == "file"
    with pytest.raises(ValueError, match="got ftp://"):
        address_of("ftp://host/x", {})
    with pytest.raises(ValueError, match="numbered from 0"):
        address_of(-1, {})


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p?ss", "p#ss", "p[ss", "p:ss"])
def test_a_stream_is_named_without_its_password(password: str) -> None:
    """A camera's address is taken with any password, opened as it is, and named without."""
    url = f"rtsp://admin:{password}@10.0.0.5/s"
    address = address_of(url, {})
    assert (address.kind, address.name, str(address)) == ("stream", url, "rtsp://10.0.0.5/s")
    assert password not in repr(address)
    assert str(address_of("srt://host:9000?passphrase=secret123", {})) == "srt://host:9000"
    assert str(address_of("/data/a:b@c?.mp4", {})) == "/data/a:b@c?.mp4"


def test_what_windows_are_of_is_said_without_a_secret(tmp_path: Path) -> None:
    """A file by its path, a camera or a stream by its address without a password, and nothing of a caller's frames."""
    file = origin_of(os.path.relpath(tmp_path / "clip.mp4"), 480)
    assert file is not None
    assert (file.name, file.video, file.longest) == ("clip.mp4", tmp_path / "clip.mp4", 480)
    stream = origin_of("rtsp://user:secret@camera/live?key=secret", 480)
    assert stream is not None
    assert (stream.name, stream.video, stream.sha256()) == ("rtsp://camera/live", None, None)
    assert origin_of(iter([]), 480) is None
