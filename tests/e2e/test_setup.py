"""setup.sh: what it installs, when it has nothing to do, and what two calls at once do. No network: pip is stood in."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A Python that makes an environment of itself, and writes down what pip is asked for instead of installing it.
INTERPRETER = f"""#!/usr/bin/env bash
case "$*" in
  "-m venv --clear .venv") rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo venv >>calls ;;
  "-m pip --version") ;;
  "-m pip "*)
    echo "pip $PIP_REQUIRE_VIRTUALENV $*" >>calls
    [[ -d .venv/busy ]] && echo "two at once" >>calls
    mkdir -p .venv/busy && sleep 0.3 && rmdir .venv/busy && [[ ! -e offline ]]
    ;;
  "-c "*editable*) [[ ! -e copied ]] ;;
  *) exec {shlex.quote(sys.executable)} "$@" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with setup.sh and what it reads, and a Python that installs nothing."""
    for name in ("setup.sh", "requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "python").write_text(INTERPRETER)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def start(checkout: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start setup.sh in a checkout."""
    environ = os.environ | {"PYTHON": str(checkout / "python")}
    command = [str(checkout / "setup.sh"), *arguments]
    return subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def setup(checkout: Path, *arguments: str) -> list[str]:
    """Run setup.sh to its end, and return what it had the Python do since the last time."""
    (checkout / "calls").write_text("")
    process = start(checkout, *arguments)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return (checkout / "calls").read_text().splitlines()


def test_serving_installs_no_test_tools_and_tests_install_both(checkout: Path) -> None:
    """Plain setup.sh installs the requirements; --dev adds those of the tests to the same environment."""
    made, requirements, editable = setup(checkout)
    assert made == "venv"
    assert requirements.endswith("-r requirements.txt")
    assert editable.endswith("-e .")
    requirements, editable = setup(checkout, "--dev")
    assert requirements.endswith("-r requirements-dev.txt")


def test_what_is_there_is_not_installed_again(checkout: Path) -> None:
    """A finished environment is left alone, and one for tests is enough for serving, too."""
    assert setup(checkout, "--dev")
    assert setup(checkout, "--dev") == []
    assert setup(checkout) == []


def test_changed_requirements_are_installed_into_what_is_there(checkout: Path) -> None:
    """After a change of the pins, packages are added; the environment is not made afresh."""
    setup(checkout)
    with (checkout / "requirements.txt").open("a") as pins:
        pins.write("# another pin\n")
    assert [call.split()[0] for call in setup(checkout)] == ["pip", "pip"]


def test_a_copy_in_the_place_of_an_editable_install_is_replaced(checkout: Path) -> None:
    """After `pip install ./client` into the environment, the next call installs this folder's again."""
    setup(checkout)
    (checkout / "copied").touch()
    assert [call.split()[0] for call in setup(checkout)] == ["pip", "pip"]


def test_two_at_once_wait_for_each_other(checkout: Path) -> None:
    """Of calls at the same time, one installs and the others wait; nothing is wiped under it."""
    processes = [start(checkout, "--dev") for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    calls = (checkout / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["venv", "pip", "pip"]
    assert sum("waiting for another ./setup.sh" in text for text in said) == 2


def test_pip_is_never_let_outside_of_an_environment(checkout: Path) -> None:
    """Every call of pip is told to refuse a Python that is no virtual environment."""
    calls = setup(checkout)
    assert all(call.startswith("pip 1 ") for call in calls[1:])


def test_an_environment_whose_making_was_cut_off_is_made_afresh(checkout: Path) -> None:
    """Where pip failed half-way, the next call does not trust what is there."""
    (checkout / "offline").touch()
    process = start(checkout)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Is the network there?" in said
    (checkout / "offline").unlink()
    assert [call.split()[0] for call in setup(checkout)] == ["venv", "pip", "pip"]


def test_a_linked_environment_is_used_as_it_is(checkout: Path) -> None:
    """A .venv that is a link belongs to another checkout: nothing is installed into it from here."""
    (checkout / ".venv").symlink_to(sys.prefix)
    assert setup(checkout, "--dev") == []


def test_a_wrong_argument_is_refused_in_one_line() -> None:
    """An option that is none ends with exit code 2 and the way to the help."""
    done = subprocess.run([ROOT / "setup.sh", "--devel"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "setup: unknown argument '--devel', see ./setup.sh --help\n")
