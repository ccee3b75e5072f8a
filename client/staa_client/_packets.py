"""The packets of a video: of each what tells its frame, and its data only while it is decoded."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.video.stream import VideoStream

_NEAR = 1 << 20
"""Bytes that are read sooner than a search for what follows them is over."""


class ChangedError(Exception):
    """The packets cannot be read again as they were read first."""

    def __str__(self) -> str:
        return "its packets are others than before: did the file change meanwhile?"


class Packets:
    """The packets of the first video stream in decoding order, read once; those that are wanted are read again.

    Each leaves tens of bytes here, so that a recording of hours takes megabytes, whatever its size.

    Args:
        container: An opened video, at its start; it is at its end afterwards.
        opened: Opens it once more, for an index that does not lead to its packets.
    """

    ticks: NDArray[np.int64]
    """(P,) display times in the stream's time base; 0 where there is none."""
    durations: NDArray[np.int64]
    """(P,) in the stream's time base, 0 where unknown."""
    shown: NDArray[np.int64]
    """(P,) their places in the order of their times."""
    keys: list[int]
    """Places of the key frames, ascending."""
    clear: bool
    """Every packet has a time of its own, is whole, and is to be shown."""

    def __init__(self, container: "InputContainer", opened: Callable[[], "InputContainer"]) -> None:
        self._container, self._opened, self._seekable = container, opened, True
        ticks, sizes, durations = array("q"), array("q"), array("q")
        self.keys, self._decoded, clear = [], list[int | None](), True
        self._reading = self._read()
        for packet in self._reading:
            if packet.is_keyframe:
                self.keys.append(len(ticks))
                self._decoded.append(packet.dts)
            ticks.append(packet.pts or 0)
            sizes.append(packet.size)
            durations.append(packet.duration or 0)
            if packet.pts is None or packet.is_discard or packet.is_corrupt:
                clear = False
        self.ticks, self.durations = np.array(ticks, np.int64), np.array(durations, np.int64)
        self.shown = np.argsort(self.ticks, kind="stable")
        self._times, self._sizes = ticks, sizes  # the same as arrays, whose numbers Python compares faster
        self._next = len(ticks)  # the place of the packet that is read next
        self.clear = clear and len(np.unique(self.ticks)) == len(ticks)

    def __len__(self) -> int:
        return len(self.ticks)

    def _read(self) -> Iterator["Packet[VideoStream]"]:
        """The packets from where the container stands; the last one of a stream is empty, and left out."""
        return (packet for packet in self._container.demux(self._container.streams.video[0]) if packet.size)

    def key_of(self, place: int) -> int:
        """The place of the key frame that the packet at `place` depends on; where `clear`, and the first is one."""
        before = self.keys[: bisect_right(self.keys, place)]
        return next(key for key in reversed(before) if self._times[key] <= self._times[place])

    def since(self, key: int) -> Iterator["Packet[VideoStream]"]:
        """The packets from the key frame at place `key` to the end, as they were read first; where `clear`.

        Raises:
            ChangedError: others are found; those that came before it are right.
        """
        found = self._sought(key)
        for place in range(key, len(self)):  # a recording may have grown since
            packet = next(found, None)
            if packet is None or not self._is(packet, place):
                found = self._from_start(place)
                packet = next(found)
            self._next = place + 1
            yield packet

    def _sought(self, key: int) -> Iterator["Packet[VideoStream]"]:
        """The packets from that key frame on: read on to, or sought by when it is shown, or decoded, or from before."""
        near = sum(self._sizes[self._next : key]) < _NEAR
        if self._next <= key and (near or not self._seekable) and (found := self._read_on(key)):
            return found
        for tick in self._starts(key) if self._seekable else ():
            self._container.seek(tick, stream=self._container.streams.video[0])
            self._reading = self._read()
            for packet in self._reading:
                if self._is(packet, key):
                    return chain([packet], self._reading)
                if self._place(packet) >= key:  # too far, or a part of it
                    break
        return self._from_start(key)

    def _from_start(self, place: int) -> Iterator["Packet[VideoStream]"]:
        """The packets from this place on, read as at first, since an index or a search leads elsewhere."""
        if not self._seekable:
            raise ChangedError
        self._seekable = False
        self._container = self._opened()
        self._reading, self._next = self._read(), 0
        found = self._read_on(place)
        if found is None:
            raise ChangedError
        return found

    def _read_on(self, place: int) -> Iterator["Packet[VideoStream]"] | None:
        """The packets from this place on, if it follows on those that were read."""
        packet = next(islice(self._reading, place - self._next, None), None)
        return chain([packet], self._reading) if packet is not None and self._is(packet, place) else None

    def _starts(self, key: int) -> Iterator[int]:
        """Times to seek to, each safer and further from the key frame than the one before, to the first key frame."""
        yield int(self.ticks[key])
        at, back = bisect_left(self.keys, key), 1
        if (decoded := self._decoded[at]) is not None:  # formats that know only these go beyond it for the other
            yield decoded
        while at > 0:
            at, back = max(0, at - back), back * 2
            yield int(self.ticks[self.keys[at]])

    def _place(self, packet: "Packet[VideoStream]") -> int:
        """The place of the packet with this time; -1 where there was none."""
        if packet.pts is None:
            return -1
        number = min(int(np.searchsorted(self.ticks, packet.pts, sorter=self.shown)), len(self) - 1)
        place = int(self.shown[number])
        return place if self.ticks[place] == packet.pts else -1

    def _is(self, packet: "Packet[VideoStream]", place: int) -> bool:
        """Whether this is the packet that was read at that place."""
        return packet.pts == self._times[place] and packet.size == self._sizes[place]
