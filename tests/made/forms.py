"""Forms as they are sent, part by part, and those that are malformed in one way each."""


def part(head: str, content: str = "x", boundary: str = "b") -> bytes:
    """Return a form of one part."""
    return f"--{boundary}\r\n{head}\r\n\r\n{content}\r\n--{boundary}--\r\n".encode()


def disposed(rest: str) -> bytes:
    """Return a form of one part with this after its disposition."""
    return part(f"Content-Disposition: form-data{rest}")


VIDEO = '; name="video"; filename="v.mp4"'
NAMED = b'Content-Disposition: form-data; name="video"\r\n\r\n'
MB = 1_000_000
MALFORMED: dict[str, tuple[bytes, str]] = {
    "no name": (disposed(""), "b"),
    "an empty name": (disposed('; name=""'), "b"),
    "a name without value": (disposed("; name"), "b"),
    "a name of one quote": (disposed('; name="'), "b"),
    "a file's name in bad escapes, no name": (disposed("; filename*=UTF-8''%zz"), "b"),
    "a file's name in a charset, no name": (disposed("; filename*=nope''x"), "b"),
    "a file's name without end": (disposed('; filename="x'), "b"),
    "no disposition": (part("X-Any: 1"), "b"),
    "another disposition": (part('Content-Disposition: attachment; name="video"'), "b"),
    "no head": (b"--b\r\n\r\nx\r\n--b--\r\n", "b"),
    "a head without end": (b"--b\r\nContent-Disposition: form-data; name=video\r\n--b--\r\n", "b"),
    "an unknown charset": (disposed(f"{VIDEO}\r\nContent-Type: text/plain; charset=nope"), "b"),
    "a charset of escapes": (disposed(f"{VIDEO}\r\nContent-Type: text/plain; charset=\x1b[2K"), "b"),
    "an empty charset": (disposed(f"{VIDEO}\r\nContent-Type: text/plain; charset="), "b"),
    "base64": (disposed(f"{VIDEO}\r\nContent-Transfer-Encoding: base64"), "b"),
    "quoted-printable": (disposed(f"{VIDEO}\r\nContent-Transfer-Encoding: quoted-printable"), "b"),
    "an unknown encoding": (disposed(f"{VIDEO}\r\nContent-Transfer-Encoding: nope"), "b"),
    "a form within": (disposed(f"{VIDEO}\r\nContent-Type: multipart/mixed"), "b"),
    "a form within, with a boundary": (disposed(f"{VIDEO}\r\nContent-Type: multipart/mixed; boundary=c"), "b"),
    "an empty boundary": (disposed(VIDEO), ""),
    "an empty boundary in quotes": (disposed(VIDEO), '""'),
    "half a quoted boundary": (disposed(VIDEO), '"b'),
    "another boundary": (disposed(VIDEO), "c"),
    "a long boundary": (part(f"Content-Disposition: form-data{VIDEO}", boundary="x" * 2000), "x" * 2000),
    "cut in its head": (disposed(VIDEO)[:30], "b"),
    "cut in its content": (disposed(VIDEO)[:-9], "b"),
    "cut in its last boundary": (disposed(VIDEO)[:-5], "b"),
    "an end alone": (b"--b--\r\n", "b"),
    "a boundary alone": (b"--b", "b"),
    "no form at all": (b"\x00\x01\x02 no form", "b"),
    "nothing": (b"", "b"),
    "no line's end": (b"--bContent-Disposition: form-data; name=video", "b"),
    "a part twice": (disposed(VIDEO)[:-7] + disposed(VIDEO), "b"),
    "ten thousand parts": ((b"--b\r\n" + NAMED + b"x\r\n") * 10_000 + b"--b--", "b"),
    "a head of a megabyte": (disposed(f"{VIDEO}\r\nX-Long: {'x' * MB}"), "b"),
}
"""Name -> body and boundary."""
