"""Methods and classes on the command line: side by side, and which options go to which."""

import json
from pathlib import Path

import pytest

from staa_client.cli import main
from tests.client.pictures.conftest import Page
from tests.client.socket_servers import FakeServer


def asked_since(before: int) -> list[dict[str, str]]:
    """The options of the explanations that were asked for, by the names of their headers."""
    return [
        {name.removeprefix("x-staa-"): value for name, value in headers.items() if name.startswith("x-staa-")}
        for path, headers in FakeServer.seen[before:]
        if path.startswith("/explanations")
    ]


@pytest.mark.parametrize("option", [("--target", "3"), ("--contrast", "spins"), ("--refine", "16")])
def test_an_option_about_a_class_asks_for_a_class_map(option: tuple[str, str], url: str, path: Path) -> None:
    """Without a method the class method is asked; one that is named is sent as it is."""
    before = len(FakeServer.seen)
    assert main(["explain", str(path), *option, "--server", url]) == 0
    assert main(["explain", str(path), *option, "--method", "staa", "--server", url]) == 0
    name, value = option[0].removeprefix("--"), option[1]
    assert [(asked["method"], asked[name]) for asked in asked_since(before)] == [("staa_class", value), ("staa", value)]


def test_methods_stand_side_by_side(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each method is asked once, told one after the other, and drawn into the same picture."""
    before, page = len(FakeServer.seen), path.with_suffix(".html")
    methods = ("--method", "staa", "--method", "rollout", "--method", "staa")
    assert main(["explain", str(path), *methods, "-o", str(page), "--server", url]) == 0
    printed = capsys.readouterr().out
    assert [asked["method"] for asked in asked_since(before)] == ["staa", "rollout"]
    assert printed.index("method staa\n") < printed.index("method rollout\n")
    assert printed.count("when ") == 2
    assert len(Page(page.read_text("utf-8")).data["maps"]) == 2


def test_methods_of_many_videos_share_their_files(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several videos each has a line a method, and one picture with all of its maps."""
    videos, drawn = [str(folder / "a.mp4"), str(folder / "b.mp4")], str(folder / "{name}.html")
    methods = ("--method", "staa", "--method", "rollout")
    assert main(["explain", *videos, *methods, "-o", drawn, "--server", url]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    for name in ("a", "b"):
        assert len(Page((folder / f"{name}.html").read_text("utf-8")).data["maps"]) == 2
    assert main(["explain", *videos, *methods, "--json", "--server", url]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["source"] for line in lines] == [videos[0], videos[0], videos[1], videos[1]]


def test_a_class_is_told_to_class_methods_alone(url: str, path: Path) -> None:
    """Beside a class method, one that knows no classes is not told of the class."""
    before = len(FakeServer.seen)
    both = ("--method", "staa", "--method", "staa_class", "--target", "3")
    assert main(["explain", str(path), *both, "--server", url]) == 0
    assert [asked.get("target") for asked in asked_since(before)] == [None, "3"]


def test_targets_stand_side_by_side(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each target is asked once, of each method that is for a class, and drawn into the same picture."""
    before, page = len(FakeServer.seen), path.with_suffix(".html")
    targets = ("--target", "3", "--target", "spins", "--target", "3")
    assert main(["explain", str(path), *targets, "-o", str(page), "--server", url]) == 0
    printed = capsys.readouterr().out
    assert [(asked["method"], asked["target"]) for asked in asked_since(before)] == [
        ("staa_class", "3"),
        ("staa_class", "spins"),
    ]
    assert printed.startswith("target 3\n")
    assert "\ntarget spins\n" in printed
    assert len(Page(page.read_text("utf-8")).data["maps"]) == 2
    before = len(FakeServer.seen)
    methods = ("--method", "staa", "--method", "staa_class")
    assert main(["explain", str(path), *methods, *targets, "--server", url]) == 0
    assert [asked.get("target") for asked in asked_since(before)] == [None, "3", "spins"]
    printed = capsys.readouterr().out
    assert printed.startswith("method staa\n")
    assert "\nmethod staa_class, target spins\n" in printed
    numbers = path.with_suffix(".json")
    assert main(["explain", str(path), *targets, "-o", str(numbers), "--server", url]) == 2
    assert "would hold 2 maps" in capsys.readouterr().err


def test_a_file_of_one_map_takes_no_two(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers of two methods into one file are refused before anything is asked."""
    before = len(FakeServer.seen)
    methods = ("--method", "staa", "--method", "rollout")
    for ending in (".json", ".npz", ".parquet"):
        assert main(["explain", str(path), *methods, "-o", str(path.with_suffix(ending)), "--server", url]) == 2
        said = capsys.readouterr().err
        assert "holds one: ask for one --method and one --target, or for one of .html, .png, .mp4, .gif" in said
    assert len(FakeServer.seen) == before
