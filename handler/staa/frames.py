"""Frames that a client sampled itself -> a Clip, within limits: the archive `application/x-staa-frames`.

It is a zip of `clip.json`, which says where the frames are from, and of one image a frame, `0.jpg`, `1.jpg` and so on:
JPEG, PNG or WebP, all of one size, which may be smaller than the source's. Only clip.json and the images that the model
is to see are unpacked, in memory; nothing that an archive says of itself is believed.
"""

import io
import json
import re
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from staa import errors, sampling
from staa.types import Clip, Scale
from staa.video import LIMITS, Limits

ABOUT = "clip.json"
FORM = f"an archive of frames (application/x-staa-frames) is a zip of {ABOUT} and 0.jpg, 1.jpg, ..., one a frame"
FORMATS = ("JPEG", "PNG", "WEBP")
EDGE = 65_535
"""Pixels of an edge of the source, at most: no codec has more."""
SCANS = 64
"""Of a JPEG: encoders write ten, each costs the time of a whole image, and an empty one ten bytes."""

_NAME = re.compile(r"(0|[1-9][0-9]{0,8})\.(jpe?g|png|webp)", re.ASCII | re.IGNORECASE)
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}  # of Pillow, 8 bits: others would be cut off
_KEYS = ("width", "height", "fps", "duration", "frames", "times")
# What zipfile and Pillow raise on bytes that are not theirs; found by mutation (tests/test_frames_fuzz.py).
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError,
    ArithmeticError, RuntimeError,
)  # fmt: skip


def packed(source: bytes) -> bool:
    """Whether the bytes are those of a zip, which no container of video is."""
    return source.startswith(b"PK\3\4")


def unpack(
    source: bytes,
    frames: int,
    start: float | None = None,
    end: float | None = None,
    limits: Limits = LIMITS,
    scale: Scale | None = None,
) -> Clip:
    """Read the frames of an archive.

    Without a segment, an archive of exactly `frames` frames is taken as it is. Else they are chosen by their times as
    those of a video are, uniformly over [start, end) seconds, or from the first to the last of them.

    Args:
        source: the archive.
        frames: number of frames wanted.
        start: start of the segment, seconds of the source; None is the first of the frames.
        end: end of the segment, seconds of the source; None is the end of the last frame.
        limits: what may be spent; `bytes` holds for the archive and for what it unpacks to, `frames` for its images.
            The length of the source costs nothing here and is not limited: it may be a stream that has run for hours.
        scale: what is done to each wanted frame as soon as it is read; None keeps them as they are.

    Raises:
        NotVideoError: the bytes are no zip with a clip.json.
        RequestError: clip.json, the names of the images, or their sizes are not as they must be.
        DecodeError: the archive is damaged, or an image cannot be read.
        TooLargeError: a limit is passed; its subclass says which.
        OptionError: the segment is none.
        NoFramesError: there is no frame in the segment.
    """
    deadline = time.monotonic() + limits.seconds
    with _opened(source, limits) as archive:
        entries = _entries(archive, limits)
        about = _About.read(_bytes(archive, entries[ABOUT]), limits)
        ordered = _ordered(entries, len(about.seconds))
        indices = about.choose(frames, start, end)
        images: dict[int, NDArray[np.uint8]] = {}
        shape: tuple[int, ...] = ()
        for index in dict.fromkeys(indices.tolist()):
            if time.monotonic() > deadline:
                msg = f"reading the frames took more than {limits.seconds:g} s: send fewer or smaller ones"
                raise errors.TooSlowError(msg)
            entry = ordered[index]
            image = _image(entry.filename, _bytes(archive, entry), limits)
            shape = shape or image.shape
            if image.shape != shape:
                (h, w), (height, width) = image.shape[:2], shape[:2]
                msg = f"{entry.filename} is {w}x{h} pixels, the frames before it are {width}x{height}: send one size"
                raise errors.RequestError(msg)
            images[index] = image if scale is None else scale(image, about.size)
    pictures = np.stack([images[index] for index in indices.tolist()])
    return Clip(pictures, about.seconds[indices], about.indices[indices], about.fps, about.duration, about.size)


@dataclass(frozen=True, slots=True)
class _About:
    """What clip.json says."""

    size: tuple[int, int]
    """(width, height) of the source, pixels."""
    fps: float
    duration: float
    indices: NDArray[np.int64]
    """(N,) ascending numbers of the frames in the source."""
    seconds: NDArray[np.float64]
    """(N,) ascending times of the frames in the source."""

    @classmethod
    def read(cls, text: bytes, limits: Limits) -> Self:
        """Check clip.json."""
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError) as error:
            msg = f"{ABOUT} cannot be read as JSON ({error}): expected an object of {', '.join(_KEYS)}"
            raise errors.RequestError(msg) from error
        given = list(facts) if isinstance(facts, dict) else []
        if sorted(given) != sorted(_KEYS):
            came = ", ".join(given)[:200] if given else f"{type(facts).__name__}"
            msg = f"{ABOUT} holds {came!r}: expected an object of exactly {', '.join(_KEYS)}"
            raise errors.RequestError(msg)
        width, height = (_whole(key, facts[key], 1, EDGE) for key in ("width", "height"))
        fps = _number("fps", facts["fps"], 1e-6, 1e6)
        duration = _number("duration", facts["duration"], 0, 1e12)
        for key in ("frames", "times"):
            _ascends(key, facts[key], limits)
        numbers, times = facts["frames"], facts["times"]
        if len(numbers) != len(times):
            msg = f"{ABOUT} has {len(numbers)} frames and {len(times)} times: expected one time a frame"
            raise errors.RequestError(msg)
        most = duration + sampling.EPSILON
        seconds = np.array([_number(f"times[{i}]", one, 0, most) for i, one in enumerate(times)])
        indices = np.array([_whole(f"frames[{i}]", one, 0, 2**53) for i, one in enumerate(numbers)], np.int64)
        return cls((width, height), fps, max(duration, float(seconds[-1])), indices, seconds)

    def choose(self, wanted: int, start: float | None, end: float | None) -> NDArray[np.int64]:
        """(wanted,) which of the frames the model sees; a client's own choice is not questioned.

        Else they are taken for the source from the first of them to the last, which is on display no longer than any
        other: a client may send a part of the source.
        """
        if start is None and end is None and len(self.seconds) == wanted:
            return np.arange(wanted)
        first, last = float(self.seconds[0]), float(self.seconds[-1])
        stop = min(self.duration, last + max(1 / self.fps, np.diff(self.seconds).max(initial=0.0)))
        if (end is not None and end <= first) or (start is not None and start >= max(stop, last)):
            segment = f"{start or 0} s to {self.duration if end is None else end} s"
            msg = f"the frames show {first:.3f} s to {stop:.3f} s, nothing of {segment}: send frames of that segment"
            raise errors.NoFramesError(msg)
        if start is None and 0 < first < stop:
            start = first
        if end is None and stop < self.duration:
            end = stop
        return sampling.choose(self.seconds, self.duration, wanted, start, end)


def _ascends(key: str, values: Any, limits: Limits) -> None:
    """Refuse what is no list of numbers that ascend, too many of them first."""
    if not isinstance(values, list) or not values:
        msg = f"{key} in {ABOUT} is {str(values)[:40]!r}: expected a list with one number a frame"
        raise errors.RequestError(msg)
    if len(values) > limits.frames:
        msg = f"the archive has {len(values)} {key}, at most {limits.frames} are taken: send fewer"
        raise errors.TooManyFramesError(msg)
    for index, value in enumerate(values):
        _number(f"{key}[{index}]", value, 0, 2**53)
        if index and value < values[index - 1]:
            msg = f"{key}[{index}] in {ABOUT} is {value}, the one before {values[index - 1]}: they must ascend"
            raise errors.RequestError(msg)


def _number(key: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:  # NaN is not, too
        msg = f"{key} in {ABOUT} is {str(value)[:40]!r}: expected a number from {least:g} to {most:g}"
        raise errors.RequestError(msg)
    return float(value)


def _whole(key: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        msg = f"{key} in {ABOUT} is {str(value)[:40]!r}: expected a whole number from {least} to {most}"
        raise errors.RequestError(msg)
    return value


@contextmanager
def _opened(source: bytes, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """Open a zip, once its directory is known to be short: zipfile makes an object of every entry."""
    if len(source) > limits.bytes:
        msg = f"the archive has more than {limits.bytes} bytes: send fewer or smaller frames"
        raise errors.TooManyBytesError(msg)
    if (listed := source.count(b"PK\1\2")) > limits.frames + 1:
        msg = f"the archive lists {listed} entries, at most {limits.frames} frames are taken: send fewer"
        raise errors.TooManyFramesError(msg)
    try:
        archive = zipfile.ZipFile(io.BytesIO(source))
    except _BROKEN as error:
        first = source[30 : 30 + int.from_bytes(source[26:28], "little")].decode(errors="replace")  # entry's name
        if first == ABOUT or _NAME.fullmatch(first):
            msg = f"the archive of frames cannot be read, is it cut off? {str(error)[:200]}"
            raise errors.DecodeError(msg) from error
        msg = f"a zip came that cannot be read: {FORM}"
        raise errors.NotVideoError(msg) from error
    with archive:
        yield archive


def _entries(archive: zipfile.ZipFile, limits: Limits) -> Mapping[str, zipfile.ZipInfo]:
    """Name -> entry; each can be unpacked within the limits as far as its header tells."""
    listed = archive.infolist()
    entries = {entry.filename: entry for entry in listed}
    if ABOUT not in entries:
        msg = f"a zip without {ABOUT} came: {FORM}"
        raise errors.NotVideoError(msg)
    for entry in listed:
        if entry.filename != ABOUT and not _NAME.fullmatch(entry.filename):
            msg = f"the archive holds {entry.filename[:80]!r}: {FORM}"
            raise errors.RequestError(msg)
        if entry.flag_bits & 1 or entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            msg = f"{entry.filename} is encrypted, or compressed in a way that is not read: store it, or deflate it"
            raise errors.RequestError(msg)
    if len(entries) < len(listed):
        raise errors.RequestError("the archive holds two entries of the same name: send each frame once")
    # zipfile unpacks no more of an entry than it states.
    if (total := sum(entry.file_size for entry in listed)) > limits.bytes:
        msg = f"the archive unpacks to {total} bytes, at most {limits.bytes} are taken: send fewer or smaller frames"
        raise errors.TooManyBytesError(msg)
    if entries[ABOUT].file_size > (most := 4096 + 128 * limits.frames):
        msg = f"{ABOUT} has {entries[ABOUT].file_size} bytes, {most} are enough for {limits.frames} frames: send less"
        raise errors.TooManyBytesError(msg)
    return entries


def _ordered(entries: Mapping[str, zipfile.ZipInfo], count: int) -> Sequence[zipfile.ZipInfo]:
    """The images in the order of their numbers, which are 0 to count - 1."""
    numbered = {int(name.split(".")[0]): entry for name, entry in entries.items() if name != ABOUT}
    if len(numbered) < len(entries) - 1:
        raise errors.RequestError("the archive holds two images of the same number: send each frame once")
    if sorted(numbered) != list(range(count)):
        missing = next((number for number in range(count) if number not in numbered), None)
        lacks = f", {missing}.jpg is missing" if missing is not None else ""
        msg = f"the archive holds {len(numbered)} images for {count} frames of {ABOUT}{lacks}: {FORM}"
        raise errors.RequestError(msg)
    return [numbered[number] for number in range(count)]


def _bytes(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Unpack an entry: as many bytes as it states."""
    try:
        with archive.open(entry) as file:
            data = file.read(entry.file_size)
    except _BROKEN as error:
        msg = f"{entry.filename} cannot be unpacked ({str(error)[:200]}): send the archive again"
        raise errors.DecodeError(msg) from error
    if len(data) != entry.file_size:
        msg = f"{entry.filename} has {len(data)} of {entry.file_size} bytes: send the whole archive"
        raise errors.DecodeError(msg)
    return data


def _image(name: str, data: bytes, limits: Limits) -> NDArray[np.uint8]:
    """Decode an image to (H, W, 3) RGB, turned as its EXIF says; its header is checked first."""
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > SCANS:
        msg = f"{name} has more than {SCANS} scans: encode it as a plain JPEG"
        raise errors.DecodeError(msg)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > limits.pixels:
                raise errors.TooManyPixelsError(_too_many(name, f"{image.width}x{image.height}", limits))
            if getattr(image, "is_animated", False) and image.format != "MPO":  # photos of phones are MPO, a JPEG first
                msg = f"{name} is animated: send each frame as an image"
                raise errors.DecodeError(msg)
            if image.mode not in _MODES:
                msg = f"{name} has pixels of the kind {image.mode}: send 8 bits a channel"
                raise errors.DecodeError(msg)
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))  # torch wants it to be writable
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise errors.TooManyPixelsError(_too_many(name, "over 89 million", limits)) from error
    except _BROKEN as error:
        why = "it is none" if isinstance(error, UnidentifiedImageError) else str(error)[:200]  # Pillow's has an address
        msg = f"{name} cannot be read as JPEG, PNG or WebP: {why}"
        raise errors.DecodeError(msg) from error


def _too_many(name: str, came: str, limits: Limits) -> str:
    return f"{name} of {came} pixels has more than {limits.pixels} pixels: scale the frames down"
