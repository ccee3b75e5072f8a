"""The viewer of a report in a real browser: it plays the copy of the video, and goes where it is told."""

import base64
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from staa_client import ClassName, Explanation, Frames
from staa_client.files import save
from tests.client.conftest import class_map, fewer
from tests.client.pictures.conftest import Tab, shown
from tests.made.videos import beeping

RGB = """view => {
  const copy = new OffscreenCanvas(view.width, view.height).getContext("2d", {willReadFrequently: true});
  copy.drawImage(view, 0, 0);
  const bytes = copy.getImageData(0, 0, view.width, view.height).data;
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return [view.height, view.width, btoa(text)];
}"""
WIDE = {"viewport": {"width": 1280, "height": 720}}


def picture(tab: Tab, index: int = 0) -> NDArray[np.int64]:
    """Return what a map's canvas shows: (H, W, 3), 0 to 255."""
    tab.settle()
    height, width, pixels = tab.page.locator(".view").nth(index).evaluate(RGB)
    return np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 4)[..., :3].astype(np.int64)


def disc(shown_now: NDArray[np.int64]) -> tuple[float, float]:
    """Return the centre of the bright disc, x and y in pixels of a source of 320 x 240."""
    rows, columns = np.nonzero((shown_now[..., 0] > 200) & (shown_now[..., 1] > 190) & (shown_now[..., 2] < 150))
    return float(columns.mean()) / 2, float(rows.mean()) / 2


def at(tab: Tab) -> int:
    """Return the number of the frame that is shown."""
    return int(tab.now.rpartition(" ")[2])


def go(tab: Tab, moment: str) -> None:
    """Type a moment, and go there."""
    tab.page.fill("#go", moment)
    tab.page.press("#go", "Enter")


def playing(page: Page, script: str) -> Any:  # what the script says
    """Play until the script gives something else than null, and return that."""
    found = None
    while found is None:
        found = page.evaluate(script)
        page.wait_for_timeout(20)
    return found


def test_every_frame_of_the_source_is_shown(report: Tab) -> None:
    """Also between the frames that the model saw, the picture is that of the source at this time."""
    report.page.uncheck("#shown")
    for frame in (2, 31, 32, 33, 62):
        go(report, f"#{frame}")
        assert at(report) == frame
        assert disc(picture(report)) == pytest.approx((90 + 9 * frame / 4, 70 + 7 * frame / 4), abs=1)


def test_the_frames_that_the_model_saw_are_marked(report: Tab) -> None:
    """Words beside the time say whether the model saw the frame, and which of its frames it is."""
    seen = report.page.locator("#seen")
    expect(seen).to_have_text("\u25cf seen by the model, 10 of 16")
    report.page.click("#frame_on")
    assert at(report) == 39
    expect(seen).to_have_text("\u25cb not seen by the model")
    for _ in range(5):
        report.page.click("#frame_back")
    assert at(report) == 34
    expect(seen).to_have_text("\u25cf seen by the model, 9 of 16")


def test_of_a_fast_video_the_right_frames_are_marked(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """Where the copy leaves frames out, those that the model saw are there, are marked, and are gone to."""
    pictures = np.random.default_rng(0).integers(0, 99, (60, 24, 32, 3)).astype(np.uint8)
    numbers = np.arange(16) * 59 // 15
    clip = dataclasses.replace(explanation.clip, fps=60.0, duration=1.0, frames=numbers, times=numbers / 60)
    fast = dataclasses.replace(explanation, clip=clip, seconds=explanation.seconds / 8)
    frames = Frames(pictures, np.arange(60) / 60, np.arange(60), 60.0, 1.0, (320, 240))
    shown(tab, fast.save(tmp_path / "x.html", frames))
    marked = "viewer.pictures.numbers.filter((_, at) => viewer.sampled[at] >= 0)"
    assert tab.page.evaluate(marked) == numbers.tolist()
    for number in (numbers[1], numbers[10]):
        go(tab, f"#{number}")
        assert at(tab) == number
        expect(tab.page.locator("#seen")).to_contain_text("\u25cf seen by the model")


def test_the_map_moves_with_the_video(report: Tab) -> None:
    """Between the middles of two steps the map is mixed from both, as in a movie."""
    cells = "viewer.stepOf(viewer.data.maps[0])"
    steps = []
    for frame in (36, 37, 38, 39, 40, 41):
        go(report, f"#{frame}")
        steps.append(report.page.evaluate(cells))
    assert steps == [9, 9, 9, 9, 10, 10]
    pictures = []
    for frame in (38, 39, 40):
        go(report, f"#{frame}")
        report.settle()
        pictures.append(picture(report))
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[1] != pictures[2]).any()


def test_the_speed_can_be_chosen(report: Tab) -> None:
    """From a tenth to four times, before and while it plays; time then goes as fast as was chosen."""
    page = report.page
    offered = page.locator("#speed option").evaluate_all("options => options.map(option => Number(option.value))")
    assert (offered[0], offered[-1]) == (0.1, 4)
    page.select_option("#speed", "4")
    go(report, "0")
    page.click("#play")
    film = "const film = viewer.pictures.video;"
    assert playing(page, f"(() => {{ {film} return film.currentTime > 0.5 ? film.playbackRate : null; }})()") == 4
    page.select_option("#speed", "0.1")
    assert playing(page, f"(() => {{ {film} return film.playbackRate < 4 ? film.playbackRate : null; }})()") == 0.1
    assert page.inner_text("#play") == "Pause"


def test_it_plays_without_word_of_each_frame(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """A browser that does not tell of each frame of a video is asked for its time, and plays alike."""
    tab.page.add_init_script("delete HTMLVideoElement.prototype.requestVideoFrameCallback")
    shown(tab, explanation.save(tmp_path / "x.html"))
    assert tab.page.evaluate("viewer.pictures.video.requestVideoFrameCallback === undefined")
    tab.page.click("#play")
    expect(tab.page.locator("#now")).to_have_text(re.compile("frame (39|4[0-9])"))
    tab.page.click("#play")
    stopped = at(tab)
    tab.page.uncheck("#shown")
    assert disc(picture(tab))[0] == pytest.approx(90 + 9 * stopped / 4, abs=1)


def test_a_time_or_a_frame_is_gone_to(report: Tab) -> None:
    """Seconds and numbers of frames are taken in the usual spellings; of nonsense it says what to type."""
    for typed, frame in (("3.25", 26), ("3,2 s", 26), ("#17", 17), ("frame 50", 50), ("f9", 9), ("99", 62), ("0", 2)):
        go(report, typed)
        assert at(report) == frame, typed
        assert report.page.input_value("#go") == ""
    go(report, "noon")
    assert at(report) == 2
    assert "Type seconds" in report.page.locator("#go").evaluate("field => field.validationMessage")


def test_peaks_are_gone_to(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """Next and previous stop at the steps that stand out from those beside them, and nowhere else."""
    temporal = np.full(16, 0.04, np.float32)
    temporal[[3, 9, 12]] = 0.15, 0.2, 0.13
    joint = explanation.joint / explanation.joint.sum((1, 2), keepdims=True) * temporal[:, None, None]
    peaked = dataclasses.replace(explanation, temporal=temporal, joint=joint)
    shown(tab, peaked.save(tmp_path / "x.html"))
    found = [at(tab)]
    for button in ("peak_on", "peak_on", "peak_back", "peak_back", "peak_back"):
        tab.page.click(f"#{button}")
        found.append(at(tab))
    assert found == [38, 50, 50, 38, 14, 14]


def test_a_step_is_looped(report: Tab) -> None:
    """Within a step it plays on and on, and shows no frame of another."""
    page = report.page
    page.evaluate(
        "window.seen = []; const told = viewer.changed; viewer.changed = () => { seen.push(viewer.at); told(); };"
    )
    page.select_option("#loop", "step")
    page.select_option("#speed", "4")
    page.click("#play")
    playing(page, "seen.length > 14 ? true : null")
    page.click("#play")
    frames = {at + 2 for at in page.evaluate("seen")}
    assert frames == {36, 37, 38, 39}


def test_a_span_is_looped(report: Tab) -> None:
    """A span is typed, or marked on the curve with Shift held down, and is played again and again."""
    page = report.page
    page.select_option("#loop", "span")
    page.fill("#from", "2")
    page.fill("#to", "2.6")
    page.press("#to", "Enter")
    page.evaluate(
        "window.seen = []; const told = viewer.changed; viewer.changed = () => { seen.push(viewer.at); told(); };"
    )
    page.select_option("#speed", "4")
    page.click("#play")
    playing(page, "seen.length > 14 ? true : null")
    page.click("#play")
    assert {at + 2 for at in page.evaluate("seen.slice(1)")} == {16, 17, 18, 19, 20}
    box = page.locator(".curve").bounding_box()
    assert box is not None
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 8 + (box["width"] - 16) * 4 / 8, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 8 + (box["width"] - 16) * 6 / 8, box["y"] + 40)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert float(page.input_value("#from")) == pytest.approx(4, abs=0.05)
    assert float(page.input_value("#to")) == pytest.approx(6, abs=0.05)


def test_links_name_moments(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """`#t=3.2` opens there, `#t=2,3` marks a span, the address follows, and rows of the table are such links."""
    path = explanation.save(tmp_path / "x.html")
    tab.page.goto(path.as_uri() + "#t=3.2")
    tab.settle()
    assert tab.now == "3.25 s, frame 26"
    tab.page.click("#frame_on")
    playing(tab.page, "location.hash === '#t=3.38' ? true : null")
    tab.page.click("summary")
    tab.page.locator(".rows a").nth(12).click()
    expect(tab.page.locator("#now")).to_have_text("6.25 s, frame 50")
    tab.page.evaluate("location.hash = '#t=2,3'")
    expect(tab.page.locator("#now")).to_have_text("2.00 s, frame 16")
    assert [tab.page.input_value(name) for name in ("#loop", "#from", "#to")] == ["span", "2", "3"]
    for nonsense in ("#t=", "#t=-1", "#t=<img src=x onerror=alert(1)>", "#title0"):
        tab.page.evaluate("hash => { location.hash = hash; }", nonsense)
        tab.page.wait_for_timeout(50)
        assert tab.now == "2.00 s, frame 16"
    assert tab.page.locator("img").count() == 0


def test_the_cell_under_the_pointer_is_told(report: Tab, explanation: Explanation) -> None:
    """Its share, multiple of the average, seconds and pixels are those of the map; outside of it that is said."""
    box = report.page.locator(".view").bounding_box()
    assert box is not None
    tall, wide = box["height"], box["height"] * 4 / 3

    def point(x: float, y: float) -> str:
        left = box["x"] + (box["width"] - wide) / 2
        report.page.mouse.move(left + x / 320 * wide, box["y"] + y / 240 * tall)
        return report.page.inner_text(".pointed")

    words = point(175, 135)  # column 6, row 6 of the 12 x 12 cells over (40, 0) to (280, 240)
    share = float(explanation.joint[9, 6, 6])
    assert f"{share:.1%} of the attention" in words
    assert f"{share * explanation.joint.size:.0f} times the average" in words
    assert "4.50-5.00 s" in words
    assert "pixels (160, 120) to (180, 140)" in words
    assert point(10, 100) == "not seen by the model"
    report.page.mouse.move(5, 5)
    assert report.page.locator(".pointed").is_hidden()


def test_all_maps_tell_the_same_place(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """Where one map is pointed at, the others show their value of the same cell, with its sign."""
    shown(tab, save(tmp_path / "x.html", [explanation, class_map(explanation)]))
    tab.page.hover(".view")
    first, second = tab.page.locator(".pointed").all_inner_texts()
    assert "of the attention, " in first
    assert re.search(r"of the weight, (in favour|against), ", second)
    assert first.rpartition("pixels")[2] == second.rpartition("pixels")[2]


def test_the_colours_can_be_chosen(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """Another scale changes picture and legend; of a map with signs, one without them shows what is for the class."""
    shown(tab, save(tmp_path / "x.html", [explanation, class_map(explanation)]))
    legends = tab.page.locator(".legend")
    before = [tab.pixels(0), tab.pixels(1)]
    assert "for moves right" in legends.nth(1).inner_text()
    tab.page.select_option("#colours", "grey")
    assert all(tab.pixels(index) != before[index] for index in range(2))
    assert "for moves right" not in legends.nth(1).inner_text()
    assert "times the average" in legends.nth(1).inner_text()
    tab.page.select_option("#colours", "heat")
    assert [tab.pixels(0), tab.pixels(1)] == before


def test_maps_of_other_frames_share_the_moment(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """Models that saw other frames of a video show the same instant, each in steps of its own, with its own ticks."""
    shown(tab, save(tmp_path / "x.html", [explanation, fewer(explanation)]))
    data = tab.page.evaluate("viewer.data")
    assert [data["numbers"][at] for at in data["maps"][1]["seen"]] == [7, 15, 23, 31, 39, 47, 55, 63]
    statuses = tab.page.locator(".status")
    for frame, steps, seen in ((38, (10, 5), "1"), (39, (10, 5), "2"), (42, (11, 6), "1"), (63, (16, 8), "2")):
        go(tab, f"#{frame}")
        assert at(tab) == frame
        expect(statuses.nth(0)).to_contain_text(f"tep {steps[0]} of 16")
        expect(statuses.nth(1)).to_contain_text(f"tep {steps[1]} of 8")
        expect(tab.page.locator("#seen")).to_have_text(f"\u25cf seen by the model of map {seen}")
    go(tab, "#40")
    expect(tab.page.locator("#seen")).to_have_text("\u25cb not seen by the model")
    for index, numbers in enumerate(("2, 6, 10", "7, 15, 23")):
        assert numbers in tab.page.locator(".map").nth(index).locator("dl").inner_text()
    assert "The maps are of 16 and 8 of 62 frames" in tab.page.inner_text(".lead")


def test_the_dynamic_threshold_dims_a_flat_map(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """Also where the threshold is below the even share, where colours begin, what it leaves out is dimmed."""
    joint = 1 + 0.5 * np.random.default_rng(0).random((16, 12, 12)).astype(np.float32)
    joint /= joint.sum()
    cut = float(np.quantile(joint, 0.35))
    uneven = dataclasses.replace(explanation, joint=joint, temporal=joint.sum((1, 2)), threshold=cut)
    shown(tab, dataclasses.replace(uneven, source=None).save(tmp_path / "x.html", focus=True))
    step = tab.page.evaluate("viewer.stepOf(viewer.data.maps[0])")
    middles = picture(tab)[
        20::40, 100:560:40, 1
    ]  # 12 x 12 cells of 40 pixels, over a ground that is lighter when dimmed
    np.testing.assert_array_equal(middles < 90, joint[step] >= cut)


def test_a_tiny_source_is_enlarged(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """Its longer edge has 640 pixels, as in a movie, so that the lines around cells are thin beside the cells."""
    clip = dataclasses.replace(explanation.clip, width=16, height=12, box=(2, 0, 14, 12))
    shown(tab, dataclasses.replace(explanation, clip=clip, source=None).save(tmp_path / "x.html"))
    assert picture(tab).shape == (480, 640, 3)


def test_a_copy_that_cannot_be_played_is_replaced(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """A browser without the codec shows the frames that the model saw, plays them, and says so."""
    path = explanation.save(tmp_path / "x.html")
    path.write_text(re.sub(r'"mp4": "[^"]*"', '"mp4": "AAAA"', path.read_text()))
    tab.page.goto(path.as_uri())
    expect(tab.page.locator("#problem")).to_contain_text("cannot play the copy")
    tab.settle()
    assert tab.now == "4.75 s, frame 38"
    tab.page.click("#frame_on")
    assert at(tab) == 42
    tab.page.uncheck("#shown")
    assert disc(picture(tab)) == pytest.approx((90 + 9 * 42 / 4, 70 + 7 * 42 / 4), abs=1)
    tab.page.click("#play")
    expect(tab.page.locator("#now")).to_have_text(re.compile("frame 5[0-9]"))
    assert tab.page.locator(".curve").get_attribute("aria-valuemax") == "15"


def test_sound_can_be_switched_off(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """Where the video has sound, it is in the copy, and a switch silences it; elsewhere there is no switch."""
    loud = tmp_path / "loud.mp4"
    loud.write_bytes(beeping(frames=64, rate=8))
    clip = dataclasses.replace(explanation.clip, width=64, height=48, box=(8, 0, 56, 48))
    path = dataclasses.replace(explanation, clip=clip).save(tmp_path / "x.html", loud)
    shown(tab, path)
    assert json.loads(tab.page.locator("#data").inner_text())["copy"]["sound"] is True
    assert tab.page.evaluate("viewer.pictures.video.muted") is False
    tab.page.uncheck("#sound")
    assert tab.page.evaluate("viewer.pictures.video.muted") is True
    shown(tab, explanation.save(tmp_path / "y.html"))
    assert tab.page.locator("#sounds").is_hidden()


@pytest.mark.parametrize("tab", [WIDE, WIDE | {"color_scheme": "dark"}], indirect=True)
@pytest.mark.parametrize("maps", [(0,), (1,), (0, 1), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("words", ["moves", "Pushing something from left to right, and then further on"])
def test_frame_and_curve_are_above_the_fold(
    tab: Tab, explanation: Explanation, tmp_path: Path, maps: tuple[int, ...], words: str
) -> None:
    """On 1280 x 720 pixels the whole picture and the whole curve are seen without scrolling, with long labels too."""
    labels = tuple(dataclasses.replace(guess, label=f"{words} {guess.label}") for guess in explanation.predictions)
    target, contrast = (ClassName(guess.class_id, guess.label) for guess in labels[:2])
    named = dataclasses.replace(explanation, predictions=labels)
    signed = dataclasses.replace(class_map(named), target=target, contrast=contrast)
    listed = [named, signed, dataclasses.replace(signed, contrast=None)]
    shown(tab, save(tmp_path / "x.html", [listed[index] for index in maps]))
    assert tab.page.locator(".map h2").last.get_attribute("title") == tab.page.evaluate("viewer.data.maps.at(-1).title")
    for name in (".view", ".curve"):
        for each in tab.page.locator(name).all():
            box = each.bounding_box()
            assert box is not None
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= 720
            assert box["height"] >= (90 if name == ".curve" else 200)


@pytest.mark.parametrize("tab", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_phone_scrolls_one_way(tab: Tab, explanation: Explanation, tmp_path: Path) -> None:
    """On a phone nothing sticks out to the side, also with the fields of a span."""
    shown(tab, explanation.save(tmp_path / "x.html"))
    tab.page.select_option("#loop", "span")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_labels_have_rows_over_time(report: Tab) -> None:
    """Each of the first labels has a row as long as the clip, with its score; a click on it goes there."""
    lanes = report.page.locator(".lane")
    assert lanes.evaluate_all("all => all.map(lane => lane.getAttribute('aria-label'))") == [
        "moves down: 93.1%, 0.00-8.00 s",
        "moves right: 4.1%, 0.00-8.00 s",
        "grows: 1.6%, 0.00-8.00 s",
    ]
    box, lane = report.page.locator(".curve").bounding_box(), lanes.first.bounding_box()
    assert box is not None
    assert lane is not None
    assert lane["x"] == pytest.approx(box["x"] + 8, abs=1)
    assert lane["width"] == pytest.approx(box["width"] - 16, abs=1)
    lanes.first.click(position={"x": lane["width"] * 2 / 8, "y": 8})
    assert report.now == "2.00 s, frame 16"
