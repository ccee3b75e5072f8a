"""Turns the raw body of a request into its fields, by its Content-Type, and bounds it before it is parsed."""

import json
import secrets
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any

from staa.errors import ContentTypeError, RequestError
from staa.serving.wire import form

URLENCODED = "application/x-www-form-urlencoded"
FORMS = ("multipart/form-data", "application/x-staa-form")
"""Content types of a form. The second is the front proxy's name for the first: TorchServe takes a form of that name for
bytes, where its own parser of forms needs a hundred bytes for each that it is sent."""
HOW_TO_SEND = 'send the video as the raw body, as the multipart field "video", or as JSON {"video": "<base64>"}'

MAX_MARKS = 10_000
"""The most quotes, brackets, commas and colons of a JSON body. Sixteen videos with all options have some hundred."""
MAX_JSON_BYTES = 1 << 20
"""The most bytes of a JSON body without its long texts, which are videos."""
LONG_TEXT = 24_000
"""Bytes above which a text of JSON is a video, and not given to the parser. An option never is one: the longest,
`explain_when`, has 2,000 characters, and JSON may write each in 12 bytes (two escapes)."""
_MARKS = b'"[{,:'
_BLOCK = 1 << 20  # bytes that are looked at before the count is compared with its bound
_BACKSLASHES = 64  # the most that are looked at before a quote


def fields_of(fields: Mapping[str, Any], headers: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the fields of a request, in which a raw body of JSON or of a form is parsed; any other stays as it is.

    A parsed JSON body is the field "body". Its long texts, which are videos, are views of the raw body, not copies.

    Raises:
        ContentTypeError: the body is of a type, or of a charset, that is not read.
        RequestError: the JSON or the form cannot be read, or has too many parts.
    """
    body = fields.get("body")
    kind = content_type(headers)
    if isinstance(body, bytes | bytearray) and kind.get_content_type() in FORMS:
        return form.parse(body, form.parameter(kind, "boundary", ""))
    if kind.get_content_type() == URLENCODED:
        msg = f"it came as {URLENCODED}, as curl -d sends: say 'Content-Type: application/json' where it is JSON"
        raise ContentTypeError(f"{msg}; a file is sent by curl -T FILE")
    if isinstance(body, bytes | bytearray) and body and kind.get_content_type() == "application/json":
        charset = form.parameter(kind, "charset", "utf-8")
        if charset.lower() not in {"utf-8", "utf8", "us-ascii"}:
            raise ContentTypeError(f"the charset of the JSON body is {charset[:60]!r}: send JSON as UTF-8")
        return {**fields, "body": parse_json(body)}
    return fields


def content_type(headers: Mapping[str, str]) -> Message:
    """Return the header Content-Type, parsed; without one it is application/octet-stream."""
    value = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    message = Message()
    message["Content-Type"] = " ".join(value.split()) or "application/octet-stream"
    return message


def parse_json(body: bytes | bytearray) -> Any:
    """Return the object of a JSON body whose size and shape are bounded before a parser makes anything of it.

    A parser makes 24 bytes and more of `[],`: 100 MB of that would be 3 GB. So marks are counted first. Then the long
    texts are taken out, for which a parser makes two copies.

    Raises:
        RequestError: the body is no object, or has more marks, levels or bytes beside its videos than are read.
    """
    _count_marks(body)
    view = memoryview(body)
    pieces: list[bytes | memoryview] = []
    texts: dict[str, memoryview] = {}
    end = size = 0
    mark = secrets.token_hex(8)  # no caller can name the place of a text, and so ask for one text many times
    for first, last in _long_texts(body):
        place = f"video {len(texts)} {mark}"
        texts[place] = view[first:last]
        pieces += [view[end:first], json.dumps(place)[1:-1].encode()]
        size += first - end
        end = last
    pieces.append(view[end:])
    if (size := size + len(body) - end) > MAX_JSON_BYTES:
        raise _refused(f"it has {size} bytes beside its videos in base64, at most {MAX_JSON_BYTES} are read")
    try:
        document = _with_texts(json.loads(b"".join(pieces).decode("utf-8-sig")), texts)
    except UnicodeDecodeError:
        raise _refused("it is not UTF-8") from None
    except RecursionError:
        raise _refused("its values are nested too deep") from None
    except ValueError as error:
        raise _refused(str(error)[:200]) from None
    if not isinstance(document, dict):
        raise _refused("it is no object")
    return document


def _refused(reason: str) -> RequestError:
    return RequestError(f"the JSON body cannot be read as an object ({reason}): {HOW_TO_SEND}")


def _count_marks(body: bytes | bytearray) -> None:
    """Raise RequestError for a body of too many marks, once they are too many."""
    count = 0
    for start in range(0, len(body), _BLOCK):
        block = body[start : start + _BLOCK]
        count += len(block) - len(block.translate(None, _MARKS))  # five times as fast as counting each mark
        if count > MAX_MARKS:
            raise _refused(f"it has more than {MAX_MARKS} quotes, brackets, commas and colons")


def _long_texts(body: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Yield first and last + 1 of each text of JSON that is long enough for a video."""
    end = -1
    while (start := body.find(b'"', end + 1)) >= 0:
        end = body.find(b'"', start + 1)
        while end >= 0 and _is_escaped(body[max(start + 1, end - _BACKSLASHES) : end]):
            end = body.find(b'"', end + 1)
        if end < 0:
            return
        if end - start > LONG_TEXT:
            yield start + 1, end


def _is_escaped(before: bytes | bytearray) -> bool:
    """Return whether a quote after these bytes is one within the text: after an odd number of backslashes."""
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _with_texts(value: Any, texts: Mapping[str, memoryview]) -> Any:
    """Put the long texts in their places."""
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, list):
        return [_with_texts(item, texts) for item in value]
    if isinstance(value, dict):
        return {name: _with_texts(item, texts) for name, item in value.items()}
    return value
