"""Saving: looks are checked, signs are drawn, and a file is there whole or not at all."""

import dataclasses
import io
import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from staa_client import Explanation, Frames, Refinement, ReplyError, contract, load
from staa_client import files as saving
from staa_client.files import save
from tests.client.conftest import fewer


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
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            explanation.save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    explanation.save(path)
    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", saving.FORMS)
def test_what_is_no_unicode_is_saved(explanation: Explanation, tmp_path: Path, ending: str) -> None:
    """A label or a name with half of a surrogate pair, as of a folder, ends no saving."""
    best, *others = explanation.predictions
    strange = dataclasses.replace(best, label="half \udc80")
    named = dataclasses.replace(explanation, predictions=(strange, *others), name=os.fsdecode(b"b\xe9.mp4"))
    folder = tmp_path / os.fsdecode(b"d\xe9")
    folder.mkdir()
    path = named.save(folder / f"x{ending}")
    assert path.stat().st_size > 1000
    if ending in {".json", ".npz"}:
        with pytest.raises(ReplyError, match="no saved result"):  # no server of the contract has such a label
            load(path)
    elif ending == ".html":
        assert "half ?" in path.read_text("utf-8")
    assert named._repr_html_().encode()


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


def test_a_report_with_its_video_takes_maps_of_other_frames(explanation: Explanation, tmp_path: Path) -> None:
    """Two models that take other frames of one video stand in one report; pictures, and pages without it, refuse."""
    few = fewer(explanation)
    assert save(tmp_path / "x.html", [explanation, few]).stat().st_size > 20_000
    longer = dataclasses.replace(few, clip=dataclasses.replace(few.clip, duration=9.0))
    unseen = dataclasses.replace(explanation, source=None), dataclasses.replace(few, source=None)
    for ending, pair in ((".html", unseen), (".html", (explanation, longer)), (".png", (explanation, few))):
        with pytest.raises(ValueError, match=r"of the same frames .* or those of one video as \.html with that video"):
            save(tmp_path / f"y{ending}", pair)
    some = Frames.of(np.zeros((63, 240, 320, 3), np.uint8), 8.0)
    only = dataclasses.replace(some, images=some.images[2::4], seconds=some.seconds[2::4], indices=some.indices[2::4])
    with pytest.raises(ValueError, match="there is no frame 7 among those given"):
        save(tmp_path / "y.html", [explanation, few], video=only)
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]


DEEP = b"[" * 200_000


@pytest.mark.parametrize("ending", ["json", "npz"])
def test_what_was_saved_is_read_back(ending: str, explanation: Explanation, tmp_path: Path) -> None:
    """`load` gives the explanation that `save` wrote."""
    choice = Refinement("direct", "it was chosen", "class", 0.03125, 16, 0.5)
    signed = dataclasses.replace(explanation, signed=explanation.joint * np.float32(0.5), refinement=choice)
    path = signed.save(tmp_path / f"x.{ending}")
    again = load(path)
    for name in ("temporal", "spatial", "joint", "signed"):
        np.testing.assert_allclose(getattr(again, name), getattr(signed, name), rtol=1e-6)
    assert again.without_maps() == signed.without_maps()
    assert isinstance(again, Explanation)
    assert again.refinement == choice
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(ReplyError):
        load(other)


def compressed(body: bytes, method: int) -> bytes:
    """An npz with its members compressed anew."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED])
def test_a_damaged_file_is_said(method: int, explanation: Explanation, tmp_path: Path) -> None:
    """A file in which bytes were changed loads as an explanation, or is a ReplyError; nothing else is raised."""
    path = tmp_path / "x.npz"
    whole = compressed(explanation.save(path).read_bytes(), method)
    rng = np.random.default_rng(0)
    centre = whole.index(b"PK\1\2")  # where the list of members begins
    places = [*range(60), *range(centre, len(whole)), *rng.integers(0, centre, 300).tolist()]
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # zipfile's, of names that are there twice
                load(path)
        except ReplyError:
            refused += 1
    assert refused > len(places) // 4


@pytest.mark.parametrize("data", [b"\0\0\0\x18ftypisom", b"", b"PK", b"[]", b"{}", b"PAR1", DEEP])
def test_a_file_that_was_never_saved_is_said(data: bytes, tmp_path: Path) -> None:
    """A video, or any other file, is named as what `load` does not take; no server is blamed."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with pytest.raises(ReplyError, match=r"clip\.mp4 is no saved result, .*: load takes a \.json or \.npz") as caught:
        load(path)
    assert caught.value.status is None
    assert "server" not in str(caught.value)


def test_saved_numbers_are_read_back(explanation: Explanation, tmp_path: Path) -> None:
    """`.json` and `.npz` files have the form of the server's replies."""
    for name in ("map.json", "map.NPZ"):
        path = explanation.save(tmp_path / name)
        again = contract.explanation(200, {}, path.read_bytes())
        np.testing.assert_allclose(again.joint, explanation.joint, rtol=1e-6)
        assert again.predictions == explanation.predictions
    json.loads((tmp_path / "map.json").read_text("utf-8"))
    with np.load(io.BytesIO((tmp_path / "map.NPZ").read_bytes()), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["joint", "reply", "spatial", "temporal"]


@pytest.mark.parametrize("name", ["map.bmp", "map", ".html"])
def test_an_unknown_ending_names_the_known_ones(explanation: Explanation, tmp_path: Path, name: str) -> None:
    """Saving under another ending writes nothing and says which endings there are."""
    with pytest.raises(ValueError, match=r"\.html, \.png, \.json, \.npz, \.parquet, \.mp4, \.gif"):
        explanation.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
