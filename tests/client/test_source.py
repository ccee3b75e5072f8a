"""What is sent: refused when there is nothing in it, and the same at every attempt."""

import io
import os
import threading
from pathlib import Path

import pytest

from staa_client._key import keyed
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


def test_a_way_round_is_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dot or two in a path change neither its key nor what is said of it; a link is not followed."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "clip.mp4").write_bytes(b"abc")
    (tmp_path / "a" / "empty.mp4").touch()
    (tmp_path / "a" / "link.mp4").symlink_to("clip.mp4")
    monkeypatch.chdir(tmp_path / "b")
    for name in ("clip.mp4", "link.mp4", "none.mp4"):
        places = {keyed(way + name)[0].place for way in ("../a/", "../b/../a/./", f"{tmp_path}/b/../a/")}
        assert places == {str(tmp_path / "a" / name)}
    with pytest.raises(ValueError, match=f"no byte in {tmp_path}/a/empty.mp4;"):
        source_of("../a/empty.mp4")
    with pytest.raises(FileNotFoundError) as caught:
        source_of("../a/none.mp4")
    assert caught.value.filename == str(tmp_path / "a" / "none.mp4")


def test_what_is_behind_a_link_is_found_there(tmp_path: Path) -> None:
    """A ".." behind a link is the folder over the link's target, as for every other program."""
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "far" / "clip.mp4").write_bytes(b"far")
    (tmp_path / "link").symlink_to("far/away")
    through = tmp_path / "link" / ".." / "clip.mp4"
    for near in (None, b"near"):
        if near is not None:
            (tmp_path / "clip.mp4").write_bytes(near)
        source = source_of(through)
        assert isinstance(source, Path)
        assert source.read_bytes() == b"far"
        assert keyed(through)[0].place != keyed(tmp_path / "clip.mp4")[0].place
