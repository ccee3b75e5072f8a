"""Frames in memory: their form is checked."""

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from staa_client import AsyncClient
from tests.client.servers import Recorder, client


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((4, 8, 8, 3), np.float32),
        np.zeros((0, 8, 8, 3), np.uint8),
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)],
        [],
    ],
)
def test_frames_of_a_wrong_form_are_refused(wrong: NDArray[np.uint8]) -> None:
    """What is not (T, H, W, 3) uint8 is refused before anything is sent."""
    recorder = Recorder()
    with client(recorder) as staa, pytest.raises(ValueError, match=r"frame"):
        staa.predict(wrong)
    assert not recorder.requests


@pytest.mark.parametrize(
    "several",
    [
        ["a.mp4", "b.mp4"],
        [Path("a.mp4")],
        [b"video", b"video"],
        ("a.mp4",),
        [bytearray(b"video")],
        [memoryview(b"video")],
        [io.BytesIO(b"video")],
        [np.zeros((3, 8, 8, 3), np.uint8)] * 2,
    ],
)
def test_several_videos_are_not_the_frames_of_one(several: Any) -> None:
    """A list of videos given to a call for one is refused in words that name `batch`, by both clients."""
    recorder = Recorder()
    with client(recorder) as staa:
        for call in (staa.predict, staa.explain):
            with pytest.raises(TypeError, match=r"a call takes one video, got several .* give the list to batch"):
                call(several)

    async def twin() -> None:
        async with AsyncClient(transport=httpx2.MockTransport(recorder)) as staa:
            await staa.explain(several)

    with pytest.raises(TypeError, match="give the list to batch"):
        asyncio.run(twin())
    assert not recorder.requests
