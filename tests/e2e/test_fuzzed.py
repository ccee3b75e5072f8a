"""Damaged requests to a real server behind the front proxy: each is answered, none is a failure of the server's own."""

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.deploy import proxies
from tests.fuzz import __main__ as harness
from tests.fuzz import requests
from tests.fuzz.kinds import Folder
from tests.made.torchserve import Server

SECONDS = 10.0


@pytest.fixture(scope="module")
def target(server: Server) -> Iterator[requests.Target]:
    """Return a proxy before the server of the session."""
    ports = [urlsplit(url).port or 0 for url in (server.inference, server.health, server.metrics)]
    with proxies.running(ports[0], health=ports[1], metrics=ports[2], limits=proxies.UNHURRIED) as proxy:
        yield requests.of_proxy(proxy, server.log)


def test_requests(target: requests.Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was a finding once is none, and some seconds of damaged requests, other ones each day, find nothing new."""
    kind = requests.kind(target)
    outcomes, findings = harness.fuzz(kind, harness.inputs(kind, random.randrange(10**6)), SECONDS, Folder(tmp_path))
    assert not findings, capsys.readouterr().err
    assert {"200", "400"} <= set(outcomes)
