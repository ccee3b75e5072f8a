"""Replies and files that were damaged, or are another server's: one class of error, whatever the bytes."""

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from staa_client import Client, Explanation, ReplyError, _wire, load
from tests.client.conftest import card, document, encoded

DEEP = b"[" * 200_000


def answers(body: bytes) -> Client:
    """A client whose server says this to everything."""
    return Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=body)))


def compressed(body: bytes, method: int) -> bytes:
    """An npz with its members compressed anew."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return buffer.getvalue()


def with_header(text: bytes) -> bytes:
    """An npz whose map says this of itself."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        head = text.ljust(117) + b"\n"
        archive.writestr("joint.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
        reply = np.frombuffer(json.dumps(document()).encode(), np.uint8)
        with archive.open("reply.npy", "w") as file:
            np.save(file, reply)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b'{"clip": ' + DEEP,
        json.dumps(document() | {"predictions": {"a": 1}}).encode(),
        json.dumps(document() | {"clip": []}).encode(),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999999)}"),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999, 9999999)}"),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': ("),
        with_header(b'"""'),
        with_header(b"[" * 100),
    ],
)
def test_every_call_has_one_error_for_a_strange_reply(body: bytes) -> None:
    """Labels, maps, cards and lists of models: a ReplyError, whatever came with a 200."""
    with answers(body) as staa:
        for ask in (lambda: staa.predict(b"x"), lambda: staa.explain(b"x"), staa.card, staa.models):
            with pytest.raises(ReplyError) as caught:
                ask()
            assert caught.value.code == "reply_invalid"


@pytest.mark.parametrize("field", ["methods", "limits", "input", "model"])
@pytest.mark.parametrize("value", [[], 3, None, "text", [[]], {"a": [1]}])
def test_a_card_of_another_form_is_said(field: str, value: Any) -> None:
    """A part of a card that is not of its form is a ReplyError."""
    with answers(json.dumps(card() | {field: value}).encode()) as staa, pytest.raises(ReplyError):
        staa.card()


@pytest.mark.parametrize(
    "wrong", [3, [3], {"models": 3}, [{"modelName": "a", "modelVersion": "1", "minWorkers": 1, "workers": [3]}]]
)
def test_a_management_api_of_another_form_is_said(wrong: Any) -> None:
    """A list of versions that TorchServe would not give is a ReplyError."""
    whole = {"modelName": "a", "modelVersion": "1", "minWorkers": 1, "workers": [], "batchSize": 1}
    more = [whole | {"jobQueueStatus": [3]}], [whole | {"batchSize": float("inf")}], [whole | {"workers": 1}]

    for versions in (wrong, *more):

        def answer(request: httpx2.Request, versions: Any = versions) -> httpx2.Response:
            page = {"models": [{"modelName": "a"}]} if request.url.path == "/models" else versions
            return httpx2.Response(200, content=json.dumps(page).encode())

        with Client(transport=httpx2.MockTransport(answer)) as staa, pytest.raises(ReplyError):
            staa.models()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED])
def test_a_damaged_file_is_said(method: int, explanation: Explanation, tmp_path: Path) -> None:
    """A file in which bytes were changed loads as an explanation, or is a ReplyError; nothing else is raised."""
    path = tmp_path / "x.npz"
    whole = compressed(explanation.save(path).read_bytes(), method)
    rng = np.random.default_rng(0)
    centre = whole.index(b"PK\1\2")  # where the list of members begins
    places = [*range(60), *range(centre, len(whole)), *rng.integers(0, centre, 300).tolist()]
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # zipfile's, of names that are there twice
                load(path)
        except ReplyError:
            refused += 1
    assert refused > len(places) // 4


@pytest.mark.parametrize("data", [b"\0\0\0\x18ftypisom", b"", b"PK", b"[]", b"{}", b"PAR1", DEEP])
def test_a_file_that_was_never_saved_is_said(data: bytes, tmp_path: Path) -> None:
    """A video, or any other file, is named as what `load` does not take; no server is blamed."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with pytest.raises(ReplyError, match=r"clip\.mp4 is no saved result, .*: load takes a \.json or \.npz") as caught:
        load(path)
    assert caught.value.status is None
    assert "server" not in str(caught.value)


def test_a_damaged_reply_is_said() -> None:
    """A reply that was cut off, at every length, is a ReplyError."""
    for encoding in ("json", "base64", "npz"):
        body = encoded(document(), encoding)
        for length in range(0, len(body), len(body) // 40):
            with pytest.raises(ReplyError):
                _wire.explanation(200, {}, body[:length])
