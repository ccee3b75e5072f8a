"""Errors as values."""

import pickle

import httpx2
import pytest

from staa_client import NotVideoError
from tests.client.servers import Recorder, client


def test_errors_cross_processes() -> None:
    """An error survives pickling with all it says."""
    with (
        client(Recorder(httpx2.Response(415, json={"error": {"code": "c", "message": "m"}}))) as staa,
        pytest.raises(NotVideoError) as caught,
    ):
        staa.predict(b"x")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own bytes
    assert (type(copy), str(copy), copy.status) == (NotVideoError, "415 c: m", 415)
