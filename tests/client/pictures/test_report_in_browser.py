"""The report in a real browser: it plays, seeks, fades and focuses, by mouse and by keyboard, and loads nothing."""

import dataclasses
import itertools
import json
import re
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect

from staa_client import Client, Explanation
from staa_client.files import save
from tests.client.conftest import class_map, document, server
from tests.client.pictures.conftest import Tab, shown

HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const light = text => {
    canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const part = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const under = element => {
    const ground = getComputedStyle(element).backgroundColor;
    return ground === "rgba(0, 0, 0, 0)" ? under(element.parentElement) : ground;
  };
  const texts = [...document.querySelectorAll("body *")].filter(
    element => element.checkVisibility() && [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
  return texts.map(element => {
    const [a, b] = [light(getComputedStyle(element).color), light(under(element))].sort((x, y) => y - x);
    return [element.tagName + " " + element.textContent.trim().slice(0, 30), (a + 0.05) / (b + 0.05)];
  });
}"""


@pytest.fixture
def both(tab: Tab, explanation: Explanation, tmp_path: Path) -> Tab:
    """The report of two maps in a tab."""
    return shown(tab, save(tmp_path / "x.html", [explanation, class_map(explanation)]))


def test_it_opens_at_the_peak_and_asks_for_nothing(report: Tab) -> None:
    """From file:// it draws the frame and the map of the peak, says nothing on the console, and loads nothing."""
    assert report.now == "4.75 s, frame 38"
    assert len(set(report.pixels())) > 100
    assert report.asked[0].startswith("file:")
    assert all(url.startswith("blob:") for url in report.asked[1:])  # the copy of the video, which is in the page


def test_it_plays_until_it_is_paused(report: Tab) -> None:
    """Play moves through the frames by itself, Pause stays where it is."""
    before, first = report.pixels(), report.now
    report.page.click("#play")
    assert report.page.inner_text("#play") == "Pause"
    expect(report.page.locator("#now")).not_to_have_text(first, timeout=5000)
    assert report.pixels(plays=True) != before
    report.page.click("#play")
    stopped = report.now
    report.page.wait_for_timeout(500)
    assert report.now == stopped
    assert report.page.inner_text("#play") == "Play"


@pytest.mark.parametrize("tab", [{"reduced_motion": "reduce"}, {}], indirect=True)
def test_it_does_not_loop_where_less_motion_is_wished(report: Tab, request: pytest.FixtureRequest) -> None:
    """At its end it begins again, but not for who asked for reduced motion."""
    report.page.focus(".curve")
    report.page.keyboard.press("End")
    report.page.keyboard.press("ArrowLeft")
    report.page.click("#play")
    once = "reduced_motion" in request.node.callspec.params["tab"]
    expect(report.page.locator("#now")).to_have_text("7.75 s, frame 62" if once else re.compile("s, frame [3-9]$"))
    expect(report.page.locator("#play")).to_have_text("Play" if once else "Pause")
    assert report.page.inner_text("#play") == ("Play" if once else "Pause")


def test_a_click_and_a_drag_on_the_curve_seek(report: Tab) -> None:
    """The frame, its map and the words are those of the seconds under the pointer."""
    box = report.page.locator(".curve").bounding_box()
    assert box is not None
    before = report.pixels()
    report.page.mouse.move(box["x"] + 8 + (box["width"] - 16) * 2.25 / 8, box["y"] + 40)
    report.page.mouse.down()
    assert report.now == "2.25 s, frame 18"
    assert all(
        part in report.page.inner_text(".status") for part in ("Where, 2.00-2.50 s (step 5 of 16)", "share 6.3%;")
    )
    clicked = report.pixels()
    assert clicked != before
    report.page.mouse.move(box["x"] + 8 + (box["width"] - 16) * 6.3 / 8, box["y"] + 60)
    report.page.mouse.up()
    assert report.now == "6.25 s, frame 50"
    assert report.pixels() not in (before, clicked)


def test_the_keyboard_seeks(report: Tab) -> None:
    """Arrows go a frame, Home and End to the ends, the slider says where it is; arrows work on the page itself too."""
    report.page.keyboard.press("ArrowRight")
    assert report.now == "4.88 s, frame 39"
    curve = report.page.locator(".curve")
    curve.focus()
    seen = [report.pixels()]
    for key, frame in (
        ("ArrowLeft", 38),
        ("ArrowDown", 37),
        ("Home", 2),
        ("PageUp", 9),
        ("End", 62),
        ("ArrowRight", 62),
    ):
        report.page.keyboard.press(key)
        assert report.now.endswith(f"frame {frame}"), key
        assert curve.get_attribute("aria-valuenow") == str(frame - 2)
        assert (curve.get_attribute("aria-valuetext") or "").startswith(report.now)
        seen.append(report.pixels())
    assert all(a != b for a, b in itertools.pairwise(seen[:-1]))


def test_the_map_fades_hides_and_focuses(report: Tab) -> None:
    """Opacity, the switch, the focus slider and the dynamic threshold each change the picture, and back."""
    first = report.pixels()
    report.set("opacity", 30)
    faded = report.pixels()
    report.page.uncheck("#shown")
    hidden = report.pixels()
    assert len({str(each) for each in (first, faded, hidden)}) == 3
    far = [sum(abs(a - b) for a, b in zip(each, hidden, strict=True)) for each in (faded, first)]
    assert 0 < far[0] < far[1]
    report.page.check("#shown")
    report.set("opacity", 0)
    assert report.pixels() == hidden
    report.set("opacity", 80)
    assert report.pixels() == first
    report.page.click("#dynamic")
    dynamic = report.pixels()
    assert sum(abs(a - b) > 40 for a, b in zip(first, dynamic, strict=True)) > 0.1 * len(first), "what is left out dims"
    assert report.page.get_attribute("#dynamic", "aria-pressed") == "true"
    report.set("focus", 60)
    assert report.page.get_attribute("#dynamic", "aria-pressed") == "false"
    assert len({str(each) for each in (first, dynamic, report.pixels())}) == 3
    report.set("focus", 0)
    assert report.pixels() == first


def test_maps_side_by_side_move_together(both: Tab) -> None:
    """Two maps stand beside each other, differ, and follow one seek, one player and one switch."""
    boxes = [both.page.locator(".view").nth(i).bounding_box() for i in range(2)]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["y"] == pytest.approx(boxes[1]["y"], abs=1)
    assert boxes[1]["x"] >= boxes[0]["x"] + boxes[0]["width"]
    before = [both.pixels(0), both.pixels(1)]
    assert before[0] != before[1]
    both.page.locator(".curve").nth(1).focus()
    both.page.keyboard.press("Home")
    assert all(both.pixels(i) != before[i] for i in range(2))
    assert [both.page.locator(".curve").nth(i).get_attribute("aria-valuenow") for i in range(2)] == ["0", "0"]
    both.page.uncheck("#shown")
    assert both.pixels(0) == both.pixels(1)


@pytest.mark.parametrize("tab", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True)
def test_all_texts_have_contrast(both: Tab, request: pytest.FixtureRequest) -> None:
    """Every text differs from its ground by 4.5 to 1 at least, in the dark and in the light, pressed buttons too."""
    dark = request.node.callspec.params["tab"]["color_scheme"] == "dark"
    ground = both.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 20, 26)" if dark else "rgb(255, 255, 255)")
    both.page.click("#dynamic")
    both.page.locator("summary").first.click()
    ratios = both.page.evaluate(CONTRAST)
    assert len(ratios) > 60
    assert [each for each in ratios if each[1] < 4.5] == []


def test_tab_reaches_everything_and_leaves(both: Tab) -> None:
    """Tab goes through controls and curves in the order of the page, shows where it is, and is held nowhere."""
    page = both.page
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
        )
        if name == "BODY":
            break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", name
        reached.append(name)
    steps = ["play", "frame_back", "frame_on", "peak_back", "peak_on", "speed", "loop"]
    controls = [*steps, "shown", "opacity", "focus", "dynamic", "colours", "go"]
    assert reached == [*controls, "curve", "SUMMARY", "curve", "SUMMARY"]


@pytest.mark.parametrize("tab", [{"viewport": {"width": 320, "height": 640}}], indirect=True)
def test_a_narrow_screen_scrolls_one_way(both: Tab) -> None:
    """On 320 pixels nothing sticks out to the side, and the maps stand one below the other."""
    both.page.locator("summary").first.click()
    assert both.page.evaluate("document.documentElement.scrollWidth") <= 320
    tops = [both.page.locator(".view").nth(i).bounding_box() for i in range(2)]
    assert tops[0] is not None
    assert tops[1] is not None
    assert tops[1]["y"] > tops[0]["y"] + tops[0]["height"]


def test_hostile_labels_stay_text(tab: Tab, clip: bytes, tmp_path: Path) -> None:
    """Markup in a label is shown as it is, and nothing in it runs."""
    with Client(transport=httpx2.MockTransport(server(document(label=HOSTILE)))) as client:
        explained = client.explain(clip)
    hostile = dataclasses.replace(class_map(explained), target=dataclasses.replace(explained.predictions[0]))  # type: ignore[arg-type]
    shown(tab, hostile.save(tmp_path / "x.html"))
    assert tab.page.locator("img").count() == 0
    assert HOSTILE in tab.page.inner_text("#tracks")
    tab.page.hover(".view")
    assert "alert" not in tab.page.inner_text(".pointed")
    assert HOSTILE in tab.page.inner_text("h1")
    assert json.loads(tab.page.locator("#data").inner_text())["width"] == 320


def test_without_frames_the_map_stands_alone(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """Without a video the reason is said, the map is drawn in full, and the opacity has nothing to do."""
    shown(tab, dataclasses.replace(explanation, source=None).save(tmp_path / "x.html"))
    assert "no video was given" in tab.page.inner_text(".note")
    assert tab.page.locator("#opacity").is_disabled()
    before = tab.pixels()
    tab.page.uncheck("#shown")
    assert tab.pixels() != before
