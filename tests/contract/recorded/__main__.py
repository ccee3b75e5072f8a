"""Record what a server answers to every request, and what the command does with it, for `test_recorded.py`.

What is committed was recorded from the commit b2c3cda, before everything was laid out anew. To record from a checkout,
start its ./serve.sh there and, with the client of the same checkout:

    PYTHONPATH=CHECKOUT/client:deploy .venv/bin/python -m tests.contract.recorded --write

Without `--write` it tells what differs. A change that is meant is recorded for its names alone, and says why:

    PYTHONPATH=deploy .venv/bin/python -m tests.contract.recorded --write --why "its message is shorter" "JSON: broken"

The home on Ray is held against the same records. What is meant to differ there says by the name of which difference:

    PYTHONPATH=deploy .venv/bin/python -m tests.contract.recorded --ray URL --write --why other_methods "route: NAME"
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from staa_client import Client
from tests.contract.recorded import recording
from tests.contract.recorded.commands import commands, run
from tests.contract.recorded.requests import ask, requests

PORTS = {"inference": 8080, "management": 8081, "metrics": 8082, "health": 8083}


def play(kind: str, addresses: Mapping[str, str], names: list[str]) -> dict[str, dict[str, Any]]:
    """Carry out those of a kind that are named, or all that have an address, and return their records."""
    records = {}
    if kind == "requests":
        with Client(addresses["inference"]) as client:
            asked = requests(client.card().model.version)
        for name, request in asked.items():
            if request.port in addresses and name in (names or asked):
                records[name] = ask(request, addresses)
        return records
    called = commands()
    for name, command in called.items():
        if name in (names or called) and ("management" in addresses or not command.names("management")):
            with tempfile.TemporaryDirectory() as folder:
                records[name] = run(command, {**addresses, "server": addresses["inference"]}, Path(folder))
    return records


def main() -> int:
    """Record, or tell what differs; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.contract.recorded", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="records to look at (all)")
    for name, port in PORTS.items():
        parser.add_argument(f"--{name}", default=f"http://127.0.0.1:{port}", metavar="URL", help="where it listens")
    parser.add_argument("--ray", metavar="URL", help="where the home on Ray listens, in place of all of these")
    parser.add_argument("--write", action="store_true", help="write what is found")
    parser.add_argument("--why", help="what was meant to change; of the home on Ray, the name of the difference")
    given = parser.parse_args()
    if given.ray and given.write and not (given.names and given.why):
        parser.error("say which records differ, and by --why the name of the difference")
    addresses = {name: getattr(given, name) for name in PORTS}
    if given.ray:
        addresses = dict.fromkeys(PORTS.keys() - {"management"}, given.ray)
    differ = 0
    for kind, file in recording.FILES.items():
        recorded = recording.read(kind) if file.exists() else {}
        expected = recording.read_at_ray(kind) if given.ray else recorded
        found = play(kind, addresses, given.names)
        for name, record in found.items():
            for line in recording.differences(expected.get(name, {}), record):
                differ += 1
                sys.stdout.write(f"{name}: {line}\n")
            if given.write and not given.ray:
                recorded[name] = record | ({recording.WHY: given.why} if given.why else {})
        if given.write and given.ray:
            recording.write_at_ray(kind, {name: {recording.DIFFERENCE: given.why, **found[name]} for name in found})
        elif given.write:
            recording.write(kind, recorded if given.names else {name: recorded[name] for name in found})
    return int(differ > 0 and not given.write)


if __name__ == "__main__":
    sys.exit(main())
