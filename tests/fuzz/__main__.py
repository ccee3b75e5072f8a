"""Damaged inputs of many kinds against decoders, server and client: `python -m tests.fuzz --seconds 600`, one table.

Each input is made from the seed and its number alone, so that any can be made again: `--only KIND --number N`. What
must not be is written to a folder, each with the command that repeats it. First come inputs that were findings once.
Requests go to `--server`, or to a server behind the front proxy that is started for it.
"""

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.deploy import proxies
from tests.fuzz import bodies, containers, frame_archives, journals, replies, requests
from tests.fuzz.kinds import Check, Finding, Folder, Kind

STATIC = {kind.name: kind for kind in (containers.KIND, frame_archives.KIND, bodies.KIND, replies.KIND, journals.KIND)}
"""The kinds that need no server, by name."""
MOST_FINDINGS = 20
"""Of a kind, after which it is left alone."""


def inputs(kind: Kind, seed: int, *, old: bool = True) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, bytes and the command that repeats it of every input of a kind, without end."""
    command = f"python -m tests.fuzz --only {kind.name}"
    if old:
        for name, data in kind.regressions():
            yield name, data, f"{command} --seconds 0"
    for number in itertools.count():
        yield f"{seed}-{number}", kind.input(seed, number), f"{command} --seed {seed} --number {number}"


def fuzz(
    kind: Kind, given: Iterator[tuple[str, bytes, str]], seconds: float, folder: Folder
) -> tuple[Counter[str], int]:
    """Try inputs for some seconds, all that were findings once and at least one; return outcomes and findings."""
    outcomes: Counter[str] = Counter()
    findings = 0
    with kind.opened() as check:
        deadline = time.monotonic() + seconds
        for name, data, command in given:
            if findings >= MOST_FINDINGS or (time.monotonic() > deadline and name[:1].isdigit() and outcomes):
                break
            told = tried(check, data)
            if isinstance(told, Finding):
                findings += 1
                file = folder.keep(kind.name, name, data, str(told), command)
                print(f"{file}: {told}", file=sys.stderr, flush=True)
            outcomes["a finding" if isinstance(told, Finding) else told] += 1
    return outcomes, findings


def tried(check: Check, data: bytes) -> str | Finding:
    """Return what became of an input."""
    try:
        return check(data)
    except Finding as finding:
        return finding


def run(kinds: Mapping[str, Kind], seconds: float, seed: int, folder: Folder) -> int:
    """Fuzz each kind for its share of the time, print the table, and return the number of findings."""
    print(f"seed {seed}\n\n| kind | inputs | findings | what became of them |\n| --- | --- | --- | --- |")
    all_findings = 0
    for kind in kinds.values():
        outcomes, findings = fuzz(kind, inputs(kind, seed), seconds / len(kinds), folder)
        all_findings += findings
        told = ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.most_common())
        print(f"| {kind.name} | {outcomes.total()} | {findings} | {told} |", flush=True)
    return all_findings


def main(argv: Sequence[str]) -> int:
    """Run what the command line says; return 1 where there were findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for all kinds together (60)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="else by chance")
    parser.add_argument("--only", choices=[*STATIC, "requests"], help="this kind alone")
    parser.add_argument("--number", type=int, help="this input of --only and --seed alone")
    parser.add_argument("--file", type=Path, help="this file as the input of --only")
    parser.add_argument("--server", metavar="URL", help="where requests go; else a server is started")
    parser.add_argument("--key", default=proxies.KEY, help="the API key of --server")
    parser.add_argument("--authority", metavar="FILE", help="the certificate that --server has")
    folder = Path(tempfile.gettempdir()) / "staa-fuzz"
    parser.add_argument("--findings", type=Path, default=folder, metavar="DIR", help=f"where findings go ({folder})")
    options = parser.parse_args(argv)
    target = requests.of_url(options.server, options.key, options.authority) if options.server else None
    kinds = {**STATIC, "requests": requests.kind(target)}
    kinds = {options.only: kinds[options.only]} if options.only else kinds
    if options.number is None and options.file is None:
        return min(run(kinds, options.seconds, options.seed, Folder(options.findings)), 1)
    if not options.only:
        parser.error("--number and --file are of a kind: name it by --only")
    kind = kinds[options.only]
    data = options.file.read_bytes() if options.file else kind.input(options.seed, options.number)
    with kind.opened() as check:
        told = tried(check, data)
    print(f"{len(data)} bytes: {told}")
    return int(isinstance(told, Finding))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
