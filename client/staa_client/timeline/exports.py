"""Writes timelines for other programs: WebVTT for players, EAF for ELAN, and temporal detections for FiftyOne.

Players, as that of ELAN, count from the start of the file, which may have sound before its first frame: see
`Timeline.delay`. FiftyOne counts frames, and the first one is at 0.
"""

import json
import re
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from staa_client.timeline.result import Span, Timeline

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def webvtt(timeline: Timeline) -> str:
    """Return the spans as WebVTT, of which players make chapters; times in which no label is sure are left out.

    Chapters must not overlap: where spans do, there is a cue with all their labels. What a reader of the labels must
    know is a comment.
    """
    cues = ["WEBVTT\n", *([f"NOTE {_vtt_text(timeline.model.about)}\n"] if timeline.model.about else [])]
    for number, (start, end, labels) in enumerate(_chapters(timeline), 1):
        cues.append(f"{number}\n{_vtt_time(start)} --> {_vtt_time(end)}\n{' and '.join(map(_vtt_text, labels))}\n")
    return "\n".join(cues)


def _chapters(timeline: Timeline) -> list[tuple[int, int, list[str]]]:
    """Return start and end of each chapter, thousandths of a second, with the labels of the spans that go on in it."""
    left = deque((*_times(timeline, span), span.label) for span in timeline.known)  # by their start
    edges = sorted({edge for start, end, _ in left for edge in (start, end)})
    chapters: list[tuple[int, int, list[str]]] = []
    going_on: list[tuple[int, int, str]] = []
    for first, last in pairwise(edges):
        going_on = [span for span in going_on if span[1] > first]
        while left and left[0][0] <= first:
            going_on.append(left.popleft())
        if going_on:
            chapters.append((first, last, [*dict.fromkeys(label for _, _, label in going_on)]))
    return chapters


def _times(timeline: Timeline, span: Span) -> tuple[int, int]:
    """Return start and end of a span in thousandths of a second, as players count them; it has at least one of them."""
    start, end = (round((second + timeline.delay) * 1000) for second in (span.start, span.end))
    return start, max(end, start + 1)


def _vtt_time(thousandths: int) -> str:
    """Return thousandths of a second as a time of WebVTT: 3661500 becomes 01:01:01.500."""
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def _vtt_text(text: str) -> str:
    """Return a label as the text of a cue, on one line and without marks that WebVTT reads."""
    line = " ".join(text.split()) or "(no name)"
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def eaf(timeline: Timeline) -> str:
    """Return the spans as a document of ELAN (EAF 3.0): one tier for each class, times in milliseconds."""
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "staa",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": _XSI,
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    header = ET.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if isinstance(timeline.source, Path):
        media = {"MEDIA_URL": timeline.source.absolute().as_uri(), "MIME_TYPE": "video/*"}
        ET.SubElement(header, "MEDIA_DESCRIPTOR", media)
    if timeline.model.about:
        ET.SubElement(header, "PROPERTY", {"NAME": "about"}).text = _xml(timeline.model.about)
    order = ET.SubElement(root, "TIME_ORDER")
    tiers: dict[int | None, list[Span]] = {}
    for span in timeline.known:
        tiers.setdefault(span.class_id, []).append(span)
    times = [_times(timeline, span) for spans in tiers.values() for span in spans]
    ends = [(edge, 2 * count + side) for count, span in enumerate(times) for side, edge in enumerate(span)]
    for edge, number in sorted(ends):  # slots stand in the order of their times
        ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": f"ts{number + 1}", "TIME_VALUE": str(edge)})
    count, taken = 0, set[str]()
    for class_id, spans in tiers.items():
        label = _xml(spans[0].label)
        name = f"{label} ({class_id})" if label in taken else label
        taken.add(name)
        tier = ET.SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": "label", "TIER_ID": name})
        for span in spans:
            count += 1
            refs = {"TIME_SLOT_REF1": f"ts{2 * count - 1}", "TIME_SLOT_REF2": f"ts{2 * count}"}
            whole = ET.SubElement(tier, "ANNOTATION")
            about = ET.SubElement(whole, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": f"a{count}", **refs})
            ET.SubElement(about, "ANNOTATION_VALUE").text = f"{label} {span.score:.2f}"
    ET.SubElement(
        root,
        "LINGUISTIC_TYPE",
        {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "label", "TIME_ALIGNABLE": "true"},
    )
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Return a text without characters that XML cannot hold."""
    return _NO_XML.sub("?", text)


def fiftyone(timelines: Iterable[Timeline]) -> dict[str, Any]:
    """Return the `labels.json` of a FiftyOneTemporalDetectionDataset, of which FiftyOne makes TemporalDetections.

    A video is known by its absolute path, so that `data_path` is not needed; by its name if it has no path.
    """
    listed = list(timelines)
    classes = list(dict.fromkeys(label for timeline in listed for label in timeline.labels))
    labels: dict[str, list[dict[str, Any]]] = {}
    for timeline in listed:
        source = timeline.source
        name = str(source.absolute()) if isinstance(source, Path) else timeline.name
        labels[name] = [
            {
                "label": classes.index(span.label),
                "timestamps": [span.start, span.end],
                "confidence": span.score,
                "attributes": {"peak": span.peak, "model": timeline.model.name, "about": timeline.model.about},
            }
            for span in timeline.known
        ]
    return {"classes": classes, "labels": labels}


def fiftyone_text(timeline: Timeline) -> str:
    """Return the `labels.json` of one video as text."""
    return json.dumps(fiftyone([timeline]), indent=1)


def json_text(timeline: Timeline) -> str:
    """Return the spans as JSON text, without maps."""
    return json.dumps(timeline.to_dict(), ensure_ascii=False, indent=1)
