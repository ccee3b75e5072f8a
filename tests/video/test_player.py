"""Frames, times and sizes are those that an independent player shows, but for what is named here with its reason."""

import json

import numpy as np
import pytest

from staa_video.decoder import opened
from tests.video.player import FILE, VIDEOS

RECORDED = json.loads(FILE.read_text())["videos"]
SIZES = {
    "anamorphic": "it leaves pixels as they are stored, and names their shape",
    "anamorphic_and_turned": "the same",
    "clean_aperture": "its version 5.1 does not crop by what MP4 says",
}
TIMES = {
    "gap_of_100_seconds": "it closes the jump, but the first frames behind it keep their times",
    "gap_of_an_hour": "the same",
    "gap_of_a_disc": "it closes jumps of 10 s and more, and those of MPEG-TS alone; here mpv's bounds hold",
    "gap_of_a_broadcast": "the same",
    "gap_since_1970": "the same",
    "slide_show": "it takes a minute between two pictures for a jump",
    "raw_mpeg1": "it gives the first of B-frames without times the place of two",
    "apng_of_10_ms": "it shows pictures as fast as they say; browsers take 100 ms, as it does for GIF",
    "grows": "what prints its times begins anew where the size changes",
    "shrinks_and_turns": "the same",
}
REFUSED = {name: "its version 5.1 has no decoder of animated WebP" for name in VIDEOS if name.startswith("webp")}


def test_what_was_recorded_is_of_every_video() -> None:
    """A new awkward video is recorded, too; a difference that is named is one."""
    assert set(RECORDED) == set(VIDEOS), "python -m tests.video.player"
    assert {name for name, told in RECORDED.items() if "refused" in told} == set(REFUSED)


@pytest.mark.parametrize("name", [name for name in VIDEOS if name not in REFUSED])
def test_the_player_shows_the_same(name: str) -> None:
    """The numbers that its pictures show are the same, in the same order; so are their times and their size."""
    case, told = VIDEOS[name], RECORDED[name]
    assert told["numbers"] == list(case.shows)
    assert (tuple(told["size"]) == case.size) is (name not in SIZES)
    with opened(case.make()) as film:
        ours = film.seconds
    its = np.array(told["seconds"]) - told["seconds"][0]
    same = len(its) == len(ours) and bool(np.abs(its - ours).max() < 0.002)
    assert same is (name not in TIMES)
