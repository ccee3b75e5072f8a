"""Replies of a server, damaged, for the client: each an answer or one of its errors, in bounded time and memory."""

import json
import random
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from staa_client import StaaError, contract
from tests.client.conftest import card, checked, document, encoded
from tests.fuzz.documents import replaced
from tests.fuzz.kinds import Check, Finding, Kind
from tests.fuzz.mutations import mutate

SECONDS = 5.0
GROWTH = 700e6
"""Bytes that the peak of this process may grow by."""
UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What a line on a terminal cannot show, or is governed by."""
LONG = 20_000
"""Characters of a message beyond which nobody reads it."""


@cache
def whole(encoding: str) -> bytes:
    """Return a good reply."""
    return json.dumps(card()).encode() if encoding == "card" else encoded(checked(document()), encoding)


def make(chance: random.Random) -> bytes:
    """Change a reply: its data, or its bytes."""
    encoding = chance.choice(["json", "base64", "base64", "npz", "npz", "card"])
    if chance.random() < 0.5:
        return mutate(chance, whole(encoding), whole(chance.choice(["json", "npz", "card"])))
    if encoding in {"base64", "card"}:
        return dumped(replaced(chance, json.loads(whole(encoding))))
    changed: Any = replaced(chance, checked(document()))
    try:
        return encoded(changed, encoding)
    except (KeyError, TypeError, ValueError, AttributeError):  # numpy cannot hold it
        return dumped(changed)


def dumped(data: Any) -> bytes:
    """Return data as JSON, with what JSON has not."""
    return json.dumps(data).encode()


class Reader:
    """Reads a reply in every way that the client does, and shows what it read."""

    def __init__(self) -> None:
        self._before = _peak()

    def __call__(self, data: bytes) -> str:
        """Read a reply; raise Finding where that takes long, much, or ends in another error than the client's own."""
        began, outcome = time.monotonic(), ""
        for status in (200, 422):
            for read in (contract.result, contract.explanation, contract.card):
                try:
                    answer = read(status, {"content-type": "application/json"}, data)
                    json.dumps(answer.to_dict()).encode() if hasattr(answer, "to_dict") else repr(answer)
                    outcome = "answer"
                except StaaError as error:
                    outcome = outcome or error.code[:40]
                    if len(str(error)) > LONG or UNSHOWABLE.search(str(error)):
                        raise Finding(f"a message of {len(str(error))} characters: {str(error)[:200]!r}") from error
                except Exception as error:
                    raise Finding(f"{read.__name__}: an error in no tree: {error!r}") from error
        if (spent := time.monotonic() - began) > SECONDS:
            raise Finding(f"reading took {spent:.1f} s")
        if (grown := _peak() - self._before) > GROWTH:
            self._before = _peak()
            raise Finding(f"reading took {grown / 1e6:.0f} MB")
        return outcome if outcome in {"answer", "reply_invalid"} else "error"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def opened() -> Iterator[Check]:
    """Give the check."""
    yield Reader()


def regressions() -> Iterator[tuple[str, bytes]]:
    """Yield what was found by hand: numbers and texts that are none, and arrays that state too much."""
    reply = document()
    label, clip = reply["predictions"][0], reply["clip"]
    yield "score", dumped(reply | {"predictions": [label | {"score": 1e308}]})
    yield "surrogate", dumped(reply | {"predictions": [label | {"label": "\ud800"}]})
    yield "line_feed", dumped(reply | {"predictions": [label | {"label": "a\nstaa: all is well"}]})
    yield "size", dumped(reply | {"clip": clip | {"width": 10**30, "height": 10**30}})
    yield "deep", b"[" * 200_000


KIND = Kind("replies", make, opened, regressions)
