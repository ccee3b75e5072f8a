"""What a source is known again by."""

from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pytest

from staa_client import Client, Frames
from staa_client.batch.key import key_of
from staa_client.video.source import source_of
from tests.client.batch.conftest import sources
from tests.client.conftest import server


def test_frames_are_known_by_all_that_they_are() -> None:
    """The same bytes in another shape, size, rate, length or place are other frames; the same again are the same."""
    black = Frames.of(np.zeros((8, 120, 160, 3), np.uint8))
    others = [
        replace(black, images=np.zeros((8, 160, 120, 3), np.uint8)),
        replace(black, size=(320, 240)),
        replace(black, fps=24.0),
        replace(black, duration=9.0),
        replace(black, indices=black.indices + 1),
        replace(black, seconds=black.seconds + 1),
        replace(black, images=black.images + np.uint8(1)),
    ]
    names = [key_of(frames)[0].name for frames in (black, *others)]
    assert len(set(names)) == len(names)
    assert key_of(Frames.of(np.zeros((8, 120, 160, 3), np.uint8)))[0].name == names[0]


def test_frames_of_another_shape_are_asked_for(tmp_path: Path) -> None:
    """Upright black frames do not get the answer of black frames that lie."""
    output = tmp_path / "out.jsonl"
    with Client(transport=httpx2.MockTransport(server())) as staa:
        for shape in ((8, 120, 160, 3), (8, 160, 120, 3)):
            (item,) = staa.batch([np.zeros(shape, np.uint8)], output=output)
            assert not item.resumed
    assert len(sources(output)) == 2


def test_a_way_round_is_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dot or two in a path change neither its key nor what is said of it; a link is not followed."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "clip.mp4").write_bytes(b"abc")
    (tmp_path / "a" / "empty.mp4").touch()
    (tmp_path / "a" / "link.mp4").symlink_to("clip.mp4")
    monkeypatch.chdir(tmp_path / "b")
    for name in ("clip.mp4", "link.mp4", "none.mp4"):
        places = {key_of(way + name)[0].identity for way in ("../a/", "../b/../a/./", f"{tmp_path}/b/../a/")}
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
        assert key_of(through)[0].identity != key_of(tmp_path / "clip.mp4")[0].identity


HIDDEN = "s3cr3t"


def test_a_video_keeps_its_query_and_no_password() -> None:
    """In a file of answers a URL is known by all of it but user and password: another query is another video."""
    for url, name in (
        (f"https://admin:{HIDDEN}@host/clip?id=5#t=3", "https://host/clip?id=5"),
        ("https://host/clip?id=6&mail=a@b", "https://host/clip?id=6&mail=a@b"),
        (f"https://admin:{HIDDEN}?@host/clip", "https://host/clip"),
    ):
        key, video = key_of(url)
        assert (key.name, key.identity) == (name, name)
        assert video == url
