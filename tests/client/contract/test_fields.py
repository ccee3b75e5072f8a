"""Single values of a reply that are out of range are a ReplyError, and end no batch."""

import copy
import json
from typing import Any

import httpx2
import pytest

from staa_client import Client, ReplyError, contract
from staa_client.contract import failure
from staa_client.contract.fields import is_harmless, one_line
from tests.client.conftest import card, checked, document, refined, server

TEXTS: list[Any] = [
    "two\nlines",
    "a\rb",
    "\x1b[2K",
    "a\u2028b",
    "a\u2029b",
    "\u202eback",
    "\u2066x",
    "\ud800",
    "x" * 2000,
    5,
    None,
]
NUMBERS: list[Any] = [1e308, -1, "0.5", True, None, [], 10**400, float("inf"), float("nan")]
PLACES: list[tuple[tuple[str | int, ...], list[Any]]] = [
    (("model", "name"), TEXTS),
    (("model", "family"), TEXTS),
    (("model", "classes"), [-1, 1e308, 2**70, "8", None, 1.5]),
    (("predictions", 0, "label"), TEXTS),
    (("predictions", 0, "score"), [*NUMBERS, 1.5]),
    (("predictions", 0, "class_id"), [-1, 2**40, 0.5, "0", True]),
    (("clip", "width"), [0, 65536, 10**9, 2.5, "320"]),
    (("clip", "fps"), NUMBERS),
    (("clip", "duration"), NUMBERS),
    (("clip", "frames"), [[], [1], [-1] * 16, [2**60] * 16, ["0"] * 16, list(range(20_000)), 3, {}]),
    (("clip", "times"), [[], [1], [1e300] * 16, [None] * 16, ["0"] * 16]),
    (("clip", "box"), [[0, 0, 1], [0, 0, 0, 0], [-1, 0, 10, 10], [0, 0, 10**9, 10], "0123"]),
    (("clip", "notes"), [5, "text", [5], ["two\nlines"], ["x" * 2000], {}]),
    (("explanation", "method"), TEXTS),
    (("explanation", "threshold"), [*NUMBERS, "x"]),
    (("explanation", "shape"), [[16, 12], [2**70] * 3, None, "x"]),
    (
        ("explanation", "steps"),
        [[], [[0, 1]], [[1, 0]] * 16, [[0, 1e300]] * 16, [[0]] * 16, [["0", "1"]] * 16, [[0, 1]] * 9999],
    ),
    (("explanation", "temporal"), [[2.0] * 16, [-1.0] * 16, ["0.1"] * 16, [1e300] * 16, [[1], [2, 3]], "x"]),
    (("explanation", "target"), [{"class_id": 0, "label": "a\nb"}, 5, []]),
    (("explanation", "faithfulness", "message"), TEXTS),
    (("explanation", "faithfulness", "probability"), NUMBERS),
    (("explanation", "faithfulness", "cost"), [{}, {"clips": -1, "seconds": 0}, {"clips": 1, "seconds": 1e300}]),
    (("explanation", "refinement"), [None, 5, [], {}]),
    (("explanation", "refinement", "chosen"), TEXTS),
    (("explanation", "refinement", "message"), TEXTS),
    (("explanation", "refinement", "lead"), [*NUMBERS, -1]),
    (("explanation", "refinement", "cost"), [{}, {"clips": -1, "seconds": 0}, {"clips": 1, "seconds": 1e300}]),
    (("explanation", "new"), ["\ud800", 10**400, [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]], {"\ud800": 1}]),
]


def changed(reply: dict[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The reply with another value in one place."""
    whole = copy.deepcopy(reply)
    inner: Any = whole
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("place", "value"),
    [(place, value) for place, values in PLACES for value in values],
    ids=lambda value: repr(value)[:30].encode("ascii", "backslashreplace").decode(),
)
def test_a_value_out_of_range_is_a_reply_error(place: tuple[str | int, ...], value: Any) -> None:
    """Labels, names, scores, sizes, shapes, times and frames: a ReplyError on one line that can be printed."""
    body = json.dumps(changed(refined(checked(document())), place, value)).encode()
    with pytest.raises(ReplyError) as caught:
        contract.explanation(200, {}, body)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_the_reply_that_the_others_change_is_read() -> None:
    """Without a change there is no error, with rounding neither."""
    reply = refined(checked(document()))
    whole = contract.explanation(200, {}, json.dumps(reply).encode())
    assert whole.faithfulness is not None
    assert whole.refinement is not None
    contract.explanation(200, {}, json.dumps(changed(reply, ("predictions", 0, "score"), 1.0000002)).encode())
    noted = contract.explanation(200, {}, json.dumps(changed(reply, ("clip", "notes"), ["HDR", "y" * 300])).encode())
    assert noted.clip.notes == ("HDR", "y" * 200)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("labels", 0), "a\nb"),
        (("input", "frames"), 10**9),
        (("input", "resize"), 10**6),
        (("input", "resize"), [1, 2, 3]),
        (("input", "height"), 0),
        (("input", "steps"), [1, 10**9, 1]),
        (("limits", "bytes"), float("inf")),
        (("limits", "bytes"), "many"),
        (("methods",), {"a\nb": {"version": "1", "classes": True}}),
        (("methods", "staa", "classes"), "yes"),
        (("verify",), -1),
        (("refine",), -1),
        (("refine",), "some"),
    ],
)
def test_a_card_out_of_range_is_a_reply_error(place: tuple[str | int, ...], value: Any) -> None:
    """A card that asks for a billion frames, or frames of a million pixels a side, makes the client compute nothing."""
    with pytest.raises(ReplyError):
        contract.card(200, {}, json.dumps(changed(card(), place, value)).encode())


def test_one_bad_answer_ends_no_batch() -> None:
    """Where errors are collected, a strange answer is the error of its source alone."""

    def strange(request: httpx2.Request) -> httpx2.Response:
        if request.content == b"1":
            return httpx2.Response(
                200, content=json.dumps(changed(document(), ("predictions", 0, "score"), 1e308)).encode()
            )
        return server()(request)

    with Client(transport=httpx2.MockTransport(strange)) as staa:
        items = list(staa.batch([b"0", b"1", b"2"], on_error="collect"))
    assert [isinstance(item.error, ReplyError) for item in items] == [False, True, False]


def test_an_error_of_a_server_is_one_short_line() -> None:
    """A message of megabytes with line breaks, marks and escapes is cut, and its code and id are of the usual form."""
    message = "first\nsecond\u2028\x1b[2K\u202e" + "x" * 10**6
    body = json.dumps({"error": {"code": "no code\n", "message": message}}).encode()
    error = failure.error(400, {"X-Request-Id": "a\x9b" + "b" * 500}, body)
    assert error.code == "http_400"
    assert error.message.startswith("first second ?[2K?xxx")
    assert len(str(error)) < 1300
    assert str(error).isprintable()


def test_words_of_any_script_are_harmless() -> None:
    """Letters, emoji and joiners stay; what moves a line or a cursor does not."""
    assert all(map(is_harmless, ("naïve", "走る", "می\u200cروم", "👨\u200d👩", "a\u00a0b", "")))
    assert not any(
        map(is_harmless, ("\n", "\r", "\t", "\x85", "\u2028", "\u2029", "\u200f", "\u061c", "\u2067", "\ud800", "\x7f"))
    )
    assert one_line("a\nb\u2029c\u200ed") == "a b c?d"
