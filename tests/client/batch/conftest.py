"""What tests of batches share: a server that counts, small files, and what happens to files meanwhile."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq

from staa_client import Client
from tests.client.conftest import server

REFUSED = {"error": {"code": "not_a_video", "message": "noise came"}}


class CountingServer:
    """A server that counts what is under way and what was asked, is slow with some, and refuses noise."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.asked: list[bytes] = []
        self.fail_after = 10**9

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.asked.append(request.content)
            broken = len(self.asked) > self.fail_after
        time.sleep(0.03 if b"slow" in request.content else 0.002)
        with self.lock:
            self.now -= 1
        if broken:
            return httpx2.Response(500)
        if b"noise" in request.content:
            return httpx2.Response(415, json=REFUSED)
        return server()(request)


def small_files(folder: Path, count: int) -> list[Path]:
    """Write small files, every third of which is slow to answer, and return their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.mp4" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(b"slow %d" % number if number % 3 == 0 else b"fast %d" % number)
    return paths


def client(counting: CountingServer) -> Client:
    """Return a client of that server."""
    return Client(max_retries=0, transport=httpx2.MockTransport(counting))


LISTENERS: list[Callable[[str, str], None]] = []


@cache
def _listen() -> None:
    """Have the interpreter tell what is opened, renamed and locked; that cannot be taken back."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if LISTENERS and event in {"open", "os.rename", "fcntl.flock"}:
            LISTENERS[-1](event, str(arguments[0]))

    sys.addaudithook(hear)


@contextmanager
def told_of_files(listener: Callable[[str, str], None]) -> Iterator[None]:
    """Tell (event, path) of what happens to files meanwhile, in the thread where it does and before it does."""
    _listen()
    LISTENERS.append(listener)
    try:
        yield
    finally:
        LISTENERS.pop()


def sources(output: Path) -> list[str]:
    """Return the sources in a file of answers, in its order."""
    if output.suffix == ".parquet":
        return [str(name) for name in pq.read_table(output)["source"].to_pylist()]
    return [json.loads(line)["source"] for line in output.read_text().splitlines()]
