"""Pictures: heat is where it belongs, and what the model did not see is marked."""

import dataclasses
import io
import sys
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from staa_client import Client, Explanation
from staa_client._colours import colours, table
from staa_client._layer import Layer
from staa_client._overlay import overlay
from staa_client._save import clip_frames
from staa_client.render import ACCENT, contact_sheet, frame_of_step, steps_shown, ticks
from tests.client.conftest import document, flat, server, video


def lightness(srgb: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB colours (..., 3), 0 to 100."""
    part = srgb / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.asarray(np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y))


def test_the_scale_rises_evenly_in_lightness() -> None:
    """Each colour is lighter than the one before, by about as much: it reads the same in grey and to any eye."""
    light = lightness(table().astype(float))
    steps = np.diff(light[::15])
    assert np.all(steps > 0)
    assert steps.max() < 2.2 * steps.min()
    assert light[0] < 15
    assert light[-1] > 92


def test_heat_covers_the_frame_where_it_is_strong() -> None:
    """The overlay is the colour scale's where heat is 1, and the frame's own where it is 0."""
    frame = np.full((120, 160, 3), (90, 120, 90), np.uint8)
    grid = np.zeros((6, 6), np.float32)
    grid[1, 4] = 1
    drawn = overlay(frame, grid, (20, 0, 140, 120), opacity=1).astype(int)
    full = overlay(frame, np.ones((6, 6), np.float32), (20, 0, 140, 120), opacity=1)
    assert np.all(full[2:-2, 22:138] == colours(np.ones(1, np.float32)))
    assert np.abs(drawn[100, 40] - frame[100, 40]).max() < 25
    change = np.abs(drawn - frame).sum(-1)[:, 20:140]
    row, column = np.unravel_index(int(change.argmax()), change.shape)
    assert abs(row - 30) < 12
    assert abs(column - 90) < 12


def test_more_heat_covers_more() -> None:
    """The cover grows with heat, from nothing."""
    frame = np.full((8, 8, 3), 128, np.uint8)
    seen = [overlay(frame, np.full((1, 1), heat, np.float32), (0, 0, 8, 8)) for heat in (0, 0.25, 0.5, 1)]
    np.testing.assert_array_equal(seen[0], frame)
    far = [float(np.abs(picture.astype(int) - 128).sum()) for picture in (seen[0], seen[3])]
    assert far[0] < far[1]


def test_outside_the_box_is_dim_and_marked() -> None:
    """What the model did not see is much darker than what it saw, and says so in light letters."""
    frame = np.full((240, 320, 3), 200, np.uint8)
    drawn = overlay(frame, np.zeros((4, 4), np.float32), (40, 0, 280, 240))
    assert np.all(drawn[:, 42:278] == 200)
    for strip in (drawn[:, :38], drawn[:, 282:]):
        assert np.median(strip) < 100
        assert 0.01 < (strip.max(-1) > 180).mean() < 0.3
    whole = overlay(frame, np.zeros((4, 4), np.float32), (0, 0, 320, 240))
    np.testing.assert_array_equal(whole, frame)


def test_steps_shown_include_the_strongest() -> None:
    """The tiles are in order, at most as many as asked for, and the strongest step is one of them."""
    rng = np.random.default_rng(0)
    for count in (1, 3, 8, 9, 16, 50):
        temporal = rng.random(count).astype(np.float32)
        shown = steps_shown(temporal, 8)
        assert len(shown) == min(count, 8)
        assert shown == sorted(set(shown))
        assert int(temporal.argmax()) in shown


def test_a_step_is_shown_by_a_frame_it_covers() -> None:
    """With tubelets of 1, 2 and 4 frames the frame of step i is one of the frames i covers."""
    for tubelet in (1, 2, 4):
        assert [frame_of_step(step, 4, 4 * tubelet) // tubelet for step in range(4)] == [0, 1, 2, 3]


def test_the_axis_has_round_seconds() -> None:
    """Ticks are round, ascending, within the clip, and not too many, for any length."""
    for first, last in ((0, 0.3), (0, 8), (2.13, 9.7), (0, 61.2), (100, 3700)):
        marks = ticks(first, last)
        assert 2 <= len(marks) <= 11
        assert marks == sorted(marks)
        assert first - 1e-6 <= marks[0]
        assert marks[-1] <= last + 1e-6


def picture(path: Path) -> np.ndarray:
    """The saved picture as (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))


def test_the_sheet_shows_the_frames_and_the_heat(explanation: Explanation, tmp_path: Path) -> None:
    """The saved PNG has the tiles with their frames, and the strongest tile has the most heat on it."""
    sheet = picture(explanation.save(tmp_path / "x.png"))
    assert sheet.shape[1] == 1280
    blank = picture(dataclasses.replace(explanation, source=None).save(tmp_path / "y.png"))
    assert sheet.shape == blank.shape
    assert np.abs(sheet.astype(int) - blank)[110:590].mean() > 20
    np.testing.assert_array_equal(sheet[630:], blank[630:])


def test_only_a_peak_is_marked(explanation: Explanation) -> None:
    """The sheet outlines the step that stands out in red, and no step of a flat map."""
    red = [
        int(np.all(np.asarray(contact_sheet(Layer(each), None))[:640] == ACCENT, axis=-1).sum())
        for each in (explanation, flat(explanation))
    ]
    assert red[0] > 1000
    assert red[1] == 0


def test_a_sheet_without_frames_says_so(
    explanation: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without av, or without a video, the picture is drawn all the same and names the reason."""
    assert clip_frames(explanation, None)[1] == "drawn without frames: no video was given"
    monkeypatch.setitem(sys.modules, "av", None)
    frames, note = clip_frames(explanation, explanation.source if isinstance(explanation.source, bytes) else None)
    assert frames is None
    assert note == 'drawn without frames: pip install "./client[video]" from a checkout'
    sheet = picture(explanation.save(tmp_path / "x.png"))
    header = sheet[60:100, 640:].astype(int)
    assert (header[..., 0] - header[..., 2]).max() > 80
    assert note.replace('"', "&quot;") in explanation.save(tmp_path / "x.html").read_text("utf-8")


def test_another_video_is_refused(explanation: Explanation, tmp_path: Path) -> None:
    """A picture with the frames of another video would lie: other sizes and fewer frames are errors."""
    with pytest.raises(ValueError, match="320x240 pixels, this one 160x120"):
        explanation.save(tmp_path / "x.png", video=video(160, 120))
    with pytest.raises(ValueError, match="has no frame"):
        explanation.save(tmp_path / "x.png", video=video(frames=8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("size", "box", "label"),
    [
        ((180, 320), (0, 70, 180, 250), "moves down"),
        ((640, 90), (275, 0, 365, 90), "a label so long that it could never fit on one line of the page " * 4),
        ((48, 48), (0, 0, 48, 48), ""),
    ],
)
def test_any_shape_of_video_has_its_sheet(
    size: tuple[int, int], box: tuple[int, int, int, int], label: str, tmp_path: Path
) -> None:
    """Portrait, very wide and tiny videos are drawn in their own shape, whatever the label."""
    data = video(*size)
    with Client(transport=httpx2.MockTransport(server(document(*size, box, label)))) as client:
        explanation = client.explain(data)
    sheet = picture(explanation.save(tmp_path / "x.png"))
    assert sheet.shape[1] == 1280
    assert 400 < sheet.shape[0] < 1400
    assert np.array_equal(np.asarray(contact_sheet(Layer(explanation), clip_frames(explanation, data)[0])), sheet)
