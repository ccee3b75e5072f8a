"""What holds for all tests: which run only when asked for, that CI skips no other, and what two folders share."""

import os
import re
import signal
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch and numpy are imported: the processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import yaml

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a shell that started the tests in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what the tests start must hear Ctrl-C

from tests.made.videos import CLIPS, moving_disc

if TYPE_CHECKING:
    from tests.made.collector import Collector
    from tests.made.torchserve import Server

ROOT = Path(__file__).resolve().parents[1]
VERTEX = {"AIP_PREDICT_ROUTE": "/vertex/predict", "AIP_HEALTH_ROUTE": "/vertex/health"}
"""What Vertex tells a container by its environment: the routes that it asks."""

LEFT_OUT = {
    "slow": "minutes and gigabytes: run it with -m slow",
    "deploy": "images, containers or servers under load, minutes: run it with -m deploy",
    "gpu": "needs a GPU: run it with -m gpu",
}
"""Markers of tests that run only where -m names them -> the reason that is shown."""
ELSEWHERE = {"clips": CLIPS}
"""Markers of tests that need a folder beside the checkout, which no clone has -> the folder."""

HOMES = ("torchserve", "ray")
"""What serves the contract: tests/contract asks each, and each is started once."""
SHARE_A_SERVER = {
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "tests" / "e2e").glob("test_*.py")
    if re.search(r"\bserver: Server\b", path.read_text())
}
"""Files beside tests/contract whose tests use the session's TorchServe."""
SHARE_RAY = {
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "tests" / "scale").rglob("test_*.py")
    if re.search(r"\b(ray_server|bulk_ray|ray_cluster)\b", path.read_text())
}
"""Files of tests/scale that start a Ray, or use the session's: several at a time would leave no core for the others."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what was not asked for, before any of its fixtures starts."""
    asked = config.getoption("markexpr")
    reasons = {marker: reason for marker, reason in LEFT_OUT.items() if marker not in asked}
    reasons |= {marker: f"there is no {folder}" for marker, folder in ELSEWHERE.items() if not folder.is_dir()}
    for item in items:
        for marker in reasons.keys() & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.skip(reason=reasons[marker]))


def _not_skipped_on_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where CI is set: there, everything that tests need is installed."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped where CI is set. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped for want of something, unless its marker lets it be left out."""
    report = yield
    if not {mark.name for mark in item.iter_markers()} & (LEFT_OUT.keys() | ELSEWHERE.keys()):
        _not_skipped_on_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a file that is skipped as a whole for want of a package."""
    report = yield
    _not_skipped_on_ci(report)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out tests by file, and all that ask the same home, wherever they are, as if they were one file."""
    from xdist.scheduler import LoadFileScheduling  # this hook is called only where pytest-xdist is there

    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = _together
    return scheduler


def _together(nodeid: str) -> str:
    """Return what the tests that must run in the same process have in common: their home, or else their file."""
    file, _, test = nodeid.partition("::")
    if file in SHARE_A_SERVER:
        return "torchserve"
    if file in SHARE_RAY:
        return "ray"
    named = set(test.partition("[")[2].removesuffix("]").split("-")) & set(HOMES)
    return named.pop() if named and file.startswith("tests/contract/") else file


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests of each marker were left out."""
    skipped = [each for each in terminalreporter.stats.get("skipped", []) if isinstance(each, pytest.TestReport)]
    counts = {marker: sum(marker in report.keywords for report in skipped) for marker in (*LEFT_OUT, *ELSEWHERE)}
    terminalreporter.write_line("left out: " + ", ".join(f"{count} {marker}" for marker, count in counts.items()))


@pytest.fixture(autouse=True, scope="module")
def usual_priority() -> Iterator[None]:
    """Fail where a file's tests leave real-time priority behind, with which all others would wait for this process."""
    yield
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.fixture(scope="session")
def clip() -> bytes:
    """Return a landscape video: 320x240, 64 frames, 8 s."""
    return moving_disc()


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the archive of the default model, freshly built."""
    folder = tmp_path_factory.mktemp("store")
    done = subprocess.run(
        [ROOT / "archive.sh", "motions", "--output", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "motions.mar"


@pytest.fixture(scope="session")
def server(archive: Path) -> Iterator["Server"]:
    """Serve the default model by TorchServe for all tests of the session; at the end it stops cleanly when asked."""
    from tests.made.torchserve import start  # what it imports is not there wherever these rules are

    with start(archive.parent, "motions") as up:
        yield up
        assert up.stop() == 0


@pytest.fixture(scope="session")
def collector() -> Iterator["Collector"]:
    """Collect the spans of the session's Ray."""
    from tests.made.collector import collecting

    with collecting() as up:
        yield up


@pytest.fixture(scope="session")
def ray_server(collector: "Collector", tmp_path_factory: pytest.TempPathFactory) -> Iterator["Server"]:
    """Serve the default model on Ray for all tests of the session; at the end it stops cleanly when asked.

    Its spans go to the collector, and Vertex's variables are set.
    """
    from tests.made.ray_home import start

    store = tmp_path_factory.mktemp("traced")
    config = yaml.safe_load((ROOT / "model_store" / "motions.yaml").read_text())
    config["handler"]["traces"] = collector.address
    (store / "motions.yaml").write_text(yaml.safe_dump(config))
    (store / "motions").symlink_to(ROOT / "model_store" / "motions")
    with start("motions", options=(f"--store={store}",), environment=VERTEX) as up:
        yield up
        assert up.stop() == 0
