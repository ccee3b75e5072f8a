"""The gallery of a batch: a report of each video, and a page of all that opens offline."""

import json
import os
from pathlib import Path

import pytest

from staa_client import BatchItem, StoreError
from staa_client.cli import main
from staa_client.cli.output.report_folder import ReportFolder, page_name
from staa_client.contract import of_document
from tests.client.conftest import document
from tests.client.pictures.conftest import Page
from tests.client.socket_servers import FakeServer

HOSTILE = "<img src=x onerror=alert(1)> 'x' & y.mp4"


def tiles_of(gallery: Path) -> list[dict[str, str | None]]:
    """The attributes of the videos in a gallery."""
    page = Page((gallery / "index.html").read_text("utf-8"))
    return [attributes for tag, attributes in page.elements if tag == "li" and "data-score" in attributes]


def links_of(gallery: Path) -> list[str]:
    """The reports that a gallery links to."""
    page = Page((gallery / "index.html").read_text("utf-8"))
    return [str(attributes["href"]) for tag, attributes in page.elements if tag == "a"]


def test_a_batch_makes_a_gallery(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each video has a tile; those that were answered a picture and a report of their own, the other its error."""
    gallery = folder / "gallery"
    assert main(["batch", str(folder), "--report", str(gallery), "--server", url]) == 1
    assert f"wrote {gallery / 'index.html'}" in capsys.readouterr().err
    assert [tile["data-score"] for tile in tiles_of(gallery)] == ["0.931200"] * 3 + ["-1.000000"]
    page = Page((gallery / "index.html").read_text("utf-8"))
    assert [str(attributes["src"])[:23] for tag, attributes in page.elements if tag == "img"] == [
        "data:image/jpeg;base64,"
    ] * 3
    links = links_of(gallery)
    assert len(set(links)) == 3
    assert all(Page((gallery / link).read_text("utf-8")).data["maps"] for link in links)
    assert any("noise came, send a video" in text for text in page.texts)
    assert len((gallery / "answers.jsonl").read_text().splitlines()) == 4


def test_a_second_run_keeps_the_reports(url: str, folder: Path) -> None:
    """Reports of answers that are in the file stay as they are; the gallery has all videos again."""
    gallery, output = folder / "gallery", folder / "out.jsonl"
    command = ["batch", "-o", str(output), "--report", str(gallery), "--server", url]
    assert main([*command, str(folder / "a.mp4")]) == 0
    (first,) = links_of(gallery)
    stamp = (gallery / first).stat().st_mtime_ns
    assert main([*command, str(folder / "a.mp4"), str(folder / "b.mp4")]) == 0
    assert links_of(gallery)[0] == first
    assert (gallery / first).stat().st_mtime_ns == stamp
    (gallery / first).unlink()
    assert main([*command, str(folder / "a.mp4")]) == 0
    assert Page((gallery / first).read_text("utf-8")).data["frames"]
    assert len([line for line in output.read_text().splitlines() if "reply" in json.loads(line)]) == 2


def test_labels_alone_have_a_gallery_too(url: str, folder: Path) -> None:
    """Without maps there are pictures and labels, and no report to go to."""
    gallery = folder / "gallery"
    assert main(["batch", str(folder / "a.mp4"), "--labels", "--report", str(gallery), "--server", url]) == 0
    assert [tile["data-verdict"] for tile in tiles_of(gallery)] == ["4"]
    assert links_of(gallery) == []
    assert "data:image/jpeg" in (gallery / "index.html").read_text("utf-8")


def test_no_name_of_a_file_acts(url: str, clip: bytes, tmp_path: Path) -> None:
    """A file's name is text in the page, and its report has a plain name within the folder."""
    (tmp_path / HOSTILE).write_bytes(clip)
    gallery = tmp_path / "gallery"
    assert main(["batch", str(tmp_path / HOSTILE), "--report", str(gallery), "--server", url]) == 0
    text = (gallery / "index.html").read_text("utf-8")
    assert "<img src=x" not in text
    assert any(HOSTILE in part for part in Page(text).texts)
    (link,) = links_of(gallery)
    assert (gallery / link).is_file()
    assert set(link) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def test_reports_of_one_name_are_apart(clip: bytes, tmp_path: Path) -> None:
    """Videos of one name in two folders, a changed video, and another request have reports of their own."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").write_bytes(clip)
    video = str(tmp_path / "a" / "clip.mp4")
    names = [page_name(video, "{}"), page_name(str(tmp_path / "b" / "clip.mp4"), "{}"), page_name(video, "[]")]
    assert page_name(os.path.relpath(video), "{}") == names[0]
    (tmp_path / "a" / "clip.mp4").write_bytes(clip + b"more")
    names.append(page_name(video, "{}"))
    assert len(set(names)) == 4
    assert page_name("http://example.com/x/..%2f..%2fetc.mp4?token=secret", "{}").startswith("etc-")
    assert "secret" not in page_name("http://example.com/clip.mp4?token=secret", "{}")


def test_answers_need_a_place(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A batch without a file and without a folder, or with a file in the folder's place, is wrong usage."""
    assert main(["batch", str(path), "--server", url]) == 2
    assert "-o answers.jsonl, or a folder by --report DIR" in capsys.readouterr().err
    assert main(["batch", str(path), "--report", str(path), "--server", url]) == 2
    assert "File exists" in capsys.readouterr().err


def test_a_page_of_somebody_else_is_not_overwritten(
    url: str, path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A folder with another index.html is refused before any video is sent; an earlier gallery is written anew."""
    mine, before = tmp_path / "index.html", len(FakeServer.seen)
    mine.write_text("<!doctype html><title>my own page</title>")
    assert main(["batch", str(path), "--report", str(tmp_path), "--server", url]) == 2
    assert f"{mine} is no gallery of this program" in capsys.readouterr().err
    assert "my own page" in mine.read_text()
    assert len(FakeServer.seen) == before
    for _ in range(2):
        assert main(["batch", str(path), "--report", str(tmp_path / "new"), "--server", url]) == 0
    assert not list((tmp_path / "new").glob(".*"))


def test_another_request_is_told_of_the_folder(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the file of answers was not named, the message speaks of --report."""
    gallery = path.parent / "gallery"
    command = ["batch", str(path), "--report", str(gallery), "--server", url]
    assert main(command) == 0
    assert main([*command, "--mass", "0.5"]) == 2
    assert f"{gallery} is the report of another request: name another folder by --report" in capsys.readouterr().err
    answers = str(gallery / "answers.jsonl")
    assert main([*command, "--mass", "0.5", "-o", answers]) == 2
    assert f"{answers} holds answers to another request" in capsys.readouterr().err


def test_a_tile_says_why_there_is_no_map_and_of_which_class_one_is(url: str, folder: Path) -> None:
    """A video that rules leave out has the reason, a class map its class, and a video its notes."""
    command = ["batch", str(folder / "a.mp4"), "--server", url, "--report"]
    assert main([*command, str(folder / "left"), "--explain-when", "score_below=0.5"]) == 0
    texts = Page((folder / "left" / "index.html").read_text("utf-8")).texts
    assert "Not explained: the best label has 0.931, the rule explains below 0.5" in texts
    gallery = ReportFolder(folder / "own")
    reply = document()
    reply["explanation"] |= {"target": {"class_id": 4, "label": "spins"}}
    reply["clip"] |= {"notes": ["turned upright"], "frames": [2] * 16, "times": [0.25] * 16}
    answer = of_document(reply)
    for error in (None, StoreError("the disk is full", answer=answer)):
        item = BatchItem(0, "a.mp4", None if error else answer, error)
        assert not list(gallery.add(item, str(folder / "a.mp4"), "{}"))
    texts = Page(gallery.finish().read_text("utf-8")).texts
    assert texts.count("Note: turned upright") == 2, "an answer that the store did not take has a tile, too"
    assert texts.count("Note: 1 frame, repeated 16 times: 'when' says nothing") == 2
    assert [text for text in texts if text.startswith("Map: ") and "spins" in text]
