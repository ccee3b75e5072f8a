"""Reads frames that a client sampled itself, the archive `application/x-staa-frames`, into a Clip, within limits.

The archive is a zip of `clip.json`, which says where in the source the frames are from, and of one image for each
frame, `0.jpg`, `1.jpg` and so on: JPEG, PNG or WebP, all of one size, which may be smaller than the source's. Only
clip.json and the images that the model will see are unpacked, in memory. What an archive states of itself is always
checked.
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
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from staa_video import errors, sampling
from staa_video.clip import LIMITS, MOST_NOTE_CHARACTERS, MOST_NOTES, Clip, Limits, Scale, bounded_notes
from staa_video.codecs import check_scans, is_jpeg
from staa_video.decoder import decode

ABOUT = "clip.json"
FORM = f"an archive of frames (application/x-staa-frames) is a zip of {ABOUT} and 0.jpg, 1.jpg, ..., one a frame"
FORMATS = ("JPEG", "PNG", "WEBP")
EDGE = 65_535
"""The most pixels of an edge of the source: no codec has more."""

_NAME = re.compile(r"(0|[1-9][0-9]{0,8})\.(jpe?g|png|webp)", re.ASCII | re.IGNORECASE)
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}  # of Pillow, 8 bits: others would be cut off
_KEYS = ("width", "height", "fps", "duration", "frames", "times")
_NOTES = "notes"  # may be missing
# What zipfile and Pillow raise on bytes that are not theirs; see test_frames_archive_fuzz.py.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError,
    ArithmeticError, RuntimeError,
)  # fmt: skip


def packed(source: bytes) -> bool:
    """Tell whether the bytes are those of a zip, which no container of video is."""
    return source.startswith(b"PK\3\4")


def clip_of(
    source: bytes | bytearray | BinaryIO,
    frames: int,
    start: float | None = None,
    end: float | None = None,
    limits: Limits = LIMITS,
    scale: Scale | None = None,
) -> Clip:
    """Read a video, or an archive of frames, whichever came, as `decoder.decode` and `unpack` do."""
    if isinstance(source, bytearray):
        source = bytes(source)
    elif not isinstance(source, bytes):
        source.seek(0)
        head = source.read(4)
        source.seek(0)
        if not packed(head):
            return decode(source, frames, start, end, limits, scale)
        source = source.read()
    return (unpack if packed(source) else decode)(source, frames, start, end, limits, scale)


def unpack(
    source: bytes,
    frames: int,
    start: float | None = None,
    end: float | None = None,
    limits: Limits = LIMITS,
    scale: Scale | None = None,
) -> Clip:
    """Read the frames of an archive.

    Without a segment, an archive of exactly `frames` frames is taken as it is. Otherwise frames are chosen by their
    times, as those of a video are: uniformly over [start, end) seconds or, without a segment, from the first to the
    last frame.

    Args:
        source: the archive.
        frames: number of frames wanted.
        start: start of the segment, seconds of the source; None is the first of the frames.
        end: end of the segment, seconds of the source; None is the end of the last frame.
        limits: what may be spent: `bytes` bounds the archive and also what it unpacks to, `frames` its images.
            `duration` is ignored: the source may be a stream that has run for hours.
        scale: applied to each wanted frame as soon as it is read; None keeps the frames as they are.

    Raises:
        NotVideoError: the bytes are no zip with a clip.json.
        RequestError: clip.json, the names of the images, or their sizes are not valid.
        DecodeError: the archive is damaged, or an image cannot be read.
        TooLargeError: the archive is over a limit; the subclass says which.
        OptionError: the segment is not valid, such as an end before the start.
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
    places = about.seconds[indices], about.indices[indices]
    return Clip(pictures, *places, about.fps, about.duration, about.size, about.notes)


@dataclass(frozen=True, slots=True)
class _About:
    """Holds what clip.json says."""

    size: tuple[int, int]
    """(width, height) of the source, pixels."""
    fps: float
    duration: float
    indices: NDArray[np.int64]
    """(N,) ascending numbers of the frames in the source."""
    seconds: NDArray[np.float64]
    """(N,) ascending times of the frames in the source."""
    notes: tuple[str, ...]
    """What the client did to the source when it decoded it."""

    @classmethod
    def read(cls, text: bytes, limits: Limits) -> Self:
        """Check the text of clip.json and return what it says; raise RequestError where it is not valid."""
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError) as error:
            msg = f"{ABOUT} cannot be read as JSON ({error}): expected an object of {', '.join(_KEYS)}"
            raise errors.RequestError(msg) from error
        given = list(facts) if isinstance(facts, dict) else []
        if sorted({*given} - {_NOTES}) != sorted(_KEYS):
            came = ", ".join(given)[:200] if given else f"{type(facts).__name__}"
            msg = f"{ABOUT} holds {came!r}: expected an object of exactly {', '.join(_KEYS)} (and {_NOTES})"
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
        seconds = np.array([_number(f"times[{i}]", second, 0, most) for i, second in enumerate(times)])
        indices = np.array([_whole(f"frames[{i}]", index, 0, 2**53) for i, index in enumerate(numbers)], np.int64)
        notes = _notes_of(facts.get(_NOTES, []))
        return cls((width, height), fps, max(duration, float(seconds[-1])), indices, seconds, notes)

    def choose(self, wanted: int, start: float | None, end: float | None) -> NDArray[np.int64]:
        """Return (wanted,) which frames the model sees: all, if there are exactly `wanted` and no segment is given.

        Otherwise they are chosen as if the source began with the first and ended with the last of them, since a client
        may send only some seconds of it. The last one is on display as long as the longest of the others.
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


def _notes_of(value: Any) -> tuple[str, ...]:
    """Return the notes; raise RequestError unless they are a short list of short printable texts."""
    texts = value if isinstance(value, list) and len(value) <= MOST_NOTES else [None]
    notes = bounded_notes(text for text in texts if isinstance(text, str))
    if list(notes) != texts:
        bounds = f"a list of up to {MOST_NOTES} different texts of 1 to {MOST_NOTE_CHARACTERS} printable characters"
        msg = f"{_NOTES} in {ABOUT} is {str(value)[:40]!r}: expected {bounds}"
        raise errors.RequestError(msg)
    return notes


def _ascends(key: str, values: Any, limits: Limits) -> None:
    """Refuse too many values, and then a value that is no list of ascending numbers."""
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
    """Open a zip, but check first that its directory is short: zipfile makes an object for every entry."""
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
    """Return the entries by name; refuse entries whose headers claim more than the limits allow."""
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
    """Return the images in the order of their numbers, which are 0 to count - 1."""
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
    """Unpack an entry; raise DecodeError unless it has the number of bytes that its header states."""
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
    """Decode an image to (H, W, 3) RGB, rotated as its EXIF says, after a check of its header."""
    if is_jpeg(data):
        check_scans(data, name)
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
