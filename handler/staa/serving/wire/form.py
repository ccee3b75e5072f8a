"""Reads a form, multipart/form-data of RFC 7578, from the raw body of a request."""

import re
from email.message import Message
from email.parser import HeaderParser

from staa.errors import RequestError

MAX_PARTS = 32
"""The most parts of a form: there are a dozen options."""
MAX_HEAD_BYTES = 4096
"""The most bytes of the lines before the content of a part."""
_ENCODINGS = {"", "7bit", "8bit", "binary"}
_CHARSETS = {"utf-8", "utf8", "us-ascii", "iso-8859-1"}
_END = re.compile(rb"(--)?[ \t]*(\r?\n|\Z)")  # what may follow a boundary
_BOUNDARY = re.compile(r"[ -~]{0,69}[!-~]")


def parse(body: bytes | bytearray, boundary: str) -> dict[str, memoryview]:
    """Return the content of each part by its name, as views of the body; what stands before the first one is skipped.

    Raises:
        RequestError: there is no boundary, a part has no name, comes twice or is encoded, or there are too many.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise _refused("its Content-Type needs a boundary of 1 to 70 characters, as HTTP libraries write it")
    delimiter = b"--" + boundary.encode("ascii")
    view = memoryview(body)
    parts: dict[str, memoryview] = {}
    at = 0 if body.startswith(delimiter) else _next(body, delimiter, 0)
    while True:
        after = _END.match(body, at + len(delimiter))
        if not after:
            raise _refused("its boundary stands within the content of a part, or before other text: choose another one")
        if after[1]:
            return parts
        if len(parts) == MAX_PARTS:
            raise _refused(f"it has more than {MAX_PARTS} parts: send the video and its options")
        name, start = _head(body, after.end())
        at = _next(body, delimiter, start)
        if name in parts:
            raise _refused(f"it has two parts {name[:60]!r}: send each once")
        # the line's end before a boundary belongs to the boundary
        end = at - 2 if body[at - 2 : at - 1] == b"\r" else at - 1
        parts[name] = view[start : max(start, end)]


def _next(body: bytes | bytearray, delimiter: bytes, start: int) -> int:
    """Return where the next boundary begins that stands at the start of a line."""
    at = body.find(b"\n" + delimiter, start)
    if at < 0:
        raise _refused("it has no last boundary: was it cut, or is its boundary another than that of its Content-Type?")
    return at + 1


def _head(body: bytes | bytearray, start: int) -> tuple[str, int]:
    """Return the name of a part, and where its content begins."""
    lines = bytes(body[start : start + MAX_HEAD_BYTES])
    end = re.search(rb"(?:\A|\r?\n)\r?\n", lines)
    if not end:
        raise _refused("a part has no empty line before its content")
    head = HeaderParser().parsestr(lines[: end.start()].decode("utf-8", "replace"))
    name = _name(head)
    if head.get("Content-Transfer-Encoding", "").strip().lower() not in _ENCODINGS:
        raise _refused("a part has a transfer encoding: send bytes as they are")
    if head.get_content_maintype() == "multipart":
        raise _refused("a part has parts of its own: send each by itself")
    if parameter(head, "charset", "utf-8").lower() not in _CHARSETS:
        raise _refused("a part has an unknown charset: send text as UTF-8")
    return name, start + end.end()


def _name(head: Message) -> str:
    name = parameter(head, "name", "", "Content-Disposition")
    if head.get_content_disposition() != "form-data" or name.strip('" ') == "":
        raise _refused('a part has no name: begin it with Content-Disposition: form-data; name="video"')
    return name


def parameter(message: Message, name: str, default: str, header: str = "Content-Type") -> str:
    """Return a parameter of a header.

    Raises:
        RequestError: it is in an unknown charset, or in pieces, of which some have numbers and others have none.
    """
    try:
        value = message.get_param(name, default, header)
    except (TypeError, ValueError, LookupError):
        raise RequestError(f"the parameter {name} of the header {header} cannot be read: write it once") from None
    if isinstance(value, str):
        return value
    charset, _, text = value
    if (charset or "utf-8").lower() not in _CHARSETS:
        raise RequestError(f"the parameter {name} of the header {header} is in an unknown charset: write it in ASCII")
    return text


def _refused(reason: str) -> RequestError:
    return RequestError(f"the form cannot be read: {reason}")
