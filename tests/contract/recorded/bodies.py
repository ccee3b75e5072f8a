"""Bodies of the requests that are recorded: videos, archives of frames, and what is neither."""

import base64
import functools
import io
import json
import wave
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image

from tests.made import archives, videos


@functools.cache
def clip() -> bytes:
    """Return 40 frames at 25 a second, 128 x 96."""
    return videos.encode(videos.images(40, 96, 128), rate=25)


def other(**how: Any) -> bytes:
    """Return 24 frames, 96 x 80, in another container or codec."""
    return videos.encode(videos.images(24, 80, 96), rate=12, **how)


def archive(count: int = 16, changes: Mapping[str, Any] | None = None) -> bytes:
    """Return an archive of frames of 128 x 96, 10 a second."""
    images = [archives.encode(image) for image in videos.images(count, 96, 128)]
    numbers = list(range(count))
    facts = {"width": 128, "height": 96, "fps": 10.0, "duration": count / 10, "frames": numbers}
    return archives.pack({**facts, "times": [number / 10 for number in numbers], **(changes or {})}, images)


def png() -> bytes:
    """Return a picture."""
    target = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(target, "PNG")
    return target.getvalue()


def sound() -> bytes:
    """Return a second of silence as WAV."""
    target = io.BytesIO()
    with wave.open(target, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(8000)
        output.writeframes(bytes(16000))
    return target.getvalue()


def large() -> bytes:
    """Return a video whose one frame has more pixels than are taken."""
    return videos.encode([np.zeros((2304, 4112, 3), np.uint8)], codec="mpeg4")


def many() -> bytes:
    """Return a video of more frames than are taken, each of which needs all before it: the same one again and again."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        stream: Any = output.add_stream("mpeg4", rate=100, options={"g": "600", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        black = np.zeros((48, 32), np.uint8)
        packets = [bytes(stream.encode(av.VideoFrame.from_ndarray(black, format="yuv420p"))[0]) for _ in range(2)]
        for number in range(20_100):
            packet = av.Packet(packets[min(number, 1)])
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 100), number == 0
            packet.pts = packet.dts = number
            output.mux(packet)
    return target.getvalue()


def long() -> bytes:
    """Return a video of more seconds than are taken."""
    return videos.encode(videos.images(3, 48, 64), ticks=[0, 1, 700], rate=1)


def form(video: bytes | None, **fields: str) -> Callable[[], bytes]:
    """Return the maker of a multipart body."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    if video is not None:
        head = b'Content-Disposition: form-data; name="video"; filename="clip.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
        parts.insert(0, head + video)
    return lambda: b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + b"--frontier--\r\n"


def text(video: bytes) -> str:
    """Return a video in base64."""
    return base64.b64encode(video).decode()


def document(content: Any) -> Callable[[], bytes]:
    """Return the maker of a JSON body."""
    return lambda: json.dumps(content).encode()
