"""Which tests may be left out, and where: tests/conftest.py, held by a run of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = '''
import pytest
pytestmark = [pytest.mark.filterwarnings("ignore")]

@pytest.mark.slow
def test_slow():
    """Runs when asked for."""

@pytest.mark.deploy
@pytest.mark.parametrize("number", [1, 2])
def test_deploy(number):
    """Runs when asked for."""

def test_lacks_a_program():
    """Is skipped where something is missing."""
    pytest.skip("there is no program")
'''
LACKS_A_PACKAGE = 'import pytest\npytest.importorskip("no_such_package_here", reason="pip install it")\n'


def run(folder: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run these tests in a folder of their own under the rules of all tests."""
    (folder / "test_some.py").write_text(TESTS)
    (folder / "test_other.py").write_text(LACKS_A_PACKAGE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow:\n  deploy:\n  gpu:\n  clips:\n")
    base = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", str(folder)]
    environ = base | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"} | environ
    return subprocess.run([*command, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_where_ci_is_set_nothing_is_skipped_for_want_of_something(tmp_path: Path, workers: str) -> None:
    """A missing program or package fails; a marker leaves its tests out, and their number is said."""
    done = run(tmp_path, "-n", workers, "--continue-on-collection-errors", CI="true")
    assert done.returncode == 1, done.stdout
    assert "nothing may be skipped where CI is set" in done.stdout
    assert re.search(r"there is no program", done.stdout)
    assert re.search(r"pip install it", done.stdout)
    assert "left out: 1 slow, 2 deploy, 0 gpu" in done.stdout


def test_elsewhere_they_are_skipped(tmp_path: Path) -> None:
    """On a machine that lacks something the other tests still pass."""
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "5 skipped" in done.stdout


def test_a_marker_that_is_asked_for_runs(tmp_path: Path) -> None:
    """What -m names is not left out."""
    done = run(tmp_path, "-m", "deploy", "--ignore", str(tmp_path / "test_other.py"), CI="true")
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
