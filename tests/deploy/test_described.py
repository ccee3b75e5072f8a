"""docs/openapi.yaml at length: 200 examples of an operation, through the front proxy, to the handler's own service.

TorchServe is left out for its slowness (`tests/contract/test_described.py` has it), and so are its queue and the pool
of processes; what reads requests, refuses them and writes replies is the handler's, of a tiny model.
"""

import threading
from collections.abc import Iterator

import pytest

from staa.serving import Incoming, Service, Settings
from staa_video import Clip, decode
from tests.contract.recorded.bodies import clip
from tests.deploy import proxies
from tests.deploy.proxies import Proxy
from tests.deploy.upstreams import Heard, listening, reply
from tests.made import described, services

OPERATIONS = (
    "predict", "predictVersion", "explain", "explainVersion", "predictV1", "explainV1", "predictV2", "explainV2",
)  # fmt: skip
EXAMPLES = 200


class Handler:
    """Answers as TorchServe with the handler would; the one good video is decoded once a segment."""

    def __init__(self) -> None:
        explainer = services.scripted()
        self._clips: dict[tuple[object, ...], Clip] = {}
        self._lock = threading.Lock()
        settings = Settings("tiny", decoders=1, verify_seconds=30)
        self._service = Service(explainer, settings, name="motions", version="0.1.0", decode=self._decode)

    def _decode(self, source: bytes | bytearray, *how: object) -> Clip:
        if bytes(source) != clip():
            return decode(bytes(source), *how)  # type: ignore[arg-type]
        if how[:3] not in self._clips:
            self._clips[how[:3]] = decode(clip(), *how)  # type: ignore[arg-type]
        return self._clips[how[:3]]

    def __call__(self, heard: Heard) -> bytes:
        """Answer a request that the proxy hands on."""
        path = heard.line.split()[1]
        explain = path.startswith("/explanations/") or path.endswith((":explain", "/explain"))
        incoming = Incoming({"body": bytearray(heard.body)}, dict(heard.headers), explain, "request")
        with self._lock:
            (answer,) = self._service.answer([incoming])
        about = [f"{name}: {value}" for name, value in answer.headers.items()]
        whole = reply(answer.body, answer.status, *about)
        return whole.replace(b"content-type: application/json", b"content-type: " + answer.content_type.encode(), 1)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """Return a proxy before the handler."""
    with (
        listening(Handler()) as upstream,
        listening(lambda _: reply({"ready": True, "models": {"motions": {"ready": 1, "workers": 1}}})) as health,
        proxies.running(upstream.port, health=health.port, limits=proxies.UNHURRIED) as up,
    ):
        yield up


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_description_holds(proxy: Proxy, operation: str) -> None:
    """Examples, the edges of every value, and 200 random requests of both kinds are answered as the page says."""
    found, good = described.differences(proxy, EXAMPLES, only=[operation])
    assert not found, "\n\n".join(found[:20])
    assert good > 20, "videos are answered, too"
