"""A form as the proxy hands it on, in its raw bytes: read as HTTP libraries write it, and refused with a reason."""

import random
from collections.abc import Callable

import httpx2
import pytest

from staa.errors import OptionError, RequestError
from staa.serving import wire
from staa.serving.wire.form import MAX_PARTS, parse

NAMED = 'Content-Disposition: form-data; name="video"; filename="clip.mp4"'
KIND = "multipart/form-data; boundary=frontier"


def form(*heads: str, content: bytes = b"x", boundary: str = "frontier") -> bytes:
    """Return a form of parts with these heads, each of the same content."""
    parts = (f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head in heads)
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def read(raw: bytes, kind: str = KIND) -> wire.VideoRequest:
    """Read a raw body."""
    (video,) = wire.read({"body": bytearray(raw)}, {"content-type": kind}, explain=True).videos
    return video


GOOD: dict[str, tuple[bytes, str]] = {
    "plain": (form(NAMED), KIND),
    "a type of the part": (form(f"{NAMED}\r\nContent-Type: video/mp4"), KIND),
    "a name without quotes": (form("content-disposition:form-data; name=video"), KIND),
    "a name after the file's": (form('Content-Disposition: form-data; filename="a;b"; name="video"'), KIND),
    "a name in escapes": (form("Content-Disposition: form-data; name*=UTF-8''video"), KIND),
    "a preamble": (b"This is a form of several parts.\r\n" + form(NAMED), KIND),
    "an empty line before": (b"\r\n" + form(NAMED), KIND),
    "an epilogue": (form(NAMED) + b"behind\r\n--frontier\r\n", KIND),
    "spaces behind a boundary": (form(NAMED).replace(b"frontier\r\n", b"frontier \t\r\n"), KIND),
    "line feeds alone": (form(NAMED).replace(b"\r\n", b"\n"), KIND),
    "no end of the last line": (form(NAMED)[:-2], KIND),
    "a boundary in quotes": (form(NAMED, boundary="a b"), 'Multipart/Form-Data; charset=utf-8; boundary="a b"'),
    "signs in a boundary": (form(NAMED, boundary="(x)+?=:"), 'multipart/form-data; boundary="(x)+?=:"'),
    "encodings that are none": (form(f"{NAMED}\r\nContent-Transfer-Encoding: Binary"), KIND),
    "a charset that is known": (form(f"{NAMED}\r\nContent-Type: text/plain; charset=UTF-8"), KIND),
    "as the proxy names it": (form(NAMED), "application/x-staa-form; boundary=frontier"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_form_that_can_be_read(name: str) -> None:
    """Its video arrives to the byte."""
    raw, kind = GOOD[name]
    assert read(raw, kind).video == b"x"


@pytest.mark.parametrize(
    "content",
    [b"\r\n", b"--frontie\r\n" * 9, b"\r\n--", b"x\r\n-", b"--frontier", b"\r", random.Random(0).randbytes(99)],
)
def test_any_content(content: bytes) -> None:
    """Bytes that look like a boundary and are none belong to the video."""
    assert read(form(NAMED, content=content)).video == content


def test_a_library_writes_it() -> None:
    """A form of the client's own HTTP library is read with all of its options."""
    request = httpx2.Request("POST", "http://x", files={"video": ("ä.mp4", b"video", "video/mp4")}, data={"top_k": "3"})
    video = read(request.read(), request.headers["content-type"])
    assert (video.video, video.options.top_k) == (b"video", 3)


BAD: dict[str, tuple[bytes, str]] = {
    "no name": (form(NAMED, "Content-Disposition: form-data"), KIND),
    "an empty name": (form('Content-Disposition: form-data; name=""'), KIND),
    "a name without value": (form("Content-Disposition: form-data; name"), KIND),
    "no head": (form("X-Any: 1"), KIND),
    "no disposition of a form": (form('Content-Disposition: attachment; name="video"'), KIND),
    "an unknown charset": (form(f"{NAMED}\r\nContent-Type: text/plain; charset=nope"), KIND),
    "escapes in a charset": (form(f"{NAMED}\r\nContent-Type: text/plain; charset=\x1b[2K"), KIND),
    "base64": (form(f"{NAMED}\r\nContent-Transfer-Encoding: base64"), KIND),
    "quoted-printable": (form(f"{NAMED}\r\nContent-Transfer-Encoding: quoted-printable"), KIND),
    "an encoding that is none": (form(f"{NAMED}\r\nContent-Transfer-Encoding: nope"), KIND),
    "parts of its own": (form(f"{NAMED}\r\nContent-Type: multipart/mixed"), KIND),
    "parts of its own, with a boundary": (form(f"{NAMED}\r\nContent-Type: multipart/mixed; boundary=x"), KIND),
    "a part twice": (form(NAMED, NAMED), KIND),
    "many parts": (form(*(f'Content-Disposition: form-data; name="{n}"' for n in range(MAX_PARTS + 1))), KIND),
    "a million parts": (form(*[NAMED] * 1000) * 1000, KIND),
    "a long head": (form(f"{NAMED}\r\nX-Long: {'x' * 9000}"), KIND),
    "no empty line": (b"--frontier\r\n" + NAMED.encode() + b"\r\n--frontier--\r\n", KIND),
    "no boundary": (form(NAMED), "multipart/form-data"),
    "an empty boundary": (form(NAMED), "multipart/form-data; boundary="),
    "an empty one in quotes": (form(NAMED), 'multipart/form-data; boundary=""'),
    "a boundary of spaces": (form(NAMED), 'multipart/form-data; boundary=" "'),
    "a long boundary": (form(NAMED, boundary="x" * 71), f"multipart/form-data; boundary={'x' * 71}"),
    "another boundary": (form(NAMED, boundary="other"), KIND),
    "a boundary with controls": (form(NAMED), "multipart/form-data; boundary=\x01"),
    "a boundary in an unknown charset": (form(NAMED), "multipart/form-data; boundary*=nope''frontier"),
    "cut": (form(NAMED)[:-14], KIND),
    "cut in a head": (b"--frontier\r\nContent-Dispo", KIND),
    "nothing": (b"--frontier", KIND),
    "no form": (b"video", KIND),
    "empty": (b"", KIND),
    "a boundary that goes on": (form(NAMED, content=b"\r\n--frontierx"), KIND),
    "only an end": (b"--frontier--", KIND),
    "behind a large video": (form(NAMED, "Content-Disposition: form-data", content=b"\xff" * 3_000_000), KIND),
}


@pytest.mark.parametrize("name", BAD)
def test_a_form_that_cannot_be_read(name: str) -> None:
    """It is 400 `request_invalid`, with what is wrong and nothing of the caller's own text."""
    with pytest.raises(RequestError) as caught:
        read(*BAD[name])
    assert (caught.value.status, caught.value.code) == (400, "request_invalid")
    assert 20 < len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


def test_an_unknown_part_is_an_unknown_option() -> None:
    """The names of parts are options, as elsewhere."""
    with pytest.raises(OptionError, match="'colour' is no option"):
        read(form(NAMED, 'Content-Disposition: form-data; name="colour"'))


@pytest.mark.parametrize("damage", [lambda raw, at: raw[:at], lambda raw, at: raw[:at] + b"\xff\r\n" + raw[at + 1 :]])
def test_damage_is_an_error_of_the_tree(damage: Callable[[bytes, int], bytes]) -> None:
    """A form that is cut or overwritten anywhere is read, or refused; it raises nothing else."""
    raw = form(f"{NAMED}\r\nContent-Type: video/mp4; charset=utf-8", 'Content-Disposition: form-data; name="top_k"')
    for at in range(len(raw)):
        try:
            parts = parse(damage(raw, at), "frontier")
        except RequestError:
            continue
        assert len(parts) <= 2
