"""A job, and whose error it is when a stage fails."""

import logging
import pickle

import pytest
import torch

from staa import Options, errors
from staa.serving import Job
from staa.serving.job import errors_to, failed_requests
from staa.serving.telemetry import seconds_of
from staa.serving.wire import VideoRequest


def test_an_error_of_ours_is_the_jobs_own() -> None:
    """What the contract has a code for becomes the error of these jobs alone, as it was said."""
    jobs = [Job(0), Job(0), Job(1)]
    with errors_to(jobs[:2]):
        raise errors.NotVideoError("noise came: send a video")
    assert [getattr(job.error, "code", None) for job in jobs] == ["not_a_video", "not_a_video", None]
    assert failed_requests(jobs) == {(0, "")}


def test_any_other_error_is_internal(caplog: pytest.LogCaptureFixture) -> None:
    """Its text is kept from the caller, who gets the name under which the log has the trace."""
    job = Job(0, "request-7")
    with errors_to([job]):
        raise ZeroDivisionError("a secret")
    assert type(job.error) is errors.StaaError
    assert "request-7" in str(job.error)
    assert "secret" not in str(job.error)
    assert not job.device_failed
    assert "a secret" in caplog.text


def test_what_the_accelerator_raises_is_noted() -> None:
    """The home may have to be told that nothing runs on it any more."""
    job = Job(0)
    with errors_to([job]):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    assert job.device_failed


def test_the_end_of_the_process_is_no_error_of_a_job() -> None:
    """What asks the process to end goes through."""
    with pytest.raises(KeyboardInterrupt), errors_to([Job(0)]):
        raise KeyboardInterrupt


@pytest.mark.parametrize("caller", ["", "shop-7"])
def test_the_log_names_the_request_as_its_caller_does(caplog: pytest.LogCaptureFixture, caller: str) -> None:
    """A refusal stands in the log under the server's id, and under the caller's where there is one."""
    with caplog.at_level(logging.INFO), errors_to([Job(0, "request-0", caller)]):
        raise errors.NoFramesError("none: send some")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"request request-0{' (of the caller: shop-7)' if caller else ''} refused: no_frames ")


def test_a_job_goes_from_process_to_process() -> None:
    """Whatever has become of it arrives: its request, its pixels, its error and its times."""
    job = Job(3, "request-3", "shop-7", VideoRequest(b"video", Options(top_k=2), "npz"), pixels=torch.ones(1, 2, 3))
    job.took("decode", 7, 0.5)
    with errors_to([job]):
        raise errors.TooLongError("it lasts 700 s: cut it")
    again = pickle.loads(pickle.dumps(job))  # noqa: S301 - our own
    assert again.request == job.request
    assert torch.equal(again.pixels, job.pixels)
    assert (type(again.error), str(again.error)) == (errors.TooLongError, "it lasts 700 s: cut it")
    assert (again.seconds, again.spans, again.request_key) == (job.seconds, job.spans, (3, "request-3"))


def test_a_stage_that_fails_has_no_time() -> None:
    """Only a stage that succeeded is measured."""
    job = Job(0)
    with pytest.raises(ZeroDivisionError), job.timed("decode"):
        raise ZeroDivisionError
    with job.timed("forward"):
        pass
    assert list(job.seconds) == list(job.spans) == ["forward"]


def test_a_pass_that_several_videos_shared_counts_once() -> None:
    """The times of a request are the sums over its videos, and a forward pass once."""
    jobs = [Job(0), Job(0), Job(0)]
    for job, clock in zip(jobs, (7, 7, 8), strict=True):
        job.took("decode", clock, 0.5)
        job.took("forward", clock, 0.25)
    assert seconds_of(jobs) == {"decode": 1.5, "forward": 0.5}
