"""Writes timelines for other programs: WebVTT for players, EAF for ELAN, and temporal detections for FiftyOne."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from staa_client.timeline.result import Span, Timeline

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def webvtt(timeline: Timeline) -> str:
    """Return the spans as WebVTT: a cue for each, of which players make chapters; "nothing known" is left out."""
    cues = ["WEBVTT\n"]
    for number, span in enumerate(timeline.known, 1):
        start, end = _vtt_time(span.start), _vtt_time(max(span.end, span.start + 0.001))
        cues.append(f"{number}\n{start} --> {end}\n{_vtt_text(span.label)}\n")
    return "\n".join(cues)


def _vtt_time(seconds: float) -> str:
    """Return seconds as a time of WebVTT: 3661.5 becomes 01:01:01.500."""
    thousandths = round(seconds * 1000)
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
    order = ET.SubElement(root, "TIME_ORDER")
    tiers: dict[int | None, list[Span]] = {}
    for span in timeline.known:
        tiers.setdefault(span.class_id, []).append(span)
    slots, taken = 0, set[str]()
    for class_id, spans in tiers.items():
        label = _xml(spans[0].label)
        name = f"{label} ({class_id})" if label in taken else label
        taken.add(name)
        tier = ET.SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": "label", "TIER_ID": name})
        for span in spans:
            for second in (span.start, span.end):
                slots += 1
                ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": f"ts{slots}", "TIME_VALUE": f"{second * 1000:.0f}"})
            refs = {"TIME_SLOT_REF1": f"ts{slots - 1}", "TIME_SLOT_REF2": f"ts{slots}"}
            whole = ET.SubElement(tier, "ANNOTATION")
            about = ET.SubElement(whole, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": f"a{slots // 2}", **refs})
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
                "attributes": {"peak": span.peak, "model": timeline.model.name},
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
