"""Servers that tests of the client ask, and what was sent to them."""

import io
import json
import zipfile

import httpx2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from staa_client import Client
from tests.client.conftest import Server, server


class Recorder:
    """A server that answers with these responses in turn, then as `server()` does, and keeps the requests."""

    def __init__(self, *first: httpx2.Response | httpx2.HTTPError, then: Server | None = None) -> None:
        self.first = list(first)
        self.requests: list[httpx2.Request] = []
        self.then: Server = then or server()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        self.requests.append(request)
        if not self.first:
            return self.then(request)
        answer = self.first.pop(0)
        if isinstance(answer, httpx2.HTTPError):
            raise answer
        return answer


def client(recorder: Recorder, max_retries: int = 2, token: str | None = None) -> Client:
    """A client of that server that does not wait."""
    return Client(token=token, max_retries=max_retries, backoff=0, transport=httpx2.MockTransport(recorder))


def management(request: httpx2.Request) -> httpx2.Response:
    """TorchServe's management API with three models on two pages."""
    if request.url.path == "/models":
        second = request.url.params.get("next_page_token") == "2"
        names = ["c"] if second else ["a", "b"]
        page = {"models": [{"modelName": name, "modelUrl": f"{name}.mar"} for name in names]}
        return httpx2.Response(200, json=page if second else page | {"nextPageToken": "2"})
    name = request.url.path.split("/")[2]
    status = {"a": "READY", "b": "LOADING", "c": "UNLOADING"}[name]
    one = {"modelName": name, "modelVersion": "1.0", "minWorkers": 2, "batchSize": 4}
    one |= {"workers": [{"status": status}, {"status": "READY"}], "jobQueueStatus": {"pendingRequests": 3}}
    return httpx2.Response(200, json=[one] if request.url.path.endswith("/all") else one)


def archive(request: httpx2.Request) -> tuple[dict[str, object], list[Image.Image]]:
    """What a request's body holds: clip.json, and the images."""
    with zipfile.ZipFile(io.BytesIO(request.content)) as found:
        about = json.loads(found.read("clip.json"))
        count = len(found.namelist()) - 1
        return about, [Image.open(io.BytesIO(found.read(f"{number}.jpg"))) for number in range(count)]


def pictures(count: int, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    """Frames of different greys."""
    greys = np.linspace(20, 230, count).astype(np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (count, height, width, 3)).copy()
