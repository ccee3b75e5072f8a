"""One row of a batch, as TorchServe hands it over -> Request: the names of what a client may send."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from staa.errors import OptionError, RequestError
from staa.types import Options
from staa.wire.replies import ENCODINGS

HEADER = "x-staa-"
LONGEST = 200
"""Characters of an option's value, more than any label has: messages and logs repeat it."""
URLENCODED = "application/x-www-form-urlencoded"
FORMS = 'send the video as the raw body, as the multipart field "video", or as JSON {"video": "<base64>"}'


@dataclass(frozen=True, slots=True)
class Request:
    """One row of a batch, read."""

    video: bytes
    """Empty where the card is asked for."""
    options: Options
    maps: str
    """A key of ENCODINGS."""
    describe: bool = False
    """Whether the model's card is wanted, and nothing else."""


def parse(row: Mapping[str, Any], headers: Mapping[str, Any], *, explain: bool) -> Request:
    """Read one row as TorchServe hands it over: multipart fields or {"body": ...}, and the request's headers.

    A request for the card needs no video, and one that comes along is not looked at; options are still checked.

    Raises:
        RequestError: there is no video in it, or its JSON or base64 cannot be read.
        OptionError: an option is unknown, or its value is not allowed.
    """
    fields = dict(row)
    body = fields.pop("body", None)
    if isinstance(body, Mapping):
        fields |= body
    elif body and str(_header(headers, "content-type")).startswith("application/json"):
        msg = f"the JSON body cannot be read as an object: {FORMS}"
        raise RequestError(msg)
    elif body is not None:
        fields.setdefault("video", body)
    video = fields.pop("video", None)
    values = _options(fields, headers)
    maps, describe = values.pop("maps", "json"), values.pop("describe", False)
    options = Options(explain=explain, **values)
    if describe:
        return Request(b"", options, maps, describe)
    if isinstance(body, Mapping):
        video = _base64(video)
    video = video.encode() if isinstance(video, str) else video
    if not isinstance(video, bytes | bytearray) or not video:
        msg = f"the request holds no video: {FORMS}"
        if str(_header(headers, "content-type")).startswith(URLENCODED):
            msg = f"it came as {URLENCODED}, as curl -d sends: say 'Content-Type: application/json' where it is JSON"
        raise RequestError(msg)
    return Request(bytes(video), options, maps)


def _header(headers: Mapping[str, Any], wanted: str) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == wanted and isinstance(value, str)), None)


def _base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise RequestError('the JSON body has no text under "video": send the video\'s bytes there in base64')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f'"video" cannot be read as base64 ({error}): send standard base64 without line breaks'
        raise RequestError(msg) from error


def _options(fields: Mapping[str, Any], headers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the options of the body and of the headers, checked."""
    given = {_known(name): _short(name, value) for name, value in fields.items() if value is not None}
    for name, value in headers.items():
        if name.lower().startswith(HEADER):
            option = name.lower().removeprefix(HEADER).replace("-", "_")
            _short(_known(option), value)
            if option in given and _text(given[option]) != _text(value):
                msg = f"{option} is given twice, {_text(given[option])!r} in the body and {_text(value)!r} in a header"
                raise OptionError(msg)
            given[option] = value
    read: dict[str, Any] = {}
    for name, value in given.items():
        read[name] = READERS[name](name, value)
    return read


def _known(name: str) -> str:
    """Return the name of an option, or refuse what is none."""
    if name not in READERS:
        msg = f'{name[:LONGEST]!r} is no option: expected some of {", ".join(READERS)}; a video goes into "video"'
        raise OptionError(msg)
    return name


def _short(name: str, value: object) -> object:
    """Return a value that may be repeated in a message, or refuse it."""
    if not isinstance(value, str | bytes | bytearray | int | float):
        msg = f"{name} is a {'list' if isinstance(value, list) else 'group of values'}: expected one value"
        raise OptionError(msg)
    if (length := len(value if isinstance(value, bytes | bytearray) else str(value))) > LONGEST:
        msg = f"{name} has {length} characters: no option takes more than {LONGEST}"
        raise OptionError(msg)
    return value


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)


def _integer(name: str, value: object) -> int:
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else _text(value)
    if not re.fullmatch("-?[0-9]{1,9}", text):
        msg = f"{name} is {text!r}: expected a whole number"
        raise OptionError(msg)
    return int(text)


def _number(name: str, value: object) -> float:
    try:
        return float(_text(value))
    except ValueError:
        msg = f"{name} is {_text(value)!r}: expected a number"
        raise OptionError(msg) from None


def _word(_name: str, value: object) -> str:
    return _text(value)


def _flag(name: str, value: object) -> bool:
    if (text := _text(value).lower()) not in {"true", "false"}:
        msg = f"{name} is {_text(value)!r}: expected true or false"
        raise OptionError(msg)
    return text == "true"


def _encoding(name: str, value: object) -> str:
    if (text := _text(value)) not in ENCODINGS:
        msg = f"{name} is {text!r}: expected one of {', '.join(ENCODINGS)}"
        raise OptionError(msg)
    return text


READERS: dict[str, Callable[[str, object], Any]] = {
    "top_k": _integer,
    "method": _word,
    "target": _word,
    "contrast": _word,
    "start": _number,
    "end": _number,
    "mass": _number,
    "verify": _integer,
    "maps": _encoding,
    "describe": _flag,
}
