"""Record what a server answers to every request, and what the command does with it, for `test_recorded.py`.

What is committed was recorded from the commit b2c3cda, before everything was laid out anew. To record from a checkout,
start its ./serve.sh there and, with the client of the same checkout:

    PYTHONPATH=CHECKOUT/client:deploy .venv/bin/python -m tests.e2e.recorded --write

Without `--write` it tells what differs. A change that is meant is recorded for its names alone, and says why:

    PYTHONPATH=deploy .venv/bin/python -m tests.e2e.recorded --write --why "its message is shorter" "JSON: broken"
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from staa_client import Client
from tests.e2e.recorded import recording
from tests.e2e.recorded.commands import commands, run
from tests.e2e.recorded.requests import ask, requests

PORTS = {"inference": 8080, "management": 8081, "metrics": 8082, "health": 8083}


def play(kind: str, addresses: Mapping[str, str], names: list[str]) -> dict[str, dict[str, Any]]:
    """Carry out those of a kind that are named, or all, and return their records."""
    if kind == "requests":
        with Client(addresses["inference"]) as client:
            version = client.card().model.version
        asked = requests(version)
        return {name: ask(asked[name], addresses) for name in names or asked if name in asked}
    called = commands()
    records = {}
    for name in names or called:
        if name in called:
            with tempfile.TemporaryDirectory() as folder:
                records[name] = run(called[name], {**addresses, "server": addresses["inference"]}, Path(folder))
    return records


def main() -> int:
    """Record, or tell what differs; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.e2e.recorded", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="records to look at (all)")
    for name, port in PORTS.items():
        parser.add_argument(f"--{name}", default=f"http://127.0.0.1:{port}", metavar="URL", help="where it listens")
    parser.add_argument("--write", action="store_true", help="write what is found")
    parser.add_argument("--why", help="what was meant to change")
    given = parser.parse_args()
    addresses = {name: getattr(given, name) for name in PORTS}
    differ = 0
    for kind, file in recording.FILES.items():
        recorded = recording.read(kind) if file.exists() else {}
        found = play(kind, addresses, given.names)
        for name, record in found.items():
            for line in recording.differences(recorded.get(name, {}), record):
                differ += 1
                sys.stdout.write(f"{name}: {line}\n")
            if given.write:
                recorded[name] = record | ({recording.WHY: given.why} if given.why else {})
        if given.write:
            recording.write(kind, recorded if given.names else {name: recorded[name] for name in found})
    return int(differ > 0 and not given.write)


if __name__ == "__main__":
    sys.exit(main())
