"""Maps at a moment, in notebooks, and in files that are read back."""

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from staa_client import Explanation, ReplyError, load
from staa_client._maps import packed, unpacked


def test_a_second_lies_between_its_steps(explanation: Explanation) -> None:
    """In the middle of a step the map is the step's, on its edge the mean of two, at the ends the outer ones."""
    middles = explanation.seconds.mean(1)
    for step in (0, 7, 15):
        np.testing.assert_allclose(explanation.heatmap(second=float(middles[step])), explanation.heatmap(step))
    edge = (explanation.heatmap(4) + explanation.heatmap(5)) / 2
    np.testing.assert_allclose(explanation.heatmap(second=2.5), edge, atol=1e-6)
    np.testing.assert_array_equal(explanation.heatmap(second=0), explanation.heatmap(0))
    np.testing.assert_array_equal(explanation.heatmap(second=8.0), explanation.heatmap(15))
    np.testing.assert_array_equal(explanation.heatmap(frame=18), explanation.heatmap(second=18 / 8))


def test_a_moment_outside_is_refused(explanation: Explanation) -> None:
    """A second, frame or step that is not there, none, or two of them: ValueError."""
    for wrong in ({"second": 8.1}, {"second": -1.0}, {"frame": 65}, {}, {"step": 1, "second": 1.0}, {"step": 16}):
        with pytest.raises(ValueError, match=r"source|step"):
            explanation.heatmap(**wrong)


def test_halves_are_used_where_they_lose_nothing() -> None:
    """What came as halves is written as halves, anything else as singles: reading back gives the same bits."""
    rng = np.random.default_rng(0)
    halves = rng.random((3, 4)).astype(np.float16).astype(np.float32)
    singles = rng.random((3, 4)).astype(np.float32)
    assert (packed(halves)["dtype"], packed(singles)["dtype"]) == ("<f2", "<f4")
    for array in (halves, singles, np.array([1e9, 1e-9], np.float32)):
        np.testing.assert_array_equal(unpacked(json.loads(json.dumps(packed(array)))), array)


@pytest.mark.parametrize("ending", ["json", "npz"])
def test_what_was_saved_is_read_back(ending: str, explanation: Explanation, tmp_path: Path) -> None:
    """`load` gives the explanation that `save` wrote."""
    signed = dataclasses.replace(explanation, signed=explanation.joint * np.float32(0.5))
    path = signed.save(tmp_path / f"x.{ending}")
    again = load(path)
    for name in ("temporal", "spatial", "joint", "signed"):
        np.testing.assert_allclose(getattr(again, name), getattr(signed, name), rtol=1e-6)
    assert again.without_maps() == signed.without_maps()
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(ReplyError):
        load(other)


def test_parquet_has_labels_and_maps(explanation: Explanation, tmp_path: Path) -> None:
    """One row: label, score, the flat maps with their shape, and the rest as JSON."""
    table = pq.read_table(explanation.to_parquet(tmp_path / "x.parquet"))
    (row,) = table.to_pylist()
    assert (row["label"], row["shape"], row["error_code"]) == ("moves down", [16, 12, 12], None)
    np.testing.assert_array_equal(np.array(row["joint"], np.float32).reshape(row["shape"]), explanation.joint)
    assert json.loads(row["reply"]) == explanation.without_maps()


def test_a_notebook_shows_a_picture_with_words(explanation: Explanation) -> None:
    """One img element with its picture inside, and labels and seconds as its alternative, whatever a label holds."""
    pictures: list[dict[str, str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag == "img"
            pictures.append({name: value or "" for name, value in attrs})

    nasty = dataclasses.replace(explanation.predictions[0], label='"><script>')
    for one in (explanation, dataclasses.replace(explanation, predictions=(nasty,), source=Path("/gone.mp4"))):
        Reader().feed(one._repr_html_())
    first, second = pictures
    assert first["src"].startswith("data:image/png;base64,")
    assert "moves down 93.1%" in first["alt"]
    assert "4.50 to 5.00 s" in first["alt"]
    assert '"><script>' in second["alt"]
    assert len(first["src"]) > len(second["src"])
