"""Make API keys for the front proxy, and check a keys file. Needs Python alone: it runs wherever the secret is kept.

A key is 256 random bits, so that its SHA-256 needs no salt and no slow hash: there is nothing to guess. The proxy and
its files know the digest only; the key is printed once, and kept by its user.
"""

import argparse
import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
# What keys.js takes, where a time must also be one.
LINE = re.compile(rf"{NAME}[ \t]+[0-9a-f]{{64}}((?:[ \t]+(?:models=[^ \t]+|until={TIME}))*)", re.ASCII)


def main() -> int:
    """Make a key or check the file, as the arguments say; return the exit code."""
    args = _arguments()
    if args.command == "check":
        return _check(args.file)
    if args.days is not None and args.days <= 0:
        print(f"keys: --days is {args.days}: expected more than 0", file=sys.stderr)
        return 2
    if not re.fullmatch(NAME, args.name):
        print(f"keys: {args.name!r} is no name: expected letters, digits, '.', '_', '-', at most 64", file=sys.stderr)
        return 2
    key = f"staa_{secrets.token_urlsafe(32)}"
    entry = make_line(args.name, key, args.models, args.days)
    if not _is_good(entry):
        print(f"keys: --models is {args.models!r}: expected names with commas and no spaces, A,B", file=sys.stderr)
        return 2
    try:
        _append(args.file, entry)
    except (OSError, UnicodeDecodeError) as error:
        return _refused(args.file, error, "cannot be written", "Is its folder there?")
    print(key)
    print(f"keys: added {args.name} to {args.file}; the key above is shown this once", file=sys.stderr)
    return 0


def make_line(name: str, key: str, models: str | None = None, days: float | None = None) -> str:
    """Return the line of a key in the keys file; `models` with commas, `days` from now."""
    parts = [name, hashlib.sha256(key.encode()).hexdigest()]
    if models:
        parts.append(f"models={models}")
    if days:
        end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        parts.append(f"until={end:%Y-%m-%dT%H:%M:%SZ}")
    return " ".join(parts)


def find_wrong_lines(text: str) -> list[int]:
    """Return the numbers, from 1, of the lines that the proxy would not take."""
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    return [number for number, line in lines if line and not line.startswith("#") and not _is_good(line)]


def _is_good(text: str) -> bool:
    """Return whether the proxy would take a line."""
    match = LINE.fullmatch(text)
    if not match:
        return False
    try:
        for until in re.findall(rf"until=({TIME})", match[1]):
            dt.datetime.fromisoformat(until)
    except ValueError:
        return False
    return True


def _append(path: Path, new: str) -> None:
    """Write the file anew beside the old one and put it in its place: a reader sees the one or the other."""
    path = path.resolve()  # of a link, what it points to
    with _locked(path.parent):
        old = path.read_text() if path.exists() else "# NAME SHA256 [models=A,B] [until=TIME], see docs/proxy.md\n"
        text = f"{old if old.endswith(chr(10)) or not old else old + chr(10)}{new}\n"
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_text(text)
            if path.exists():
                draft.chmod(path.stat().st_mode & 0o777)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes that add a key in this folder waiting: each of them reads what the one before it wrote.

    The folder itself is locked, since the file is another one after each write, and so that nothing is left in a folder
    that becomes a secret as it is. The kernel opens the lock when the process ends, however it ends.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _refused(path: Path, error: OSError | UnicodeDecodeError, what: str, ask: str) -> int:
    """Say why the file could not be used; return the exit code."""
    said = f"{what}: {error.strerror}. {ask}" if isinstance(error, OSError) else "is no text. Is it the keys file?"
    print(f"keys: {path} {said}", file=sys.stderr)
    return 1


def _check(path: Path) -> int:
    """Say which lines the proxy would not take; return the exit code."""
    try:
        wrong = find_wrong_lines(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        return _refused(path, error, "cannot be read", "Is it there?")
    for number in wrong:
        expected = "NAME SHA256 [models=A,B] [until=2030-01-31T00:00:00Z]"
        print(f"keys: line {number} of {path} lets nobody in: expected {expected}", file=sys.stderr)
    return 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    """Return what the command line asks for; what is wrong ends the process with exit code 2."""
    parser = argparse.ArgumentParser(prog="keys.py", description=__doc__.partition("\n")[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="add a key to the file, and print it")
    new.add_argument("name", metavar="NAME", help="whose it is: stands in the log; keys of one name share its limits")
    new.add_argument("--models", metavar="A,B", help="the models that it opens (all)")
    new.add_argument("--days", type=float, metavar="N", help="how long it is good (for ever)")
    check = commands.add_parser("check", help="fail if the proxy would not take a line of the file")
    for command in (new, check):
        command.add_argument("--file", type=Path, default=Path("keys"), metavar="FILE", help="the keys file (keys)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
