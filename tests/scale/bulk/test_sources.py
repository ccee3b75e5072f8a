"""Which videos a folder, a list or a URL names, and by what each is known again."""

import io
from pathlib import Path

import pytest

from scale.bulk.sources import list_sources, located
from staa_client.batch.key import key_of


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of two videos, and of what is none."""
    for name in ("a.mp4", "b/c d.MOV", "b/notes.txt"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clips" / name).write_bytes(name.encode())
    return tmp_path / "clips"


def test_a_folder(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its videos are those of it and of the folders in it, with the keys that `staa batch` has for them."""
    monkeypatch.chdir(clips.parent)
    found = list_sources("clips")
    assert [source.key.name for source in found] == ["clips/a.mp4", "clips/b/c d.MOV"]
    assert [source.read(100) for source in found] == [b"a.mp4", b"b/c d.MOV"]
    for source in found:
        key = key_of(source.key.name)[0]
        assert (source.key.identity, source.key.stamp) == (key.identity, key.stamp)
    assert [source.key.identity for source in list_sources(clips.as_uri())] == [each.key.identity for each in found]


def test_a_list(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list names paths and URLs, one a line; a video that is named twice, or by two ways, is there once."""
    monkeypatch.chdir(clips)
    lines = f"a.mp4\n\n./b/../a.mp4\n{clips}/b/c d.MOV\n{clips.as_uri()}/a.mp4\ngone.mp4\n"
    (clips.parent / "list.txt").write_text(lines)
    found = list_sources(str(clips.parent / "list.txt"))
    assert [Path(source.key.identity).name for source in found] == ["a.mp4", "c d.MOV", "gone.mp4"]
    assert found[2].key.stamp == ""
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert [source.key.identity for source in list_sources("-")] == [source.key.identity for source in found]


def test_what_is_no_list(clips: Path) -> None:
    """A file that is no text, and one that is not there, are said to be so."""
    (clips / "video.mp4").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="neither a folder nor a text file"):
        list_sources(str(clips / "video.mp4"))
    with pytest.raises(FileNotFoundError):
        list_sources(str(clips / "gone"))


def test_storage_of_fsspec(clips: Path) -> None:
    """Where Arrow has no storage of its own fsspec reads it, folders and single files."""
    found = list_sources(f"local://{clips}")
    assert [source.key.name for source in found] == [f"local://{clips}/a.mp4", f"local://{clips}/b/c d.MOV"]
    assert [source.read(3) for source in found] == [b"a.mp", b"b/c "]
    assert all(source.key.stamp.startswith(("5 ", "9 ")) for source in found)
    (clips / "list.txt").write_text(f"local://{clips}/a.mp4")
    (one,) = list_sources(f"local://{clips}/list.txt")
    assert (one.key.identity, one.read(100)) == (found[0].key.identity, b"a.mp4")


def test_no_password_is_kept() -> None:
    """What reaches the storage is not what rows name: they have neither password nor the options of a storage."""
    url = "s3://key:secret@videos/a b.mp4?endpoint_override=127.0.0.1:1&scheme=http"
    assert located(url) == ("s3://key:secret@videos?endpoint_override=127.0.0.1:1&scheme=http", "videos/a b.mp4")
