"""What is sent: refused when there is nothing in it, and the same at every attempt."""

import io
import os
import threading
from pathlib import Path

import pytest

from staa_client._source import Upload, source_of


def test_an_empty_file_is_no_video(tmp_path: Path) -> None:
    """A file, bytes or a stream without a byte is a ValueError that says so."""
    path = tmp_path / "clip.mp4"
    path.touch()
    for empty in (path, str(path), b"", io.BytesIO()):
        with pytest.raises(ValueError, match="the file is empty"):
            source_of(empty)


def test_a_named_pipe_is_no_empty_file(tmp_path: Path) -> None:
    """A path that has no size until it is read, such as a shell's `<(...)`, is read whole, once for all attempts."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"abc",), daemon=True)
    writer.start()
    source = source_of(path)
    writer.join(5)
    assert isinstance(source, bytes)
    upload = Upload(source)
    assert (len(upload), b"".join(upload.chunks()), b"".join(upload.chunks())) == (3, b"abc", b"abc")


def test_a_folder_cannot_be_sent(tmp_path: Path) -> None:
    """A folder, and a path where nothing is, is an OSError before anything is sent."""
    for path in (tmp_path, tmp_path / "none.mp4"):
        with pytest.raises(OSError, match=path.name):
            source_of(path)
