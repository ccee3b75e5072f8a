"""Bulk jobs on a real Ray of this machine: whole, begun again, stopped, with processes killed and videos that kill."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from scale.bulk import main, run
from scale.bulk.sources import list_sources
from scale.bulk.stages import ATTEMPTS
from scale.served import Served
from tests.made.stored import KILLER, REQUEST, DeadlyWork, object_store, write_clips
from tests.made.waiting import until

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{category}:{module}")  # what Ray does itself
    for category in ("DeprecationWarning", "ResourceWarning")
    for module in ("ray.data.context",)
]


@pytest.fixture
def sigterm() -> Iterator[None]:
    """Give the tests' own answer to SIGTERM back, which a job in this process replaces."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def stages(process: psutil.Process, stage: str) -> list[psutil.Process]:
    """Return the processes of a stage of the job that a process runs."""
    found = []
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):  # one that has just ended
            if child.cmdline()[0].startswith(f"ray::MapWorker(MapBatches({stage}))"):  # what it does stands behind
                found.append(child)
    return found


def rows(tables: Any) -> dict[str, dict[str, Any]]:
    """Return rows by the names of their videos, of which each is there once."""
    found = [row for table in tables for row in table.to_pylist()]
    assert len({row["key"] for row in found}) == len(found)
    return {Path(row["source"]).name: row for row in found}


@pytest.mark.usefixtures("bulk_ray", "sigterm")
def test_from_object_storage_to_object_storage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every video of a bucket has its row in a bucket; begun again with two more, these alone are computed."""
    with object_store(tmp_path) as (options, files):

        def put(name: str, data: bytes) -> None:
            with files.open_output_stream(f"videos/clips/{name}") as file:
                file.write(data)

        write_clips(tmp_path / "clips", 4)
        for path in (tmp_path / "clips").rglob("*.mp4"):
            put(path.name, path.read_bytes())
        put("noise.mp4", b"noise")
        places = [f"s3://key:secret@videos/{name}?{options}" for name in ("clips", "out")]
        assert main([*places, "--part", "2", "--top-k", "1"]) == 0
        said = capsys.readouterr().out
        assert "5 videos, 0 of them done before" in said
        assert "done: 5 videos in" in said
        assert "1 errors: not_a_video 1" in said

        assert main([*places, "--top-k", "1"]) == 0
        assert "5 videos, 5 of them done before" in capsys.readouterr().out
        assert main([*places, "--top-k", "2"]) == 2
        assert "name another folder" in capsys.readouterr().err
        dataset = pq.ParquetDataset("videos/out", filesystem=files)
        found = rows([dataset.read()])
        assert sorted(found) == ["00.mp4", "01.mp4", "02.mp4", "03.mp4", "noise.mp4"]
        assert found["00.mp4"]["source"] == "s3://videos/clips/00.mp4"
        assert "secret" not in str(found)


@pytest.mark.usefixtures("bulk_ray", "sigterm")
@pytest.mark.deploy
def test_processes_die_and_nothing_is_lost(tmp_path: Path) -> None:
    """A decoder and a model that are killed are started again, and a video that kills its decoders is given up."""
    write_clips(tmp_path, 40)
    (tmp_path / "b" / "21.mp4").write_bytes(KILLER)
    work = DeadlyWork(Served.read("motions"), True, {}, REQUEST, batch=4, threads=1)
    pool = run.Pool(decoders=2, models=1, gpus=0)
    tables, killed = [], list[int]()
    with run.cluster(None, pool, work):
        for table in run.rows(work, pool, list_sources(str(tmp_path))):
            tables.append(table)
            if not killed:
                for stage in ("Decoder", "Model"):
                    process = until(partial(stages, psutil.Process(), stage))[0]  # the video may have killed one
                    process.kill()
                    killed.append(process.pid)
                assert len(rows(tables)) < 30, "they were killed too late to show anything"
    found = rows(tables)
    assert len(found) == 40
    codes = {name: (row["error_code"], row["error_message"]) for name, row in found.items() if row["error_code"]}
    assert list(codes) == ["21.mp4"]
    assert codes["21.mp4"][0] == "worker_died"
    assert f"{ATTEMPTS} times" in codes["21.mp4"][1]


@pytest.mark.usefixtures("bulk_ray", "sigterm")
@pytest.mark.deploy
def test_a_job_of_its_own_is_stopped_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At SIGTERM a job keeps what it has, and leaves no process and no file; the same command does the rest."""
    clips, out = tmp_path / "clips", tmp_path / "out"
    write_clips(clips, 60)
    with tempfile.TemporaryDirectory(prefix="t-") as temporary:
        command: list[str | Path] = [sys.executable, "-m", "scale", "bulk", clips, out, "--part", "1"]
        environ = os.environ | {"TMPDIR": temporary}
        with subprocess.Popen(command, env=environ, stdout=-1, stderr=-2, text=True) as process:
            until(lambda: list(out.glob("*.parquet")) or process.poll() is not None, 300)
            family = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            said, _ = process.communicate(timeout=120)
        assert process.returncode == 130, said
        assert "the same command goes on" in said
        until(lambda: not [child for child in family if child.is_running() and child.status() != "zombie"])
        assert not list(Path(temporary).iterdir())
    done = len(list(out.glob("*.parquet")))
    assert 0 < done < 60
    assert main([str(clips), str(out)]) == 0
    assert f"60 videos, {done} of them done before" in capsys.readouterr().out
    assert len(rows(pq.read_table(path) for path in out.glob("*.parquet"))) == 60
