"""Whatever a server says, and whatever a file of answers holds: a result that can be saved, or an error of the tree."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staa_client import AsyncClient, Client, Explanation, ReplyError, StaaError, load
from staa_client.cli.output.terminal import describe, describe_on_a_line
from tests.client.conftest import card, checked, document, encoded, refined

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from([1e308, -1e308, 2**63, 10**400, "\ud800", "a\nb", "\u202e", [], {}, [[]], "x" * 5000, 65536]),
    st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3)), max_size=20),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)  # fmt: skip
ENDINGS = (".json", ".npz", ".parquet", ".html", ".png", ".gif")


def small() -> dict[str, Any]:
    """A reply with a chosen and checked map of 4 x 3 x 3 cells for a video of 4 frames."""
    reply = refined(checked(document()))
    reply["clip"] |= {"frames": [0, 1, 2, 3], "times": [0.0, 0.1, 0.2, 0.3], "notes": ["HDR tone-mapped"]}
    even = 1 / 36
    reply["explanation"] |= {
        "shape": [4, 3, 3],
        "steps": [[0, 0.1], [0.1, 0.2], [0.2, 0.3], [0.3, 0.4]],
        "temporal": [0.25] * 4,
        "spatial": [[1 / 9] * 3] * 3,
        "joint": [[[even] * 3] * 3] * 4,
        "threshold": even,
    }
    return reply


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in JSON data."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in places(each, (*path, key)))]


def mutated(draw: st.DrawFn, reply: dict[str, Any]) -> dict[str, Any]:
    """The reply with other values, or none, in some places."""
    whole: dict[str, Any] = json.loads(json.dumps(reply))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(whole)[1:]))
        inner: Any = whole
        for key in path[:-1]:
            inner = inner[key]
        if draw(st.booleans()) or isinstance(inner, list):
            inner[path[-1]] = draw(VALUES)
        else:
            del inner[path[-1]]
    return whole


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body of a reply: JSON with other values, any encoding with other bytes, or noise."""
    kind = draw(st.sampled_from(["values", "bytes", "noise"]))
    if kind == "noise":
        return draw(st.one_of(st.binary(max_size=200), st.binary(max_size=50).map(lambda rest: b"PK\x03\x04" + rest)))
    if kind == "values":
        return json.dumps(mutated(draw, draw(st.sampled_from([small(), card()])))).encode()
    body = bytearray(encoded(small(), draw(st.sampled_from(["json", "base64", "npz"]))))
    for _ in range(draw(st.integers(1, 5))):
        position = draw(st.integers(0, len(body) - 1))
        body[position : position + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(body)


@QUICK
@given(body=bodies(), ending=st.sampled_from(ENDINGS))
def test_any_reply_is_a_result_that_can_be_saved_or_an_error(body: bytes, ending: str, tmp_path_factory: Any) -> None:
    """By both clients, in a batch, on a terminal and in every file form; what was saved as numbers is loaded again."""
    folder: Path = tmp_path_factory.mktemp("saved")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=body))

    async def asynchronous() -> Explanation:
        async with AsyncClient(transport=transport) as staa:
            return await staa.explain(b"x")

    with Client(transport=transport) as staa:
        for ask in (staa.card, staa.models, lambda: staa.predict(b"x")):
            with contextlib.suppress(StaaError):
                ask()
        (item,) = staa.batch([b"x"], on_error="collect", output=folder / "out.jsonl")
    try:
        explanation = asyncio.run(asynchronous())
    except ReplyError as error:
        assert str(error).isprintable()  # noqa: PT017  # the only other outcome
        assert isinstance(item.error, ReplyError)
        return
    assert item.explanation.predictions == explanation.predictions
    assert "\n" not in describe_on_a_line("x", explanation)
    assert describe(explanation).encode()
    with contextlib.suppress(ValueError):  # of frames that the video, which is none, does not have
        explanation.save(folder / f"out{ending}", video=None)
    for number_form in (".json", ".npz"):
        again = load(explanation.save(folder / f"numbers{number_form}"))
        assert again.predictions == explanation.predictions


@st.composite
def journals(draw: st.DrawFn) -> list[bytes]:
    """Lines of answers to two sources, damaged by values or bytes."""
    request = json.dumps({"model": "motions", "explain": True})
    lines = []
    for name in ("sha256:a", "sha256:b"):
        line = {"source": name, "key": name, "stamp": "", "request": request, "reply": small()}
        if draw(st.booleans()):
            line = line | {"reply": draw(VALUES)} if draw(st.booleans()) else mutated(draw, line)
        text = bytearray(json.dumps(line).encode())
        if draw(st.booleans()):
            position = draw(st.integers(0, len(text) - 1))
            text[position : position + 1] = draw(st.binary(max_size=3))
        lines.append(bytes(text))
    return lines


@QUICK
@given(lines=journals(), name=st.sampled_from(["out.jsonl", "out.parquet"]))
def test_a_damaged_journal_is_asked_again_or_named(lines: list[bytes], name: str, tmp_path_factory: Any) -> None:
    """Each damaged line is asked for again, or the run ends with a ValueError that names the file; nothing else."""
    folder: Path = tmp_path_factory.mktemp("journal")
    kept = folder / (name if name.endswith("jsonl") else name + ".jsonl")
    kept.write_bytes(b"\n".join(lines) + b"\n")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=json.dumps(small()).encode()))
    with Client(transport=transport) as staa:
        try:
            items = list(staa.batch([b"x", b"y"], output=folder / name))
        except ValueError as error:
            assert str(folder / name) in str(error)  # noqa: PT017  # the only other outcome
            return
    assert [item.error for item in items] == [None, None]
    assert (folder / name).stat().st_size > 0
