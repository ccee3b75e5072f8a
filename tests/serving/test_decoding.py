"""The stage from bytes to pixels: what a video is decoded by, the time that it has, and what is left of it."""

import base64
import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from staa import Clip, Options, errors
from staa.serving import Decoding, Job, Settings
from staa.serving.wire import VideoRequest
from staa_video.frames_archive import clip_of as decode
from tests.made.requests import B64, NOISE, film
from tests.made.services import Clock, Scripted, ask, scripted, service, slow_decode


@pytest.fixture
def explainer() -> Scripted:
    """Return an explainer of a tiny model."""
    return scripted()


def test_videos_of_one_request_share_its_time(explainer: Scripted) -> None:
    """Each video has what those before it took of it, not what its neighbour took; with nothing left it is refused."""
    seen: list[float] = []
    clock = Clock()
    served = service(explainer, decode=slow_decode(clock, seen), clock=clock)
    (many, alone), statuses = ask(served, [{"instances": B64 * 8}, {"video": B64[0]}])
    assert statuses == [413, 200]
    assert many["error"]["code"] == "too_slow"
    assert "send fewer" in many["error"]["message"]
    assert "predictions" in alone
    assert seen == [30, 30, 20, 10]  # the first of each request first


def test_decoding_ends_with_the_time_of_the_batch(explainer: Scripted) -> None:
    """Where one decoder reads all, the last ones have what is left of the batch's time; TorchServe kills no worker."""
    seen: list[float] = []
    clock = Clock()
    served = service(explainer, decode=slow_decode(clock, seen), clock=clock, batch_size=4, patience=25 / 0.75)
    replies, statuses = ask(served, [{"video": B64[0]}] * 4)
    assert seen == [25, 15, 5]
    assert statuses == [200, 200, 200, 503]
    assert replies[3]["error"]["code"] == "service_unavailable"
    assert "again" in replies[3]["error"]["message"]


def test_decoding_that_has_less_than_its_own_time(explainer: Scripted) -> None:
    """A video that would have had time enough by itself is not to blame; one that took all of its own is."""
    clock = Clock()

    def take_all(_video: bytes, _frames: int, _start: object, _end: object, limits: Any, _scale: object) -> Clip:
        clock.now += limits.seconds
        raise errors.TooSlowError("decoding took too long")

    served = service(explainer, decode=take_all, clock=clock, patience=40 / 0.75)
    replies, statuses = ask(served, [{"video": B64[0]}] * 3)
    assert statuses == [413, 503, 503]
    assert [reply["error"]["code"] for reply in replies] == ["too_slow", "service_unavailable", "service_unavailable"]


def test_once_a_video_has_failed_the_others_are_left_alone(explainer: Scripted) -> None:
    """A request with a bad video is refused as a whole: nothing more of it is decoded, and nothing forwarded."""
    tried = []

    def refuse(video: bytes, *_: object) -> Clip:
        tried.append(video)
        raise errors.NotVideoError("noise came: send a video")

    explainer.on_forward = lambda *_: pytest.fail("forwarded")
    (reply,), _ = ask(service(explainer, decode=refuse), [{"instances": [NOISE, film(1), film(2)]}])
    assert reply["error"]["message"].startswith("instances[0]: ")
    assert tried == [b"noise"]


def test_frames_go_once_they_are_prepared(explainer: Scripted) -> None:
    """When the forward pass begins no frame of any video is in memory as it came; the reply still knows its size."""
    alive: list[Any] = []

    def watched(*arguments: Any) -> Clip:
        clip = decode(*arguments)
        alive.append(weakref.ref(clip.frames))
        return clip

    def check(forward: Any, *arguments: Any) -> Any:
        gc.collect()
        assert len(alive) == 3
        assert not [frames for frames in alive if frames() is not None]
        return forward(*arguments)

    explainer.on_forward = check
    served = service(explainer, decode=watched)
    (reply, _), statuses = ask(served, [{"instances": [film(1), film(2)]}, {"video": film(3)}])
    assert statuses == [200, 200]
    assert (reply["predictions"][0]["clip"]["width"], reply["predictions"][0]["clip"]["height"]) == (64, 48)


def test_a_job_that_is_decoded_holds_pixels_and_no_video(explainer: Scripted) -> None:
    """What goes on to the next process is the pixels that the model takes, and not the bytes that came."""
    video = base64.b64decode(film(1))
    job = Job(0, request=VideoRequest(video, Options(), "json"))
    Decoding(explainer.signature, Settings("tiny")).run_one(job)
    assert job.error is None
    assert job.request is not None
    assert job.pixels is not None
    assert job.pixels.shape == (1, explainer.grid.frames, 3, *(explainer.recipe.shape or ()))
    assert len(pickle.dumps(job)) < job.pixels.nbytes + 10_000
    assert job.request.video == b""
    assert list(job.seconds) == ["decode", "prepare"]


def test_options_are_checked_before_a_video_is_decoded(explainer: Scripted) -> None:
    """What this model, or its operator, does not answer costs no decoding."""
    stage = Decoding(
        explainer.signature, Settings("tiny", verify=0, refine=8), decode=lambda *_: pytest.fail("decoded")
    )
    many, without_class = Options(method="staa_class", refine=9), Options(refine=8)
    for options in (Options(method="magic"), Options(top_k=99), Options(verify=2), many, without_class):
        job = Job(0, request=VideoRequest(b"video", options, "json"))
        stage.run_one(job)
        assert isinstance(job.error, errors.OptionError)
        assert job.pixels is None


def test_pixels_are_the_same_wherever_they_are_made(explainer: Scripted) -> None:
    """A stage that was sent to another process makes the pixels that the model's own process makes."""
    stage = pickle.loads(pickle.dumps(Decoding(explainer.signature, Settings("tiny"))))  # noqa: S301 - our own
    video = base64.b64decode(film(1))
    job = Job(0, request=VideoRequest(video, Options(), "json"))
    with ThreadPoolExecutor(1) as pool:
        stage.run([job], pool)
    clip = decode(video, explainer.grid.frames, None, None, Settings("tiny").limits, None)
    pixels, (box,) = explainer.prepare([clip])
    assert job.pixels is not None
    assert torch.equal(job.pixels, pixels)
    assert job.box == box
