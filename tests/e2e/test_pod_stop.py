"""A pod's stop: server and proxy are asked at the same time, and what is only half sent is answered all the same."""

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import KEY, Proxy, parse
from tests.made import videos
from tests.made.programs import free_ports
from tests.made.torchserve import FLAGS, Running, Server
from tests.made.waiting import until

QUIET = 3  # seconds; the pod has 7


@pytest.fixture
def pod(running: Running, archive: Path) -> Iterator[tuple[Server, Proxy]]:
    """Return a server and the proxy beside it, each with the other's port, as in a pod."""
    ports = free_ports(len(FLAGS))
    same = tuple(f"{flag}={number}" for flag, number in zip(FLAGS, ports, strict=True))
    with proxies.running(ports[0], health=ports[3]) as proxy:
        options = (*same, f"--front={proxy.port}", f"--quiet={QUIET}", "--drain=60")
        with running(archive.parent, "motions", options=options) as server:
            yield server, proxy


def test_a_body_on_its_way_at_a_stop_is_answered(pod: tuple[Server, Proxy]) -> None:
    """An upload that ends long after both were asked to stop gets its answer; idle connections hold nothing up."""
    server, proxy = pod
    clip = videos.encode(videos.images(40))
    head = f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    head += f"Content-Length: {len(clip)}\r\n\r\n"
    begun, rest = threading.Event(), threading.Event()

    def upload() -> bytes:
        received = b""
        with proxy.connect() as connection:
            connection.sendall(head.encode() + clip[:1000])
            begun.set()
            assert rest.wait(60)
            connection.sendall(clip[1000:])
            while part := connection.recv(1 << 16):
                received += part
        return received

    with proxy.connect() as idle, ThreadPoolExecutor() as pool:
        idle.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1 << 16).startswith(b"HTTP/1.1 200")
        uploading = pool.submit(upload)
        assert begun.wait(60)
        stopping = pool.submit(server.stop)
        until(lambda: "no longer ready" in server.log.read_text())
        assert proxy.call(body=clip).status == 200, "the news may not have reached everybody"
        proxy.process.send_signal(signal.SIGQUIT)
        assert idle.recv(100) == b"", "it is closed at once"
        until(lambda: "request(s) in flight" in server.log.read_text())
        assert not stopping.done(), "the server waits for what the proxy takes in"
        with pytest.raises(ConnectionRefusedError):
            proxy.connect()
        rest.set()
        reply = parse(uploading.result())
        assert reply.status == 200
        assert json.loads(reply.body)["predictions"]
        assert stopping.result() == 0
    assert proxy.process.wait(60) == 0
    assert "cut off" not in server.log.read_text()
