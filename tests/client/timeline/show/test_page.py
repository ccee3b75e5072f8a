"""What the page of a timeline promises: all in one file, and that it works in a real browser."""

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from staa_client import ClassName, Explanation, Timeline, contract
from staa_client.pictures.badge import NOT_CHECKED
from staa_client.timeline.show.page import render_page
from tests.client.conftest import checked, document
from tests.client.timeline.conftest import timeline

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--headless", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-background-networking"]
HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def made(explanation: Explanation, tmp_path: Path) -> Timeline:
    """Return a timeline whose spans have a map over the frames of a video."""
    path = tmp_path / "clip.mp4"
    assert isinstance(explanation.source, bytes)
    path.write_bytes(explanation.source)
    return timeline(path, dataclasses.replace(explanation, source=path))


def data_of(page: str) -> dict[str, Any]:
    """Return what the script of a page draws."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


def test_the_page_holds_everything(made: Timeline, tmp_path: Path) -> None:
    """Tracks, spans, maps over frames and facts stand in the one file, which names no address but data."""
    page = made.save(tmp_path / "a.html", tracks=3).read_text()
    data = data_of(page)
    assert [track["label"] for track in data["tracks"]][:2] == ["moves right", "spins"]
    assert len(data["tracks"]) == 3
    assert [(span["start"], span["end"]) for span in data["spans"]] == [(3.25, 8.5), (11.5, 16.75)]
    assert all(len(span["maps"]) == 3 for span in data["spans"])
    assert all(each["image"].startswith("data:image/jpeg;base64,") for span in data["spans"] for each in span["maps"])
    assert "trained on clips of 3 to 5 s" in page
    assert "Knows eight motions only." in page
    assert page.count("nothing known") == 3
    assert re.fullmatch(r"where, \d+\.\d\d-\d+\.\d\d s", data["spans"][0]["maps"][0]["words"])
    assert not re.findall(r"https?://", page)


def test_without_a_video_the_maps_stand_alone(made: Timeline, tmp_path: Path) -> None:
    """Where the video is gone, the maps are drawn without frames, and the page says so."""
    page = render_page(dataclasses.replace(made, source=tmp_path / "gone.mp4"), 5)
    assert all(len(span["maps"]) == 3 for span in data_of(page)["spans"])
    assert "drawn without frames" in page
    assert "drawn without frames" in render_page(dataclasses.replace(made, source=None), 5)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of the file."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that loads nothing, and whose script has no error."""
    errors: list[str] = []
    opened = browser.new_page(viewport={"width": 1000, "height": 800})
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text))
    opened.on(
        "request", lambda asked: errors.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None
    )
    yield opened
    opened.close()
    assert not errors


def shown(page: Page) -> tuple[float, float]:
    """Return the seconds that the tracks show."""
    tracks = page.locator("#tracks")
    return float(tracks.get_attribute("data-from") or -1), float(tracks.get_attribute("data-to") or -1)


def test_it_zooms_and_moves(made: Timeline, page: Page, tmp_path: Path) -> None:
    """Buttons and the wheel zoom within the video; the whole video comes back."""
    page.goto(made.save(tmp_path / "a.html").as_uri())
    assert shown(page) == (0, 20)
    page.get_by_role("button", name="Zoom in").click()
    assert shown(page) == (5, 15)
    page.get_by_role("button", name="Later").click()
    assert shown(page) == (10, 20)
    page.get_by_role("button", name="Later").click()
    assert shown(page) == (10, 20)
    page.get_by_role("button", name="Whole video").click()
    page.locator("#tracks").hover(position={"x": 500, "y": 20})
    page.mouse.wheel(0, -100)
    page.wait_for_function(
        "document.getElementById('tracks').dataset.to - document.getElementById('tracks').dataset.from < 17"
    )


def test_a_click_on_a_span_shows_its_map(made: Timeline, page: Page, tmp_path: Path) -> None:
    """A bar of the tracks and a button of the table open the label, the times and the pictures of a span."""
    page.goto(made.save(tmp_path / "a.html").as_uri())
    expect(page.locator("#name")).to_have_text("moves right")
    tracks = page.locator("#tracks")
    box = tracks.bounding_box()
    assert box is not None
    tracks.click(position={"x": 150 + (box["width"] - 150) * 14 / 20, "y": 46 + 20})
    expect(page.locator("#name")).to_have_text("spins")
    expect(page.locator("#words")).to_contain_text("0:11.5 to 0:16.8")
    expect(page.locator("#maps img")).to_have_count(3)
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    page.get_by_role("button", name="moves right").click()
    expect(page.locator("#name")).to_have_text("moves right")


@pytest.mark.parametrize("verdict", [None, "no_better_than_random"])
def test_a_map_says_what_it_shows_and_how_far_to_trust_it(
    made: Timeline, page: Page, tmp_path: Path, verdict: str | None
) -> None:
    """Under the times stand the badge and its sentence; under the maps the class, the contrast and the colours."""
    a, b = ClassName(1, "moves right"), ClassName(2, "grows")
    tested = contract.of_document(checked(document()))
    assert isinstance(tested, Explanation)
    assert tested.faithfulness is not None
    told = dataclasses.replace(tested.faithfulness, verdict=verdict or "", message="it is not looked at")
    check = None if verdict is None else told
    found = [span.explanation for span in made.known]
    assert found[0] is not None
    found = [dataclasses.replace(found[0], target=a, contrast=b, faithfulness=check), None]
    spans = tuple(
        dataclasses.replace(span, explanation=each, not_explained=None if each else "the rule leaves it out")
        for span, each in zip(made.known, found, strict=True)
    )
    page.goto(dataclasses.replace(made, spans=spans).save(tmp_path / "a.html").as_uri())
    expect(page.locator("#verdict")).to_have_text("not checked" if check is None else "distrust it")
    expect(page.locator("#sentence")).to_have_text(NOT_CHECKED if check is None else "It is not looked at.")
    expect(page.locator("#trust")).to_have_class("trust unknown" if check is None else "trust bad")
    for words in (
        "Evidence for moves right and not grows (staa).",
        "The low end of the colours is the average, or less;",
    ):
        expect(page.locator("#about")).to_contain_text(words)
    page.get_by_role("button", name="spins").click()
    expect(page.locator("#about")).to_have_text("This span has no map: the rule leaves it out.")
    expect(page.locator("#trust")).to_be_hidden()


def test_labels_from_outside_stay_text(made: Timeline, page: Page, tmp_path: Path) -> None:
    """A label, a name or a note with markup is shown as it is, and runs nothing."""
    labels = tuple(HOSTILE if number == 1 else label for number, label in enumerate(made.labels))
    spans = tuple(dataclasses.replace(span, label=HOSTILE) if span.class_id == 1 else span for span in made.spans)
    hostile = dataclasses.replace(made, labels=labels, spans=spans, name=HOSTILE, notes=(HOSTILE,))
    page.goto(hostile.save(tmp_path / "a.html").as_uri())
    expect(page.locator("#name")).to_have_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
