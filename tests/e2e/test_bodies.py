"""What callers may send, through the front proxy to the server: answered, bounded in memory, and harmless in logs."""

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.deploy import proxies
from tests.deploy.proxies import AUTHORIZED, KEY, UNHURRIED, Proxy, parse
from tests.made import videos
from tests.made.forms import VIDEO, part
from tests.made.torchserve import Running, Server
from tests.made.waiting import until

MB = 1_000_000
LARGEST = 100_663_296  # bytes that proxy and TorchServe take
LINE = 4200  # characters that a line of a log may have: 4000, and what stands before
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def clip() -> bytes:
    """One good clip."""
    return videos.encode(videos.images(40, 96, 128), rate=25)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the server's logs."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def served(running: Running, archive: Path, logs: Path) -> Iterator[Server]:
    """Serve the default model by itself: its memory is measured."""
    with running(archive.parent, "motions", options=(f"--logs={logs}",)) as up:
        yield up


@pytest.fixture(scope="module")
def proxy(served: Server) -> Iterator[Proxy]:
    """Return a proxy before it, with places as shipped."""
    ports = [urlsplit(url).port or 0 for url in (served.inference, served.health, served.metrics)]
    with proxies.running(ports[0], health=ports[1], metrics=ports[2], limits=UNHURRIED) as up:
        yield up


def fields(size: int) -> bytes:
    """Return urlencoded fields of one letter."""
    return (b"a&" * (size // 2))[:size]


def parts(size: int) -> bytes:
    """Return a form of parts of one letter."""
    one = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n"
    return one * (size // len(one)) + b"--b--\r\n"


def repeated(unit: bytes) -> Callable[[int], bytes]:
    """Return what makes JSON of so many bytes of the same."""
    return lambda size: b'{"video":[' + unit * (size // len(unit) - 9) + b"[]]}"


BODIES: dict[str, tuple[Callable[[int], bytes], dict[str, str], set[int]]] = {
    "urlencoded": (fields, URLENCODED, {415}),
    "a form": (parts, FORM, {400}),
    "lists": (repeated(b"[],"), JSON, {400}),
    "lists of lists": (repeated(b"[[]],"), JSON, {400}),
    "empty texts": (repeated(b'"",'), JSON, {400}),
    "spaces": (lambda size: b" " * size, JSON, {400}),
    "text": (lambda size: b"\xc3\xa9" * (size // 2), {"Content-Type": "text/plain; charset=utf-8"}, {415}),
    "a boundary a line": (lambda size: b"\r\n--b" * (size // 5), FORM, {400}),
    "bytes": (bytes, {"Content-Type": "application/octet-stream"}, {413, 415}),
}


def memory(server: Server) -> dict[str, int]:
    """Return the resident memory, in bytes, of Java and of what it started."""
    family = psutil.Process(server.process.pid).children(recursive=True)
    found = {"java": 0, "worker": 0}
    for process in family:
        with contextlib.suppress(psutil.Error):
            found["java" if "java" in process.name() else "worker"] += process.memory_info().rss
    return found


@pytest.mark.parametrize("name", BODIES)
def test_memory(served: Server, proxy: Proxy, clip: bytes, name: str) -> None:
    """Eight of 4.9 MB at once, and one of 96 MiB, cost the worker less than twice a body, Java its heap; it goes on."""
    make, kind, statuses = BODIES[name]
    before, java = memory(served), psutil.Process(served.process.pid).children(recursive=True)

    def send(size: int) -> int:
        try:
            return proxy.call(body=make(size), headers=AUTHORIZED | kind, patience=120).status
        except OSError:
            return 415  # it was refused while it was sent, and did not look

    most = dict(before)
    for sizes in ([4_900_000] * 8, [LARGEST - 100]):
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(send, size) for size in sizes]
            while not all(each.done() for each in sent):
                now = memory(served)
                most = {key: max(most[key], now[key]) for key in most}
                until(lambda: True)
        assert {each.result() for each in sent} <= statuses
    assert most["worker"] - before["worker"] < 2 * LARGEST
    assert most["java"] < 1400 * MB
    assert all(process.is_running() for process in java)
    assert proxy.call(body=clip, patience=60).status == 200


def test_the_port_behind_survives_json(served: Server, clip: bytes) -> None:
    """Without the proxy, too, a body of JSON or of bytes costs the worker less than twice its size."""
    before = memory(served)
    for name in ("lists", "lists of lists", "empty texts", "bytes"):
        make, kind, statuses = BODIES[name]
        assert served.call("/predictions/motions", make(LARGEST - 100), kind).status in statuses
    assert memory(served)["worker"] - before["worker"] < 2 * LARGEST
    reply = served.call("/predictions/motions", b'{"video": "AAAA"}', URLENCODED)
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (415, "unsupported_content_type")
    assert served.call("/predictions/motions", clip).status == 200


def test_callers_text_in_logs(served: Server, proxy: Proxy, logs: Path) -> None:
    """No log has a control sign or a line without end, whatever callers send to either port."""
    hostile = "\x1b[2K\x1b]0;x\x07\x9b\u202e\r\nfake 2026-01-01 ERROR line " + "x" * 200_000
    for kind in (URLENCODED, FORM, JSON, {"Content-Type": "text/plain"}):
        for body in (hostile.encode(), b"video=%zz" + hostile.encode(), part(f'X: "{hostile}"')):
            served.call("/predictions/motions", body, kind)
            served.call("/v2/models/motions/infer", body, kind)
            proxy.call(body=body, headers=AUTHORIZED | kind, patience=60)
    served.call("/predictions/motions", part(f"{VIDEO}\r\nContent-Type: text/plain; charset={hostile[:60]}"), FORM)
    option = json.dumps({"video": "AAAA", "target": "\x1b[2K\u202e", "\x1b\n[METRICS]": 1}).encode()
    served.call("/explanations/motions", option, JSON)
    proxy.call("/explanations/motions", option, AUTHORIZED | JSON)
    for data in (
        b"GET /\x1b[2K HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G\x1bT / HTTP/1.1\r\nHost: \x1b\r\n\r\n",
        b"\x1b" * 9000,
    ):
        assert b"\x1b" not in proxy.send(data)
    start = f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    parse(proxy.send(f"{start}User-Agent: \x1b[2K\x9b\r\nContent-Length: 1\r\n\r\nv".encode("latin-1")))
    files = [served.log, proxy.folder / "error.log", proxy.folder / "tmp" / "access.log", *logs.iterdir()]
    assert len(files) >= 6
    for file in files:
        for line in file.read_text(errors="surrogateescape").split("\n"):
            assert len(line) <= LINE, (file, line[:200])
            assert all(sign.isprintable() or sign == "\t" for sign in line), (file, line[:200])
