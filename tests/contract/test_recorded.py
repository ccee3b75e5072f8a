"""Every route, form, option and refusal of HTTP, and every command, is as it was recorded, at each home.

`python -m tests.contract.recorded` says how what is meant to change is recorded anew.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from staa_client import Client
from tests.contract.differences import DIFFERENCES
from tests.contract.recorded import recording
from tests.contract.recorded.commands import commands, run
from tests.contract.recorded.requests import TOGETHER, Request, ask, requests
from tests.made.torchserve import Server

ASKED, CALLED = requests("VERSION"), commands()
REPLIES = {name for name, request in ASKED.items() if request.port != "management"}
ANSWERS = {name for name, command in CALLED.items() if not command.names("management")}
"""Those that both homes give; tests/e2e has what is said of TorchServe's management API."""


@pytest.fixture(scope="module")
def addresses(home: Server) -> dict[str, str]:
    """Return where the home listens."""
    ports = {"metrics": home.metrics, "health": home.health}
    return {"inference": home.inference, "server": home.inference, **ports}


@pytest.fixture(scope="module")
def asked(home: Server) -> dict[str, Request]:
    """Return every request by its name."""
    with Client(home.inference) as client:
        return requests(client.card().model.version)


@pytest.fixture(scope="module")
def recorded(home: Server) -> dict[str, dict[str, dict[str, Any]]]:
    """Return by kind every record by its name."""
    read = recording.read_at_ray if home.home == "ray" else recording.read
    return {kind: read(kind) for kind in recording.FILES}


def test_everything_is_recorded() -> None:
    """No request and no command is left out, none is recorded that is not asked for any more."""
    assert set(recording.read("requests")) == set(ASKED)
    assert set(recording.read("commands")) == set(CALLED)
    for records in json.loads(recording.RAY.read_text()).values():
        assert {record[recording.DIFFERENCE] for record in records.values()} <= set(DIFFERENCES)


# a counter is listed once something was counted: its page comes last, after all that is counted here
@pytest.mark.parametrize("name", sorted(sorted(REPLIES), key=lambda name: name == "metrics"))
def test_a_reply(
    asked: dict[str, Request], recorded: dict[str, dict[str, Any]], addresses: dict[str, str], name: str
) -> None:
    """Status, type, headers, stages and body are as they were; times, ids and versions aside."""
    differs = recording.differences(recorded["requests"][name], ask(asked[name], addresses))
    assert not differs, "\n".join(differs)


def test_replies_in_one_batch(
    asked: dict[str, Request], recorded: dict[str, dict[str, Any]], addresses: dict[str, str]
) -> None:
    """Requests of all kinds at the same time get each the reply that it gets alone."""
    with ThreadPoolExecutor(len(TOGETHER)) as pool:
        records = dict(zip(TOGETHER, pool.map(lambda name: ask(asked[name], addresses), TOGETHER), strict=True))
    differs = {name: recording.differences(recorded["requests"][name], now) for name, now in records.items()}
    assert not any(differs.values()), "\n".join(f"{name}: {line}" for name, lines in differs.items() for line in lines)


@pytest.mark.parametrize("name", sorted(name for name in ANSWERS if CALLED[name].names("server")))
def test_a_command(recorded: dict[str, dict[str, Any]], addresses: dict[str, str], tmp_path: Path, name: str) -> None:
    """Exit code, what is printed where, and what is written are as they were."""
    differs = recording.differences(recorded["commands"][name], run(CALLED[name], addresses, tmp_path))
    assert not differs, "\n".join(differs)


@pytest.mark.parametrize("name", sorted(name for name in ANSWERS if not CALLED[name].names("server")))
def test_a_command_that_asks_no_server(tmp_path: Path, name: str) -> None:
    """Help, what is said of wrong arguments, and of servers that there are not, is as it was."""
    differs = recording.differences(recording.read("commands")[name], run(CALLED[name], {}, tmp_path))
    assert not differs, "\n".join(differs)
