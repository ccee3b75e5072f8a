"""Videos without a container, animated pictures, and odd structures, each with what is right of it."""

import io
import struct
from fractions import Fraction
from functools import partial
from typing import Any

import av
import numpy as np
import PIL.Image
from av.container import InputContainer

from tests.made.awkward import Awkward, film, picture, pictures
from tests.made.encrypted import matroska
from tests.made.shapes import boxed
from tests.made.videos import encode

SLOWED = ["pictures of less than 20 ms are displayed for 100 ms, as in browsers"]


def animation(kind: str, lasts: int | list[int] = 40, count: int = 30, **options: Any) -> bytes:
    """Write an animated picture by Pillow: GIF, PNG, WEBP or AVIF, its durations in milliseconds."""
    first, *rest = (PIL.Image.fromarray(image) for image in pictures(count))
    target = io.BytesIO()
    first.save(target, kind, save_all=True, append_images=rest, duration=lasts, **options)
    return target.getvalue()


def still(kind: str) -> bytes:
    """Write a still picture by Pillow."""
    target = io.BytesIO()
    PIL.Image.fromarray(picture(5)).save(target, kind)
    return target.getvalue()


def transparent() -> bytes:
    """Write an animated AVIF whose alpha is noise, which takes more bytes than its pictures."""
    rng = np.random.default_rng(0)
    first, *rest = (
        PIL.Image.fromarray(np.dstack([image, rng.integers(100, 255, image.shape[:2], np.uint8)]))
        for image in pictures()
    )
    target = io.BytesIO()
    first.save(target, "AVIF", save_all=True, append_images=rest, duration=40)
    return target.getvalue()


def with_chapters() -> bytes:
    """Write a film behind a track of noise that it names as the pictures of its chapters, and that alone is enabled."""
    target, rng = io.BytesIO(), np.random.default_rng(0)
    with av.open(target, "w", format="mov") as output:
        chapters: Any = output.add_stream("mjpeg", rate=25)
        stream: Any = output.add_stream("libx264", rate=25, options={"g": "10"})
        chapters.width, chapters.height, chapters.pix_fmt = 320, 240, "yuvj420p"
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number, image in enumerate(pictures()):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            if number % 10 == 0:
                noise = rng.integers(0, 255, (240, 320, 3), np.uint8)
                frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuvj420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(chapters.encode(frame))
        output.mux(stream.encode(None))
        output.mux(chapters.encode(None))
    source = bytearray(target.getvalue())
    first = source.index(b"tkhd")
    second = source.index(b"tkhd", first + 4)
    source[first + 7], source[second + 7] = source[first + 7] | 1, source[second + 7] & ~1
    named = boxed(b"tref", boxed(b"chap", bytes(source[first + 16 : first + 20])))
    track, movie = second - 12, source.index(b"moov") - 4
    size = int.from_bytes(source[track : track + 4], "big")
    for place in (track, movie):
        grown = int.from_bytes(source[place : place + 4], "big") + len(named)
        source[place : place + 4] = grown.to_bytes(4, "big")
    source[track + size : track + size] = named
    return bytes(source)


def as_heic(avif: bytes) -> bytes:
    """Name a still AVIF as a phone names its HEIC pictures."""
    return avif.replace(b"ftypavif", b"ftypheic", 1)


def edited(entries: list[tuple[int, int]]) -> bytes:
    """Give an MP4 of thirty frames these edits: (milliseconds, first tick or -1 for nothing)."""
    source = film(options={"g": "1", "bf": "0"})
    at = source.index(b"elst") - 4
    size = int.from_bytes(source[at : at + 4], "big")
    body = struct.pack(">II", 0, len(entries)) + b"".join(struct.pack(">IiI", *entry, 1 << 16) for entry in entries)
    return _grown(source, at, size, struct.pack(">I4s", 8 + len(body), b"elst") + body)


def _grown(source: bytes, at: int, size: int, box: bytes) -> bytes:
    """Exchange a box for another, and correct the sizes of the boxes around it."""
    changed, more = bytearray(source), len(box) - size
    for name in (b"moov", b"trak", b"edts"):
        start = source.index(name) - 4
        changed[start : start + 4] = (int.from_bytes(source[start : start + 4], "big") + more).to_bytes(4, "big")
    return bytes(changed[:at]) + box + bytes(changed[at + size :])


def attached(container: str = "matroska") -> bytes:
    """Write a film, with a cover that is attached to it."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream: Any = output.add_stream("libx264", rate=25, options={"g": "10"})
        stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p"
        cover = still("PNG")
        if container == "matroska":
            output.add_attachment("cover.png", "image/png", cover)
        for image in pictures():
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    return target.getvalue()


def shrinks() -> bytes:
    """Put smaller pictures, upright ones and larger ones behind each other in a transport stream."""
    pieces = []
    for first, (height, width) in zip(range(0, 30, 10), ((120, 160), (60, 80), (160, 120)), strict=True):
        ticks = [*range(first, first + 10)]
        pieces.append(encode(pictures(10, first, height, width), "mpegts", rate=25, options={"g": "10"}, ticks=ticks))
    return b"".join(pieces)


def repeated_times() -> bytes:
    """Write frames of which two have one time, as some phones do after a pause."""
    source = film("matroska", options={"g": "10", "bf": "0"})
    target = io.BytesIO()
    with av.open(io.BytesIO(source)) as given, av.open(target, "w", format="matroska") as output:
        assert isinstance(given, InputContainer)
        stream = output.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(video=0)):
            if packet.size:
                packet.stream = stream
                packet.time_base = Fraction(1, 1000)
                packet.pts = packet.dts = 40 * (number - (number == 20))
                output.mux(packet)
    return target.getvalue()


HIDDEN = {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "30", "b": "200k"}
SVT = {"preset": "8", "crf": "15"}
SEVERAL = [(400, 0), (400, 10 * 512), (400, 20 * 512)]
FORMATS: dict[str, Awkward] = {
    "raw_mpeg1": Awkward(partial(film, "mpeg1video", "mpeg1video", options={"bf": "2"})),
    "raw_mpeg2": Awkward(partial(film, "mpeg2video", "mpeg2video", options={"bf": "2"})),
    "raw_mpeg4": Awkward(partial(film, "m4v", "mpeg4")),
    "raw_jpegs": Awkward(partial(film, "mjpeg", "mjpeg", pixels="yuvj420p")),
    "raw_av1": Awkward(partial(film, "obu", "libsvtav1", options=SVT)),
    "ivf_of_av1": Awkward(partial(film, "ivf", "libsvtav1", options=SVT)),
    "ivf_of_vp8": Awkward(partial(film, "ivf", "libvpx")),
    "ivf_of_vp9": Awkward(partial(film, "ivf", "libvpx-vp9")),
    "y4m": Awkward(partial(film, "yuv4mpegpipe", "wrapped_avframe")),
    "apng": Awkward(partial(animation, "PNG")),
    "apng_of_ffmpeg": Awkward(partial(film, "apng", "apng", pixels="rgb24")),
    "apng_whose_last_frame_stays": Awkward(partial(animation, "PNG", [40] * 29 + [1000]), duration=2.16),
    "apng_with_another_first_picture": Awkward(
        partial(animation, "PNG", default_image=True), range(1, 30), duration=1.16
    ),
    "apng_of_10_ms": Awkward(partial(animation, "PNG", 10), duration=3.0, notes=SLOWED),
    "gif_of_10_ms": Awkward(partial(animation, "GIF", 10), duration=3.0, notes=SLOWED),
    "gif_of_20_ms": Awkward(partial(animation, "GIF", 20), duration=0.6),
    "gif_with_bytes_behind": Awkward(lambda: animation("GIF") + b"\r\n"),
    "webp": Awkward(partial(animation, "WEBP", lossless=True)),
    "webp_whose_last_frame_stays": Awkward(
        partial(animation, "WEBP", [40] * 29 + [1000], lossless=True), duration=2.16
    ),
    "webp_of_10_ms": Awkward(partial(animation, "WEBP", 10), duration=3.0, notes=SLOWED),
    "webp_of_no_time": Awkward(partial(animation, "WEBP", [0, 40] * 15), duration=2.1, notes=SLOWED),
    "avif": Awkward(partial(animation, "AVIF")),
    "avif_with_alpha": Awkward(transparent),
    "pictures_of_chapters": Awkward(with_chapters),
    "still_png": Awkward(partial(still, "PNG"), (), refused="not_a_video"),
    "still_apng": Awkward(lambda: encode(pictures(1), "apng", "apng", "rgb24"), (), refused="not_a_video"),
    "still_jpeg": Awkward(partial(still, "JPEG"), (), refused="not_a_video"),
    "still_webp": Awkward(partial(still, "WEBP"), (), refused="not_a_video"),
    "still_avif": Awkward(partial(still, "AVIF"), (), refused="not_a_video"),
    "still_heic": Awkward(lambda: as_heic(still("AVIF")), (), refused="not_a_video"),
    "webp_of_16_bytes": Awkward(lambda: b"RIFF\x08\0\0\0WEBPVP8X", (), refused="video_undecodable"),
    "webp_cut": Awkward(lambda: animation("WEBP", lossless=True)[:200], (), refused="video_undecodable"),
    "several_edits": Awkward(lambda: edited(SEVERAL)),
    "edit_that_leaves_out": Awkward(lambda: edited([(400, 0), (400, 20 * 512)]), [*range(10), *range(20, 30)], 0.8),
    "edit_that_waits": Awkward(lambda: edited([(1000, -1), (1200, 0)])),
    "varying_ts": Awkward(partial(film, "mpegts", ticks=[*range(28), 29, 31], options={"bf": "3"}), duration=1.28),
    "filled_up": Awkward(lambda: film("mpegts") + bytes(2**20)),
    "varying_flv": Awkward(partial(film, "flv", ticks=[*range(28), 29, 31], options={"bf": "3"}), duration=1.28),
    "negative_offsets": Awkward(
        partial(film, options={"g": "10", "bf": "2"}, muxing={"movflags": "negative_cts_offsets"})
    ),
    "sound_encrypted": Awkward(partial(matroska, 2)),
    "cover_attached": Awkward(attached),
    "shrinks_and_turns": Awkward(shrinks),
    "times_twice": Awkward(repeated_times),
    "hidden_frames_of_vp8": Awkward(partial(film, "webm", "libvpx", options=HIDDEN)),
    "hidden_frames_of_vp9": Awkward(partial(film, "webm", "libvpx-vp9", options=HIDDEN)),
    "fields": Awkward(partial(film, "mpegts", "mpeg2video", options={"flags": "+ildct+ilme", "top": "1"})),
    "b_frames_of_h264_in_avi": Awkward(partial(film, "avi", options={"g": "10", "bf": "2"})),
    "epoch": Awkward(partial(film, "matroska", ticks=[25 * 2_000_000 + i for i in range(30)])),
}
"""Name -> a file."""
