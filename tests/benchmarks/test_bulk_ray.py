"""The example for many stored clips, on a real Ray of this machine: whole, begun again, with a worker killed."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from staa import Explainer, decode
from tests.made.videos import encode, images

pytest.importorskip("ray", reason="there is no ray: pip install ray==2.60.0")

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "model_store" / "motions"


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Return a folder whose name is short enough for the sockets of Ray."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def begin(clips: Path, out: Path, temporary: Path, *options: str) -> "subprocess.Popen[str]":
    """Start the example."""
    command: list[str | Path] = [
        sys.executable,
        ROOT / "examples" / "bulk_ray.py",
        clips,
        out,
        "--temporary",
        temporary,
        *options,
    ]
    environ = os.environ | {"RAY_raylet_start_wait_time_s": "240"}  # on a busy machine
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(*arguments: Any) -> tuple[int, str]:
    """Run the example to its end; return its exit code and what it said."""
    with begin(*arguments) as process:
        said, _ = process.communicate(timeout=400)
    return process.returncode, said


def rows(out: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of all files by their source, of which each is there once."""
    found = [row for file in out.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert len({row["source"] for row in found}) == len(found)
    return {row["source"]: row for row in found}


def write(folder: Path, count: int) -> None:
    """Write so many clips, each of another length, in two folders."""
    for number in range(count):
        path = folder / "ab"[number % 2] / f"{number:02}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(images(12 + number)))


def test_a_folder_of_clips_and_then_some_more(tmp_path: Path, temporary: Path) -> None:
    """Every clip has its row, as the core alone would make it; what is there is not computed again."""
    clips, out = tmp_path / "clips", tmp_path / "out"
    write(clips, 5)
    (clips / "no video.mp4").write_bytes(b"noise")
    killer = hashlib.sha256(b"killer.mp4").hexdigest()[:32]
    (out / "opened").mkdir(parents=True)
    (out / "opened" / killer).write_bytes(b"...")
    (clips / "killer.mp4").write_bytes(encode(images(12)))
    code, said = run(clips, out, temporary, "--part", "3", "--workers", "2")
    assert code == 0, said
    found = rows(out)
    assert len(list(out.glob("*.parquet"))) == 3
    codes = {source: row["error_code"] for source, row in found.items() if row["error_code"]}
    assert codes == {"no video.mp4": "not_a_video", "killer.mp4": "worker_died"}
    assert len(found) == 7

    explainer = Explainer.load(WEIGHTS)
    (wanted,) = explainer([decode(clips / "b" / "01.mp4", explainer.grid.frames)])
    row = found["b/01.mp4"]
    assert row["label"] == wanted.predictions[0].label
    assert wanted.attribution is not None
    np.testing.assert_allclose(np.reshape(row["joint"], row["shape"]), wanted.attribution.joint, atol=1e-5)

    before = {file: file.stat().st_mtime_ns for file in out.glob("*.parquet")}
    code, said = run(clips, out, temporary)
    assert (code, "7 clips, 7 of them done" in said) == (0, True), said
    assert {file: file.stat().st_mtime_ns for file in out.glob("*.parquet")} == before
    code, said = run(clips, out, temporary, "--method", "rollout")
    assert (code, "name another folder" in said) == (2, True), said


def test_a_killed_worker_loses_nothing(tmp_path: Path, temporary: Path) -> None:
    """Its part is done again by the worker that takes its place, and no clip is there twice."""
    clips, out = tmp_path / "clips", tmp_path / "out"
    write(clips, 24)
    with begin(clips, out, temporary, "--part", "2") as process:
        deadline = time.monotonic() + 300
        while not list(out.glob("*.parquet")):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no file after 300 s"
            time.sleep(0.05)
        family = psutil.Process(process.pid).children(recursive=True)
        (worker,) = [child for child in family if child.name().startswith("ray::MapWorker")]
        worker.kill()
        left = 24 - len(rows(out))
        said, _ = process.communicate(timeout=400)
    assert left > 0, "the worker was killed too late to show anything"
    assert process.returncode == 0, said
    assert len(rows(out)) == 24
