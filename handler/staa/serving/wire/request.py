"""Reads the fields and headers of a request; this module holds the names of what a client may send."""

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from staa.errors import OptionError, RequestError
from staa.serving.rules import ALWAYS, ExplainWhen
from staa.serving.wire.body import HOW_TO_SEND, fields_of
from staa.serving.wire.encodings import ENCODINGS
from staa.types import Options

HEADER_PREFIX = "x-staa-"
MAX_CHARACTERS = 200
"""The most characters of an option's value, which messages and logs repeat; no label is longer."""
MAX_RULE_CHARACTERS = 2000
"""The most characters of `explain_when`, which may name many labels; messages repeat a part of it only."""
_DATA_URL = re.compile(rb"data:[^,]{0,200};base64,", re.IGNORECASE)

Form = Literal["own", "v1", "v2"]
"""The form of a request and of its reply: this project's own, or version 1 or 2 of KServe's protocol."""
_NAMES: dict[Form, str] = {"own": "", "v1": "instances[{}]: ", "v2": "data[{}]: "}


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """Hold what a request asks of one video."""

    video: bytes | bytearray
    """The bytes of the video, not copied where they are the whole body; empty if the card is asked for."""
    options: Options
    maps: str
    """The encoding of the maps in the reply, a key of ENCODINGS."""
    when: ExplainWhen = ALWAYS
    """The rules that say, once the labels are known, whether a map is made."""
    describe: bool = False
    """Whether the request asks for the model's card only."""


@dataclass(frozen=True, slots=True)
class Request:
    """Hold one HTTP request that was read."""

    videos: tuple[VideoRequest, ...]
    """What the request asks of each of its videos; empty if the request cannot be read."""
    form: Form = "own"
    id: str | None = None
    """The id that the client gave a request of version 2; the reply repeats it."""

    def name_of(self, index: int) -> str:
        """Return the start of a message about one of several videos, such as "data[0]: "; "" if there is one only."""
        return _NAMES[self.form].format(index)


def parse(fields: Mapping[str, Any], headers: Mapping[str, str], *, explain: bool) -> VideoRequest:
    """Read what a request asks of one video, from the fields of a form, or {"body": ...}, and the headers.

    A request for the card needs no video, and ignores one; its options are still checked.

    Raises:
        ContentTypeError: the body is of a type that is not read.
        RequestError: there is no video, or the body or base64 cannot be read.
        OptionError: an option is unknown, or its value is not allowed.
    """
    fields = dict(fields_of(fields, headers))
    body = fields.pop("body", None)
    if isinstance(body, Mapping):
        fields |= body
    elif body is not None:
        fields.setdefault("video", body)
    video = fields.pop("video", None)
    values = _options(fields, headers)
    maps, describe = values.pop("maps", "json"), values.pop("describe", False)
    when = values.pop("explain_when", ALWAYS)
    options = Options(explain=explain, **values)
    if describe:
        return VideoRequest(b"", options, maps, when, describe)
    if isinstance(body, Mapping):
        video = _base64(video)
    video = video.encode() if isinstance(video, str) else video
    if not isinstance(video, bytes | bytearray | memoryview) or not video:
        raise RequestError(f"the request holds no video: {HOW_TO_SEND}")
    return VideoRequest(bytes(video) if isinstance(video, memoryview) else video, options, maps, when)


def _base64(text: object) -> bytes:
    """Return the bytes that base64 text stands for, which may be a data URL: "data:video/mp4;base64,AAAA"."""
    if not isinstance(text, str | memoryview):
        raise RequestError('the JSON body has no text under "video": send the video\'s bytes there in base64')
    try:
        view = memoryview(text.encode("ascii") if isinstance(text, str) else text)
        url = _DATA_URL.match(view)
        data: bytes | memoryview = view[url.end() :] if url else view
        try:
            return binascii.a2b_base64(data, strict_mode=True)
        except binascii.Error:
            copy = bytes(data)
            if b"\\/" not in copy:
                raise
            # some writers of JSON escape the sign that also is one of base64
            return binascii.a2b_base64(copy.replace(b"\\/", b"/"), strict_mode=True)
    except (binascii.Error, ValueError) as error:
        msg = f'"video" cannot be read as base64 ({error}): send standard base64 without line breaks'
        raise RequestError(msg) from error


def _options(fields: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Check the options of the body and of the headers, and merge them."""
    given = {_known(name): _short(name, value) for name, value in fields.items() if value is not None}
    for name, value in headers.items():
        if name.lower().startswith(HEADER_PREFIX):
            option = name.lower().removeprefix(HEADER_PREFIX).replace("-", "_")
            _short(_known(option), value)
            if option in given and _text(given[option]) != _text(value):
                ours, theirs = (_text(each)[:MAX_CHARACTERS] for each in (given[option], value))
                raise OptionError(f"{option} is given twice, {ours!r} in the body and {theirs!r} in a header")
            given[option] = value
    return {name: READERS[name](name, value) for name, value in given.items()}


def _known(name: str) -> str:
    """Return the name of an option after a check.

    Raises:
        OptionError: there is no such option.
    """
    if name not in READERS:
        msg = (
            f'{name[:MAX_CHARACTERS]!r} is no option: expected some of {", ".join(READERS)}; a video goes into "video"'
        )
        raise OptionError(msg)
    return name


def _short(name: str, value: object) -> object:
    """Return a value of an option after a check that it is short enough for messages.

    Raises:
        OptionError: it is too long, or several values.
    """
    if not isinstance(value, str | bytes | bytearray | memoryview | int | float):
        raise OptionError(f"{name} is a {'list' if isinstance(value, list) else 'group of values'}: expected one value")
    length = len(value if isinstance(value, bytes | bytearray | memoryview) else str(value))
    if name == "explain_when" and length > MAX_RULE_CHARACTERS:
        raise OptionError(f"{name} has {length} characters, over {MAX_RULE_CHARACTERS}: name classes by their numbers")
    if name != "explain_when" and length > MAX_CHARACTERS:
        raise OptionError(f"{name} has {length} characters: no option takes more than {MAX_CHARACTERS}")
    return bytes(value) if isinstance(value, memoryview) else value


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)


def _integer(name: str, value: object) -> int:
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else _text(value)
    if not re.fullmatch("-?[0-9]{1,9}", text):
        raise OptionError(f"{name} is {text!r}: expected a whole number")
    return int(text)


def _number(name: str, value: object) -> float:
    try:
        return float(_text(value))
    except ValueError:
        raise OptionError(f"{name} is {_text(value)!r}: expected a number") from None


def _word(_name: str, value: object) -> str:
    return _text(value)


def _flag(name: str, value: object) -> bool:
    if (text := _text(value).lower()) not in {"true", "false"}:
        raise OptionError(f"{name} is {_text(value)!r}: expected true or false")
    return text == "true"


def _encoding(name: str, value: object) -> str:
    if (text := _text(value)) not in ENCODINGS:
        raise OptionError(f"{name} is {text!r}: expected one of {', '.join(ENCODINGS)}")
    return text


def _rules(_name: str, value: object) -> ExplainWhen:
    return ExplainWhen.read(_text(value))


READERS: dict[str, Callable[[str, object], Any]] = {
    "top_k": _integer,
    "method": _word,
    "target": _word,
    "contrast": _word,
    "start": _number,
    "end": _number,
    "mass": _number,
    "verify": _integer,
    "refine": _integer,
    "explain_when": _rules,
    "maps": _encoding,
    "describe": _flag,
}
"""Option -> a function that takes its name and raw value, and returns the parsed value or raises OptionError."""
