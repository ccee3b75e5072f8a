"""What TorchServe's management API says, by itself and by the commands that ask it, is as it was recorded."""

from pathlib import Path

import pytest

from staa_client import Client
from tests.contract.recorded import recording
from tests.contract.recorded.commands import commands, run
from tests.contract.recorded.requests import ask, requests
from tests.made.torchserve import Server

ASKED, CALLED = requests("VERSION"), commands()


@pytest.mark.parametrize("name", [name for name, request in ASKED.items() if request.port == "management"])
def test_a_reply(server: Server, name: str) -> None:
    """Status, type, headers and body are as they were; times, ids and versions aside."""
    with Client(server.inference) as client:
        request = requests(client.card().model.version)[name]
    differs = recording.differences(recording.read("requests")[name], ask(request, {"management": server.management}))
    assert not differs, "\n".join(differs)


@pytest.mark.parametrize("name", [name for name, command in CALLED.items() if command.names("management")])
def test_a_command(server: Server, tmp_path: Path, name: str) -> None:
    """Exit code, what is printed where, and what is written are as they were."""
    addresses = {"server": server.inference, "management": server.management}
    differs = recording.differences(recording.read("commands")[name], run(CALLED[name], addresses, tmp_path))
    assert not differs, "\n".join(differs)
