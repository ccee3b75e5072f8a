"""Holds what a store keeps of one explanation, and turns it into a line of JSON and back."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Literal, Self, get_args

import numpy as np

from staa_client import contract
from staa_client.errors import ReplyError
from staa_client.results.explanation import Answer, Explanation, maps_of
from staa_client.transport.options import RuledOptions
from staa_client.transport.steps import Exchange
from staa_client.video.frames import KIND, Frames
from staa_client.video.origin import sha256_of

VERSION = 1
"""The version of the form of a line."""
_TYPES: Mapping[str, type | UnionType] = {"time": str, "request_id": str | None, "model": str, "options": dict}
_VIDEO_TYPES: Mapping[str, type | UnionType] = {
    "name": str,
    "sha256": str,
    "size": int,
    "source_sha256": str | None,
    "as_frames": bool,
    "longest": int | None,
}
Kind = Literal["video", "window", "live", "memory"]
"""What a line is about, see `SentVideo.kind`."""
_BROKEN = (ReplyError, TypeError, ValueError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class SentVideo:
    """Says which video was sent."""

    name: str
    """The name of its file, "video", or the address of a live source."""
    size: int
    """How many bytes were sent."""
    sha256: str
    """The SHA-256 of the bytes that were sent, in hexadecimal."""
    source_sha256: str | None
    """The SHA-256 of the whole video, also if only frames of it were sent; None for a live source, and for frames
    in memory."""
    as_frames: bool
    """Whether the client chose the frames and sent only those."""
    kind: Kind = "video"
    """What was asked about: a video or the part of it that the options name; a window of a video, of a timeline or a
    watch, whose frames have the numbers in the reply's clip; a window of a live source; or frames in memory."""
    longest: int | None = None
    """The most pixels of the longer edge to which a watch scaled the frames of a file; None if nothing did that."""

    @classmethod
    def of(cls, exchanged: Exchange[Answer]) -> Self:
        """Return what was sent for an answer; a video of which only frames were sent is read to its end."""
        upload, source = exchanged.upload, exchanged.source
        sent = upload.size, upload.sha256()
        if isinstance(source, Frames):
            if (origin := source.origin) is None:
                return cls(exchanged.name, *sent, None, as_frames=True, kind="memory")
            kind: Kind = "live" if origin.video is None else "window"
            return cls(origin.name, *sent, origin.sha256(), as_frames=True, kind=kind, longest=origin.longest)
        as_frames = upload.kind == KIND
        return cls(exchanged.name, *sent, sha256_of(source) if as_frames else sent[1], as_frames)


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Holds what was asked, about which video, and what was answered."""

    time: str
    """When the answer came: UTC, in the form of ISO 8601."""
    request_id: str | None
    """The id of the request in the server's log."""
    model: str
    """The name of the model as it was asked for, "name" or "name/version"; the answer has what answered."""
    options: Mapping[str, str | int | float]
    """The options of the request."""
    video: SentVideo
    answer: Answer
    is_intact: bool = True
    """Whether the digests of the line are those of its contents."""

    @classmethod
    def of(cls, exchanged: Exchange[Answer]) -> Self:
        """Return the record of an answer that came now; a video that was sent in frames is read to its end."""
        video = SentVideo.of(exchanged)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return cls(now, exchanged.request_id, exchanged.model, exchanged.options, video, exchanged.answer)

    @classmethod
    def of_line(cls, line: bytes) -> Self:
        """Return the record in a line.

        Raises:
            ValueError: it holds none, or one of a form that this client does not know.
        """
        try:
            document = json.loads(line)
            if document["version"] != VERSION:
                raise ValueError(f"it has the form {document['version']!r:.20}, this client reads {VERSION}")
            head = {name: document[name] for name in _TYPES}
            _check_types(document, _TYPES)
            _check_types(document["video"], _VIDEO_TYPES)
            if document["video"].get("kind", "video") not in get_args(Kind):
                raise ValueError(f"its video is of the kind {document['video']['kind']!r:.100}")
            _check_options(head["options"])
            contract.call("explanations", head["model"], head["options"])  # the model has a name, and all can be sent
            answer = contract.of_document(document["reply"])
            is_intact = document["sha256"] == line_sha256(document) and document["map_sha256"] == map_sha256(answer)
            return cls(**head, video=SentVideo(**document["video"]), answer=answer, is_intact=is_intact)
        except _BROKEN as reason:
            raise ValueError(f"it is no line of a store, or a damaged one ({str(reason)[:200]})") from reason

    def to_line(self) -> bytes:
        """Return the record as a line of ASCII."""
        check = self.answer.faithfulness if isinstance(self.answer, Explanation) else None
        document = {
            "version": VERSION,
            "time": self.time,
            "request_id": self.request_id,
            "model": self.model,
            "options": dict(self.options),
            "video": asdict(self.video),
            "verdict": None if check is None else check.verdict,
            "reply": self.answer.to_dict("base64") if isinstance(self.answer, Explanation) else self.answer.to_dict(),
            "map_sha256": map_sha256(self.answer),
        }
        return _canonical(document | {"sha256": line_sha256(document)}) + b"\n"


def line_sha256(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all fields of a line but `sha256`: of its JSON in ASCII, keys sorted, without spaces."""
    return hashlib.sha256(_canonical({name: document[name] for name in document if name != "sha256"})).hexdigest()


def map_sha256(answer: Answer) -> str | None:
    """Return the SHA-256 of `joint`, and of `signed` if there is one, as little-endian float32; None without a map."""
    if not isinstance(answer, Explanation):
        return None
    maps = maps_of(answer)
    arrays = (maps[name] for name in ("joint", "signed") if name in maps)
    return hashlib.sha256(b"".join(np.ascontiguousarray(array, "<f4").tobytes() for array in arrays)).hexdigest()


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _check_types(fields: Mapping[str, Any], types: Mapping[str, type | UnionType]) -> None:
    """Raise ValueError if a field is not of its type."""
    for name, kind in types.items():
        value = fields.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"its {name} is {value!r:.100}")


def _check_options(options: Any) -> None:  # whatever JSON holds
    """Raise ValueError unless these are options of a call."""
    unknown = sorted(set(options) - set(RuledOptions.__annotations__))
    plain = all(isinstance(value, str | int | float) and not isinstance(value, bool) for value in options.values())
    if unknown or not plain:
        raise ValueError(f"its options are {str(options)[:100]}")
