"""Archives of frames, damaged, for the processes that decode."""

import io
import json
import random
import zipfile
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.fuzz.containers import opened
from tests.fuzz.documents import odd, replaced
from tests.fuzz.kinds import Kind
from tests.fuzz.mutations import mutate
from tests.made import archives

FORMS: dict[str, dict[str, Any]] = {"PNG": {}, "JPEG": {"quality": 90}, "WEBP": {"lossless": True}, "MPO": {}}


@cache
def images(form: str) -> list[bytes]:
    """Return eight images of a format."""
    return [archives.encode(grey, form, **FORMS[form]) for grey in archives.greys(8)]


def make(chance: random.Random) -> bytes:
    """Damage an image, what clip.json says, the names, or the archive itself."""
    facts: Any = archives.steady()
    frames = list(images(chance.choice(list(FORMS))))
    names = [f"{number}.{chance.choice(['png', 'jpg', 'webp'])}" for number in range(8)]
    method = chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    which = chance.choice(["image", "facts", "json", "names", "archive", "archive"])
    if which == "image":
        number = chance.randrange(8)
        frames[number] = mutate(chance, frames[number], chance.choice(images("JPEG")))
    elif which == "facts":
        facts = replaced(chance, facts)
    elif which == "json":
        facts = mutate(chance, json.dumps(facts).encode(), b"{}[]0,")
    elif which == "names":
        names[chance.randrange(8)] = chance.choice(
            ["../7.png", "8.png", "0.jpg", "clip.json/", "7.PNG", " ", "7.exe", "-1.png"]
        )
    data = archives.pack(facts, dict(zip(names, frames, strict=True)), method=method)
    return mutate(chance, data, archives.pack(odd(chance), images("PNG"))) if which == "archive" else data


def bomb(size: int = 60_000_000) -> bytes:
    """Return an archive whose clip.json unpacks to so many zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("clip.json", "0.png"):
            archive.writestr(zipfile.ZipInfo(name), bytes(size), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def regressions() -> Iterator[tuple[str, bytes]]:
    """Yield what was found by attacks, and what a process that may load nothing more had to load."""
    yield "bomb", bomb()
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        yield encoding, archives.pack(json.dumps(archives.steady()).encode(encoding), images("PNG"))


KIND = Kind("archives", make, opened, regressions)
