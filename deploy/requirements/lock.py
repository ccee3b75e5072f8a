"""Write the requirements of the image with the hashes of the files that pip may install.

    .venv/bin/python deploy/requirements/lock.py            # after a change of requirements.txt

cpu.txt and cuda.txt are requirements.txt for Linux on x86_64 and aarch64, the second with cuda.in; only torch differs:
its builds for the CPU are on an index of their own. pip says which file it would take for each pin, and its hash. With
--keep NAME the hashes of a package stay as they are in the file, for those that no index in reach has.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = "3.11"  # of the image
GLIBC = 36  # the same: 2.36
MACHINES = ("x86_64", "aarch64")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[\w.+!-]+)", re.MULTILINE)
LOCKED = re.compile(r"^(?P<pin>[\w.-]+==[\w.+!-]+)(?P<hashes>( \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)
HEAD = """\
# requirements.txt {more}with the hashes of the files for Linux on {machines}.
# Made by deploy/requirements/lock.py: not to be edited.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Write one or both files; return the exit code."""
    parser = argparse.ArgumentParser(prog="lock.py", description="Write the image's requirements with hashes.")
    both = ("cpu", "cuda")
    parser.add_argument(
        "which", nargs="*", choices=(*both, both), default=both, metavar="cpu|cuda", help="default: both"
    )
    parser.add_argument("--keep", action="append", default=[], metavar="NAME", help="leave this package's hashes")
    args = parser.parse_args(argv)
    for which in args.which:
        path = HERE / f"{which}.txt"
        wanted = pins(which)
        found = {pin: set(hashes) for pin, hashes in locked(path).items() if name(pin) in args.keep and pin in wanted}
        asked = [pin for pin in wanted if name(pin) not in args.keep]
        for machine in MACHINES:
            index = CPU_INDEX if which == "cpu" and "torch" not in args.keep else None
            for pin, digest in ask(asked, machine, index).items():
                found.setdefault(pin, set()).add(digest)
        if lacking := [pin for pin in wanted if not found.get(pin)]:
            print(f"lock: error: {path.name} has no hashes of {', '.join(lacking)} to keep", file=sys.stderr)
            return 1
        more = "and cuda.in, " if which == "cuda" else ""
        lines = [" \\\n    --hash=sha256:".join([pin, *sorted(found[pin])]) for pin in wanted]
        path.write_text("\n".join([HEAD.format(more=more, machines=" and ".join(MACHINES)) + lines[0], *lines[1:], ""]))
        print(f"lock: {path.relative_to(ROOT)}: {len(wanted)} packages")
    return 0


def name(pin: str) -> str:
    """Return the name of a pin, as indexes compare names."""
    return re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower()


def pins(which: str) -> list[str]:
    """Return the pins, name==version, that a file has to lock, sorted."""
    text = (ROOT / "requirements.txt").read_text() + ((HERE / "cuda.in").read_text() if which == "cuda" else "")
    found = {match["name"]: match["version"] for match in PIN.finditer(text)}
    if which == "cpu":
        found["torch"] += "+cpu"
    return sorted((f"{key}=={version}" for key, version in found.items()), key=name)


def locked(path: Path) -> dict[str, list[str]]:
    """Return pin -> sha256 of each file, in hex, of a file that is there."""
    text = path.read_text() if path.is_file() else ""
    return {match["pin"]: re.findall(r"[0-9a-f]{64}", match["hashes"]) for match in LOCKED.finditer(text)}


def ask(wanted: Sequence[str], machine: str, index: str | None) -> dict[str, str]:
    """Return pin -> sha256 of the wheel that pip would install on a machine."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)]
    tags += [f"{old}_{machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1")]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        command += ["--disable-pip-version-check", "--report", str(report), "--target", folder]
        command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
        command += [f"--platform={tag}" for tag in tags]
        command += ["--extra-index-url", index] if index else []
        # "===": 2.13.0 is no 2.13.0+cpu
        subprocess.run([*command, *(pin.replace("==", "===") for pin in wanted)], check=True)
        taken = json.loads(report.read_text())["install"]
    by_name = {name(pin): pin for pin in wanted}
    files = {by_name[name(one["metadata"]["name"])]: one["download_info"]["archive_info"] for one in taken}
    return {pin: file["hashes"]["sha256"] for pin, file in files.items()}


if __name__ == "__main__":
    sys.exit(main())
