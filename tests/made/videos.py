"""Small videos for tests, made by PyAV: any container, codec, group size, times and display matrix."""

import io
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import InputContainer, OutputContainer
from av.stream import Disposition
from numpy.typing import NDArray

Image = NDArray[np.uint8]
CLIPS = Path(__file__).parents[3] / "shared" / "clips"


def real(name: str) -> Path:
    """Give the path of a real clip, or skip the test that wants it, saying so."""
    path = CLIPS / name
    if not path.exists():
        pytest.skip(f"the real clip {name} is not in ../shared/clips")
    return path


def images(count: int, height: int = 48, width: int = 64) -> Iterable[Image]:
    """Yield (height, width, 3) frames, each of another grey, with a bright square that moves."""
    for i in range(count):
        image = np.full((height, width, 3), 40 + i * 7 % 120, np.uint8)
        x = i * 3 % (width - 12)
        image[10:22, x : x + 12] = 230
        yield image


@contextmanager
def writing(
    target: str | io.BytesIO, container: str, muxing: dict[str, str] | None = None
) -> Iterator[OutputContainer]:
    """Open a container to be written; afterwards no thread of this process has real-time priority.

    Run by root, SVT-AV1 gives that to itself and to its caller, for good: everything else on the machine then waits.
    """
    try:
        with av.open(target, "w", format=container, options=muxing or {}) as output:
            yield output
    finally:
        if hasattr(os, "sched_setscheduler"):
            for thread in Path("/proc/self/task").iterdir():
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))


def encode(
    frames: Iterable[Image],
    container: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    ticks: Sequence[int] | None = None,
    rate: int = 30,
    degrees: int = 0,
    sound: str | None = None,
    tags: dict[str, Any] | None = None,
    file: str | io.BytesIO | None = None,
    muxing: dict[str, str] | None = None,
) -> bytes:
    """Encode frames: `ticks` are times in units of 1/rate, `degrees` the display rotation, `sound` an audio codec."""
    target = io.BytesIO() if file is None else file
    with writing(target, container, muxing) as output:
        stream: Any = output.add_stream(codec, rate=rate, options=options or {})
        stream.pix_fmt = pixels
        stream.codec_context.time_base = Fraction(1, rate)
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if degrees:
            stream.set_display_rotation(degrees)
        audio: Any = output.add_stream(sound, rate=44100) if sound else None
        for i, image in enumerate(frames):
            if i == 0:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                format=pixels,
                dst_colorspace=(tags or {}).get("colorspace"),
                dst_color_range=(tags or {}).get("color_range"),
            )
            frame.pts, frame.time_base = i if ticks is None else ticks[i], Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio:
            _silence(output, audio)
    return target.getvalue() if isinstance(target, io.BytesIO) else Path(target).read_bytes()


def music(container: str = "mp4", codec: str = "aac", *, cover: bool = False) -> bytes:
    """Encode a second of silence, with a cover picture or without."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        audio: Any = output.add_stream(codec, rate=44100)
        if cover:
            picture: Any = output.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            image = av.VideoFrame.from_ndarray(next(iter(images(1))), format="rgb24")
            output.mux(picture.encode(image.reformat(format="yuvj420p")))
            output.mux(picture.encode(None))
        _silence(output, audio)
    return target.getvalue()


def _silence(output: OutputContainer, stream: Any) -> None:
    for i in range(40):
        frame = av.AudioFrame("s16", "stereo", 1024)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.sample_rate, frame.pts = 44100, i * 1024
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def everything(source: bytes) -> tuple[list[Image], list[int | None]]:
    """Decode every frame in order, the plain way: RGB images, and their times in time base units."""
    container = av.open(io.BytesIO(source))
    assert isinstance(container, InputContainer)
    with container:
        frames = list(container.decode(video=0))
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames], [
            frame.pts for frame in frames
        ]


STEPS = 16  # of the disc's way


def disc_at(step: float) -> tuple[float, float]:
    """Return where the bright disc of `moving_disc` is at a step, 0 to 15: x, y in pixels of the 320x240 source."""
    return 90 + 9 * step, 70 + 7 * step


def moving_disc(width: int = 320, height: int = 240, frames: int = 64, fps: int = 8) -> bytes:
    """Return an mp4 of textured background and one bright disc that moves."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(40, 130, (height // 20 + 1, width // 20 + 1, 3)).astype(np.uint8)
    back = np.kron(coarse, np.ones((20, 20, 1), np.uint8))[:height, :width]
    rows, columns = np.mgrid[:height, :width]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            picture = back.copy()
            x, y = disc_at(index / frames * STEPS)
            picture[(columns - x * width / 320) ** 2 + (rows - y * height / 240) ** 2 < 15**2] = (250, 240, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def remuxed(clip: bytes, path: Path) -> None:
    """Write the same packets in the container of the path's ending."""
    with av.open(io.BytesIO(clip), "r") as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)


UPRIGHT = (1, 0, 0, 1)


def displayed(data: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """The same mp4 with a display matrix (a, b, c, d) in its track header, as phones write it."""

    def packed(a: int, b: int, c: int, d: int) -> bytes:
        return struct.pack(">9i", *(part << 16 for part in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)

    at = data.index(packed(*UPRIGHT), data.index(b"tkhd"))
    return data[:at] + packed(*matrix) + data[at + 36 :]


def beeping(
    frames: int = 60, rate: int = 30, at: float = 1.0, container: str = "mp4", codec: str = "aac", hertz: int = 48_000
) -> bytes:
    """Return a video of `frames` frames whose sound is silent up to a beep of 0.2 s at a second."""
    target = io.BytesIO()
    with writing(target, container) as output:
        stream: Any = output.add_stream("libx264", rate=rate)
        stream.pix_fmt, stream.height, stream.width = "yuv420p", 48, 64
        audio: Any = output.add_stream(codec, rate=hertz)
        for image in images(frames):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
        seconds = np.arange(frames * hertz // rate) / hertz
        wave = np.sin(seconds * 2 * np.pi * 440) * ((seconds >= at) & (seconds < at + 0.2)) * 0.5
        for start in range(0, len(wave), 1024):
            samples = np.repeat(wave[None, start : start + 1024], 2, axis=0).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = hertz, start
            output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return target.getvalue()
