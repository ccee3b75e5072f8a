"""The options of the command."""

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

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


class GuardedServer(ProxyServer):
    """Lists its models as the front proxy does, and keeps the tokens that it is shown."""

    tokens: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:  # noqa: N802  # the name is http.server's
        """Answer with the list of models."""
        self.tokens.append(self.headers["Authorization"])
        super().do_GET()


def test_a_shell_completes_with_the_settings(tmp_path: Path) -> None:
    """The address and the token are those that a call would take: of the settings, but for what is nearer."""
    key = tmp_path / "key"
    key.write_text("sesame")
    settings = tmp_path / "staa" / "config.toml"
    settings.parent.mkdir()
    with http_server(GuardedServer) as url:
        settings.write_text(f'server = "{url}"\ntoken_file = "{key}"\n')
        asked = ("explain", "x.mp4", "--model", "a")
        assert completed(*asked, XDG_CONFIG_HOME=str(tmp_path)) == ["actions"]
        assert completed("--config", str(settings), "card", "a") == ["actions"]
        nearer = {"STAA_TOKEN": "nearer", "XDG_CONFIG_HOME": str(tmp_path)}
        assert completed(*asked, **nearer) == ["actions"]
        assert completed(*asked[:2], "--server", "127.0.0.1:9", *asked[2:], XDG_CONFIG_HOME=str(tmp_path)) == []
    assert GuardedServer.tokens == ["Bearer sesame", "Bearer sesame", "Bearer nearer"]


def test_a_name_that_a_shell_would_evaluate_is_not_completed() -> None:
    """Of a server's names only those are offered that a call would take."""
    with http_server(OddServer) as url:
        assert completed("explain", "x.mp4", "--model", "act", STAA_SERVER=url) == ["actions"]
