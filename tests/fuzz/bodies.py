"""Bodies of requests, damaged, for the reader of the handler: each a request or an error that is the caller's."""

import json
import random
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

from staa.errors import StaaError
from staa.serving import wire
from tests.fuzz import requests
from tests.fuzz.documents import replaced
from tests.fuzz.kinds import Check, Finding, Kind
from tests.fuzz.mutations import mutate

TYPES = (
    "application/json; charset=utf-8",
    "application/json; charset=utf-16",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    'multipart/form-data; boundary="b"',
    "application/x-www-form-urlencoded",
    "video/mp4",
    "",
    "text/plain; charset=%1b[2K",
    "application/x-staa-frames",
    "multipart/mixed; boundary=b",
)
NAMES = (
    "x-staa-maps",
    "X-Staa-Top-K",
    "X-Staa-Start",
    "X-Staa-Method",
    "X-Staa-Verify",
    "X-Staa-Explain-When",
    "X-Staa-Refine",
    "X-Staa-Describe",
    "X-Staa-Target",
)
VALUES = (
    "npz",
    "json",
    "1",
    "-1",
    "1e999",
    "nan",
    "true",
    "x" * 300,
    "\x1b[2K",
    "staa",
    "\xe9",
    "[1]",
    "0.5",
    "score_below=0.5;label_in=0",
)
SECONDS = 3.0
GROWTH = 400e6
"""Bytes that the peak of this process may grow by."""


def make(chance: random.Random) -> bytes:
    """Damage a body, or say another type of it: a line of headers as JSON, then the body."""
    content, body = chance.choice(list(requests.bodies().values()))
    if content == "application/json" and chance.random() < 0.6:
        body = json.dumps(replaced(chance, json.loads(body)), ensure_ascii=chance.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )
    elif chance.random() < 0.8:
        body = mutate(chance, body, chance.choice(list(requests.bodies().values()))[1])
    headers = {"Content-Type": chance.choice(TYPES) if chance.random() < 0.2 else content}
    if chance.random() < 0.3:
        headers[chance.choice(NAMES)] = chance.choice(VALUES)
    return json.dumps(headers).encode() + b"\n" + body


def check(data: bytes) -> str:
    """Read a body; raise Finding where that takes long or much, or ends in an error that is not the caller's."""
    line, _, body = data.partition(b"\n")
    headers = json.loads(line)
    before, began = _peak(), time.monotonic()
    outcome = "read"
    for explain in (False, True):
        try:
            read = wire.read({"body": bytearray(body)}, headers, explain=explain)
        except StaaError as error:
            outcome = error.code
            if error.status >= 500 or len(str(error)) > 2000:
                raise Finding(f"{error.status} {error.code}: {str(error)[:300]!r}") from error
        except Exception as error:
            raise Finding(f"an error in no tree: {error!r}") from error
        else:
            if not read.videos:
                raise Finding("a request without videos, and no error")
    if (spent := time.monotonic() - began) > SECONDS:
        raise Finding(f"reading took {spent:.1f} s")
    if (grown := _peak() - before) > GROWTH:
        raise Finding(f"reading took {grown / 1e6:.0f} MB")
    return outcome


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def opened() -> Iterator[Check]:
    """Give the check."""
    yield check


def regressions() -> Iterator[tuple[str, bytes]]:
    """Yield what was found by attacks: very many fields, parts, lists and letters, in few bytes."""
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    many = {
        "fields": ("application/x-www-form-urlencoded", b"a&" * 2_000_000),
        "parts": ("multipart/form-data; boundary=b", part * 60_000 + b"--b--\r\n"),
        "lists": ("application/json", b'{"video": [' + b"[[]]," * 1_000_000 + b"0]}"),
        "deep": ("application/json", b"[" * 3_000_000),
        "number": ("application/json", b'{"top_k": ' + b"9" * 3_000_000 + b"}"),
        "keys": ("application/json", b"{" + b",".join(b'"%d":0' % n for n in range(300_000)) + b"}"),
        "no_base64": ("application/json", b'{"video": "' + b"x" * 8_000_000 + b'"}'),
    }
    for name, (content, body) in many.items():
        yield name, json.dumps({"Content-Type": content}).encode() + b"\n" + body


KIND = Kind("bodies", make, opened, regressions)
