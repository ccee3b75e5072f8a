"""The frontend as a process, with a shell in the place of Java: what it is started with, and that all of it ends."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from staa_serve import frontend
from staa_serve.java import Java
from staa_serve.log import Log, StartError
from tests.made.waiting import until


@contextmanager
def running(folder: Path, script: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a script in the place of Java, with a folder for all that is written."""
    program = folder / "java"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with frontend.run(Java(str(program), 17), {"model_store": "/store", "vmargs": "-Xmx1g"}, folder, folder) as process:
        yield process


def test_what_it_is_started_with(tmp_path: Path) -> None:
    """Settings, archives, the log's configuration and options for Java come by the command; it works in its folder."""
    with running(tmp_path, 'echo "$PWD $TMPDIR $LOG_LOCATION $HF_HUB_OFFLINE"; echo "$@"') as process:
        assert process.wait(20) == 0
    folders, command = (tmp_path / "frontend.out").read_text().splitlines()
    assert folders == f"{tmp_path} {tmp_path} {tmp_path} 1"
    words = command.split()
    assert {"-Xmx1g", "org.pytorch.serve.ModelServer", "-ncs"} <= set(words)
    assert words[words.index("-s") + 1] == "/store"
    (logging,) = [word for word in words if word.startswith("-Dlog4j.configurationFile=file://")]
    assert Path(logging.partition("file://")[2]).is_file()


def test_all_of_it_ends_with_the_block(tmp_path: Path) -> None:
    """What the frontend started ends too, also where it does not listen to SIGTERM."""
    with running(tmp_path, "(trap '' TERM; sleep 60) & sleep 60") as process:
        parent = psutil.Process(process.pid)
        until(lambda: len(parent.children(recursive=True)) >= 2)
        family = [parent, *parent.children(recursive=True)]
    assert not psutil.wait_procs(family, timeout=5)[1]


def test_an_end_is_told_with_its_last_words(tmp_path: Path) -> None:
    """A frontend that ends by itself is an error with its exit code and what it said."""
    with running(tmp_path, "echo no more memory; exit 3") as process:
        process.wait(20)
        with pytest.raises(StartError, match=r"(?s)exit code 3.*no more memory"):
            frontend.check_alive(process, Log.at(tmp_path / "ts_log.log"))
