"""The raw body of a request: JSON is bounded before it is parsed, and read as any parser of JSON reads it."""

import base64
import contextlib
import gc
import json
import os
import random
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from staa.errors import ContentTypeError, RequestError
from staa.serving import Incoming, accept, wire
from staa.serving.wire import body
from staa.serving.wire.body import LONG_TEXT, MAX_JSON_BYTES, MAX_MARKS, parse_json

VIDEO = os.urandom(3 * LONG_TEXT)
TEXT = base64.b64encode(VIDEO).decode()
NAMED = b'Content-Disposition: form-data; name="video"\r\n\r\n'
JSON = {"Content-Type": "application/json"}


def read(raw: bytes, **headers: str) -> wire.Request:
    """Read a raw body as TorchServe hands it on."""
    return wire.read(
        {"body": bytearray(raw)}, JSON | {n.replace("_", "-"): v for n, v in headers.items()}, explain=False
    )


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({"video": TEXT}).encode(),
        json.dumps({"video": TEXT}, indent=4).encode(),
        json.dumps({"video": TEXT}).replace("/", "\\/").encode(),
        b"\xef\xbb\xbf" + json.dumps({"video": TEXT}).encode(),
        json.dumps({"video": f"data:video/mp4;base64,{TEXT}"}).encode(),
        json.dumps({"video": f"DATA:video/mp4;codecs=avc1;base64,{TEXT}"}).encode(),
        json.dumps({"video": "data:;base64," + TEXT}).encode(),
        json.dumps({"instances": [{"b64": TEXT}]}).encode(),
        json.dumps({"instances": [f"data:video/mp4;base64,{TEXT}"]}).encode(),
        json.dumps({"inputs": [{"name": "video", "datatype": "BYTES", "shape": [1], "data": [TEXT]}]}).encode(),
        json.dumps({"inputs": [{"datatype": "BYTES", "data": [f"data:video/webm;base64,{TEXT}"]}]}).encode(),
    ],
    ids=["bare", "indented", "escaped", "BOM", "URL", "its case", "its least", "v1", "URL in v1", "v2", "URL in v2"],
)
def test_a_video_in_json(raw: bytes) -> None:
    """A video arrives to the byte in every form that programs write."""
    (video,) = read(raw).videos
    assert video.video == VIDEO


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'Application/JSON; charset="utf-8"',
        "application/json; charset=us-ascii",
        " application/json ;version=1",
    ],
)
def test_a_type_with_parameters(kind: str) -> None:
    """Letter case and parameters of the type do not matter."""
    assert read(json.dumps({"video": TEXT}).encode(), Content_Type=kind).videos[0].video == VIDEO


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("application/json; charset=utf-16", "UTF-8"),
        ("application/json; charset=nope", "'nope'"),
        ("application/x-www-form-urlencoded", "curl -T"),
        ("Application/X-WWW-Form-Urlencoded; charset=utf-8", "application/json"),
    ],
)
def test_a_type_that_is_not_read(kind: str, named: str) -> None:
    """Another charset, and what `curl -d` sends, is 415 with a code of its own and advice."""
    with pytest.raises(ContentTypeError, match=named) as caught:
        read(b'{"video": "AAAA"}', Content_Type=kind)
    assert (caught.value.status, caught.value.code) == (415, "unsupported_content_type")


def test_sixteen_videos_with_all_options() -> None:
    """The largest request that KServe's forms allow is far below the bounds."""
    options = {"top_k": 3, "method": "staa_class", "target": "moves up", "start": 0.5, "end": 1.5, "mass": 0.7}
    videos = [os.urandom(2000) for _ in range(16)]
    instances = [{"b64": base64.b64encode(video).decode(), **options} for video in videos]
    raw = json.dumps({"instances": instances}, indent=8).encode()
    assert sum(raw.count(mark) for mark in (b'"', b"[", b"{", b",", b":")) < MAX_MARKS / 10
    assert [video.video for video in read(raw).videos] == videos


@pytest.mark.parametrize("form", ["\0video 0", "video 0", "\0video 1"])
def test_no_caller_names_a_long_text(form: str) -> None:
    """A video is sent once for each time that it is asked about: what stands for it inside is no word of a caller's."""
    raw = json.dumps({"instances": [TEXT, *[form] * 15]}).encode()
    with pytest.raises(RequestError, match="base64"):
        read(raw)


@pytest.mark.parametrize(
    "kind", ["application/json; charset*=a; charset*0=b", "multipart/form-data; boundary*=b; boundary*0=b"]
)
def test_parameters_in_pieces_of_two_kinds(kind: str) -> None:
    """They are the caller's mistake, and no failure of the server."""
    with pytest.raises(RequestError, match="write it once"):
        wire.read({"body": bytearray(b"--b--")}, {"Content-Type": kind}, explain=False)


def value(chance: random.Random, depth: int = 0) -> Any:
    """Return any value of JSON, with texts that are long or escaped."""
    texts = ["", "a" * 3000, 'quote " and \\', "é" * 1500, '\\"' * 1500, "line\nfeed", '"' * 80, "\\" * 21]
    kind = chance.randrange(7 if depth < 4 else 5)
    if kind == 5:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == 6:
        return {chance.choice(texts)[:60]: value(chance, depth + 1) for _ in range(chance.randrange(4))}
    return [None, True, 1.5, -7, chance.choice(texts)][kind]


def plain(read: Any) -> Any:
    """Return a value with its long texts as a parser gives them."""
    if isinstance(read, memoryview):
        return json.loads(b'"' + read.tobytes() + b'"')
    if isinstance(read, list):
        return [plain(item) for item in read]
    return {name: plain(item) for name, item in read.items()} if isinstance(read, dict) else read


@pytest.mark.parametrize("ascii_only", [True, False])
def test_it_reads_what_a_parser_reads(ascii_only: bool) -> None:
    """Any object is the one that Python's parser gives, once its long texts are put in."""
    chance = random.Random(0)
    for _ in range(1000):
        document = {"x": value(chance), "y": value(chance)}
        raw = json.dumps(document, ensure_ascii=ascii_only).encode()
        assert plain(parse_json(raw)) == document


HOSTILE = {
    "lists": b'{"video":[' + b"[]," * (8 << 20) + b"[]]}",
    "lists in lists": b"[" * (24 << 20),
    "a deep one below the bound": b'{"video":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "empty texts": b"[" + b'"",' * (8 << 20) + b'""]',
    "objects": b'{"a":' * (5 << 20),
    "spaces": b" " * (24 << 20),
    "a number": b'{"video":' + b"1" * (24 << 20) + b"}",
    "backslashes": b"[" + (b'"' + b"\\" * 10_000) * 2400 + b"]",
    "a text without end": b'{"video":"' + b"a" * (24 << 20),
    "escaped quotes": b'{"video":"' + b'\\"' * 9000 + b'"}',
    "signs of other alphabets": b'{"video":"' + "é".encode() * (12 << 20) + b'"}',
    "UTF-16": '{"video": "AAAA"}'.encode("utf-16"),
    "no UTF-8": b'{"video": "\xff"}',
    "a list": b"[1, 2]",
    "broken": b"{",
    "a name that is a video": b'{"' + b"A" * 5000 + b'": 1}',
    "an option that is a video": b'{"video": "AAAA", "target": "' + b"A" * 5000 + b'"}',
    "the mark of no text": b'{"video": "\\u0000video 7"}',
    "a URL that is no base64": b'{"video": "data:video/mp4,AAAA"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_request_is_refused(name: str) -> None:
    """A body that a parser would make gigabytes of, and one that is no JSON, is 400 with advice."""
    with pytest.raises(RequestError) as caught:
        read(HOSTILE[name])
    assert caught.value.status == 400
    assert len(str(caught.value)) < 1000


MEMORY: dict[str, tuple[Callable[[], bytes], str, float]] = {
    "lists": (lambda: b'{"video":[' + b"[]," * (32 << 20) + b"[]]}", "application/json", 0.1),
    "lists of lists": (lambda: b'{"video":[' + b"[[]]," * (20 << 20) + b"[]]}", "application/json", 0.1),
    "a video": (lambda: b'{"video":"' + b"AAAA" * (24 << 20) + b'"}', "application/json", 0.8),
    "an escaped video": (lambda: b'{"video":"' + b"AA\\/A" * (20 << 20) + b'"}', "application/json", 2.5),
    "no base64": (lambda: b'{"video":"' + b"AAA-" * (24 << 20) + b'"}', "application/json", 1.8),
    "spaces": (lambda: b" " * (96 << 20), "application/json", 0.1),
    "a form": (lambda: b"--b\r\n" + NAMED + b"x" * (96 << 20) + b"\r\n--b--", "multipart/form-data; boundary=b", 1.1),
    "boundaries": (lambda: b"--b\r\n" * (16 << 20), "multipart/form-data; boundary=b", 0.1),
    "parts": (lambda: (b"--b\r\n" + NAMED) * 2_000_000, "multipart/form-data; boundary=b", 0.1),
}


@pytest.mark.parametrize("name", MEMORY)
def test_memory(name: str) -> None:
    """What 96 MB take beside themselves: the video, and next to nothing where they are no request."""
    make, kind, most = MEMORY[name]
    raw = bytearray(make())
    tracemalloc.start()
    try:
        with contextlib.suppress(RequestError):
            wire.read({"body": raw}, {"Content-Type": kind}, explain=False)
        assert tracemalloc.get_traced_memory()[1] / len(raw) < most
    finally:
        tracemalloc.stop()


def test_the_bound_on_bytes_is_told() -> None:
    """What stands beside the videos is bounded, and the error says how much it was."""
    with pytest.raises(RequestError, match=str(MAX_JSON_BYTES)):
        parse_json(b'{"video": ' + b" " * MAX_JSON_BYTES + b'"AAAA"}')


def test_a_raw_body_of_another_type_is_not_touched() -> None:
    """A video is handed on as it came, whatever it looks like."""
    for kind in ("video/mp4", "", "application/octet-stream", "text/plain", "nonsense"):
        fields = {"body": bytearray(b'{"video": [')}
        assert body.fields_of(fields, {"content-type": kind}) is fields


def test_a_refused_body_leaves_memory_at_once() -> None:
    """The error of a request does not keep its body alive until Python looks for cycles."""
    gc.disable()
    try:
        raw = bytearray(b"[]," * MAX_MARKS)
        before = sys.getrefcount(raw)
        _, (job,) = accept(0, Incoming({"body": raw}, JSON))
        assert job.error is not None
        assert sys.getrefcount(raw) == before
    finally:
        gc.enable()
