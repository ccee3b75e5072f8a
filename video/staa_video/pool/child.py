"""Decodes in a process of its own: `python -c ... LIMITS READ FILES PARENT`, started by `worker`, and by nobody else.

A child holds PyAV, numpy, Pillow and this package. It loads all that it will need, confines itself, and says that it is
ready; then it decodes one source after the other, until its parent closes the channel.
"""

import codecs
import contextlib
import ctypes
import gc
import importlib
import io
import json
import mmap
import os
import pkgutil
import socket
import sys
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import fields
from typing import Any, BinaryIO

import av
import numpy as np
import numpy.ma
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from staa_video import errors, frames_archive
from staa_video.clip import LIMITS, Clip, Limits, Scale
from staa_video.pool import confinement, messages

Read = Callable[[BinaryIO, int, float | None, float | None, Limits, Scale | None], Clip]
"""What turns a source into a clip here, as `frames_archive.clip_of` does."""
LOADED_FOR = (JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin, numpy.ma, traceback)
"""What is loaded late otherwise, when no file can be opened any more."""
ENCODINGS = (
    "ascii",
    "latin-1",
    "cp437",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-32-le",
    "utf-32-be",
)
"""Of JSON and of the names in a zip: Python loads each when it is first met."""
_NUMBER_BYTES = 6  # of a token: two pixels
_TRIMMED_OVER = 128 * 2**20


class _Stopped(Exception):  # noqa: N818 - it is no error: the parent wants no more pictures
    """Ends a job."""


def main(arguments: list[str]) -> None:
    """Be a child: the arguments are what `worker` gives."""
    limits = Limits(**json.loads(arguments[0]))
    module, _, function = arguments[1].partition(":")
    channel, source, pictures, parent = map(int, arguments[2:])
    confinement.end_with_parent(parent)
    read: Read = getattr(importlib.import_module(module), function)
    _warm()
    with contextlib.suppress(OSError):
        for standard in (0, 1, 2):  # beyond this line nothing of a caller can reach the parent's log by itself
            os.dup2(os.open(os.devnull, os.O_RDWR), standard)
    child = _Child(socket.socket(fileno=channel), os.fdopen(source, "rb"), pictures, limits, read)
    lacks = confinement.confine(limits, child.files)
    gc.collect()
    gc.freeze()
    messages.send(child.channel, {"ready": lacks})
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            child.run(messages.Job(**messages.receive(child.channel)))


class _Child:
    """Answers jobs.

    Args:
        channel: leads to the parent.
        source: the memory that the parent writes a source into.
        pictures: the number of the memory that pictures are written into, in `messages.SLOTS` slots.
        limits: the largest limits that a job can have.
        read: turns the source into a clip.
    """

    def __init__(self, channel: socket.socket, source: BinaryIO, pictures: int, limits: Limits, read: Read) -> None:
        self.channel = channel
        self._source, self._read = source, read
        self._slot = messages.slot_bytes(limits)
        self._memory = np.frombuffer(mmap.mmap(pictures, messages.SLOTS * self._slot), np.uint8)
        self._given = self._taken = 0
        self._statm = os.open("/proc/self/statm", os.O_RDONLY) if os.path.exists("/proc/self/statm") else None  # noqa: PTH110
        self._rest = self._resident()
        self._trim_heap = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self.files = [channel.fileno(), source.fileno(), pictures, self._statm or 0]

    def run(self, job: messages.Job) -> None:
        """Decode a source, and say what came of it."""
        self._given = self._taken = 0
        self._source.seek(0)
        try:
            give = _Give(self._give, whole=job.whole)
            clip = self._read(self._source, job.frames, job.start, job.end, Limits(**job.limits), give)
            answer: dict[str, Any] = {"clip": _about(clip), "pictures": [_number(token) for token in clip.frames]}
        except _Stopped:
            answer = {"stopped": True}
        except errors.StaaError as error:
            answer = {"error": error.code, "message": str(error)[:1000]}
        except MemoryError:
            answer = {"error": errors.TooMuchMemoryError.code, "message": ""}
        except Exception:  # noqa: BLE001 - the parent logs it
            answer = {"fault": traceback.format_exc()[-4000:]}
        messages.send(self.channel, answer)
        while self._taken < self._given:
            self._wait()
        gc.collect()  # containers of PyAV are freed by it alone, at times
        self._trim()

    def _give(self, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Hand a picture over; return a token in its place, (1, 2, 3), which holds its number."""
        if image.nbytes > self._slot:
            height, width = image.shape[:2]
            most = self._slot // messages.CHANNELS
            msg = f"a frame of {width}x{height} has more than {most} pixels: scale the video down"
            raise errors.TooManyPixelsError(msg)
        if self._given - self._taken >= messages.SLOTS and self._wait() == messages.STOP:
            raise _Stopped
        begin = self._given % messages.SLOTS * self._slot
        self._memory[begin : begin + image.nbytes].reshape(image.shape)[:] = image
        height, width = image.shape[:2]
        messages.send(self.channel, {"picture": self._given, "height": height, "width": width, "size": size})
        token = np.frombuffer(self._given.to_bytes(_NUMBER_BYTES, "big"), np.uint8).reshape(1, 2, 3)
        self._given += 1
        return token

    def _wait(self) -> bytes:
        self._taken += 1
        return messages.exactly(self.channel, 1)

    def _resident(self) -> int:
        """Return how many bytes of memory this process has; 0 where the system does not tell."""
        return 0 if self._statm is None else int(os.pread(self._statm, 100, 0).split()[1]) * mmap.PAGESIZE

    def _trim(self) -> None:
        """Give free memory back to the system, where a large video has left some."""
        if self._trim_heap is not None and self._resident() > self._rest + _TRIMMED_OVER:
            self._trim_heap(0)


class _Give:
    """Is the `scale` of a decoder, and says whether every pixel is wanted."""

    def __init__(self, give: Scale, *, whole: bool) -> None:
        self._give, self.whole = give, whole

    def __call__(self, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        return self._give(image, size)


def _number(token: NDArray[np.uint8]) -> int:
    return int.from_bytes(token.tobytes(), "big")


def _about(clip: Clip) -> dict[str, Any]:
    """Return every field of a clip but its pixels, as JSON has it."""
    values = {field.name: getattr(clip, field.name) for field in fields(clip) if field.name != "frames"}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def _warm() -> None:
    """Decode a little of everything once: what libraries load late is loaded then."""
    for encoding in ENCODINGS:
        codecs.lookup(encoding)
    picture = Image.new("RGB", (16, 16))
    for form in ("JPEG", "PNG", "WEBP"):
        file = io.BytesIO()
        picture.save(file, form)
        with Image.open(io.BytesIO(file.getvalue())) as image:
            np.array(image.convert("RGB"))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.jpg", bytes(100))
    with zipfile.ZipFile(file) as archive:
        archive.read("0.jpg")
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith(("__main__", "datasets")):
            importlib.import_module(module.name)
    file = io.BytesIO()
    with av.open(file, "w", "mov") as container:
        stream = container.add_stream("mpeg4", 25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for packet in [*stream.encode(av.VideoFrame(16, 16, "yuv420p")), *stream.encode(None)]:
            container.mux(packet)
    frames_archive.clip_of(io.BytesIO(file.getvalue()), 1, None, None, LIMITS, None)


if __name__ == "__main__":
    main(sys.argv[1:])
