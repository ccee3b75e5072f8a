"""What goes wrong while a server works: processes killed and stopped, a full disk, callers that misbehave."""

import contextlib
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import httpx2
import psutil

from benchmarks.endurance.callers import Callers, Way, raw
from benchmarks.endurance.films import Film
from benchmarks.endurance.served import Served
from benchmarks.endurance.tally import Tally
from tests.deploy.proxies import KEY

AFTER = 2.0
"""Seconds after a fault is over that are still counted as its own."""
AT_ONCE = 60
"""Requests of a burst."""


@dataclass
class Faults:
    """Holds what faults need."""

    served: Served
    callers: Callers
    tally: Tally
    done: threading.Event

    def of_server(self, seed: int, every: float, until: float) -> None:
        """Do a fault to the server every so many seconds, each kind once a round, until a time or all is done."""
        chance = random.Random(seed)
        kinds: list[Callable[[], None]] = []
        while not self.done.wait(every) and time.monotonic() < until:
            if not kinds:
                kinds = [
                    partial(self.kill, "worker"),
                    partial(self.kill, "worker"),
                    partial(self.kill, "frontend"),
                    self.stop_worker,
                    partial(self.kill, "decoders"),
                    partial(self.kill, "decoders"),
                    self.fill_disk,
                    self.burst,
                ]
                chance.shuffle(kinds)
            with contextlib.suppress(psutil.NoSuchProcess):
                kinds.pop()()

    def kill(self, role: str) -> None:
        """End a process by SIGKILL, and wait until the server is ready again."""
        members = self.served.members()[role]
        if not members:
            return
        with self.tally.fault(f"{role} killed"):
            random.choice(members).kill()
            time.sleep(1)
            self.served.wait()
            time.sleep(AFTER)

    def stop_worker(self) -> None:
        """Stop the worker by SIGSTOP for some seconds."""
        with self.tally.fault("worker stopped for 8 s"):
            for member in self.served.members()["worker"]:
                member.suspend()
                try:
                    time.sleep(8)
                finally:
                    member.resume()
            time.sleep(AFTER)

    def fill_disk(self) -> None:
        """Fill the file system of the server's and the proxy's temporary files for some seconds."""
        file = self.served.temporary / "filled"
        if not self.served.temporary.is_mount():
            return
        with self.tally.fault("disk full for 8 s"):
            try:
                with contextlib.suppress(OSError), file.open("wb", buffering=0) as full:
                    while full.write(bytes(1 << 20)):
                        pass
                time.sleep(8)
            finally:
                file.unlink()
            time.sleep(AFTER)

    def burst(self) -> None:
        """Send many requests at once, more than are let in."""
        with self.tally.fault(f"burst of {AT_ONCE}"), ThreadPoolExecutor(AT_ONCE) as pool:

            def ask(seed: int) -> None:
                way = self.callers.ways[seed % len(self.callers.ways)]
                with way.http() as http:
                    self.callers.ask_by_hand(random.Random(seed), http, way.name)

            list(pool.map(ask, range(AT_ONCE)))

    def of_callers(self, seed: int, pause: float) -> None:
        """Misbehave as callers do, again and again, until all is done."""
        chance = random.Random(seed)
        while not self.done.wait(chance.expovariate(1 / pause)):
            misbehave = chance.choice([drip, half_body, half_body, leave, leave, leave, half_head])
            way, film = chance.choice(self.callers.ways), chance.choice(self.callers.films)
            name = (misbehave.__doc__ or "").split(".")[0].lower()
            with self.tally.fault(f"caller: {name}"), contextlib.suppress(OSError):
                misbehave(way, film, chance)


def connected(way: Way) -> socket.socket:
    """Open a connection of a way."""
    parts = urlsplit(way.url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)
    if isinstance(way.trust, ssl.SSLContext):
        return way.trust.wrap_socket(connection, server_hostname=parts.hostname)
    return connection


def head(film: Film, path: str = "/explanations/motions") -> bytes:
    """Return the head of a request with a film."""
    lines = [f"POST {path} HTTP/1.1", "Host: soak", f"Authorization: Bearer {KEY}"]
    lines += ["Content-Type: application/octet-stream", f"Content-Length: {len(film.data)}", "", ""]
    return "\r\n".join(lines).encode()


def drip(way: Way, film: Film, chance: random.Random) -> None:
    """Sends a body a few bytes at a time. It is given up before its end."""
    with connected(way) as connection:
        connection.sendall(head(film))
        for place in range(20):
            connection.sendall(film.data[100 * place : 100 * place + 100])
            time.sleep(chance.random())


def half_body(way: Way, film: Film, chance: random.Random) -> None:
    """Sends half of a body and leaves."""
    with connected(way) as connection:
        connection.sendall(head(film) + film.data[: chance.randrange(len(film.data))])


def half_head(way: Way, film: Film, chance: random.Random) -> None:
    """Sends half of a head and leaves."""
    with connected(way) as connection:
        whole = head(film)
        connection.sendall(whole[: chance.randrange(len(whole))])


def leave(way: Way, film: Film, chance: random.Random) -> None:
    """Leaves before the answer."""
    asked = raw(film, chance)
    with way.http() as http, contextlib.suppress(httpx2.HTTPError):
        http.post(asked.path, content=asked.body, headers=asked.headers, timeout=chance.uniform(0.01, 0.4))


Attack = tuple[str, str, bytes, dict[str, str]]
"""Name, path, body and headers."""


def attack(tally: Tally, way: Way, attacks: Sequence[Attack], seed: int, pause: float, done: threading.Event) -> None:
    """Send attacks, each once a round, until all is done, and count what becomes of them."""
    chance, left = random.Random(seed), list[Attack]()
    while not done.wait(chance.expovariate(1 / pause)):
        if not left:
            left = list(attacks)
            chance.shuffle(left)
        name, path, body, headers = left.pop()
        began = time.monotonic()
        with tally.fault(f"attack: {name}"):
            try:
                with way.http() as http:
                    reply = http.post(path, content=body, headers=headers)
                outcome = str(reply.status_code)
            except httpx2.HTTPError as error:
                outcome = f"cut ({type(error).__name__})"
        tally.count_attack(name, outcome, began)
