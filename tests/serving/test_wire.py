"""The contract without a server: every form of a request, every option, every encoding."""

import base64
import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest

from staa.errors import DecodeError, OptionError, RequestError, StaaError, TooLargeError
from staa.serving import wire
from staa.serving.wire.request import MAX_CHARACTERS
from staa.types import Attribution, Grid, Options, Prediction, Result
from staa_client.contract.reply import explanation as read_reply
from staa_video import Clip
from tests.made.requests import B64

GRID = Grid(8, 14, 14, 1)
LABELS = ("left", "right", "up", "down", "grows", "shrinks", "blinks", "spins")
MODEL = wire.Model("motions", "1.0", "timesformer", LABELS)
VIDEO = bytes(range(256))


def parse(row: dict[str, Any], **headers: str) -> wire.VideoRequest:
    """Parse with headers written with underscores."""
    return wire.parse(row, {name.replace("_", "-"): value for name, value in headers.items()}, explain=True)


def result() -> tuple[Clip, Result]:
    """Return a clip and a result with a map of 8 x 14 x 14."""
    frames = np.zeros((8, 320, 426, 3), np.uint8)
    clip = Clip(frames, np.arange(8, dtype=np.float64) * 1.4, np.arange(8) * 42, 30.0, 10.0)
    joint = np.random.default_rng(0).exponential(size=GRID.shape)
    joint = (joint / joint.sum()).astype(np.float32)
    steps = np.stack([np.arange(8) * 1.25, np.arange(1, 9) * 1.25], 1)
    found = Attribution(joint, GRID, "staa")
    return clip, Result(
        (Prediction(2, "moves up", 0.97),), (53, 0, 373, 320), steps, found, float(np.sort(joint.ravel())[700])
    )


def read(body: bytes, maps: str) -> dict[str, Any]:
    """Return what a client reads: the reply with its maps as arrays."""
    if maps == "npz":
        with np.load(io.BytesIO(body), allow_pickle=False) as archive:
            reply: dict[str, Any] = json.loads(archive["reply"].tobytes())
            reply["explanation"] |= {name: archive[name] for name in ("temporal", "spatial", "joint")}
        return reply
    reply = json.loads(body)
    for name in ("temporal", "spatial", "joint"):
        value = reply["explanation"][name]
        if maps == "base64":
            value = np.frombuffer(base64.b64decode(value["data"]), value["dtype"]).reshape(value["shape"])
        reply["explanation"][name] = np.asarray(value, np.float32)
    return reply


@pytest.mark.parametrize(
    "row",
    [
        {"body": bytearray(VIDEO)},
        {"video": bytearray(VIDEO)},
        {"body": {"video": base64.b64encode(VIDEO).decode()}},
    ],
    ids=["raw", "multipart", "json"],
)
def test_every_form_gives_the_same_bytes(row: dict[str, Any]) -> None:
    """Raw body, multipart field and JSON base64 all arrive as the same video."""
    assert parse(row).video == VIDEO


def test_a_raw_body_is_not_copied() -> None:
    """A video of a hundred megabytes is there once while its request is read."""
    body = bytearray(VIDEO)
    assert parse({"body": body}).video is body


@pytest.mark.parametrize("where", ["header", "field", "json"])
def test_options_are_read_everywhere(where: str) -> None:
    """Every option can be a header, a multipart field or a JSON key."""
    given: dict[str, Any] = {"top_k": 3, "method": "staa", "start": 0.5, "end": 2.5, "mass": 0.9, "verify": 4}
    given["refine"] = 16
    given["maps"] = "base64"
    if where == "header":
        request = wire.parse(
            {"body": VIDEO}, {f"X-Staa-{k.replace('_', '-').title()}": str(v) for k, v in given.items()}, explain=True
        )
    elif where == "field":
        request = parse({"video": VIDEO} | {name: str(value).encode() for name, value in given.items()})
    else:
        request = parse({"body": {"video": base64.b64encode(VIDEO).decode()} | given})
    assert request.options == Options(top_k=3, start=0.5, end=2.5, mass=0.9, verify=4, refine=16)
    assert request.maps == "base64"


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("top_k", "0", "1 or more"),
        ("top_k", "many", "whole number"),
        ("top_k", "1.5", "whole number"),
        ("mass", "1.1", "0 to 1"),
        ("mass", "nan", "0 to 1"),
        ("start", "-1", "0 or more"),
        ("start", "inf", "0 or more"),
        ("end", "0", "start before end"),
        ("maps", "xml", "json, base64, npz"),
        ("verify", "1", "2 to 16"),
        ("verify", "some", "whole number"),
        ("verify", "1_6", "whole number"),
        ("verify", "٤", "whole number"),
        ("refine", "7", "8 to 32"),
        ("refine", "33", "8 to 32"),
        ("refine", "some", "whole number"),
        ("colour", "red", "top_k, method"),
        ("targets", "3", "top_k, method"),
    ],
)
def test_a_bad_option_names_itself_and_what_is_allowed(name: str, value: str, named: str) -> None:
    """An unknown option or a bad value is 400 option_invalid with the option's name and the allowed values."""
    with pytest.raises(OptionError, match=named) as caught:
        parse({"video": VIDEO, name: value.encode()})
    assert name in str(caught.value)
    assert (caught.value.status, caught.value.code) == (400, "option_invalid")


def test_an_option_given_twice_must_agree() -> None:
    """A header and a field that differ are refused; the same value twice is fine."""
    with pytest.raises(OptionError, match="twice"):
        parse({"video": VIDEO, "top_k": b"3"}, X_Staa_Top_K="4")
    assert parse({"video": VIDEO, "top_k": b"3"}, X_Staa_Top_K="3").options.top_k == 3


@pytest.mark.parametrize(
    ("row", "headers"),
    [
        ({}, {}),
        ({"body": bytearray()}, {}),
        ({"body": {"top_k": 3}}, {}),
        ({"body": {"video": "***"}}, {}),
        ({"body": {"video": 7}}, {}),
        ({"body": bytearray(b"{broken")}, {"content_type": "application/json"}),
        ({"body": [1, 2]}, {"content_type": "application/json; charset=utf-8"}),
        ({"clip": bytearray(VIDEO)}, {}),
    ],
    ids=["nothing", "empty", "no video", "no base64", "number", "broken json", "list", "other field"],
)
def test_a_request_without_a_video_says_how_to_send_one(row: dict[str, Any], headers: dict[str, str]) -> None:
    """What holds no video is 400, never a decoder's guess."""
    with pytest.raises(RequestError) as caught:
        parse(row, **headers)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("row", "headers"),
    [
        ({}, {"X-Staa-Describe": "true"}),
        ({"body": bytearray()}, {"x-staa-describe": "True"}),
        ({"body": bytearray()}, {"x-staa-describe": "true", "content-type": "application/json"}),
        ({"body": bytearray(VIDEO)}, {"X-Staa-Describe": "true", "X-Staa-Top-K": "3"}),
        ({"describe": bytearray(b"true")}, {}),
        ({"describe": bytearray(b"true"), "video": bytearray(VIDEO)}, {}),
        ({"body": {"describe": True}}, {}),
        ({"body": {"describe": True, "video": "***"}}, {"X-Staa-Describe": "true"}),
    ],
)
def test_the_card_needs_no_video(row: dict[str, Any], headers: dict[str, str]) -> None:
    """Asked for in any form it is asked for, and a video that comes along is not looked at."""
    request = wire.parse(row, headers, explain=False)
    assert request.describe
    assert not request.video


def test_a_card_that_is_not_asked_for() -> None:
    """`describe` false is the default; what else is wrong with a request stays wrong beside it."""
    assert not parse({"video": VIDEO, "describe": b"false"}).describe
    with pytest.raises(RequestError, match="no video"):
        parse({"describe": b"false"})
    with pytest.raises(OptionError, match="describe is 'yes': expected true or false"):
        parse({"describe": b"yes"})
    with pytest.raises(OptionError, match="'colour' is no option"):
        parse({"describe": b"true", "colour": b"red"})
    with pytest.raises(OptionError, match="top_k"):
        parse({"describe": b"true", "top_k": b"0"})


def test_the_size_of_the_source_is_told() -> None:
    """Of a clip whose frames were scaled, the reply has the size of the source."""
    clip, answer = result()
    reply = json.loads(wire.reply(MODEL, wire.Answer(dataclasses.replace(clip, size=(852, 640)), answer), "json")[0])
    assert (reply["clip"]["width"], reply["clip"]["height"]) == (852, 640)
    with pytest.raises(ValueError, match="size of the source"):
        dataclasses.replace(clip, size=(0, 640))


def test_notes_are_told_where_there_are_any() -> None:
    """What was done to the source is in the reply, and a reply about a plain video has no such field."""
    clip, answer = result()
    noted = dataclasses.replace(clip, notes=("HDR (PQ) tone-mapped to SDR",))
    for given, notes in ((noted, ["HDR (PQ) tone-mapped to SDR"]), (noted.bare(), list(noted.notes)), (clip, None)):
        reply = json.loads(wire.reply(MODEL, wire.Answer(given, answer), "json")[0])
        assert reply["clip"].get("notes") == notes
    assert "notes" not in reply["clip"]


@pytest.mark.parametrize(("maps", "tolerance"), [("json", 1e-5), ("base64", 1e-3), ("npz", 0)])
def test_every_encoding_gives_the_same_maps(maps: str, tolerance: float) -> None:
    """A reader gets the arrays back, to the digits that the encoding keeps, and the same focused cells."""
    clip, answer = result()
    assert answer.attribution is not None
    assert answer.threshold is not None
    body, kind = wire.reply(MODEL, wire.Answer(clip, answer), maps)
    reply = read(body, maps)["explanation"]
    assert kind == ("application/x-npz" if maps == "npz" else "application/json")
    joint = answer.attribution.joint
    assert np.all(np.abs(reply["joint"] - joint) <= tolerance * joint.max())
    assert reply["joint"].sum() == pytest.approx(1, abs=1e-2)
    assert np.allclose(reply["temporal"], answer.attribution.temporal, rtol=1e-3)
    assert np.allclose(reply["spatial"], answer.attribution.spatial, rtol=1e-3)
    kept, wanted = (reply["joint"] >= reply["threshold"]).sum(), (joint >= answer.threshold).sum()
    assert wanted <= kept <= wanted + 5


def test_the_reply_has_the_contracts_fields() -> None:
    """The names and values of the contract's example."""
    clip, answer = result()
    reply = json.loads(wire.reply(MODEL, wire.Answer(clip, answer), "json")[0])
    assert reply["model"] == {"name": "motions", "version": "1.0", "family": "timesformer", "classes": 8}
    assert reply["predictions"] == [{"class_id": 2, "label": "moves up", "score": 0.97}]
    assert reply["clip"]["width"] == 426
    assert reply["clip"]["height"] == 320
    assert reply["clip"]["frames"][1] == 42
    assert reply["clip"]["times"][1] == 1.4
    assert reply["clip"]["box"] == [53, 0, 373, 320]
    assert reply["explanation"]["steps"][0] == [0.0, 1.25]
    assert reply["explanation"]["shape"] == [8, 14, 14]
    assert reply["explanation"]["target"] is None
    assert set(reply["explanation"]) == {
        "method", "method_version", "target", "contrast", "shape", "steps", "temporal", "spatial", "joint", "threshold",
    }  # fmt: skip


def test_labels_only_is_the_same_without_the_explanation() -> None:
    """The reply of /explanations is the reply of /predictions plus `explanation`."""
    clip, answer = result()
    full = json.loads(wire.reply(MODEL, wire.Answer(clip, answer), "json")[0])
    plain = Result(answer.predictions, answer.box, answer.steps, None, None)
    del full["explanation"]
    assert json.loads(wire.reply(MODEL, wire.Answer(clip, plain), "json")[0]) == full


def test_base64_is_small() -> None:
    """A reply with maps of 8 x 14 x 14 in base64 is at most 10 kB."""
    assert len(wire.reply(MODEL, wire.Answer(*result()), "base64")[0]) <= 10_000


@pytest.mark.parametrize("error", [OptionError("a"), DecodeError("b\nc é"), TooLargeError("d"), StaaError("e")])
def test_a_failure_is_code_and_message(error: StaaError) -> None:
    """An error is JSON of its code and its message, in ASCII whatever the message holds."""
    body, kind = wire.failure(error)
    assert json.loads(body) == {"error": {"code": error.code, "message": str(error)}}
    assert body.isascii()
    assert kind == "application/json"


@pytest.mark.parametrize("maps", ["json", "base64", "npz"])
def test_a_class_map_arrives_with_its_class_and_signs(maps: str) -> None:
    """The client reads target, contrast and the signed map as they were made, in every encoding, and writes them."""
    clip, answer = result()
    assert answer.attribution is not None
    signed = np.random.default_rng(1).normal(size=GRID.shape)
    signed = (signed / np.abs(signed).sum()).astype(np.float32)
    made = dataclasses.replace(answer.attribution, method="staa_class", signed=signed, target=2, contrast=0)
    made = dataclasses.replace(made, shared_evidence=0.25)
    body, kind = wire.reply(MODEL, wire.Answer(clip, dataclasses.replace(answer, attribution=made)), maps)
    got = read_reply(200, {"Content-Type": kind}, body)
    assert got.signed is not None
    assert np.abs(got.signed - signed).max() < 1e-5
    assert (str(got.target), str(got.contrast)) == ("up", "left")
    again = read_reply(200, {}, json.dumps(got.to_dict()).encode())
    assert again.signed is not None
    assert np.allclose(again.signed, got.signed, rtol=1e-6)
    assert (again.target, again.contrast) == (got.target, got.contrast)
    assert again.shared_evidence == got.shared_evidence == 0.25
    assert "signed" not in json.loads(wire.reply(MODEL, wire.Answer(clip, answer), "json")[0])["explanation"]


@pytest.mark.parametrize(
    "name",
    ["top_k", "start", "method", "target", "maps", "describe", "explain_when", "colour", "x" * 5_000_000],
)
def test_a_message_does_not_repeat_a_long_value(name: str) -> None:
    """A value of megabytes is refused with its length, as a field, in JSON and as a header; so is a name."""
    value = "\x01" * 5_000_000
    for row, headers in (
        ({"body": b"video", name: value.encode()}, {}),
        ({"body": {"video": B64[0], name: value}}, {}),
        ({"body": {"video": B64[0], name: [value]}}, {}),
        ({"body": b"video"}, {f"X-Staa-{name}": value}),
    ):
        with pytest.raises(OptionError) as raised:
            wire.read(row, headers, explain=True)
        assert len(str(raised.value)) < 200 + MAX_CHARACTERS
        known = len(name) < 20 and name != "colour"
        lists = known and isinstance(row["body"], dict) and isinstance(row["body"].get(name), list)
        assert ("list" if lists else "characters" if known else "is no option") in str(raised.value)


@pytest.mark.parametrize("name", ["top_k", "start", "method", "target", "maps", "describe"])
def test_an_option_is_one_value(name: str) -> None:
    """A list, a group and what is nested beyond all depth are refused, and not walked through."""
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]
    for value in ([1], {"a": 1}, deep):
        with pytest.raises(OptionError, match=f"{name} is a .*: expected one value"):
            wire.read({"body": {"video": B64[0], name: value}}, {}, explain=True)
