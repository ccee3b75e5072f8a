"""What the tests of bulk work are made of: folders of clips, works, storage like Amazon S3, and videos that kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyarrow import fs

from scale.bulk.stages import Work
from scale.served import Served
from staa.serving import Job
from tests.made.programs import free_ports
from tests.made.videos import encode, images
from tests.made.waiting import until

KILLER = b"this video kills its process"
REQUEST = '{"model": "motions", "explain": true}'


def clip(number: int) -> bytes:
    """Return a small clip, each number of another length."""
    return encode(images(12 + number))


def write_clips(folder: Path, count: int) -> None:
    """Write so many clips, in two folders."""
    for number in range(count):
        path = folder / "ab"[number % 2] / f"{number:02}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip(number))


def work(**other: Any) -> Work:
    """Return what is asked of the default model."""
    return replace(Work(Served.read("motions"), True, {}, REQUEST, batch=4, threads=1), **other)


@dataclass(frozen=True)
class DeadlyWork(Work):
    """Is slow, and KILLER kills the process that accepts it."""

    def accept(self, video: bytes, name: str) -> Job:
        """Return the job of a video, if it does not kill."""
        if video == KILLER:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        return super().accept(video, name)


@contextmanager
def object_store(folder: Path) -> Iterator[tuple[str, fs.FileSystem]]:
    """Serve storage like Amazon S3, with a bucket "videos"; give the options of its URLs, and the way in of Arrow."""
    (port,) = free_ports()
    with (folder / "moto.log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log)
        try:
            options = f"scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1&allow_bucket_creation=true"
            files, _ = fs.FileSystem.from_uri(f"s3://key:secret@videos?{options}")
            until(lambda: "Running" in (folder / "moto.log").read_text() or server.poll() is not None)
            assert server.poll() is None, (folder / "moto.log").read_text()
            files.create_dir("videos")
            yield options, files
        finally:
            server.terminate()
            server.wait()
