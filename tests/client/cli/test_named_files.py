"""Files that a command names: patterns, the input, and outputs that are refused before anything is asked."""

import os
from pathlib import Path

import pytest

from staa_client.cli import main
from staa_client.cli.named_files import videos_of
from tests.client.socket_servers import FakeServer


def test_pictures_of_many_have_names_of_their_own(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`{name}` in -o stands for the video's name; without it many videos are refused before anything is asked."""
    videos = [str(folder / name) for name in ("a.mp4", "b.mp4")]
    before = len(FakeServer.seen)
    assert main(["explain", *videos, "--server", url, "-o", str(folder / "out.png")]) == 2
    assert "put {name} in" in capsys.readouterr().err
    assert len(FakeServer.seen) == before
    assert main(["explain", *videos, "--server", url, "-o", str(folder / "{name}-map.png")]) == 0
    assert sorted(path.name for path in folder.glob("*.png")) == ["a-map.png", "b-map.png"]


def test_no_picture_is_written_twice(url: str, clip: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files that two videos would write, or that are a video themselves, are refused by name before any is asked."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").write_bytes(clip)
    video, other = (str(tmp_path / name / "clip.mp4") for name in ("a", "b"))
    drawn, before = str(tmp_path / "{name}.png"), len(FakeServer.seen)
    for arguments, said in (
        ([video, other, "-o", drawn], f"clip.png would be written by both {video} and {other}"),
        ([video, video, "-o", drawn], f"clip.png would be written by both {video} and {video}"),
        ([video, "http://127.0.0.1:9/b/clip.webm?x=1", "-o", drawn], "by both"),
        ([video, "-o", drawn, "-o", str(tmp_path / "a" / ".." / "clip.png")], "named twice"),
        ([video, "-o", str(tmp_path / "a" / "{name}.mp4")], f"is the video {video} itself"),
    ):
        assert main(["explain", *arguments, "--server", url]) == 2
        assert said in capsys.readouterr().err
    assert len(FakeServer.seen) == before
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["clip.mp4", "clip.mp4"]
    (tmp_path / "clip").mkdir()
    assert main(["explain", video, "-o", str(tmp_path / "{name}" / "map.png"), "--server", url]) == 0
    assert (tmp_path / "clip" / "map.png").exists()


def test_the_input_is_one_video_alone(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dash among several videos, or in a batch, is refused as the input, not looked for; the help says so."""
    video, before = str(folder / "a.mp4"), len(FakeServer.seen)
    for arguments in (["batch", "-", "-o", str(folder / "x.jsonl")], ["predict", video, "-"], ["explain", "-", "-"]):
        assert main([*arguments, "--server", url]) == 2
        assert 'the input, "-", is one video' in capsys.readouterr().err
    assert len(FakeServer.seen) == before
    assert not (folder / "x.jsonl").exists()
    for command, said in (("predict", '"-" alone for the input'), ("explain", '"-" alone'), ("batch", 'Not "-"')):
        assert main([command, "--help"]) == 0
        assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--colormap", "nosuch", "-o", "y.png"], "--colormap is one of heat, viridis, grey, balance, got 'nosuch'"),
        (["--colormap", "nosuch"], "--colormap is one of"),
        (["-o", "{foo}.png"], "{foo}.png has {foo}, which stands for nothing: write {name}"),
        (["-o", "{}-{name}.png"], "{}-{name}.png has {}, which stands for nothing"),
    ],
)
def test_a_picture_that_cannot_be_is_refused_before_asking(
    arguments: list[str], said: str, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colours and fields of a name that there are not are wrong usage, though no server is there."""
    monkeypatch.chdir(path.parent)
    assert main(["explain", "clip.mp4", "--server", "http://127.0.0.1:9", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


@pytest.fixture
def tree(clip: bytes, tmp_path: Path) -> Path:
    """A folder with videos at two levels, files that are none, and a link from within to itself."""
    (tmp_path / "clips" / "below").mkdir(parents=True)
    (tmp_path / "clips" / ".hidden").mkdir()
    for name in ("b.MP4", "a.mov", "below/c.mp4", ".hidden/d.mp4", "._a.mov"):
        (tmp_path / "clips" / name).write_bytes(clip)
    (tmp_path / "clips" / "notes.txt").write_text("no video")
    (tmp_path / "clips" / "below" / "loop").symlink_to(tmp_path / "clips", target_is_directory=True)
    return tmp_path / "clips"


def test_a_folder_stands_for_its_videos(tree: Path) -> None:
    """Those with the ending of a video, sorted; the folders below only if that is said, and no circle of links."""
    assert videos_of([str(tree)]) == [str(tree / "a.mov"), str(tree / "b.MP4")]
    every = [str(tree / name) for name in ("a.mov", "b.MP4", "below/c.mp4")]
    assert videos_of([str(tree)], recursive=True) == every
    assert videos_of([str(tree / "below"), str(tree / "notes.txt")]) == [every[2], str(tree / "notes.txt")]
    assert videos_of([str(tree / "below" / "loop")], recursive=True)[0].endswith("loop/a.mov")


def test_a_pattern_may_match_folders_and_what_is_no_file(tree: Path) -> None:
    """A folder that matches stands for its videos, each once, and may have none; a pipe would be waited for."""
    (tree / "empty").mkdir()
    (tree / "below" / "loop").unlink()
    os.mkfifo(tree / "pipe.mp4")
    os.mkfifo(tree / "below" / "pipe.mp4")
    (tree / "gone.mp4").symlink_to(tree / "nowhere.mp4")
    here = [str(tree / name) for name in ("a.mov", "b.MP4")]
    below, gone, notes = (str(tree / name) for name in ("below/c.mp4", "gone.mp4", "notes.txt"))
    assert videos_of([str(tree / "*")]) == [*here, below, gone, notes]
    assert videos_of([str(tree / "**")]) == [*here, gone, below, notes], "each once"
    assert videos_of([str(tree)]) == [*here, gone]
    assert videos_of([str(tree / "pipe.mp4")]) == [str(tree / "pipe.mp4")], "one that is named is read"
    for pattern in ("emp*", "pip*"):
        with pytest.raises(ValueError, match="no file matches"):
            videos_of([str(tree / pattern)])


def test_a_folder_without_a_video_is_refused(tree: Path, tmp_path: Path) -> None:
    """It is said that nothing in it is a video, or that some are below it."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    for recursive in (False, True):
        with pytest.raises(ValueError, match=r"empty has no video: no file whose name ends in \.avi"):
            videos_of([str(tmp_path / "empty")], recursive=recursive)
    (tree / "a.mov").unlink()
    (tree / "b.MP4").unlink()
    with pytest.raises(ValueError, match="only in the folders below it: say --recursive"):
        videos_of([str(tree)])


def test_every_command_for_many_videos_takes_a_folder(url: str, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`predict`, `explain` and `batch` ask about the videos of a folder, with `--recursive` also below it."""
    for command in ("predict", "explain"):
        assert main([command, str(tree), "--server", url]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 2
        assert main([command, str(tree), "--recursive", "--server", url]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["batch", str(tree), "-r", "-o", str(tree / "out.jsonl"), "--server", url]) == 0
    assert "3 new" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_refused_before_asking(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`-o` into a missing folder is wrong usage, told before anything is sent."""
    assert main(["explain", "clip.mp4", "--server", "http://127.0.0.1:9", "-o", str(tmp_path / "no" / "x.png")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(
    url: str, path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What the system says, without its number."""
    (tmp_path / "x.png").mkdir()
    assert main(["explain", str(path), "--server", url, "-o", str(tmp_path / "x.png")]) == 2
    assert capsys.readouterr().err.endswith(f"staa: {tmp_path / 'x.png'}: Is a directory\n")
