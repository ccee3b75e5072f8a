"""Asks about films in every form, by both clients and by hand, and says of each answer whether it is right."""

import asyncio
import base64
import json
import random
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from benchmarks.endurance.films import SEGMENT, Film, owner, same
from benchmarks.endurance.tally import CROSSED, CUT, LATE, MALFORMED, RIGHT, WRONG, Tally
from staa_client import AsyncClient, Client, Explanation, ReplyError, Result, StaaError, contract
from staa_client.results.explanation import MAPS
from tests.deploy.proxies import AUTHORIZED, KEY

PATIENCE = 170.0
"""Seconds for an answer: longer than the proxy waits."""


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """Holds a way to the server: its address, and whom to trust there."""

    name: str
    url: str
    trust: ssl.SSLContext | bool

    def http(self) -> httpx2.Client:
        """Return an HTTP client of this way."""
        return httpx2.Client(base_url=self.url, verify=self.trust, timeout=PATIENCE, headers=AUTHORIZED)

    def client(self) -> Client:
        """Return this project's client of this way, which asks again up to twice."""
        return Client(self.url, KEY, verify=self.trust, timeout=PATIENCE)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Holds a request of one's own making, and how its reply is read."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    films: Sequence[Film]
    read: Callable[[httpx2.Response], list[Result | Explanation]]
    segment: bool = False


def raw(film: Film, chance: random.Random) -> Asked:
    """Send the file as it is."""
    explain, segment = chance.random() < 0.7, chance.random() < 0.3
    headers = {"Content-Type": "application/octet-stream"}
    if explain:
        headers["X-Staa-Maps"] = chance.choice(["json", "base64", "npz"])
    if segment and explain:
        headers |= {"X-Staa-Start": str(SEGMENT[0]), "X-Staa-End": str(SEGMENT[1])}
    path = "/explanations/motions" if explain else "/predictions/motions"
    return Asked(path, film.data, headers, [film], own, segment and explain)


def form(film: Film, chance: random.Random) -> Asked:
    """Send a form of several parts."""
    explain = chance.random() < 0.5
    request = httpx2.Request(
        "POST",
        "http://x",
        files={"video": ("film", film.data, "video/mp4")},
        data={"maps": "base64"} if explain else {},
    )
    path = "/explanations/motions" if explain else "/predictions/motions"
    return Asked(path, request.read(), {"Content-Type": request.headers["Content-Type"]}, [film], own)


def text(film: Film, chance: random.Random) -> Asked:
    """Send the video in JSON."""
    explain = chance.random() < 0.5
    body = json.dumps({"video": base64.b64encode(film.data).decode()}).encode()
    path = "/explanations/motions" if explain else "/predictions/motions"
    return Asked(path, body, {"Content-Type": "application/json"}, [film], own)


def version_1(films: Sequence[Film], chance: random.Random) -> Asked:
    """Ask about several by version 1 of KServe's protocol."""
    explain = chance.random() < 0.5
    body = json.dumps({"instances": [{"b64": base64.b64encode(film.data).decode()} for film in films]}).encode()
    path = f"/v1/models/motions:{'explain' if explain else 'predict'}"
    return Asked(path, body, {"Content-Type": "application/json"}, films, read_v1)


def version_2(films: Sequence[Film], chance: random.Random) -> Asked:
    """Ask about several by version 2 of KServe's protocol."""
    data = [base64.b64encode(film.data).decode() for film in films]
    tensor = {"name": "video", "shape": [len(data)], "datatype": "BYTES", "data": data}
    body = json.dumps({"inputs": [tensor]}).encode()
    path = f"/v2/models/motions/{chance.choice(['infer', 'explain'])}"
    return Asked(path, body, {"Content-Type": "application/json"}, films, read_v2)


def own(reply: httpx2.Response) -> list[Result | Explanation]:
    """Read a reply in this project's own form."""
    explained = reply.content[:2] == b"PK" or b'"explanation"' in reply.content
    read = contract.explanation if explained else contract.result
    return [read(200, reply.headers, reply.content)]


def read_v1(reply: httpx2.Response) -> list[Result | Explanation]:
    """Read a reply of version 1."""
    document = reply.json()
    maps = document.get("explanations", [None] * len(document["predictions"]))
    return [
        contract.of_document(body if about is None else body | {"explanation": about})
        for body, about in zip(document["predictions"], maps, strict=True)
    ]


def read_v2(reply: httpx2.Response) -> list[Result | Explanation]:
    """Read a reply of version 2."""
    tensors = {each["name"]: each for each in reply.json()["outputs"]}
    answers = []
    for number, body in enumerate(map(json.loads, tensors["reply"]["data"])):
        for name in (*MAPS, "threshold"):
            if name in tensors:
                shape, data = tensors[name]["shape"], tensors[name]["data"]
                size = len(data) // shape[0]
                part = data[number * size : (number + 1) * size]
                body["explanation"][name] = part[0] if name == "threshold" else nested(part, shape[1:])
        answers.append(contract.of_document(body))
    return answers


def nested(numbers: Sequence[float], shape: Sequence[int]) -> Any:
    """Return numbers as lists of lists of this shape."""
    if len(shape) == 1:
        return list(numbers)
    size = len(numbers) // shape[0]
    return [nested(numbers[row * size : (row + 1) * size], shape[1:]) for row in range(shape[0])]


def verdict(answers: Sequence[Result | Explanation], asked: Sequence[Film], films: Sequence[Film], **how: bool) -> str:
    """Return whether answers are right, another film's, or wrong."""
    sampled, segment = how.get("sampled", False), how.get("segment", False)
    if len(answers) != len(asked):
        return WRONG
    for answer, film in zip(answers, asked, strict=True):
        right = film.segment if segment else film.maps if isinstance(answer, Explanation) else film.labels
        if not same(answer, right, sampled=sampled):
            return CROSSED if owner(answer, films) not in {film, None} else WRONG
    return RIGHT


@dataclass
class Callers:
    """Holds what all callers share: the films, the ways to the server, and where they count."""

    films: Sequence[Film]
    ways: Sequence[Way]
    tally: Tally
    pause: float
    """The mean seconds between an answer and the next request of a caller."""
    done: threading.Event

    def by_hand(self, seed: int) -> None:
        """Ask in all forms, one after the other, until all is done."""
        chance, clients = random.Random(seed), [way.http() for way in self.ways]
        while not self.done.wait(chance.expovariate(1 / self.pause)):
            self.ask_by_hand(chance, clients[(number := chance.randrange(len(clients)))], self.ways[number].name)

    def ask_by_hand(self, chance: random.Random, http: httpx2.Client, way: str) -> None:
        """Ask once, in any form."""
        make = chance.choice([raw, raw, form, text, version_1, version_2])
        several = make in {version_1, version_2}
        asked = make(
            chance.sample(list(self.films), chance.randint(1, 3)) if several else chance.choice(self.films), chance
        )  # type: ignore[operator]
        kind, began = f"{make.__name__.replace('_', ' ')}, {way}", time.monotonic()
        body = b""
        try:
            reply = http.post(asked.path, content=asked.body, headers=asked.headers)
            body = reply.content
            if reply.status_code != httpx2.codes.OK:
                outcome = f"{reply.status_code} {code(body)}"
            else:
                outcome = verdict(asked.read(reply), asked.films, self.films, segment=asked.segment)
        except httpx2.TimeoutException:
            outcome = LATE
        except httpx2.HTTPError:
            outcome = CUT
        except (ReplyError, LookupError, ValueError, TypeError):
            outcome = MALFORMED
        self.tally.count(kind, outcome, began, [asked.body, body])

    def by_client(self, seed: int) -> None:
        """Ask by `Client`, one after the other, until all is done."""
        chance, clients = random.Random(seed), [way.client() for way in self.ways]
        while not self.done.wait(chance.expovariate(1 / self.pause)):
            number, film = chance.randrange(len(clients)), chance.choice(self.films)
            sample: Any = chance.choice(["server", "server", "client"])
            began = time.monotonic()
            try:
                ask: Any = chance.choice([clients[number].predict, clients[number].explain])
                outcome = verdict([ask(film.data, sample=sample)], [film], self.films, sampled=sample == "client")
            except Exception as error:  # noqa: BLE001  # one that is in no tree is a finding
                outcome = of_error(error)
            self.tally.count(f"Client, {self.ways[number].name}", outcome, began, [film.data])

    def by_async_client(self, seed: int) -> None:
        """Ask by `AsyncClient`, four at a time, until all is done."""
        asyncio.run(self._by_async_client(random.Random(seed)))

    async def _by_async_client(self, chance: random.Random) -> None:
        async def ask(client: AsyncClient, film: Film, way: str) -> None:
            began = time.monotonic()
            try:
                choose: Any = chance.choice([client.predict, client.explain])
                answer = await choose(film.data)
                outcome = verdict([answer], [film], self.films)
            except Exception as error:  # noqa: BLE001  # one that is in no tree is a finding
                outcome = of_error(error)
            self.tally.count(f"AsyncClient, {way}", outcome, began, [film.data])

        while not self.done.is_set():
            way = chance.choice(self.ways)
            async with AsyncClient(way.url, KEY, verify=way.trust, timeout=PATIENCE) as client:
                for _ in range(8):
                    several = chance.sample(list(self.films), 4)
                    await asyncio.gather(*(ask(client, film, way.name) for film in several))
                    await asyncio.sleep(chance.expovariate(1 / (4 * self.pause)))


def code(body: bytes) -> str:
    """Return the code of an error in the contract's form, TorchServe's type, or the start of another body."""
    try:
        document = json.loads(body)
        return str(document["error"]["code"] if "error" in document else document["type"])
    except (ValueError, LookupError, TypeError):
        return f"{body[:40]!r}"


def of_error(error: Exception) -> str:
    """Return the outcome that an error of the client stands for."""
    if isinstance(error, ReplyError) or not isinstance(error, StaaError):
        traceback.print_exception(error)
        return MALFORMED
    if error.status is not None:
        return f"{error.status} {error.code}"
    return LATE if error.code == "timed_out" else CUT
