"""What other programs read of a timeline, each by its own reader, or by a schema of its documentation."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pympi
import pytest
import webvtt

from staa_client import Explanation, Timeline, contract
from staa_client.timeline.exports import fiftyone
from staa_client.timeline.files import ENDINGS
from staa_client.timeline.show.page import render_page
from tests.client.conftest import checked, document
from tests.client.timeline.conftest import timeline

FIFTYONE = {
    "type": "object",
    "required": ["labels"],
    "additionalProperties": False,
    "properties": {
        "classes": {"type": "array", "items": {"type": "string"}},
        "labels": {
            "type": "object",
            "additionalProperties": {
                "type": ["array", "null"],
                "items": {
                    "type": "object",
                    "required": ["label"],
                    "oneOf": [{"required": ["support"]}, {"required": ["timestamps"]}],
                    "additionalProperties": False,
                    "properties": {
                        "label": {"type": ["integer", "string"], "minimum": 0},
                        "support": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
                        "timestamps": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                        "confidence": {"type": "number"},
                        "attributes": {"type": "object"},
                    },
                },
            },
        },
    },
}
"""labels.json of a FiftyOneTemporalDetectionDataset, as FiftyOne's page "Loading datasets from disk" describes it."""


def test_webvtt_has_a_cue_for_each_span(tmp_path: Path) -> None:
    """webvtt-py reads the times and labels of the known spans."""
    made = timeline()
    cues = webvtt.read(str(made.save(tmp_path / "a.vtt"))).captions
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [
        ("00:00:03.250", "00:00:08.500", "moves right"),
        ("00:00:11.500", "00:00:16.750", "spins"),
    ]


def test_every_export_says_what_the_model_is_good_for(tmp_path: Path) -> None:
    """Chapters have it as a comment, ELAN as a property, FiftyOne with each detection, and JSON with the model."""
    made = timeline()
    about = made.model.about
    assert made.save(tmp_path / "a.vtt").read_text().split("\n\n")[1] == f"NOTE {about}"
    assert ("about", about) in pympi.Elan.Eaf(str(made.save(tmp_path / "a.eaf"))).properties
    (detections,) = json.loads(made.save(tmp_path / "a.fiftyone.json").read_text())["labels"].values()
    assert {each["attributes"]["about"] for each in detections} == {about}
    assert json.loads(made.save(tmp_path / "a.json").read_text())["model"]["about"] == about


def test_json_has_the_verdict_on_each_map(tmp_path: Path) -> None:
    """The verdict on a span's map stands in JSON; there is none where nobody has checked it, or where no map is."""
    found = contract.of_document(checked(document()))
    assert isinstance(found, Explanation)
    made = timeline(found=found)
    spans = json.loads(made.save(tmp_path / "a.json").read_text())["spans"]
    assert [span["verdict"] for span in spans] == [None, "faithful", None, "faithful", None]
    assert {span.to_dict()["verdict"] for span in timeline().spans} == {None}


def test_elan_has_a_tier_for_each_label(tmp_path: Path) -> None:
    """pympi, which reads and writes ELAN's files, finds a tier for each label with its times in milliseconds."""
    video = tmp_path / "long.mp4"
    video.touch()
    made = timeline(video)
    found = pympi.Elan.Eaf(str(made.save(tmp_path / "a.eaf")))
    assert set(found.get_tier_names()) == {"moves right", "spins"}
    assert found.get_annotation_data_for_tier("spins") == [(11500, 16750, "spins 0.80")]
    assert found.get_linked_files()[0]["MEDIA_URL"] == video.as_uri()


def test_fiftyone_has_detections_in_seconds(tmp_path: Path) -> None:
    """labels.json fits the documented form, names the video by its path, and classes by their numbers."""
    made = timeline(tmp_path / "long.mp4")
    read = json.loads(made.save(tmp_path / "a.fiftyone.json").read_text())
    jsonschema.validate(read, FIFTYONE)
    (first, second) = read["labels"][str(tmp_path / "long.mp4")]
    assert read["classes"][first["label"]] == "moves right"
    assert (second["timestamps"], second["confidence"]) == ([11.5, 16.75], 0.8)
    both = fiftyone([made, timeline()])
    jsonschema.validate(both, FIFTYONE)
    assert set(both["labels"]) == {str(tmp_path / "long.mp4"), "long.mp4"}


def test_json_has_all_spans(tmp_path: Path) -> None:
    """The JSON says how the spans were found, and holds those of nothing known too."""
    read: dict[str, Any] = json.loads(timeline().save(tmp_path / "a.json").read_text())
    assert (read["window"], read["stride"], read["clip_seconds"]) == (4.0, 1.0, [3.0, 5.0])
    assert [span["label"] for span in read["spans"]][::2] == ["nothing known"] * 3


def test_labels_from_outside_break_no_format(tmp_path: Path) -> None:
    """A label with marks, line breaks and control characters is read as text by each reader."""
    span = replace(timeline().known[0], label="<b>a & b</b>\n-->\x00 1")
    made = replace(timeline(), spans=(span,))
    (cue,) = webvtt.read(str(made.save(tmp_path / "a.vtt"))).captions
    assert "a" in cue.text
    assert "-->" not in cue.raw_text
    (tier,) = pympi.Elan.Eaf(str(made.save(tmp_path / "a.eaf"))).get_tier_names()
    assert tier.startswith("<b>a & b</b>")


@pytest.mark.parametrize("name", ["a.txt", "nowhere/a.vtt", "a"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    """An ending that is none is refused with the list of those that are, and nothing is written."""
    with pytest.raises(ValueError, match=r"\.vtt|there is no folder"):
        timeline().save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    assert ".html" in ENDINGS


def test_two_classes_of_one_label_have_a_tier_each(tmp_path: Path) -> None:
    """Where two classes have the same label, ELAN shows both, the second with its number."""
    first, second = timeline().known
    made = replace(timeline(), spans=(first, replace(second, label=first.label)))
    found = pympi.Elan.Eaf(str(made.save(tmp_path / "a.eaf")))
    assert set(found.get_tier_names()) == {"moves right", "moves right (4)"}
    assert len(found.get_annotation_data_for_tier("moves right (4)")) == 1


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    """What cannot be written is named as it was given, and not by the name of its draft."""
    (tmp_path / "a.vtt").mkdir()
    with pytest.raises(OSError, match=r"a\.vtt") as raised:
        timeline().save(tmp_path / "a.vtt")
    assert ".part" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.vtt"]


def test_a_page_without_maps_does_not_speak_of_frames() -> None:
    """Signs of scores and labels are escaped, and that frames are missing is said only of maps."""
    span = replace(timeline().known[0], score=0.0004, label="a & b -->")
    page = render_page(replace(timeline(), spans=(span,), labels=("a & b -->",) * 8), 2)
    assert "&lt;0.1%" in page
    assert "<0.1%" not in page
    data = page.split('id="data">')[1].split("</script>")[0]
    assert not {"<", ">", "&"} & set(data)
    assert json.loads(data)["spans"][0]["label"] == "a & b -->"
    assert "drawn without frames" not in page


def overlapping(delay: float = 0.0) -> Timeline:
    """A timeline of which two spans overlap, one lies within another, and two labels are the same."""
    first = timeline().known[0]
    times = [("a", 1.0, 5.0, 0), ("b", 3.0, 8.0, 1), ("a", 4.0, 4.5, 2), ("c", 8.0, 9.0, 3), ("c", 12.0, 12.0, 3)]
    spans = tuple(
        replace(first, label=label, start=start, end=end, class_id=number) for label, start, end, number in times
    )
    return replace(timeline(), spans=spans, delay=delay)


@pytest.mark.parametrize("delay", [0, 10])
def test_chapters_do_not_overlap(tmp_path: Path, delay: int) -> None:
    """Where spans overlap, there is one cue with both labels; times count from where players do."""
    cues = webvtt.read(str(overlapping(delay).save(tmp_path / "a.vtt"))).captions
    assert [(cue.start_in_seconds - delay, cue.end_in_seconds - delay, cue.text) for cue in cues] == [
        (1, 3, "a"),
        (3, 4, "a and b"),
        (4, 4, "a and b"),
        (4, 5, "a and b"),
        (5, 8, "b"),
        (8, 9, "c"),
        (12, 12, "c"),
    ]
    ends = [(cue.start, cue.end) for cue in cues]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ends))
    assert ends[-1][0] < ends[-1][1]


@pytest.mark.parametrize("delay", [0, 10])
def test_slots_of_elan_stand_in_the_order_of_time(tmp_path: Path, delay: int) -> None:
    """The slots ascend, no two annotations share one, and times count from where players do."""
    path = overlapping(delay).save(tmp_path / "a.eaf")
    order = [int(value) for value in re.findall(r'TIME_VALUE="(\d+)"', path.read_text())]
    assert order == sorted(order)
    assert len(order) == 2 * 5
    found = pympi.Elan.Eaf(str(path))
    assert found.get_annotation_data_for_tier("b") == [(3000 + delay * 1000, 8000 + delay * 1000, "b 0.90")]
    assert found.get_annotation_data_for_tier("c")[1][1] == 12_001 + delay * 1000


@pytest.mark.parametrize("tracks", [0, -1])
def test_no_track_is_no_picture(tmp_path: Path, tracks: int) -> None:
    """A picture of fewer than one track is refused, and nothing is written."""
    with pytest.raises(ValueError, match=f"tracks is {tracks}: expected 1 or more"):
        timeline().save(tmp_path / "a.html", tracks=tracks)
    assert not list(tmp_path.iterdir())
