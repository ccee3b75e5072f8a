"""Requests that were found to stall or end a server, or are of their kind: videos, forms and JSON."""

import json
from collections.abc import Callable
from functools import partial

from benchmarks.endurance.faults import Attack
from tests.made import hostile

OCTETS = {"Content-Type": "application/octet-stream"}
PATH = "/explanations/motions"
NAMED = b'--x\r\nContent-Disposition: form-data; name="a"\r\n'
LARGE = 4_900_000
"""Bytes that the proxy does not yet count as large."""


def fields() -> bytes:
    """Return a form of very many fields of a letter each."""
    return b"a&" * (LARGE // 2)


def parts(count: int) -> bytes:
    """Return a form of so many parts."""
    return (NAMED + b"\r\nb\r\n") * count + b"--x--\r\n"


def brackets(size: int) -> bytes:
    """Return JSON of so many bytes, of lists in lists."""
    return b'{"video": [' + b",".join([b"[[]]"] * (size // 5)) + b"]}"


def bomb(size: int) -> bytes:
    """Return JSON whose video is so many letters that are no base64."""
    return json.dumps({"video": "x" * size}).encode()


BODIES: dict[str, tuple[Callable[[], bytes], dict[str, str]]] = {
    "form of 2.4 million fields": (fields, {"Content-Type": "application/x-www-form-urlencoded"}),
    "form of 60,000 parts": (partial(parts, 60_000), {"Content-Type": "multipart/form-data; boundary=x"}),
    "form without a boundary": (partial(parts, 2), {"Content-Type": "multipart/form-data"}),
    "part without a name": (
        lambda: b"--x\r\nContent-Disposition: form-data\r\n\r\nb\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    ),
    "part of an unknown charset": (
        lambda: NAMED + b"Content-Type: text/plain; charset=%1b[2K\r\n\r\nb\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    ),
    "JSON of a million lists": (partial(brackets, LARGE), {"Content-Type": "application/json"}),
    "JSON, 30 MB of lists": (partial(brackets, 30_000_000), {"Content-Type": "application/json"}),
    "JSON, deep": (lambda: b"[" * 1_000_000, {"Content-Type": "application/json"}),
    "JSON, no base64": (partial(bomb, LARGE), {"Content-Type": "application/json"}),
    "content type of nobody": (lambda: b"x" * 100, {"Content-Type": "text/html"}),
}
"""What a body does -> the function that makes it, and the headers."""


def attacks() -> list[Attack]:
    """Return all attacks; that takes some seconds."""
    videos = [(name, PATH, make(), OCTETS) for name, make in hostile.KINDS.items()]
    bodies = [(name, PATH, make(), headers) for name, (make, headers) in BODIES.items()]
    return [*videos, *bodies]
