"""The front proxy before a TorchServe that stops and starts again; what it does in peace is in tests/contract."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import UNHURRIED
from tests.made import videos
from tests.made.torchserve import FLAGS, Running
from tests.made.waiting import until


def port(url: str) -> int:
    """Return the port of an address."""
    found = urlsplit(url).port
    assert found
    return found


@pytest.fixture(scope="module")
def clip() -> bytes:
    """One good clip: 40 frames at 25 frames a second, 128 x 96."""
    return videos.encode(videos.images(40, 96, 128), rate=25)


def test_a_restart_under_load(running: Running, archive: Path, clip: bytes) -> None:
    """While the server stops and starts again, callers are told so at once, or wait for its model; then all is well."""
    replies: list[tuple[float, int, str]] = []
    over = threading.Event()
    # All the while requests come, and at the end of the drain some are cut off.
    with running(archive.parent, "motions", options=("--drain=1",)) as first:
        ports = [port(url) for url in (first.inference, first.management, first.metrics, first.health)]
        same = tuple(f"{flag}={number}" for flag, number in zip(FLAGS, ports, strict=True))
        with proxies.running(ports[0], health=ports[3], limits=UNHURRIED) as proxy, ThreadPoolExecutor(4) as pool:

            def call() -> None:
                while not over.is_set():
                    began = time.monotonic()
                    reply = proxy.call(body=clip, patience=240)
                    code = "" if reply.status == 200 else reply.code
                    replies.append((time.monotonic() - began, reply.status, code))
                    time.sleep(0 if reply.status == 200 else 0.1)

            callers = [pool.submit(call) for _ in range(4)]
            try:
                until(lambda: len(replies) > 8, 240)
                before = len(replies)
                assert first.stop() == 0
                until(lambda: replies[-1][2] == "service_unavailable")
                down = proxy.call("/ready", None, method="GET")
                assert (down.status, down.code) == (503, "not_ready")
                with running(archive.parent, "motions", options=same):
                    assert proxy.call("/ready", None, method="GET").status == 200
                    back = len(replies)
                    until(lambda: [status for _, status, _ in replies[back:]].count(200) > 4, 240)
                    over.set()
                    for caller in callers:
                        caller.result(240)
            finally:
                over.set()
    seen = Counter((status, code) for _, status, code in replies)
    assert set(seen) <= {(200, ""), (503, "service_unavailable"), (502, "server_lost")}
    assert seen[503, "service_unavailable"] > 0
    assert seen[502, "server_lost"] <= 4, "one a caller"
    assert max(seconds for seconds, status, _ in replies if status != 200) < 20
    assert {status for _, status, _ in replies[:before]} == {200}
