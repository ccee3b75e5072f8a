"""Replies and files that were damaged, or are another server's: one class of error, whatever the bytes."""

import io
import json
import zipfile
from typing import Any

import httpx2
import numpy as np
import pytest

from staa_client import Client, ReplyError, contract
from tests.client.conftest import card, document, encoded

DEEP = b"[" * 200_000


def answers(body: bytes) -> Client:
    """A client whose server says this to everything."""
    return Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=body)))


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


def test_a_damaged_reply_is_said() -> None:
    """A reply that was cut off, at every length, is a ReplyError."""
    for encoding in ("json", "base64", "npz"):
        body = encoded(document(), encoding)
        for length in range(0, len(body), len(body) // 40):
            with pytest.raises(ReplyError):
                contract.explanation(200, {}, body[:length])
