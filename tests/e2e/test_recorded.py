"""Every route, form, option and refusal of HTTP, and every command, is as it was recorded before the new layout.

`python -m tests.e2e.recorded` says how what is meant to change is recorded anew.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from staa_client import Client
from tests.e2e.recorded import recording
from tests.e2e.recorded.commands import Command, commands, run
from tests.e2e.recorded.requests import TOGETHER, Request, ask, requests
from tests.made.torchserve import Server

REPLIES, ANSWERS = recording.read("requests"), recording.read("commands")


@pytest.fixture(scope="module")
def addresses(server: Server) -> dict[str, str]:
    """Where the server of the session listens."""
    ports = {"management": server.management, "metrics": server.metrics, "health": server.health}
    return {"inference": server.inference, "server": server.inference, **ports}


@pytest.fixture(scope="module")
def asked(server: Server) -> dict[str, Request]:
    """Every request by its name."""
    with Client(server.inference) as client:
        return requests(client.card().model.version)


@pytest.fixture(scope="module")
def called() -> dict[str, Command]:
    """Every command by its name."""
    return commands()


def test_everything_is_recorded(asked: dict[str, Request], called: dict[str, Command]) -> None:
    """No request and no command is left out, and none is recorded that is not asked for any more."""
    assert set(REPLIES) == set(asked)
    assert set(ANSWERS) == set(called)


# a counter is listed once something was counted: its page comes last, after all that is counted here
@pytest.mark.parametrize("name", sorted(REPLIES, key=lambda name: name == "metrics"))
def test_a_reply(asked: dict[str, Request], addresses: dict[str, str], name: str) -> None:
    """Status, type, headers, stages and body are as they were; times, ids and versions aside."""
    differs = recording.differences(REPLIES[name], ask(asked[name], addresses))
    assert not differs, "\n".join(differs)


def test_replies_in_one_batch(asked: dict[str, Request], addresses: dict[str, str]) -> None:
    """Requests of all kinds at the same time get each the reply that it gets alone."""
    with ThreadPoolExecutor(len(TOGETHER)) as pool:
        records = pool.map(lambda name: ask(asked[name], addresses), TOGETHER)
    differs = {name: recording.differences(REPLIES[name], now) for name, now in zip(TOGETHER, records, strict=True)}
    assert not any(differs.values()), "\n".join(f"{name}: {line}" for name, lines in differs.items() for line in lines)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_command(called: dict[str, Command], addresses: dict[str, str], tmp_path: Path, name: str) -> None:
    """Exit code, what is printed where, and what is written are as they were."""
    differs = recording.differences(ANSWERS[name], run(called[name], addresses, tmp_path))
    assert not differs, "\n".join(differs)
