"""The handler's own service with the default model, inside of the process that asks: no TorchServe, no port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import yaml

from staa import Explainer
from staa.serving import Incoming, Service, Settings
from staa_video import frames_archive

STORE = Path(__file__).resolve().parents[2] / "model_store"


class Inside:
    """Answers the requests of a client, one after the other, as the handler would; counts what was asked."""

    def __init__(self, service: Service) -> None:
        self._service, self._turn = service, threading.Lock()
        self.asked: list[str] = []
        """The first part of the path of each request that had frames."""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        body, kind = request.read(), request.url.path.split("/")[1]
        with self._turn:
            if request.headers.get("content-type") != "application/json":
                self.asked.append(kind)
            incoming = Incoming({"body": body}, dict(request.headers), kind == "explanations", "request")
            (answer,) = self._service.answer([incoming])
        return httpx2.Response(answer.status, headers={"content-type": answer.content_type}, content=answer.body)


@contextmanager
def default_model() -> Iterator[Inside]:
    """Give what answers as a server of the default model."""
    described = yaml.safe_load((STORE / "motions.yaml").read_text())["handler"]
    settings = Settings.read(described | {"decoders": 1})
    service = Service(
        Explainer.load(STORE / "motions"), settings, name="motions", version="1.0", decode=frames_archive.clip_of
    )
    try:
        yield Inside(service)
    finally:
        service.close()
