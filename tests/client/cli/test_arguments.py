"""The options of the command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from staa_client.cli import main
from staa_client.cli.values import COLORMAPS, ENCODINGS, METHODS
from tests.client.socket_servers import OddServer, ProxyServer, http_server

CONTRACT = Path(__file__).parents[3] / "docs" / "openapi.yaml"


def test_values_stand_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Methods, colour scales and encodings are listed; methods and encodings are those of the contract."""
    schemas = yaml.safe_load(CONTRACT.read_text())["components"]["schemas"]
    assert set(METHODS) == set(schemas["Method"]["enum"])
    assert set(ENCODINGS) == set(schemas["Maps"]["enum"])
    assert main(["explain", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for values in (METHODS, COLORMAPS):
        assert f"{', '.join(values[:-1])} or {values[-1]}" in words
    assert all(value in words for value in ENCODINGS)


def completed(*words: str, **environ: str) -> list[str]:
    """What bash is told to complete the last word to."""
    line = " ".join(("staa", *words))
    asked = {"_STAA_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    command = [sys.executable, "-c", "from staa_client.cli.app import app; app(prog_name='staa')"]
    done = subprocess.run(command, capture_output=True, check=False, text=True, env=os.environ | asked | environ)
    return done.stdout.split()


def test_a_shell_completes_values() -> None:
    """Methods, colour scales, encodings and who samples are completed from what was typed."""
    assert completed("explain", "x.mp4", "--method", "staa") == ["staa", "staa_class"]
    assert completed("explain", "x.mp4", "--colormap", "v") == ["viridis"]
    assert completed("explain", "x.mp4", "--maps", "n") == ["npz"]
    assert completed("predict", "x.mp4", "--sample", "c") == ["client"]
    assert completed("watch", "0", "--latency", "k") == ["keep"]


def test_a_shell_completes_models() -> None:
    """The names are asked from the server; where none answers, nothing is offered, and nothing else is said."""
    with http_server(ProxyServer) as url:
        assert completed("explain", "x.mp4", "--model", "", STAA_SERVER=url) == ["actions"]
        assert completed("card", "act", STAA_SERVER=url) == ["actions"]
    assert completed("explain", "x.mp4", "--model", "", STAA_SERVER="127.0.0.1:9") == []


def test_a_name_that_a_shell_would_evaluate_is_not_completed() -> None:
    """Of a server's names only those are offered that a call would take."""
    with http_server(OddServer) as url:
        assert completed("explain", "x.mp4", "--model", "act", STAA_SERVER=url) == ["actions"]
