"""What one request may take from the others of its batch: time, memory, and room in messages and logs."""

import base64
import gc
import io
import json
import logging
import weakref
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from staa import Clip, errors, video, wire
from staa.frames import _image, packed, unpack
from staa.row import Row
from staa.video import LIMITS
from staa.wire.request import LONGEST
from tests import families
from tests.families import VARIANTS
from tests.test_handler import Context
from tests.test_kserve import B64, film, tensor

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""TorchServe leaves files open, when it is imported too."""


class Clock:
    """A clock in place of the module `time`, which the test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    perf_counter = monotonic

    def time_ns(self) -> int:
        """Nanoseconds."""
        return int(self.now * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the handler's clock."""
    clock = Clock()
    for module in ("staa_handler", "staa.passes", "staa.row", "staa.watch"):
        monkeypatch.setattr(f"{module}.time", clock)
    return clock


@pytest.fixture
def handler(tmp_path: Any) -> Iterator[Any]:
    """Return a handler of a tiny model that decodes one video after the other, in passes of one."""
    from staa_handler import StaaHandler

    made = StaaHandler()
    context = Context(str(families.save(VARIANTS["vivit"].make(), tmp_path)), [])
    context.model_yaml_config["handler"] |= {"decoders": 1, "verify_seconds": 30, "limits": {"seconds": 30}}
    made.initialize(context)
    yield made
    made.pool.shutdown()


def ask(handler: Any, bodies: list[Any], *headers: dict[str, str]) -> tuple[list[Any], Context]:
    """Return replies as JSON, and the context of a batch of explanations."""
    context = Context("", [{"explain": "True"} | more for more in headers or [{}] * len(bodies)])
    return [json.loads(reply) for reply in handler.handle([{"body": body} for body in bodies], context)], context


def slow(clock: Clock, seen: list[float]) -> Any:
    """Return a decoder that takes 10 s of the clock, and notes the seconds that it was given."""

    def decode(_video: bytes, frames: int, _start: object, _end: object, limits: Any, _scale: object) -> Clip:
        seen.append(limits.seconds)
        clock.now += 10
        images = np.zeros((frames, 48, 64, 3), np.uint8)
        return Clip(images, np.arange(frames) / 25, np.arange(frames), 25.0, frames / 25)

    return decode


def test_videos_of_one_request_share_its_time(handler: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each video has what those before it took of it, not what its neighbour took; with nothing left it is refused."""
    seen: list[float] = []
    monkeypatch.setattr("staa_handler.decode", slow(clock, seen))
    (many, one), context = ask(handler, [{"instances": B64 * 8}, {"video": B64[0]}])
    assert context.statuses == {0: 413, 1: 200}
    assert many["error"]["code"] == "too_slow"
    assert "send fewer" in many["error"]["message"]
    assert "predictions" in one
    assert seen == [30, 30, 20, 10]  # the first of each request first


def test_once_a_video_has_failed_the_others_are_left_alone(handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request with a bad video is refused as a whole: nothing more of it is decoded, and nothing forwarded."""
    noise = base64.b64encode(b"noise").decode()
    tried = []

    def decode(video: bytes, *_: object) -> Clip:
        tried.append(video)
        raise errors.NotVideoError("noise came: send a video")

    monkeypatch.setattr("staa_handler.decode", decode)
    monkeypatch.setattr(handler.explainer, "forward", lambda *_: pytest.fail("forwarded"))
    (reply,), _ = ask(handler, [{"instances": [noise, film(1), film(2)]}])
    assert reply["error"]["message"].startswith("instances[0]: ")
    assert tried == [b"noise"]


def test_all_maps_of_a_batch_share_the_time_for_verifying(
    handler: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second pass has what the first one left, not as much again."""
    given: list[float] = []

    def verify(*arguments: Any) -> Any:
        given.append(arguments[-1])
        clock.now += 20
        raise errors.TooSlowError("it took too long: ask for fewer points")

    monkeypatch.setattr(handler.explainer, "verify", verify)
    ask(handler, [{"instances": [{"b64": film(1), "verify": 2}, {"b64": film(2), "verify": 2}]}])
    assert given == [30, 10]


def test_frames_go_once_they_are_prepared(handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the forward pass begins no frame of any video is in memory as it came; the reply still knows its size."""
    alive: list[Any] = []
    forward = handler.explainer.forward

    def decode(*arguments: Any) -> Clip:
        clip = video.decode(*arguments)
        alive.append(weakref.ref(clip.frames))
        return clip

    def check(*arguments: Any) -> Any:
        gc.collect()
        assert len(alive) == 3
        assert not [one for one in alive if one() is not None]
        return forward(*arguments)

    monkeypatch.setattr("staa_handler.decode", decode)
    monkeypatch.setattr(handler.explainer, "forward", check)
    (reply, _), context = ask(handler, [{"instances": [film(1), film(2)]}, {"video": film(3)}])
    assert context.statuses == {0: 200, 1: 200}
    assert (reply["predictions"][0]["clip"]["width"], reply["predictions"][0]["clip"]["height"]) == (64, 48)


def test_stages_count_the_videos_that_came_through_them(handler: Any) -> None:
    """As many are encoded as were decoded, of several videos too; a bad one beside them is no fault of the server."""
    noise = base64.b64encode(b"noise").decode()
    counted: list[str] = []

    class Counter:
        def __init__(self, name: str) -> None:
            self.name = name

        def add_or_update(self, *_: object) -> None:
            counted.append(self.name)

    handler.metrics = {name: Counter(name) for name in handler.metrics}
    bodies = [{"instances": [film(1), film(2)]}, {"instances": [film(3), noise]}, {"video": film(4)}]
    _, context = ask(handler, bodies)
    assert context.statuses == {0: 200, 1: 415, 2: 200}
    assert counted.count("decode") == counted.count("forward") == counted.count("encode") == 3


def test_a_bare_clip_says_what_the_whole_one_says() -> None:
    """Without its pixels a clip has the same times, numbers and size, also where it was scaled before it came."""
    for size in (None, (640, 480)):
        clip = Clip(np.zeros((2, 6, 8, 3), np.uint8), np.array([0.0, 1.0]), np.array([0, 9]), 9.0, 2.0, size)
        bare = clip.bare()
        assert bare.frames.nbytes == 0
        assert bare.source == clip.source == (size or (8, 6))
        assert (bare.seconds is clip.seconds, bare.indices is clip.indices) == (True, True)


def test_a_pass_that_several_videos_shared_counts_once() -> None:
    """Server-Timing sums what was done for each video, and a forward pass once."""
    from staa_handler import _spent

    rows = [Row(0), Row(0), Row(0)]
    for row, clock in zip(rows, (7, 7, 8), strict=True):
        row.took("decode", clock, 0.5)
        row.took("forward", clock, 0.25)
    assert _spent(rows) == {"decode": 1.5, "forward": 0.5}


@pytest.mark.parametrize("name", ["top_k", "start", "method", "target", "maps", "describe", "colour", "x" * 5_000_000])
def test_a_message_does_not_repeat_a_long_value(name: str) -> None:
    """A value of megabytes is refused with its length, as a field, in JSON and as a header; so is a name."""
    value = "\x01" * 5_000_000
    for row, headers in (
        ({"body": b"video", name: value.encode()}, {}),
        ({"body": {"video": B64[0], name: value}}, {}),
        ({"body": {"video": B64[0], name: [value]}}, {}),
        ({"body": b"video"}, {f"X-Staa-{name}": value}),
    ):
        with pytest.raises(errors.OptionError) as raised:
            wire.read(row, headers, explain=True)
        assert len(str(raised.value)) < 200 + LONGEST
        known = len(name) < 10 and name != "colour"
        lists = known and isinstance(row["body"], dict) and isinstance(row["body"].get(name), list)
        assert ("list" if lists else "characters" if known else "is no option") in str(raised.value)


@pytest.mark.parametrize("name", ["top_k", "start", "method", "target", "maps", "describe"])
def test_an_option_is_one_value(name: str) -> None:
    """A list, a group and what is nested beyond all depth are refused, and not walked through."""
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]
    for value in ([1], {"a": 1}, deep):
        with pytest.raises(errors.OptionError, match=f"{name} is a .*: expected one value"):
            wire.read({"body": {"video": B64[0], name: value}}, {}, explain=True)


def test_version_2_repeats_no_long_id_and_multiplies_no_long_shape() -> None:
    """An id of more than 256 characters and a shape of any other form are refused, whatever their length."""
    with pytest.raises(errors.RequestError, match="256"):
        wire.read({"body": tensor(B64[0], id="7" * 257)}, {}, explain=True)
    with pytest.raises(errors.RequestError, match="256"):
        wire.read({"body": tensor(B64[0], id=["7"])}, {}, explain=True)
    for shape in ([9] * 400_000, [1] * 400_000, "1", [], [2], [1, 1, 1], None):
        body = tensor(B64[0])
        body["inputs"][0]["shape"] = shape
        with pytest.raises(errors.RequestError, match="shape") as raised:
            wire.read({"body": body}, {}, explain=True)
        assert len(str(raised.value)) < 200
    for edges in ([2], [2, 1], [1, 2]):
        body = tensor(*B64)
        body["inputs"][0]["shape"] = edges
        assert len(wire.read({"body": body}, {}, explain=True).requests) == 2


def test_version_2_has_no_other_maps_by_header_too() -> None:
    """`X-Staa-Maps: npz` beside a request of version 2 is refused, as under its parameters."""
    with pytest.raises(errors.OptionError, match="version 2"):
        wire.read({"body": tensor(B64[0])}, {"X-Staa-Maps": "npz"}, explain=True)


@pytest.mark.parametrize(("given", "told"), [("shop-7", True), ("two words", False), ("x" * 129, False)])
def test_the_log_names_the_request_as_its_caller_does(
    handler: Any, caplog: pytest.LogCaptureFixture, given: str, told: bool
) -> None:
    """A refusal stands in the log under TorchServe's id, and under the caller's where that can be printed."""
    with caplog.at_level(logging.INFO):
        ask(handler, [{"video": base64.b64encode(b"noise").decode()}], {"x-request-id": given})
    (line,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert line.startswith("request request-0 ")
    assert (given in line) == told


def test_a_span_holds_no_method_that_there_is_none_of(handler: Any) -> None:
    """What a caller writes as method is an attribute of the span only where it is one."""
    facts: list[dict[str, Any]] = []
    handler.trace = lambda *arguments: facts.append(arguments[5])
    ask(handler, [{"video": film(1), "method": "rollout"}, {"video": film(1), "method": "colour"}])
    assert [fact.get("staa.method") for fact in facts] == ["rollout", None]


def test_an_archive_is_known_by_its_first_name() -> None:
    """Cut off behind its first entry an archive of frames is damaged, whichever entry that is; another zip is none."""
    for first, error in (
        ("clip.json", errors.DecodeError),
        ("0.jpg", errors.DecodeError),
        ("a.txt", errors.NotVideoError),
    ):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(first, b"x" * 100)
            archive.writestr("1.jpg", b"x" * 100)
        cut = buffer.getvalue()[:150]
        assert packed(cut)
        with pytest.raises(error):
            unpack(cut, 4)


def test_no_address_of_the_process_is_told() -> None:
    """An image that is none is refused in the same words each time."""
    with pytest.raises(errors.DecodeError, match="it is none") as raised:
        _image("0.jpg", b"noise", LIMITS)
    assert "0x" not in str(raised.value)
