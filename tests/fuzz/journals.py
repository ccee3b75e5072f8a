"""Files of a batch's answers, damaged: a batch goes on from them, or says which file is none of its own."""

import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from staa_client import Client, StaaError
from tests.client.conftest import document, server
from tests.fuzz.documents import replaced
from tests.fuzz.kinds import Check, Finding, Kind
from tests.fuzz.mutations import mutate

FILMS = 3


@cache
def written() -> bytes:
    """Return the file of a batch that was done."""
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), None)


def run(folder: Path, before: bytes | None) -> bytes:
    """Run a batch that keeps its answers in a file with this content; return the file's content afterwards."""
    file = folder / "answers.jsonl"
    if before is not None:
        file.write_bytes(before)
    videos = [b"film %d" % number for number in range(FILMS)]
    with Client(max_retries=0, transport=httpx2.MockTransport(server())) as client:
        items = list(client.batch(videos, output=file, on_error="collect", maps="base64"))
    labels = [[guess.label for guess in item.result.predictions[:1]] for item in items if item.result is not None]
    if labels != [[document()["predictions"][0]["label"]]] * FILMS:
        raise Finding(f"the answers are {labels}, {[item.error for item in items]}")
    return file.read_bytes()


def make(chance: random.Random) -> bytes:
    """Change a line's data, or the bytes of the file."""
    data = written()
    if chance.random() < 0.5:
        return mutate(chance, data, data)
    lines: list[Any] = [json.loads(line) for line in data.splitlines()]
    number = chance.randrange(len(lines))
    lines[number] = replaced(chance, lines[number])
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


class Resumed:
    """Goes on from a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, data: bytes) -> str:
        """Run a batch from a file, and again; raise Finding for an error that does not name it, or an answer lost."""
        file = self._folder / "answers.jsonl"
        try:
            after = run(self._folder, data)
        except ValueError as error:
            if str(file) not in str(error):
                raise Finding(f"the file is not named: {error!r}") from error
            if file.read_bytes() != data:
                raise Finding("a file that is none of its own was changed") from error
            return "refused"
        except StaaError as error:
            raise Finding(f"the server is blamed for a file: {error!r}") from error
        except Finding:
            # An answer that was changed and still follows the contract is what the file says: no batch can know.
            return "another answer"
        except Exception as error:
            raise Finding(f"an error in no tree: {error!r}") from error
        if run(self._folder, after) != after:
            raise Finding("a second run changes a file that is complete")
        return "went on"


@contextmanager
def opened() -> Iterator[Check]:
    """Give the check."""
    with tempfile.TemporaryDirectory() as folder:
        yield Resumed(Path(folder))


def regressions() -> Iterator[tuple[str, bytes]]:
    """Yield what was found by hand: lines of which the answer is damaged, and none."""
    lines = written().splitlines()
    first = json.loads(lines[0])
    for name, reply in (("null", None), ("list", []), ("map", first["reply"] | {"explanation": {"joint": 1}})):
        yield name, json.dumps(first | {"reply": reply}).encode() + b"\n" + b"\n".join(lines[1:]) + b"\n"


KIND = Kind("journals", make, opened, regressions)
