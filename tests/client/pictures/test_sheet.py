"""The contact sheet: its tiles, its words, its colours, and the frames that it needs."""

import dataclasses
import sys
from pathlib import Path

import httpx2
import numpy as np
import pytest

from staa_client import Client, Explanation
from staa_client.files import save
from staa_client.pictures.clip_frames import clip_frames
from staa_client.pictures.colours import BALANCE, table_of
from staa_client.pictures.layer import Layer, Look
from staa_client.pictures.sheet import ACCENT, choose_steps, draw_sheet, frame_of_step
from tests.client.conftest import class_map, document, flat, server
from tests.client.pictures.conftest import read_picture
from tests.made.videos import moving_disc


def test_steps_shown_include_the_strongest() -> None:
    """The tiles are in order, at most as many as asked for, and the strongest step is one of them."""
    rng = np.random.default_rng(0)
    for count in (1, 3, 8, 9, 16, 50):
        temporal = rng.random(count).astype(np.float32)
        shown = choose_steps(temporal, 8)
        assert len(shown) == min(count, 8)
        assert shown == sorted(set(shown))
        assert int(temporal.argmax()) in shown


def test_a_step_is_shown_by_a_frame_it_covers() -> None:
    """With tubelets of 1, 2 and 4 frames the frame of step i is one of the frames i covers."""
    for tubelet in (1, 2, 4):
        assert [frame_of_step(step, 4, 4 * tubelet) // tubelet for step in range(4)] == [0, 1, 2, 3]


def test_the_sheet_shows_the_frames_and_the_heat(explanation: Explanation, tmp_path: Path) -> None:
    """The saved PNG has the tiles with their frames, and the strongest tile has the most heat on it."""
    sheet = read_picture(explanation.save(tmp_path / "x.png"))
    assert sheet.shape[1] == 1280
    blank = read_picture(dataclasses.replace(explanation, source=None).save(tmp_path / "y.png"))
    assert sheet.shape == blank.shape
    assert np.abs(sheet.astype(int) - blank)[130:610].mean() > 20
    np.testing.assert_array_equal(sheet[650:, 380:], blank[650:, 380:])
    np.testing.assert_array_equal(sheet[870:], blank[870:])


def test_the_sheet_has_a_panel_of_the_whole_clip(explanation: Explanation, tmp_path: Path) -> None:
    """Beside the curve is the map over the whole clip, which is that of no step, and focused where the rest is."""
    panels = [
        read_picture(explanation.save(tmp_path / "x.png", focus=focus))[670:850, 40:280] for focus in (False, True)
    ]
    assert np.abs(panels[0] - panels[1]).mean() > 5
    grid, kept = Layer(explanation).whole
    assert kept is None
    assert np.unravel_index(grid.argmax(), grid.shape) == np.unravel_index(
        explanation.spatial.argmax(), explanation.spatial.shape
    )
    np.testing.assert_allclose(np.clip(grid, 0, 1)[:, :, None], np.clip(grid, 0, 1)[:, :, None])


def test_only_a_peak_is_marked(explanation: Explanation) -> None:
    """The sheet outlines the step that stands out in red, and no step of a flat map."""
    red = [
        int(np.all(np.asarray(draw_sheet(Layer(shown), None))[:640] == ACCENT, axis=-1).sum())
        for shown in (explanation, flat(explanation))
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
    assert note == 'drawn without frames: pip install ./video "./client[video]" from a checkout'
    sheet = read_picture(explanation.save(tmp_path / "x.png"))
    header = sheet[66:90, 640:].astype(int)
    assert (header[..., 0] - header[..., 2]).max() > 80
    assert note.replace('"', "&quot;") in explanation.save(tmp_path / "x.html").read_text("utf-8")


def test_another_video_is_refused(explanation: Explanation, tmp_path: Path) -> None:
    """A picture with the frames of another video would lie: other sizes and fewer frames are errors."""
    with pytest.raises(ValueError, match="320x240 pixels, this one 160x120"):
        explanation.save(tmp_path / "x.png", video=moving_disc(160, 120))
    with pytest.raises(ValueError, match="has no frame"):
        explanation.save(tmp_path / "x.png", video=moving_disc(frames=8))
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
    data = moving_disc(*size)
    with Client(transport=httpx2.MockTransport(server(document(*size, box, label)))) as client:
        explanation = client.explain(data)
    sheet = read_picture(explanation.save(tmp_path / "x.png"))
    assert sheet.shape[1] == 1280
    assert 400 < sheet.shape[0] < 1400
    assert np.array_equal(np.asarray(draw_sheet(Layer(explanation), clip_frames(explanation, data)[0])), sheet)


def test_alpha_is_how_much_the_map_covers(explanation: Explanation, tmp_path: Path) -> None:
    """With 0 the frames are as they are, with more the map covers more of them."""
    pictures = [
        read_picture(explanation.save(tmp_path / "x.png", alpha=alpha))[370:590, 40:330] for alpha in (0, 0.5, 1)
    ]
    far = [np.abs(picture - pictures[0]).mean() for picture in pictures]
    assert 0 < far[1] < far[2]


def test_signs_are_drawn_in_two_colours(explanation: Explanation, tmp_path: Path) -> None:
    """On a class map red is where the target is spoken for, blue where its contrast is; the scale names both ends."""
    evidence = dataclasses.replace(class_map(explanation), source=None)
    picture = read_picture(evidence.save(tmp_path / "x.png"))[360:580, 40:330]
    assert (picture[..., 0] - picture[..., 2]).max() > 100
    assert (picture[..., 2] - picture[..., 0]).max() > 60
    layer = Layer(evidence)
    assert layer.scale == BALANCE
    assert layer.title == "Evidence for moves down and not moves right (staa_class)"
    assert layer.scale_ends == ("for moves right", "for moves down")
    assert 1 < np.abs(layer.values).max() < 3
    plain = Layer(evidence, Look(colormap="grey"))
    assert (plain.scale, plain.values.min()) == ("grey", 0)


def test_several_are_stacked_in_a_picture(explanation: Explanation, tmp_path: Path) -> None:
    """A contact sheet of two maps is the sheet of the one above that of the other."""
    both = read_picture(save(tmp_path / "x.png", [explanation, class_map(explanation)]))
    above, below = (read_picture(shown.save(tmp_path / "y.png")) for shown in (explanation, class_map(explanation)))
    np.testing.assert_array_equal(both, np.concatenate([above, below]))


def test_the_diverging_legend_is_in_the_picture(explanation: Explanation, tmp_path: Path) -> None:
    """The scale at the foot of the sheet runs from the blue end to the red one."""
    picture = read_picture(class_map(explanation).save(tmp_path / "x.png"))
    for end in table_of(BALANCE)[[6, 249]].astype(int):
        assert (np.abs(picture[-110:] - end).max(-1) < 12).sum() > 20
