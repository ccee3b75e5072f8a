"""The locks of the image: what pip may install there, held against what is asked for."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "deploy" / "image" / "requirements"
MACHINE = {"platform_machine": "x86_64", "sys_platform": "linux", "platform_system": "Linux", "python_version": "3.11"}
ASKED = {
    "cpu": ROOT / "requirements.txt",
    "cuda": ROOT / "requirements.txt",
    "ray-cpu": ROOT / "requirements-ray.txt",
    "ray-cuda": ROOT / "requirements-ray.txt",
    "build": LOCKS / "build.in",
}
"""What each lock is made of."""


def requirements(path: Path) -> list[Requirement]:
    """Return what a file of requirements, and those that it names, ask for on the image's machine."""
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in path.read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    others = [requirements(path.parent / line.removeprefix("-r ")) for line in lines if line.startswith("-r ")]
    return sum(others, [each for each in found if not each.marker or each.marker.evaluate(MACHINE)])


def locked(which: str) -> dict[NormalizedName, tuple[Version, list[str]]]:
    """Return name -> (version, SHA-256 of the files that may be taken) of a lock."""
    text = re.sub(r"^\s*#.*\n", "", (LOCKS / f"{which}.txt").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    pins = {}
    for line in text.splitlines():
        pin, *hashes = line.split(" --hash=")
        name, version = (each.strip() for each in pin.split("=="))
        pins[canonicalize_name(name)] = Version(version), [each.strip() for each in hashes]
    return pins


@pytest.mark.parametrize("which", ASKED)
def test_a_lock_holds_its_requirements(which: str) -> None:
    """Everything that is asked for is in the lock, in a version that is allowed; else run the command at its head."""
    pins = locked(which)
    for asked in requirements(ASKED[which]):
        assert canonicalize_name(asked.name) in pins, asked
        assert asked.specifier.contains(pins[canonicalize_name(asked.name)][0], prereleases=True), asked


@pytest.mark.parametrize("which", ASKED)
def test_every_pin_of_a_lock_has_its_hashes(which: str) -> None:
    """Each package is locked to files by their SHA-256."""
    pins = locked(which)
    assert len(pins) > len(requirements(ASKED[which])) - 1
    for name, (_, hashes) in pins.items():
        assert hashes, name
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes), name
    if which != "build":
        assert len(pins[canonicalize_name("torch")][1]) >= 2, "one for each machine"


@pytest.mark.parametrize("home", ["", "ray-"])
def test_torch_for_cpus_is_the_build_for_cpus(home: str) -> None:
    """Locks differ by the mark of torch's build and what CUDA needs: what is audited of one holds for the other."""
    both = (f"{home}cpu", f"{home}cuda")
    cpu, cuda = ({name: version for name, (version, _) in locked(which).items()} for which in both)
    assert cpu.keys() == {canonicalize_name(each.name) for each in requirements(ASKED[both[0]])}, "nothing else"
    torch = canonicalize_name("torch")
    assert cpu.pop(torch) == Version(f"{cuda.pop(torch)}+cpu")
    assert cpu.items() <= cuda.items()
    more = cuda.keys() - cpu.keys()
    assert all(name.startswith(("nvidia-", "cuda-", "triton")) for name in more)
    assert len(more) > 10


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_rays_lock_has_what_is_there_already(accelerator: str) -> None:
    """The image with Ray is built on top of the other one's environment: no version of it changes."""
    first, second = (
        {name: version for name, (version, _) in locked(w).items()} for w in (accelerator, f"ray-{accelerator}")
    )
    assert first.items() <= second.items()


def test_the_bill_is_made_by_what_the_tests_run() -> None:
    """What the build of the image runs has the versions of requirements-dev.txt, where it stands there."""
    pins = locked("build")
    tested = {canonicalize_name(each.name): each for each in requirements(ROOT / "requirements-dev.txt")}
    assert pins.keys() & tested.keys()
    for name in pins.keys() & tested.keys():
        assert tested[name].specifier.contains(pins[name][0]), name


@pytest.mark.parametrize("which", ASKED)
def test_a_lock_says_how_it_is_made(which: str) -> None:
    """At the head of each stands the one command that writes it anew, from the root of the checkout."""
    _, command, *_ = (LOCKS / f"{which}.txt").read_text().splitlines()
    assert command.startswith("#    uv pip compile --generate-hashes --only-binary :all: --python-version 3.11 ")
    assert command.endswith(f" -o deploy/image/requirements/{which}.txt")
    assert ("--torch-backend cpu" in command) == which.endswith("cpu")
    assert str(ASKED[which].relative_to(ROOT)) in command
