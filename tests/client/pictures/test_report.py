"""The report: one file, nothing from outside, and no string from outside that could act."""

import base64
import dataclasses
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from staa_client import ClassName, Explanation
from staa_client.pictures.layer import Layer, Look
from staa_client.pictures.report import render_report
from staa_client.pictures.viewer.page_data import encode_jpegs
from staa_client.video import frames_at
from tests.client.conftest import class_map, flat
from tests.client.pictures.conftest import Page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> {{data}} &amp; \" '"


@pytest.fixture
def text(explanation: Explanation, tmp_path: Path) -> str:
    """A saved report."""
    return explanation.save(tmp_path / "x.html").read_text("utf-8")


def kept_of(shown: dict[str, Any], colours: str) -> NDArray[np.bool_]:
    """Return which cells, (t, h, w), a map of a page keeps above the dynamic threshold."""
    packed = np.frombuffer(base64.b64decode(shown["looks"][colours]["kept"]), np.uint8)
    cells = np.unpackbits(packed, count=int(np.prod(shown["shape"])), bitorder="little")
    return cells.reshape(shown["shape"]).astype(bool)


def test_it_loads_nothing_from_outside(text: str) -> None:
    """No address, no import and no source but data, no link but to its own moments; a policy forbids the rest."""
    words = re.sub(r'"(frames|scales)": [\[{].*?[\]}]|"(mp4|kept)": "[^"]*"', "", text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", words)
    page = Page(text)
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "action", "data"} & set(attributes), tag
        assert re.fullmatch(r"#t=[\d.]+", attributes.get("href") or "#t=0"), tag
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; media-src blob:; style-src")
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy


def test_the_frames_and_the_map_are_in_it(explanation: Explanation, text: str) -> None:
    """The page holds every sampled frame as JPEG, and the map, its times and regions as numbers."""
    data = Page(text).data
    assert len(data["frames"]) == len(data["numbers"]) == len(data["times"]) == 16
    first = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["frames"][0]))))
    assert isinstance(explanation.source, bytes)
    truth = frames_at(explanation.source, [data["numbers"][0]])[0]
    assert first.shape == truth.shape
    assert np.abs(first.astype(int) - truth).mean() < 8
    (shown,) = data["maps"]
    look = shown["looks"]["heat"]
    joint = np.reshape(look["values"], shown["shape"]) / 10_000
    np.testing.assert_allclose(np.clip(joint, 0, 1), explanation.scaled(), atol=1e-4)
    np.testing.assert_allclose(shown["temporal"], explanation.temporal, rtol=1e-4)
    np.testing.assert_array_equal(kept_of(shown, "heat"), explanation.joint >= explanation.threshold)


def test_hostile_strings_stay_text(explanation: Explanation) -> None:
    """Labels, file names and model names with markup in them add no element and change no other value."""
    nasty = dataclasses.replace(
        explanation,
        predictions=(dataclasses.replace(explanation.predictions[0], label=HOSTILE), *explanation.predictions[1:]),
        model=dataclasses.replace(explanation.model, name=HOSTILE),
        source=Path("/tmp") / HOSTILE.replace("/", "|"),  # noqa: S108  # never opened
        target=ClassName(0, HOSTILE),
    )
    tame = dataclasses.replace(explanation, target=ClassName(0, "moves down"))
    plain, attacked = Page(render_report(tame, None, "note")), Page(render_report(nasty, None, HOSTILE))
    names = [tag for tag, _ in plain.elements]
    assert [tag for tag, _ in attacked.elements] == names
    for data in (attacked.data, plain.data):
        data["maps"][0] |= {"title": "", "subject": ""}
    assert attacked.data == plain.data
    assert "".join(attacked.texts).count(HOSTILE) >= 4
    assert not any("onerror" in attributes for _, attributes in attacked.elements)


def test_hostile_labels_cannot_end_the_data(explanation: Explanation) -> None:
    """A class's name that is data of the script is escaped in it, and is read back as it was."""
    hostile = dataclasses.replace(explanation, target=ClassName(0, HOSTILE))
    text = render_report(hostile, None)
    data = text.partition('id="data">')[2].partition("</script>")[0]
    assert text.count("</script>") == 2
    assert not set("<>&") & set(data)
    assert json.loads(data)["maps"][0]["subject"] == f"evidence for {HOSTILE}"


def test_it_can_be_read_without_eyes_or_mouse(text: str) -> None:
    """Canvases have a role and a name, the timeline takes the keyboard, controls have labels, the language is said."""
    elements = Page(text).elements
    for tag, attributes in elements:
        if tag == "canvas":
            assert attributes.get("role")
            assert attributes.get("aria-label")
    assert any(a.get("role") == "slider" and a.get("tabindex") == "0" for _, a in elements)
    assert ("html", {"lang": "en"}) in elements
    assert "prefers-color-scheme: dark" in text
    assert {tag for tag, _ in elements} >= {"main", "h1", "h2", "button", "label", "noscript", "table"}


def test_it_says_what_made_it(text: str) -> None:
    """Labels with scores, model, method, versions and the grid are in the text."""
    words = " ".join(Page(text).texts)
    for fact in (
        "moves down",
        "93.1%",
        "motions 1.0",
        "timesformer",
        "staa, version 1",
        "16 steps of 12 x 12 cells",
        "2, 6, 10",
    ):
        assert fact in words


def test_a_flat_map_is_dark_and_has_no_peak(explanation: Explanation, text: str) -> None:
    """The report marks a step only if it stands out, says the true top of its colours, and cuts on that scale."""
    even = dataclasses.replace(flat(explanation), threshold=1 / explanation.joint.size)
    page = Page(render_report(even, None))
    assert Page(text).data["maps"][0]["peak"] == 9
    assert page.data["maps"][0]["peak"] is None
    assert "red: the peak" in text
    assert "red: the peak" not in "".join(page.texts)
    assert "3 times the average" in page.texts
    (look, *_) = page.data["maps"][0]["looks"].values()
    assert set(look["values"]) == {0}
    assert kept_of(page.data["maps"][0], "heat").all()


def test_the_frames_are_capped() -> None:
    """Frames shrink until all fit, keep their shape, and are never enlarged."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (720, 1280, 3)).astype(np.uint8)] * 4
    large, small = encode_jpegs(noise), encode_jpegs(noise, most_bytes=300_000)
    assert Image.open(io.BytesIO(large[0])).size == (640, 360)
    assert sum(map(len, small)) <= 300_000
    assert Image.open(io.BytesIO(encode_jpegs([noise[0][:90, :160]])[0])).size == (160, 90)


def test_signs_are_named_and_sent(explanation: Explanation) -> None:
    """A class map is called evidence, both ends of its colours have a name, and its values keep their signs."""
    evidence = class_map(explanation)
    page = Page(render_report([Layer(evidence)], None))
    words = " ".join(page.texts)
    assert "Evidence for moves down and not moves right (staa_class)" in words
    assert "attention" not in words.lower()
    assert {"for moves right", "for moves down"} <= {text.strip() for text in page.texts}
    (shown,) = page.data["maps"]
    assert evidence.signed is not None
    look = shown["looks"]["heat"]
    assert (look["scale"], look["signs"]) == ("balance", True)
    values = np.reshape(look["values"], shown["shape"]) / 10_000
    multiples = evidence.signed * evidence.signed.size
    np.testing.assert_allclose(np.ravel(multiples), np.array(shown["multiples"]) / 1000, atol=6e-4)
    np.testing.assert_allclose(values, multiples / Layer(evidence).scale_top, atol=1e-4)
    assert values.min() < -0.3
    np.testing.assert_array_equal(kept_of(shown, "heat") & (values > 0), evidence.joint >= evidence.threshold)


def test_it_keeps_the_cells_that_pictures_keep(explanation: Explanation) -> None:
    """The dynamic threshold keeps the same cells as in pictures and movies, of a nearly flat map and in all colours."""
    joint = 1 + 0.5 * np.random.default_rng(0).random((16, 12, 12)).astype(np.float32)
    joint /= joint.sum()
    ordered = np.sort(joint, axis=None)[::-1]
    cut = float(ordered[np.searchsorted(np.cumsum(ordered), 0.7)])
    nearly_flat = dataclasses.replace(
        explanation, joint=joint, temporal=joint.sum((1, 2)), spatial=joint.sum(0), threshold=cut
    )
    assert 0.6 < (joint >= cut).mean() < 0.7
    for drawn in (nearly_flat, class_map(explanation), flat(explanation)):
        (sent,) = Page(render_report(drawn, None)).data["maps"]
        for colours in ("heat", "viridis", "grey"):
            kept = Layer(drawn, Look(colormap=colours, focus=True)).kept
            np.testing.assert_array_equal(kept_of(sent, colours), kept)


def test_several_maps_share_frames_and_controls(explanation: Explanation) -> None:
    """Each map has its own picture, curve, table and facts; frames, controls and labels are there once."""
    page = Page(render_report([Layer(explanation), Layer(class_map(explanation))], None))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("article") == 2
    assert tags.count("canvas") == 4
    assert tags.count("button") == 6
    words = " ".join(page.texts)
    assert words.count("93.1%") == 4  # title, heading, label, and its row over time
    assert words.count("moves up") == 1
    assert [shown["looks"]["heat"]["signs"] for shown in page.data["maps"]] == [False, True]
    assert [shown["looks"]["grey"]["signs"] for shown in page.data["maps"]] == [False, False]


def test_two_models_have_their_labels_each(explanation: Explanation) -> None:
    """Where the models do not agree, no label is the title, and each table of labels says whose it is."""
    other = dataclasses.replace(
        explanation,
        predictions=explanation.predictions[1:],
        model=dataclasses.replace(explanation.model, name="second"),
    )
    words = Page(render_report([Layer(explanation), Layer(other)], None)).texts
    assert {"motions 1.0", "second 1.0"} <= set(words)
    assert {"Attention (staa), motions 1.0", "Attention (staa), second 1.0"} <= set(words)
    assert "video " in words


def test_the_curve_is_a_table_too(explanation: Explanation, text: str) -> None:
    """Each step has a row with its seconds, its share and its region, for who cannot see the curve."""
    page = Page(text)
    rows = [index for index, (tag, _) in enumerate(page.elements) if tag == "tr"]
    assert len(rows) == 5 + 1 + 16
    share = f"{explanation.temporal[9]:.1%}"
    assert {"4.50-5.00", share} <= set(page.texts)


def test_the_looks_set_the_controls(explanation: Explanation, tmp_path: Path) -> None:
    """`alpha` is where the slider stands, `focus` presses the button, `colormap` brings its colours."""
    page = Page(explanation.save(tmp_path / "x.html", alpha=0.35, focus=True, colormap="grey").read_text("utf-8"))
    attributes = {a["id"]: a for _, a in page.elements if a.get("id")}
    assert attributes["opacity"]["value"] == "35"
    assert attributes["dynamic"]["aria-pressed"] == "true"
    chosen = [a["value"] for tag, a in page.elements if tag == "option" and "selected" in a]
    assert chosen == ["1", "clip", "grey"]
    assert page.data["maps"][0]["look"] == "grey"
    colours = np.frombuffer(base64.b64decode(page.data["scales"]["grey"]), np.uint8).reshape(256, 3)
    assert np.ptp(colours, axis=1).max() <= 1
