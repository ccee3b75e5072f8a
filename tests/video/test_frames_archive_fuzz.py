"""Archives of frames with random damage: a clip or a documented error, and nothing else."""

import io
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.speed.peak_memory import peak
from staa.errors import (
    DecodeError,
    NoFramesError,
    NotVideoError,
    RequestError,
    TooLongError,
    TooManyBytesError,
    TooManyFramesError,
    TooManyPixelsError,
)
from staa_video.frames_archive import unpack
from tests.made import archives

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow warns of odd metadata, which does not matter here
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "palette": ("PNG", {"mode": "P", "transparency": b"\0\1"}),
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "photo": ("MPO", {}),
    "webp": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
}
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    1e400,
    -1e400,
    float("nan"),
    10**30,
    "",
    "1",
    [],
    {},
    [[]],
    [0],
    [0.1] * 4,
    2**63,
]
COUNT = 400
ALLOWED = (
    DecodeError, NoFramesError, NotVideoError, RequestError, TooLongError, TooManyBytesError, TooManyFramesError,
    TooManyPixelsError,
)  # fmt: skip


def image(kind: str, seed: int) -> bytes:
    """A small picture with an orientation in its EXIF."""
    form, options = KINDS[kind]
    values = dict(options)
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8))
    picture = picture.convert(str(values.pop("mode", "RGB")))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 1, "maker" * 9
    buffer = io.BytesIO()
    picture.save(buffer, form, exif=exif, **values)
    return buffer.getvalue()


def damaged(random: np.random.Generator, data: bytes) -> bytes:
    """Some bytes set, turned, cut out, repeated or made large; or the end is missing."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 6)):
        place, other = (int(one) for one in random.integers(0, max(1, len(changed)), 2))
        match random.integers(7):
            case 0:
                changed[place : place + 1] = random.bytes(1)
            case 1:
                changed[place : place + 4] = random.choice([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"])
            case 2:
                del changed[place : place + int(random.integers(1, 50))]
            case 3:
                changed[place:place] = changed[other : other + int(random.integers(1, 60))]
            case 4 if random.random() < 0.2:
                del changed[place:]
            case _:  # near the end, where the directory of a zip is
                place = max(0, len(changed) - 1 - int(random.integers(0, 300)))
                changed[place : place + 1] = random.bytes(1)
    return bytes(changed)


@pytest.mark.parametrize("what", ["archive", "images", "text", "values"])
def test_damage_never_escapes_the_tree_of_errors(what: str) -> None:
    """Damage to the zip, to its images, or to clip.json gives a clip or an error of the tree, in little memory."""
    seen: Counter[str] = Counter()

    def run() -> None:
        for seed in range(COUNT):
            seen[outcome(ruined(what, seed), seed)] += 1

    _, grown = peak(run)
    assert grown < 200e6
    assert set(seen) <= {"clip", *(error.code for error in ALLOWED)}
    assert seen["clip"] > 0
    assert seen.total() - seen["clip"] > COUNT / 4, seen


def ruined(what: str, seed: int) -> bytes:
    """An archive with this part of it changed at random."""
    random = np.random.default_rng(seed)
    images = [image(list(KINDS)[seed % len(KINDS)], number) for number in range(4)]
    facts = archives.steady(4, width=32, height=24)
    if what == "values":
        for key in random.choice(list(facts), random.integers(1, 3)):
            facts[str(key)] = ODD[random.integers(len(ODD))]
    text = json.dumps(facts).encode()
    if what == "text" and seed % 10:
        text = damaged(random, text)
    if what == "images":
        images = [damaged(random, one) if random.random() < 0.5 else one for one in images]
    source = archives.pack(text, images, method=8 * int(random.integers(2)))
    return damaged(random, source) if what == "archive" else source


def outcome(source: bytes, seed: int) -> str:
    """What an archive gives: "clip", or the code of one of the errors that a request may meet."""
    wanted, start, end = [(4, None, None), (8, None, None), (2, 0.1, 0.3)][seed % 3]
    try:
        clip = unpack(source, wanted, start, end)
    except ALLOWED as error:
        return error.code if len(str(error)) < 600 else f"a long message: {error}"
    return "clip" if len(clip.frames) == wanted else "a wrong clip"
