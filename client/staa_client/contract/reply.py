"""Reads results from an HTTP reply."""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from staa_client.contract import failure
from staa_client.contract.document import read_document, read_json
from staa_client.contract.fields import NUMBERS, one_line, read_field, read_integer, read_number, read_plain, read_text
from staa_client.errors import ReplyError
from staa_client.results.card import Card, MethodCard
from staa_client.results.explanation import MAPS, Answer, Explanation
from staa_client.results.maps import unpack
from staa_client.results.result import (
    Areas,
    ClassName,
    ClipInfo,
    Faithfulness,
    Model,
    NotExplained,
    Prediction,
    Refinement,
    Result,
)
from staa_client.video.source import Source

T = TypeVar("T")
_ABOUT = {
    "method",
    "method_version",
    "target",
    "contrast",
    "shape",
    "steps",
    "threshold",
    "faithfulness",
    "refinement",
    "shared_evidence",
}
BROKEN = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError, OSError, EOFError,
    SyntaxError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""The errors of json, zipfile, numpy and our own types when a reply does not follow the contract."""
_KNOWN = {*_ABOUT, *MAPS}
MOST_NOTES, MOST_NOTE_CHARACTERS = 8, 200
"""The most notes of a clip, and characters of one: others of a reply are left out."""
_MOST_PIXELS = 2**27
"""The most pixels of a frame; a heatmap of the frame takes four bytes for each."""
_MOST_FRAMES, _MOST_INDEX, _MOST_SECONDS = 10_000, 2**53, 1e9
_MOST_EDGE = 4096
"""The largest size of a model's input and of its token grid."""
_MOST_SHARE = 1.01
"""The most that a cell of a map can be, with the rounding of float16."""


def result(status: int, headers: Mapping[str, str], body: bytes) -> Result:
    """Return the labels in a reply of /predictions.

    Raises:
        StatusError: the server refused the request or failed.
        ReplyError: the body does not follow the contract.
    """
    return _read(status, headers, body, _result)


def explanation(
    status: int, headers: Mapping[str, str], body: bytes, source: Source | None = None, name: str = "video"
) -> Explanation:
    """Return the labels and maps in a reply of /explanations about a video, whichever encoding of the maps it has.

    Raises:
        StatusError: the server refused the request or failed.
        ReplyError: the body does not follow the contract.
    """
    return _read(status, headers, body, partial(_explanation, source=source, name=name))


def answer(
    status: int, headers: Mapping[str, str], body: bytes, source: Source | None = None, name: str = "video"
) -> Answer:
    """Return what a reply of /explanations to a request with rules holds: an explanation, or labels and why not.

    Raises:
        StatusError: the server refused the request or failed.
        ReplyError: the body does not follow the contract.
    """

    def parse(document: dict[str, Any]) -> Answer:
        if "not_explained" in document and "explanation" not in document:
            return _result(document)
        return _explanation(document, source, name)

    return _read(status, headers, body, parse)


def of_document(document: dict[str, Any]) -> Answer:
    """Return the result in a reply that was saved as JSON data: labels, or labels with maps.

    Raises:
        ReplyError: the data does not follow the contract.
    """
    with _reply_errors():
        return _explanation(document) if "explanation" in document else _result(document)


def card(status: int, headers: Mapping[str, str], body: bytes) -> Card:
    """Return the card in a reply.

    Raises:
        StatusError: the server refused the request or failed.
        ReplyError: the body does not follow the contract.
    """
    return _read(status, headers, body, _card)


def management(body: bytes) -> Any:
    """Return the JSON data in a reply of TorchServe's management API.

    Raises:
        ReplyError: it is no JSON.
    """
    try:
        return read_json(body)
    except (ValueError, RecursionError) as reason:
        msg = "the management API's reply is no JSON; is it the management address?"
        raise ReplyError(msg, code="reply_invalid", status=200) from reason


def _read(status: int, headers: Mapping[str, str], body: bytes, parse: Callable[[dict[str, Any]], T]) -> T:
    """Parse a reply of 200 with `parse`; raise the error of any other reply."""
    if status != 200:
        raise failure.error(status, headers, body)
    with _reply_errors(failure.request_id(headers)):
        return parse(read_document(body))


@contextmanager
def _reply_errors(request_id: str | None = None) -> Iterator[None]:
    """Turn the errors in BROKEN, from a reply that does not follow the contract, into ReplyError."""
    try:
        yield
    except BROKEN as reason:
        what = f"no field {reason}" if isinstance(reason, KeyError) else str(reason) or type(reason).__name__
        msg = f"the server's reply is not the contract's ({one_line(what, 200)}); is it a STAA server of this client's"
        msg += " version?"
        raise ReplyError(msg, code="reply_invalid", status=200, request_id=request_id) from reason


def _plain(kind: type[T], document: dict[str, Any], **others: Any) -> T:
    """Return an object of a frozen type: texts and numbers are taken from the document, other fields from `others`."""
    plain = {name: kind_of for name, kind_of in kind.__annotations__.items() if kind_of in {str, int, float, bool}}
    return kind(**{name: read_field(kind_of, name, document[name]) for name, kind_of in plain.items()}, **others)


def _result(document: dict[str, Any]) -> Result:
    clip = document["clip"]
    x0, y0, x1, y1 = (read_integer(edge, "box", 0, 2**16 - 1) for edge in clip["box"])
    if max(len(clip["frames"]), len(clip["times"])) > _MOST_FRAMES:
        raise ValueError(f"a clip of more than {_MOST_FRAMES} frames")
    frames = np.array([read_integer(frame, "frames", 0, _MOST_INDEX) for frame in clip["frames"]], np.int64)
    times = np.array([read_number(time, "times", -_MOST_SECONDS, _MOST_SECONDS) for time in clip["times"]], np.float64)
    info = _plain(ClipInfo, clip, frames=frames, times=times, box=(x0, y0, x1, y1), notes=_notes(clip.get("notes", [])))
    if info.width * info.height > _MOST_PIXELS:
        raise ValueError(f"frames of {info.width}x{info.height} pixels")
    predictions = tuple(_prediction(prediction) for prediction in document["predictions"])
    why_not = _plain(NotExplained, document["not_explained"]) if "not_explained" in document else None
    return Result(_model(document["model"]), predictions, info, why_not)


def _prediction(document: dict[str, Any]) -> Prediction:
    present = document.get("present")
    return _plain(Prediction, document, present=None if present is None else read_field(bool, "present", present))


def _model(document: dict[str, Any]) -> Model:
    return _plain(Model, {"about": ""} | document)


def _notes(notes: Any) -> tuple[str, ...]:  # whatever JSON holds
    """Return the notes of a clip, as many and as long as the contract allows."""
    if not isinstance(notes, list):
        raise TypeError("notes are a list of texts")
    return tuple(read_text(note, "note")[:MOST_NOTE_CHARACTERS] for note in notes[:MOST_NOTES])


def _card(document: dict[str, Any]) -> Card:
    wants = document["input"]
    t, h, w = (_edge(edge) for edge in wants["steps"])
    return _plain(
        Card,
        document | wants,
        model=_model(document["model"]),
        license=None if document["license"] is None else read_text(document["license"], "license"),
        clip_seconds=_clip_seconds(document["clip_seconds"]),
        labels=tuple(read_text(label, "label") for label in document["labels"]),
        size=(_edge(wants["height"]), _edge(wants["width"])),
        resize=_resize(wants["resize"]),
        steps=(t, h, w),
        explain_when=tuple(read_text(rule, "rule") for rule in document.get("explain_when", [])),
        label_threshold=_share(document.get("label_threshold"), "label_threshold"),
        methods={read_text(name): _plain(MethodCard, about) for name, about in document["methods"].items()},
        limits={read_text(name): read_number(value, name, 0, 1e18) for name, value in document["limits"].items()},
    )


def _clip_seconds(ends: Any) -> tuple[float, float] | None:  # whatever JSON holds
    if ends is None:
        return None
    shortest, longest = (read_number(end, "clip_seconds", 0, _MOST_SECONDS) for end in ends)
    if not 0 < shortest <= longest:
        raise ValueError("clip_seconds are the shortest clip and the longest one")
    return shortest, longest


def _edge(value: Any) -> int:
    return read_integer(value, "size", 1, _MOST_EDGE)


def _resize(size: Any) -> int | tuple[int, int] | None:
    if isinstance(size, list):
        rows, columns = (_edge(edge) for edge in size)
        return rows, columns
    return None if size is None else _edge(size)


def _explanation(document: dict[str, Any], source: Source | None = None, name: str = "video") -> Explanation:
    labels, fields = _result(document), document["explanation"]
    temporal, spatial, joint = (unpack(fields[name]) for name in ("temporal", "spatial", "joint"))
    if list(joint.shape) != list(fields["shape"]):
        raise ValueError(f"joint is {joint.shape}, but shape says {fields['shape']!r:.60}")
    signed = unpack(fields["signed"]) if "signed" in fields else None
    for shares, least in ((temporal, 0), (spatial, 0), (joint, 0), (signed, -_MOST_SHARE)):
        if shares is not None and not ((least - 1e-3 <= shares) & (shares <= _MOST_SHARE)).all():  # NaN is neither
            raise ValueError("shares of a map lie between 0 and 1")
    return Explanation(
        labels.model,
        labels.predictions,
        labels.clip,
        method=read_text(fields["method"], "method"),
        method_version=read_text(fields["method_version"], "method_version"),
        threshold=_rounded(read_number(fields["threshold"], "threshold", 0, 1), fields["joint"]),
        seconds=_seconds(fields["steps"]),
        temporal=temporal,
        spatial=spatial,
        joint=joint,
        target=_class(fields["target"]),
        contrast=_class(fields.get("contrast")),
        signed=signed,
        shared_evidence=_share(fields.get("shared_evidence"), "shared_evidence"),
        faithfulness=_faithfulness(fields["faithfulness"]) if "faithfulness" in fields else None,
        refinement=_refinement(fields["refinement"]) if "refinement" in fields else None,
        extra=read_plain({field: value for field, value in fields.items() if field not in _KNOWN}),
        source=source,
        name=name,
    )


def _seconds(steps: Any) -> NDArray[np.float64]:
    """Return the start and end of each step (t, 2), in seconds."""
    if len(steps) > _MOST_EDGE:
        raise ValueError(f"more than {_MOST_EDGE} steps")
    read = [[read_number(end, "steps", -_MOST_SECONDS, _MOST_SECONDS) for end in step] for step in steps]
    if not all(len(step) == 2 and step[0] <= step[1] for step in read):
        raise ValueError("a step has a start and an end after it")
    return np.array(read, np.float64)


def _share(share: Any, name: str) -> float | None:  # whatever JSON holds
    return None if share is None else read_number(share, name, 0, 1)


def _class(named: Any) -> ClassName | None:  # whatever JSON holds
    return None if named is None else _plain(ClassName, named)


def _faithfulness(check: dict[str, Any]) -> Faithfulness:
    if check["target"] is None:
        raise ValueError("faithfulness is about a class, got none")
    return _plain(
        Faithfulness,
        check | check["cost"],
        seconds=_spent(check["cost"]),
        target=_class(check["target"]),
        contrast=_class(check["contrast"]),
        deletion=_plain(Areas, check["deletion"]),
        insertion=_plain(Areas, check["insertion"]),
    )


def _refinement(choice: dict[str, Any]) -> Refinement:
    return _plain(Refinement, choice | choice["cost"], seconds=_spent(choice["cost"]))


def _spent(cost: dict[str, Any]) -> float | None:
    """Return the seconds of a check or a choice, which a file of a result that was made in process does not have."""
    return read_number(cost["seconds"], "seconds", *NUMBERS["seconds"]) if "seconds" in cost else None


def _rounded(threshold: float, joint: Any) -> float:  # whatever JSON or npz holds
    """Return the threshold with the rounding of the map, so that `joint >= threshold` selects the server's cells."""
    if isinstance(joint, dict):
        return float(np.float32(np.dtype(joint["dtype"]).type(threshold)))
    return float(np.float32(threshold if isinstance(joint, np.ndarray) else f"{threshold:.5g}"))
