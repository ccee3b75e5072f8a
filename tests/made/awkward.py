"""Videos of the awkward kinds that people have, each with what is right of it: every picture shows its number."""

import io
import struct
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
from av.container import InputContainer
from av.stream import Disposition

from tests.made import colours
from tests.made.colours import HLG, PQ, Colours
from tests.made.shapes import clean_aperture, inserted, lying
from tests.made.videos import Image, encode, music

BARS = 10
"""Of a picture: its number, the most significant digit left, bright is 1."""
CORNERS = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [200, 200, 30]]], np.uint8)
"""(2, 2, 3) colours of the corners of every picture."""


@dataclass(frozen=True, slots=True)
class Awkward:
    """A file, and what is right of it."""

    make: Callable[[], bytes]
    shows: Sequence[int] = tuple(range(30))
    """The number that each of its frames shows; none where it is refused."""
    duration: float = 1.2
    """Seconds."""
    size: tuple[int, int] = (160, 120)
    """(width, height) as displayed."""
    refused: str = ""
    """The code of the error; "" where it is taken."""
    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)
    """(a, b, c, d): the stored point (x, y) is displayed at (a x + c y, b x + d y)."""
    notes: Sequence[str] = ()
    """How each note of the clip begins."""


def picture(number: int, height: int = 120, width: int = 160) -> Image:
    """Draw a picture that shows its number, between four colours."""
    image = np.repeat(np.repeat(CORNERS, height // 2, 0), width // 2, 1)
    for bar in range(BARS):
        bright = number >> (BARS - 1 - bar) & 1
        left, right = bar * width // BARS, (bar + 1) * width // BARS
        image[height * 3 // 8 : height * 5 // 8, left:right] = 235 if bright else 16
    return image


def number(image: Image, matrix: tuple[int, int, int, int] = (1, 0, 0, 1)) -> int:
    """Read the number that a picture shows, which is displayed by a matrix."""
    a, b, c, d = matrix
    if b:  # back to how it is stored
        image, a, d = image.transpose(1, 0, 2), b, c
    image = image[::d, ::a]
    height, width = image.shape[:2]
    bars = [image[height // 2, (2 * bar + 1) * width // (2 * BARS)].mean() > 125 for bar in range(BARS)]
    return int("".join(str(int(bright)) for bright in bars), 2)


def pictures(count: int = 30, first: int = 0, height: int = 120, width: int = 160) -> Iterable[Image]:
    """Draw pictures that show the numbers from `first` on."""
    return (picture(first + i, height, width) for i in range(count))


def film(container: str = "mp4", codec: str = "libx264", **options: Any) -> bytes:
    """Encode thirty pictures, 25 a second, with a key frame every ten; the same bytes each time."""
    coding = {"g": "10", "threads": "1", **options.pop("options", {})}
    return encode(pictures(), container, codec, **{"options": coding, "rate": 25, **options})


def varying(container: str, codec: str, pixels: str) -> bytes:
    """Encode frames whose times are apart by more and more, in an encoding that has to be counted."""
    ticks = np.cumsum([0, *(1 + i // 6 for i in range(29))]).tolist()
    return film(container, codec, pixels=pixels, ticks=ticks, options={})


def long_last() -> bytes:
    """Write a GIF of thirty frames of 0.1 s, of which the last one stays for three seconds."""
    first, *rest = (PIL.Image.fromarray(image) for image in pictures())
    target = io.BytesIO()
    first.save(target, "GIF", save_all=True, append_images=rest, duration=[100] * 29 + [3000], loop=0)
    return target.getvalue()


def palette() -> bytes:
    """Write an AVI of eight bits a pixel, whose palette travels beside the first picture."""
    target = io.BytesIO()
    with av.open(target, "w", format="avi") as output:
        stream: Any = output.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "pal8"
        for i, image in enumerate(pictures()):
            colours, places = np.unique(image.reshape(-1, 3), axis=0, return_inverse=True)
            table = np.full((256, 4), 255, np.uint8)  # alpha, red, green, blue
            table[: len(colours), 1:] = colours
            frame = av.VideoFrame.from_ndarray(
                (places.reshape(120, 160).astype(np.uint8), table),  # type: ignore[arg-type]  # so it wants pal8
                format="pal8",
            )
            frame.pts, frame.time_base = i, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue()


def many_tracks(count: int) -> bytes:
    """Write a Matroska file of a film, whose packets come among those of so many more tracks."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        tracks: list[Any] = [output.add_stream("libx264", rate=25, options={"g": "10"})]
        tracks += [output.add_stream("mpeg4", rate=25) for _ in range(count)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = (
                (160, 120, "yuv420p") if track is tracks[0] else (16, 16, "yuv420p")
            )
        for place, image in enumerate(pictures()):
            for track in tracks[: None if place < 3 else 1]:
                frame = av.VideoFrame.from_ndarray(image[: track.height, : track.width].copy(), "rgb24")
                frame.pts = place
                output.mux(track.encode(frame))
        for track in tracks:
            output.mux(track.encode(None))
    return target.getvalue()


def two_tracks(container: str = "mp4") -> bytes:
    """Write two video tracks, of which the second one, larger, is the default."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        streams: list[Any] = []
        for height, width in ((120, 160), (180, 240)):
            stream: Any = output.add_stream("libx264", rate=25, options={"g": "10"})
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            streams.append(stream)
        streams[0].disposition, streams[1].disposition = Disposition(0), Disposition.default
        for i in range(30):
            for stream, first in zip(streams, (0, 500), strict=True):
                image = picture(first + i, stream.height, stream.width)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for stream in streams:
            output.mux(stream.encode(None))
    return target.getvalue()


def cover_first() -> bytes:
    """Write an MP4 with a red cover that its header names before the track, so that it is the first stream."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as output:
        stream: Any = output.add_stream("libx264", rate=25, options={"g": "10"})
        cover: Any = output.add_stream("mjpeg", rate=1)
        stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p"
        cover.height, cover.width, cover.pix_fmt = 200, 200, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        red = av.VideoFrame.from_ndarray(np.full((200, 200, 3), (200, 0, 0), np.uint8), format="rgb24")
        output.mux(cover.encode(red.reformat(format="yuvj420p")))
        output.mux(cover.encode(None))
        for image in pictures():
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    source = target.getvalue()
    at = source.index(b"moov") - 4
    header = source[at : at + int.from_bytes(source[at : at + 4], "big")]
    boxes, place = [], 8
    while place < len(header):
        size = int.from_bytes(header[place : place + 4], "big")
        boxes.append(header[place : place + size])
        place += size
    boxes.sort(key=lambda box: (b"mvhd", b"udta", b"trak").index(box[4:8]))
    return source[:at] + header[:8] + b"".join(boxes) + source[at + len(header) :]


def displayed(source: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """Write a display matrix (a, b, c, d) into the track header of an MP4, as phones do."""

    def packed(a: int, b: int, c: int, d: int) -> bytes:
        return struct.pack(">9i", *(entry << 16 for entry in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)

    at = source.index(packed(1, 0, 0, 1), source.index(b"tkhd"))
    return source[:at] + packed(*matrix) + source[at + 36 :]


def grows() -> bytes:
    """Put a stream of larger pictures behind a stream, as a call on the web does whose sender turns the phone."""
    larger = encode(pictures(15, 15, 180, 240), "mpegts", rate=25, options={"g": "10"}, ticks=list(range(15, 30)))
    return encode(pictures(15), "mpegts", rate=25, options={"g": "10"}) + larger


def jumping(container: str, codec: str = "libx264", seconds: float = 100, **options: Any) -> bytes:
    """Encode thirty pictures, with a jump of the clock after the first fifteen."""
    ticks = [*range(15), *(number + round(seconds * 25) for number in range(15, 30))]
    return film(container, codec, ticks=ticks, **options)


def begins_again(container: str, codec: str = "libx264") -> bytes:
    """Put two recordings one behind the other, each of which has a clock of its own."""
    coding: dict[str, Any] = {"rate": 25, "options": {"g": "10", "threads": "1"}}
    return encode(pictures(15), container, codec, **coding) + encode(pictures(15, 15), container, codec, **coding)


def starts_between_keys() -> bytes:
    """Cut the begin off a transport stream, so that its first frames depend on what is not there."""
    source = film("mpegts", options={"g": "10", "bf": "0"})
    return source[len(source) // 188 // 2 * 188 :]


def damaged() -> bytes:
    """Overwrite the middle of the frames' data."""
    source = bytearray(film(options={"g": "30"}))
    middle = source.index(b"mdat") + (source.index(b"moov") - source.index(b"mdat")) // 2
    source[middle : middle + 400] = bytes(400)
    return bytes(source)


def header_first() -> bytes:
    """Write an MP4 whose header comes first, as for the web."""
    with tempfile.TemporaryDirectory() as folder:  # FFmpeg moves it in the file
        return film(file=f"{folder}/film.mp4", muxing={"movflags": "faststart"})


def exchanged_pictures(source: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Write a video anew, each packet changed."""
    target = io.BytesIO()
    with av.open(io.BytesIO(source)) as film, av.open(target, "w", format=film.format.name.split(",")[0]) as output:
        assert isinstance(film, InputContainer)
        stream = output.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(video=0):
            if packet.size:
                changed = av.Packet(change(bytes(packet)))
                changed.stream, changed.time_base, changed.is_keyframe = stream, packet.time_base, packet.is_keyframe
                changed.pts, changed.dts = packet.pts, packet.dts
                output.mux(changed)
    return target.getvalue()


def other_colours(transfer: int, *, boxed: bool = False) -> bytes:
    """Encode the pictures in BT.2020 with this transfer."""
    options = {"x265-params": "log-level=none:crf=10:keyint=10"}
    return colours.film(pictures(), Colours(transfer, options=options, boxed=boxed))


def scans_without_end() -> bytes:
    """Write a Motion JPEG whose pictures have two thousand empty scans each, behind a byte that is no part of them."""
    scans = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 2000
    plain = film("avi", "mjpeg", pixels="yuvj420p")
    return exchanged_pictures(plain, lambda jpeg: b"\0" + jpeg[:-2] + scans + jpeg[-2:])


XVID = {"g": "12", "bf": "2"}
TABLE: dict[str, Awkward] = {
    "cover_first": Awkward(cover_first),
    "second_track_default": Awkward(two_tracks, range(500, 530), size=(240, 180)),
    "second_track_of_matroska": Awkward(partial(two_tracks, "matroska"), range(500, 530), size=(240, 180)),
    "forty_tracks": Awkward(partial(many_tracks, 40)),
    "seventy_tracks": Awkward(partial(many_tracks, 70), (), refused="video_undecodable"),
    "palette": Awkward(palette),
    "rotated": Awkward(partial(film, degrees=-90), size=(120, 160), matrix=(0, 1, -1, 0)),
    "hdr_pq": Awkward(partial(other_colours, PQ), notes=["HDR (PQ) tone-mapped"]),
    "hdr_of_the_box": Awkward(partial(other_colours, PQ, boxed=True), notes=["HDR (PQ) tone-mapped"]),
    "hdr_hlg": Awkward(partial(other_colours, HLG), notes=["HDR (HLG) tone-mapped"]),
    "wide_gamut": Awkward(partial(other_colours, 14), notes=["colours of BT.2020 converted"]),
    "anamorphic": Awkward(
        lambda: film(tags={"sample_aspect_ratio": Fraction(2)}),
        size=(320, 120),
        notes=["pixels are not square: 160x120"],
    ),
    "anamorphic_and_turned": Awkward(
        lambda: displayed(film(tags={"sample_aspect_ratio": Fraction(1, 2)}), (0, 1, -1, 0)),
        size=(240, 160),
        matrix=(0, 1, -1, 0),
        notes=["pixels are not square: 160x120 shown as 160x240"],
    ),
    "clean_aperture": Awkward(
        lambda: inserted(film(), clean_aperture(Fraction(160), Fraction(100))), size=(160, 100), notes=["cropped"]
    ),
    "exif": Awkward(lambda: lying(pictures(), [5], "avi"), size=(120, 160), matrix=(0, 1, 1, 0)),
    "mirrored": Awkward(lambda: displayed(film(), (-1, 0, 0, 1)), matrix=(-1, 0, 0, 1)),
    "varying_gif": Awkward(partial(varying, "gif", "gif", "rgb8"), duration=3.44),
    "varying_vp8": Awkward(partial(varying, "webm", "libvpx", "yuv420p"), duration=3.44),
    "last_frame_of_three_seconds": Awkward(long_last, duration=5.9),
    "raw_h264": Awkward(partial(film, "h264")),
    "raw_hevc": Awkward(partial(film, "hevc", "libx265", options={"x265-params": "log-level=none:keyint=10"})),
    "b_frames_of_avi": Awkward(partial(film, "avi", "mpeg4", options=XVID)),
    "grows": Awkward(grows),
    "gap_of_100_seconds": Awkward(partial(jumping, "mpegts"), notes=["the clock jumps by 100 s after 0.6 s"]),
    "gap_of_an_hour": Awkward(
        partial(jumping, "mpegts", "mpeg2video", 3600, options={"bf": "2"}),
        notes=["the clock jumps by 3600 s after 0.6 s"],
    ),
    "gap_of_a_disc": Awkward(partial(jumping, "mpeg", "mpeg2video", 7), notes=["the clock jumps by 7.0 s after 0."]),
    "gap_of_a_broadcast": Awkward(partial(jumping, "flv", "flv1", 100), notes=["the clock jumps by 100 s after 0.6 s"]),
    "gap_since_1970": Awkward(
        partial(jumping, "matroska", seconds=40_000), notes=["the clock jumps by 40000 s after 0.6 s"]
    ),
    "gap_that_is_meant": Awkward(partial(jumping, "matroska", seconds=100), duration=101.2),
    "slide_show": Awkward(
        lambda: encode(pictures(8), "mpegts", rate=25, ticks=[1500 * i for i in range(8)]), range(8), 420.04
    ),
    "clock_begins_again": Awkward(
        partial(begins_again, "mpegts"), notes=["the clock runs back by 0.6 s after 0.6 s: the gap was closed"]
    ),
    "intra_refresh": Awkward(partial(film, "mpegts", options={"x264-params": "intra-refresh=1:keyint=10:bframes=0"})),
    "edit_list": Awkward(partial(film, ticks=list(range(-7, 23))), range(7, 30), 0.92),
    "open_groups": Awkward(
        partial(film, "matroska", options={"g": "10", "x264-params": "open-gop=1:bframes=3:b-adapt=0"})
    ),
    "interlaced": Awkward(partial(film, "mpegts", options={"x264-params": "interlaced=1:keyint=10"})),
    "fragments": Awkward(partial(film, muxing={"movflags": "frag_keyframe+empty_moov"})),
    "starts_between_keys": Awkward(starts_between_keys, range(16, 30), 0.56),
    "damaged": Awkward(damaged, (), refused="video_undecodable"),
    "cut": Awkward(lambda: header_first()[:-20], range(29), 1.16, notes=["the file is cut off after frame 29 of 30"]),
    "words_behind": Awkward(lambda: film() + b"TAGTitle of the song and so on" * 4),
    "header_cut": Awkward(lambda: header_first()[:600], (), refused="video_undecodable"),
    "unknown_codec": Awkward(lambda: film().replace(b"avc1", b"zzz1"), (), refused="video_undecodable"),
    "scans_without_end": Awkward(scans_without_end, (), refused="video_undecodable"),
    "music": Awkward(music, (), refused="not_a_video"),
    "music_with_cover": Awkward(partial(music, cover=True), (), refused="not_a_video"),
    "still_gif": Awkward(lambda: encode(pictures(1), "gif", "gif", "rgb8"), (), refused="not_a_video"),
    "text": Awkward(lambda: b"these are words " * 40, (), refused="not_a_video"),
    "nothing": Awkward(bytes, (), refused="not_a_video"),
}
"""Name -> a file."""
SHARED = Path(__file__).parents[3] / "shared" / "cases"
CASES = {
    name: case
    for name, case in {
        "animated.png": Awkward((SHARED / "animated.png").read_bytes, range(9), 0.9),
        "elementary.m2v": Awkward((SHARED / "elementary.m2v").read_bytes),
        "animated.avif": Awkward((SHARED / "animated.avif").read_bytes),
        "cover_art_first.mp4": Awkward((SHARED / "cover_art_first.mp4").read_bytes, range(50), 2.0),
        "elementary.h264": Awkward((SHARED / "elementary.h264").read_bytes, range(50), 2.0),
        "gap_100s.ts": Awkward(
            (SHARED / "gap_100s.ts").read_bytes,
            range(100),
            4.0,
            notes=["the clock jumps by 98 s"],
        ),
        "gap_5000s.ts": Awkward(
            (SHARED / "gap_5000s.ts").read_bytes, range(100), 4.0, notes=["the clock jumps by 4998 s"]
        ),
        "grows_midway.ts": Awkward((SHARED / "grows_midway.ts").read_bytes, range(100), 4.0),
        "intra_refresh.mp4": Awkward((SHARED / "intra_refresh.mp4").read_bytes, range(100), 4.0),
        "last_frame_3s.gif": Awkward((SHARED / "last_frame_3s.gif").read_bytes, range(6), 3.5),
        "hdr_hlg.mp4": Awkward((SHARED / "hdr_hlg.mp4").read_bytes, range(20), 0.8, notes=["HDR (HLG)"]),
        "hdr_pq.mp4": Awkward((SHARED / "hdr_pq.mp4").read_bytes, range(20), 0.8, notes=["HDR (PQ)"]),
        "matrix_12_of_bt709.mp4": Awkward((SHARED / "matrix_12_of_bt709.mp4").read_bytes, range(10), 0.4),
        "mjpeg_exif.avi": Awkward((SHARED / "mjpeg_exif.avi").read_bytes, range(20), 0.8),
        "palette.avi": Awkward((SHARED / "palette.avi").read_bytes, range(12), 0.48, (80, 60)),
        "second_track_default.mp4": Awkward(
            (SHARED / "second_track_default.mp4").read_bytes, range(500, 550), 2.0, (240, 180)
        ),
        "sar_2x1.mp4": Awkward(
            (SHARED / "sar_2x1.mp4").read_bytes, range(50), 2.0, (320, 120), notes=["pixels are not square"]
        ),
        "sei_rot90.mp4": Awkward(
            (SHARED / "sei_rot90.mp4").read_bytes, range(50), 2.0, (120, 160), matrix=(0, -1, 1, 0)
        ),
        "tail_cut.mp4": Awkward(
            (SHARED / "tail_cut.mp4").read_bytes, range(48), 1.92, notes=["the file is cut off after frame 48 of 50"]
        ),
        "trimmed_open_gop.mp4": Awkward((SHARED / "trimmed_open_gop.mp4").read_bytes, range(10, 48), 1.52),
        "unknown_codec.mp4": Awkward((SHARED / "unknown_codec.mp4").read_bytes, (), refused="video_undecodable"),
    }.items()
    if (SHARED / name).exists()
}
"""The same of files that other programs made, where their folder is beside this checkout."""
