"""Damaged requests to each home behind the front proxy: each is answered, none is a failure of the server's own."""

import random
from pathlib import Path

import pytest

from tests.deploy.proxies import Proxy
from tests.fuzz import __main__ as harness
from tests.fuzz import requests
from tests.fuzz.kinds import Folder
from tests.made.torchserve import Server

SECONDS = {"torchserve": 10.0, "ray": 5.0}


def test_requests(home: Server, proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was a finding once is none, and some seconds of damaged requests, other ones each day, find nothing new."""
    kind = requests.kind(requests.of_proxy(proxy, home.log))
    inputs = harness.inputs(kind, random.randrange(10**6))
    outcomes, findings = harness.fuzz(kind, inputs, SECONDS[home.home], Folder(tmp_path))
    assert not findings, capsys.readouterr().err
    assert {"200", "400"} <= set(outcomes)
