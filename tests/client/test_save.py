"""Saving: looks are checked, signs are drawn, and a file is there whole or not at all."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from staa_client import Explanation
from staa_client import _save as saving
from staa_client._colours import BALANCE, table
from staa_client._frames import Frames
from staa_client._layer import Layer, Look
from staa_client._save import save
from staa_client.video import frames_at
from tests.client.conftest import class_map, flat

PICTURES = [".html", ".png", ".mp4", ".gif"]


def sheet(path: Path) -> np.ndarray:
    """A saved picture as (H, W, 3)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize("ending", saving.FORMS)
def test_a_failed_save_leaves_what_was_there(
    explanation: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """If the disk is full when the file is put in its place, the old one stays and no part of the new one."""
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            explanation.save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    explanation.save(path)
    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_the_mode_is_the_user_s(explanation: Explanation, tmp_path: Path) -> None:
    """Saving through a link writes the file behind it; the file has the permissions that any new file has."""
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real.json")
    assert explanation.save(link) == link
    assert link.is_symlink()
    (tmp_path / "other").touch()
    assert (tmp_path / "real.json").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert os.access(link, os.R_OK)


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ({"alpha": 1.5}, r"alpha is an opacity from 0 to 1, got 1\.5"),
        ({"alpha": float("nan")}, "alpha is an opacity from 0 to 1, got nan"),
        ({"colormap": "jet"}, "heat, viridis, grey, balance, got 'jet'"),
        ({"colormap": "balance"}, "for maps with signs, and 'staa' gives none"),
    ],
)
def test_wrong_looks_are_refused(explanation: Explanation, tmp_path: Path, looks: dict[str, object], why: str) -> None:
    """An opacity or a scale that is not one is an error before anything is written."""
    with pytest.raises(ValueError, match=why):
        explanation.save(tmp_path / "x.png", **looks)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_alpha_is_how_much_the_map_covers(explanation: Explanation, tmp_path: Path) -> None:
    """With 0 the frames are as they are, with more the map covers more of them."""
    pictures = [sheet(explanation.save(tmp_path / "x.png", alpha=alpha))[370:590, 40:330] for alpha in (0, 0.5, 1)]
    far = [np.abs(picture - pictures[0]).mean() for picture in pictures]
    assert 0 < far[1] < far[2]


def test_focus_draws_less(explanation: Explanation) -> None:
    """What is drawn in focus is what reaches the threshold, at its strength, and on both sides of a map with signs."""
    for one in (explanation, class_map(explanation)):
        whole, focused = Layer(one).whole, Layer(one, Look(focus=True)).drawn
        kept = focused != 0
        np.testing.assert_array_equal(focused[kept], whole[kept])
        assert 0 < kept.sum() < 0.3 * kept.size
        np.testing.assert_array_equal(kept & (whole > 0), one.joint >= one.threshold)
        assert np.abs(whole[~kept]).max() <= np.abs(focused[kept]).min()


def test_signs_are_drawn_in_two_colours(explanation: Explanation, tmp_path: Path) -> None:
    """On a class map red is where the target is spoken for, blue where its contrast is; the scale names both ends."""
    one = dataclasses.replace(class_map(explanation), source=None)
    picture = sheet(one.save(tmp_path / "x.png"))[360:580, 40:330]
    assert (picture[..., 0] - picture[..., 2]).max() > 100
    assert (picture[..., 2] - picture[..., 0]).max() > 60
    layer = Layer(one)
    assert layer.scale == BALANCE
    assert layer.title == "Evidence for moves down against moves right (staa_class)"
    assert layer.ends == ("for moves right", "for moves down")
    assert np.abs(layer.whole).max() == pytest.approx(1)
    plain = Layer(one, Look(colormap="grey"))
    assert (plain.scale, plain.whole.min()) == ("grey", 0)


def test_an_empty_or_negative_class_map_is_drawn(explanation: Explanation, tmp_path: Path) -> None:
    """A map in which nothing speaks for the class, or nothing at all, has its picture and no warning."""
    one = class_map(explanation)
    assert one.signed is not None
    for signed in (-np.abs(one.signed), np.zeros_like(one.signed)):
        nothing = dataclasses.replace(flat(one), signed=signed, source=None)
        assert np.isfinite(Layer(nothing, Look(focus=True)).drawn).all()
        for ending in PICTURES:
            nothing.save(tmp_path / f"x{ending}")


@pytest.mark.parametrize("ending", PICTURES)
def test_frames_in_memory_are_drawn(explanation: Explanation, tmp_path: Path, ending: str) -> None:
    """Pictures take frames in memory, scaled down too, as they take a video."""
    assert isinstance(explanation.source, bytes)
    small = np.stack(frames_at(explanation.source, explanation.clip.frames))[:, ::2, ::2]
    frames = Frames(small, explanation.clip.times, explanation.clip.frames, 8.0, 8.0, (320, 240))
    path = explanation.save(tmp_path / f"x{ending}", video=frames)
    assert path.stat().st_size > 20_000
    if ending == ".png":
        whole = sheet(explanation.save(tmp_path / "y.png"))
        assert sheet(path).shape == whole.shape
        assert np.abs(sheet(path) - whole).mean() < 4


def test_several_are_stacked_in_a_picture(explanation: Explanation, tmp_path: Path) -> None:
    """A contact sheet of two maps is the sheet of the one above that of the other."""
    both = sheet(save(tmp_path / "x.png", [explanation, class_map(explanation)]))
    one, two = (sheet(each.save(tmp_path / "y.png")) for each in (explanation, class_map(explanation)))
    np.testing.assert_array_equal(both, np.concatenate([one, two]))


def test_only_maps_of_one_clip_stand_together(explanation: Explanation, tmp_path: Path) -> None:
    """Other frames, none at all, or numbers of two in one file are errors that say what to do."""
    clip = dataclasses.replace(explanation.clip, frames=explanation.clip.frames + 1)
    other = dataclasses.replace(explanation, clip=clip)
    with pytest.raises(ValueError, match="of the same frames of the same video"):
        save(tmp_path / "x.html", [explanation, other])
    with pytest.raises(ValueError, match="give at least one"):
        save(tmp_path / "x.html", [])
    for ending in (".json", ".npz"):
        with pytest.raises(ValueError, match="holds one explanation, got 2"):
            save(tmp_path / f"x{ending}", [explanation, explanation])
    assert not list(tmp_path.iterdir())


def test_the_diverging_legend_is_in_the_picture(explanation: Explanation, tmp_path: Path) -> None:
    """The scale at the foot of the sheet runs from the blue end to the red one."""
    picture = sheet(class_map(explanation).save(tmp_path / "x.png"))
    for end in table(BALANCE)[[6, 249]].astype(int):
        assert (np.abs(picture[-110:] - end).max(-1) < 12).sum() > 20
