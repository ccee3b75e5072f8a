"""Says which frames of a video are damaged, and which stand in for them: arithmetic only.

A frame is damaged if the decoder says so, if its packet cannot be decoded, or if it is missing. Others depend on it.
What depends on what is not told by all codecs, so it is taken from the order of display: frames of both directions (B)
hand damage on to those of their kind beside them, all others to every frame up to the next key frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from staa_video.errors import DecodeError

MOST_DAMAGED = 0.1
"""The largest share of damaged frames in a video that is taken, those that depend on them not counted.

Players show whatever they decode, and leave it to the viewer. Up to a tenth, one to three of the 8 to 32 frames of a
clip have a stand-in beside them, and the times of a map still hold; beyond it, a map would be of the damage.
"""
MOST_SKIPPED = 0.4
"""The largest share of packets without a frame that is taken for damage: beyond it that is how the video is coded."""


class Shown(NamedTuple):
    """Says of a frame what decides whether damage reaches it."""

    bad: bool
    """Whether the decoder says that it is damaged, or has not given it."""
    key: bool
    """Whether it depends on no other."""
    two_way: bool
    """Whether it may depend on later frames (B)."""
    missing: bool = False
    """Whether the decoder has not given it."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Holds what is wrong with the frames of a video."""

    bad: NDArray[np.bool_]
    """(N,) whether each frame is damaged."""
    missing: NDArray[np.bool_]
    """(N,) whether there is no picture of it at all."""
    reached: NDArray[np.bool_]
    """(N,) whether it is damaged, or depends on such a frame."""
    lost: int = 0
    """How many frames are missing that have no number."""

    @property
    def count(self) -> int:
        """Return the number of damaged frames."""
        return int(np.count_nonzero(self.bad)) + self.lost

    @property
    def in_words(self) -> str:
        """Say what is damaged; "" where nothing is."""
        if not self.count:
            return ""
        more = int(np.count_nonzero(self.reached & ~self.bad))
        told = f"{self.count} of {len(self.bad) + self.lost} frames damaged"
        return f"{told}, {more} depend on them" if more else told

    def check_share(self) -> None:
        """Raise DecodeError if too large a share of the video is damaged; one may always be, the last of a cut."""
        total = len(self.bad) + self.lost
        if self.count > max(1, MOST_DAMAGED * total) or self.count == total > 0:
            msg = f"{self.count} of {total} frames are damaged, at most {MOST_DAMAGED:.0%} are taken"
            raise DecodeError(f"{msg}: send an undamaged video")

    def stand_ins(self, indices: NDArray[np.int64], first: int, last: int) -> NDArray[np.int64]:
        """Return the chosen frames, each that damage reaches replaced by the nearest that it does not.

        A stand-in is at most half as far away as the chosen frames are from each other: beyond that the frame itself is
        taken, as players show it, and a missing one is replaced by the nearest that is there.

        Args:
            indices: (T,) ascending numbers of the chosen frames.
            first: the first frame that may be taken.
            last: the last one.

        Raises:
            DecodeError: too large a share of the video is damaged, or all frames that may be taken are missing.
        """
        self.check_share()
        there = np.flatnonzero(~self.missing[first : last + 1]) + first
        if not len(there):
            raise DecodeError(f"all frames from {first} to {last} are damaged: choose another segment")
        sound = there[~self.reached[there]]
        away = max(1.0, (indices[-1] - indices[0]) / max(1, len(indices) - 1) / 2)
        chosen = indices.copy()
        for place in np.flatnonzero(self.reached[indices]).tolist():
            near = sound[np.abs(sound - indices[place]) <= away]
            if len(near) or self.missing[indices[place]]:
                near = near if len(near) else there
                chosen[place] = near[np.argmin(np.abs(near - indices[place]))]  # of two the earlier one
        return np.maximum.accumulate(chosen)


def none_of(count: int) -> Damage:
    """Return that nothing is wrong with so many frames."""
    return Damage(np.zeros(count, bool), np.zeros(count, bool), np.zeros(count, bool))


def spread(frames: Sequence[Shown], lost: Sequence[int] = ()) -> Damage:
    """Return the damage of frames, handed on from those that are bad to those that depend on them.

    Of the frames I B B P B B P I, a bad first P reaches all but the first and the last one; a bad first B the second.

    Args:
        frames: (N,) in the order of display.
        lost: before which of them a frame is missing, ascending.
    """
    whole, numbers = list(frames), np.arange(len(frames))
    for place in reversed(lost):
        whole.insert(place, Shown(bad=True, key=False, two_way=False, missing=True))
        numbers[place:] += 1
    bad = np.array([frame.bad for frame in whole], bool)
    reached = bad.copy()
    for place in np.flatnonzero(bad).tolist():
        before, after = place, place + 1
        while before > 0 and whole[before - 1].two_way:
            before -= 1
        while after < len(whole) and (whole[after].two_way if whole[place].two_way else not whole[after].key):
            after += 1
        reached[before:after] = True
    missing = np.array([frame.missing for frame in frames], bool)
    return Damage(bad[numbers], missing, reached[numbers], len(lost))
