"""Frames in memory: their form is checked."""

import numpy as np
import pytest
from numpy.typing import NDArray

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
