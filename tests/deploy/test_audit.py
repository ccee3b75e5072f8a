"""deploy/audit.py finds what advisories say of the packages of a bill, and nothing else."""

import importlib.metadata
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RANGE = [{"introduced": "1.2"}, {"fixed": "1.4.1"}]


def advisory(number: int, name: str, **affected: Any) -> dict[str, Any]:
    """Return an advisory on versions of a package, in OSV's form."""
    entry = {"package": {"name": name, "ecosystem": "PyPI"}, **affected}
    aliases = [f"CVE-2026-{number}"]
    return {"id": f"GHSA-{number}", "aliases": aliases, "summary": f"flaw {number}", "affected": [entry]}


def ecosystem(*events: dict[str, str]) -> list[dict[str, Any]]:
    """Return ranges of versions."""
    return [{"type": "ECOSYSTEM", "events": list(events)}]


def run(bill: Path, advisories: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    command = [sys.executable, str(ROOT / "deploy/audit.py"), str(bill), "--advisories", str(advisories), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def audit(
    folder: Path, packages: dict[str, str], advisories: list[dict[str, Any]], *options: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command on a bill of packages, name -> version."""
    bill = folder / "bill.json"
    bill.write_text(json.dumps({"components": [{"name": name, "version": packages[name]} for name in packages]}))
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for each in advisories:
            archive.writestr(f"{each['id']}.json", json.dumps(each))
    return run(bill, folder / "all.zip", *options)


@pytest.mark.parametrize(
    ("version", "affected", "found"),
    [
        ("1.1", {"ranges": ecosystem(*RANGE)}, False),
        ("1.2", {"ranges": ecosystem(*RANGE)}, True),
        ("1.4", {"ranges": ecosystem(*RANGE)}, True),
        ("1.4.1", {"ranges": ecosystem(*RANGE)}, False),
        ("1.10", {"ranges": ecosystem(*RANGE)}, False),
        ("1.4.1rc1", {"ranges": ecosystem(*RANGE)}, True),
        ("1.4+cpu", {"ranges": ecosystem(*RANGE)}, True),
        ("1.4.1+cpu", {"ranges": ecosystem(*RANGE)}, False),
        ("0.0.1.dev0", {"ranges": ecosystem({"introduced": "0"})}, True),
        ("2.0", {"ranges": ecosystem({"introduced": "0"}, {"last_affected": "2.0"})}, True),
        ("2.0.1", {"ranges": ecosystem({"introduced": "0"}, {"last_affected": "2.0"})}, False),
        ("2.1", {"ranges": ecosystem({"introduced": "2.0"}, {"fixed": "3.0"}, *RANGE)}, True),
        ("1.9", {"ranges": ecosystem({"introduced": "2.0"}, {"fixed": "3.0"}, *RANGE)}, False),
        ("1.0", {"ranges": ecosystem({"fixed": "1.1"})}, True),
        ("1.0.0", {"versions": ["0.9", "1.0"]}, True),
        ("1.1", {"versions": ["0.9", "1.0", "of old"]}, False),
        ("1.0", {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, False),
        ("1.0", {"ranges": ecosystem({"introduced": "first"})}, True),
    ],
)
def test_a_version_is_meant_or_not(tmp_path: Path, version: str, affected: dict[str, Any], found: bool) -> None:
    """Ranges and lists of versions are read in Python's order of versions; what cannot be read is found."""
    done = audit(tmp_path, {"Some.Package": version}, [advisory(1, "some-package", **affected)])
    assert done.returncode == found, done.stderr
    assert ("Some.Package" in done.stdout) == found


def test_findings_say_what_to_do(tmp_path: Path) -> None:
    """A finding has its ids and the version that mends it; one that was accepted, by any id, is counted alone."""
    known = [advisory(1, "a", ranges=ecosystem(*RANGE)), advisory(2, "b", versions=["1.3"])]
    done = audit(tmp_path, {"a": "1.3", "b": "1.3", "c": "1.3"}, known)
    assert done.stdout.splitlines() == [
        "a 1.3: GHSA-1, CVE-2026-1: flaw 1 (fixed in 1.4.1)",
        "b 1.3: GHSA-2, CVE-2026-2: flaw 2 (no version mends it)",
    ]
    assert "3 packages, 2 findings, 0 accepted" in done.stderr
    assert audit(tmp_path, {"a": "1.3", "b": "1.3"}, known, "--accept", "GHSA-1").returncode == 1
    accepted = audit(tmp_path, {"a": "1.3", "b": "1.3"}, known, "--accept", "GHSA-1", "CVE-2026-2")
    assert accepted.returncode == 0
    assert "0 findings, 2 accepted" in accepted.stderr


def test_withdrawn_and_other_ecosystems_do_not_count(tmp_path: Path) -> None:
    """An advisory that was taken back, and one on npm's package of the same name, are no findings."""
    withdrawn = advisory(1, "a", versions=["1"]) | {"withdrawn": "2026-01-01T00:00:00Z"}
    other = advisory(2, "a", versions=["1"])
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert audit(tmp_path, {"a": "1"}, [withdrawn, other, advisory(3, "b", versions=["1"])]).returncode == 0


def test_what_cannot_be_told_is_no_success(tmp_path: Path) -> None:
    """No bill, an empty bill, no advisories: exit code 2, never 0."""
    known = [advisory(1, "a", versions=["1"])]
    assert audit(tmp_path, {}, known).returncode == 2
    assert audit(tmp_path, {"a": "1"}, []).returncode == 2
    done = run(tmp_path / "none.json", tmp_path / "all.zip")
    assert done.returncode == 2
    assert "cannot tell" in done.stderr


def test_the_bill_of_this_environment_is_read(tmp_path: Path) -> None:
    """What deploy/sbom.py prints is what this reads: an advisory on torch as installed is found."""
    made = subprocess.run([sys.executable, ROOT / "deploy/sbom.py", "1"], capture_output=True, timeout=60, check=True)
    (tmp_path / "sbom.json").write_bytes(made.stdout)
    version = importlib.metadata.version("torch").partition("+")[0]
    (tmp_path / "osv").mkdir()
    (tmp_path / "osv/1.json").write_text(json.dumps(advisory(1, "torch", versions=[version])))
    done = run(tmp_path / "sbom.json", tmp_path / "osv")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("torch ")
