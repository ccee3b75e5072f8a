"""The front proxy before the real server, as callers meet it: by the Python client, over TLS, with a key."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from staa_client import AuthError, Client, NotFoundError, NotVideoError
from tests.deploy import proxies
from tests.deploy.proxies import AUTHORIZED, KEY, UNHURRIED, Proxy
from tests.made import videos
from tests.made.torchserve import FLAGS, Running, Server
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


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[Proxy]:
    """Return a proxy before the server of the session."""
    health, metrics = port(server.health), port(server.metrics)
    with proxies.running(port(server.inference), health=health, metrics=metrics, limits=UNHURRIED) as up:
        yield up


def client(proxy: Proxy, key: str = KEY) -> Client:
    """Return a client that trusts the proxy's certificate."""
    return Client(proxy.url, key, verify=proxy.trust())


def test_the_client_by_tls(server: Server, proxy: Proxy, clip: bytes) -> None:
    """Labels and maps through the proxy are those of the server itself, for every encoding and way to send."""
    with client(proxy) as staa, Client(server.inference) as direct:
        labels, wanted = staa.predict(clip), direct.explain(clip)
        assert [one.label for one in labels.predictions] == [one.label for one in wanted.predictions]
        for maps in ("base64", "npz", "json"):
            found = staa.explain(clip, maps=maps)
            assert np.allclose(found.joint, wanted.joint, atol=1e-3)
    for method in ("PUT", "POST"):
        assert proxy.call(body=iter([clip[:1000], clip[1000:]]), method=method).status == 200, "in chunks"


def test_the_clients_errors(proxy: Proxy) -> None:
    """The client has the proxy's and the server's refusals as its errors, under the id that the proxy's log has."""
    with client(proxy, "wrong") as staa, pytest.raises(AuthError) as refused:
        staa.predict(b"noise")
    assert refused.value.code == "key_unknown"
    with client(proxy) as staa:
        with pytest.raises(NotVideoError) as noise:
            staa.predict(b"noise")
        with pytest.raises(NotFoundError, match="model_not_found: no model nope is served here; served here: motions"):
            staa.predict(b"noise", "nope")
    assert proxy.log(str(noise.value.request_id))["status"] == 415


def test_models_are_listed(proxy: Proxy, server: Server) -> None:
    """Through the proxy the client lists what the management API lists on the server's machine."""
    with client(proxy) as staa, Client(server.inference, management_url=server.management) as direct:
        (listed,), (known,) = staa.models(), direct.models()
    assert (listed.name, listed.version, listed.ready, listed.batch) == (
        known.name,
        known.version,
        known.ready,
        known.batch,
    )


def test_no_caller_forges_the_route(proxy: Proxy, clip: bytes) -> None:
    """`Explain: True` on /predictions makes no map, and `Explain: False` on /explanations takes none away."""
    for path, header, explained in (("predictions", "True", False), ("explanations", "False", True)):
        reply = proxy.call(f"/{path}/motions", clip, AUTHORIZED | {"Explain": header, "explain": header})
        assert ("explanation" in json.loads(reply.body)) == explained


def test_health_and_metrics(proxy: Proxy) -> None:
    """Readiness, KServe's forms of it and the metrics are the server's."""
    for path in ("/ready", "/v2/health/ready", "/v2/health/live", "/v1/models/motions", "/ping"):
        assert proxy.call(path, None, method="GET").status == 200
    assert b"staa_forwards_total" in proxy.inside("/metrics").body
    assert proxy.inside("/live").status == 200


def test_a_body_at_the_limit(proxy: Proxy) -> None:
    """TorchServe takes the largest body that the proxy takes, and what is a byte larger ends at the proxy."""
    largest = 100_663_296
    at = proxy.call(body=bytes(largest), patience=120)
    assert at.status in {413, 415}
    assert "max_request_size" not in at.body.decode(), "it was the handler that looked at it"
    assert proxy.log(at.headers["x-request-id"])["server_status"] == str(at.status)
    assert proxy.call(body=bytes(largest + 1), patience=120).code == "too_many_bytes"


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
