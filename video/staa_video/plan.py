"""Reads the packets of a video: first what each tells about its frame, later its data, to decode it.

All packets are read first, which decodes nothing and takes milliseconds. If they tell which frames will be displayed
and when, only the packets that the wanted frames depend on are decoded later: from the key frame before each wanted
frame to the frame itself. The data of a small file is kept in memory for this. The data of a larger file is read again,
found by the container's index, so that even a recording of hours takes only some megabytes of memory.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain, islice
from typing import TypeAlias

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet as AvPacket
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from staa_video import errors, header, sampling
from staa_video.clip import Budget
from staa_video.container import STILL, Open, clock_resets, has_clock, is_animation, is_joined, is_of_stills
from staa_video.picture import Shape

Packet: TypeAlias = "AvPacket[VideoStream]"
FEW_PIXELS = 854 * 480
"""The most pixels of a frame that one thread decodes as fast as two on two cores, for a fifth less CPU time; and, where
it is damaged, always in the same way."""
KEPT_BYTES = 64 * 2**20
"""The most bytes of packets that are kept in memory: the packets of a larger video are read again."""
NEAR_BYTES = 2**20
"""A packet that is fewer bytes ahead is reached by reading on, which is faster than a seek."""

_CHANGED = "its packets are others than before: did the file change meanwhile?"
_MOST_PAUSES = 10_000
_NO_TIME = -(2**63)
_CUT_SPACINGS = 4.5  # with a longer gap before its last frames, a transport stream is slow and not cut off
# Here one packet is one displayed frame, with its time: AVI has no display times, VP8 has frames that are never shown.
_PLANNED_FORMATS = {"mov", "matroska", "mpegts"}
_PLANNED_CODECS = {"h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores"}


class Packets:
    """Holds the times and key frames of a stream's packets, in decoding order, and yields the packets again.

    Args:
        open_anew: opens the video at its start; called here, and again if a seek finds the wrong packet.
        budget: what may be spent on it.

    Raises:
        DecodeError: the file cannot be read, or ends before its index does.
        NoFramesError: there is no packet.
        NotVideoError: it is a still image.
        TooLargeError: the video is over a limit.
    """

    stream: VideoStream
    """The video stream of the packets."""
    shape: Shape
    """What the file says of the shape of its pictures."""
    ticks: "array[int]"
    """(P,) display time of each packet, in ticks of the stream's time base; jumps of the clock are closed."""
    jumps: list[sampling.Jump]
    """The jumps of the container's clock that were closed."""
    display: list[int]
    """The display times in their order; but not those of frames from which others are missing where the file is cut."""
    end: float
    """The last of them where some are left out; else infinite."""
    cut: str
    """Where the file is cut off, in words; "" where it is whole."""
    keys: list[bool]
    """(P,) whether each packet is a key frame."""
    last: int
    """How long the last frame is displayed, in ticks; 0 if that is not known."""
    timed: bool
    """Whether the container says when frames are displayed."""
    animated: bool
    """Whether it is an animated picture, which is displayed as browsers do it."""
    planned: bool
    """Whether the packets alone tell which frames are displayed, and when."""

    def __init__(self, open_anew: Open, budget: Budget) -> None:
        self._open_anew = open_anew
        self._container, self.stream, self.shape = open_anew()
        self._reading_of = self.stream  # of the container that is read, which may be another one later
        self.keys, self.last, self.jumps = [], 0, []
        self._stated, self._sizes = array("q"), array("q")  # the display times are those of the container
        self._coded = array("q")  # when they are decoded, in ticks
        self._kept: list[Packet] | None = []
        self._ends_early = False  # it is cut off
        clear = self._read_all(budget)
        container = self._container
        if not self._stated and self._ends_early:
            raise errors.DecodeError("the file is cut off before the end of its first frame: send the whole file")
        if not self._stated:
            raise errors.NoFramesError("the video stream holds no frame: send a video with at least one")
        if is_of_stills(container) and len(self) == 1:
            raise errors.NotVideoError(STILL)
        self.ticks = self._without_jumps()
        self.timed, self.animated = has_clock(container), is_animation(container)
        self.display, self.end = sorted(self.ticks), math.inf
        rate = self.stream.average_rate or self.stream.guessed_rate
        usual = float(1 / rate / self.stream.time_base) if rate and self.stream.time_base else math.inf
        kept, gap = sampling.before_gap(self.display, self.ticks[-1] - self._stated[-1] + self._coded[-1], usual)
        if (self._ends_early or (self._may_be_cut() and gap < _CUT_SPACINGS)) and kept < len(self):
            self._ends_early = True
            self.display = self.display[:kept]
            self.end = self.display[-1]
        self.cut = ""
        if self._ends_early:
            of = f" of {self._listed}" if self._listed > len(self) else ""
            self.cut = f"the file is cut off after frame {len(self.display)}{of}"
        self.last = self._durations[self.ticks.index(self.display[-1])]
        if container.format.name == "avi":  # it states no durations: what FFmpeg makes up is a half at times
            self.last = 0
        self.planned = (
            clear
            and len(set(self.ticks)) == len(self)
            and self.keys[0]
            and self.ticks[0] == min(self.ticks)
            and _tells_frames(container, self.stream)
        )
        self._shown = np.argsort(self._stated, kind="stable")  # places in the order of their times
        self._seekable = self.planned and not self.jumps

    def __len__(self) -> int:
        return len(self._stated)

    def _read_all(self, budget: Budget) -> bool:
        """Read all packets; return whether each one has a time, and will be displayed."""
        clear, size, harmed = True, 0, False
        self._durations = array("q")
        self._reading = _read(self._container, self._reading_of)
        ends_early = False
        try:
            for packet in self._reading:
                budget.check_time()
                size += packet.size
                budget.check_packets(len(self) + 1, size)
                header.check_packet(packet)
                harmed = packet.is_corrupt
                clear = clear and not (packet.pts is None or packet.is_discard or packet.has_sidedata("new_extradata"))
                self._stated.append(_tick(packet))
                self._coded.append(_NO_TIME if packet.dts is None else packet.dts)
                self._durations.append(packet.duration or 0)
                self.keys.append(packet.is_keyframe)
                self._sizes.append(packet.size)
                if self._kept is not None and size <= KEPT_BYTES:
                    self._kept.append(packet)
                else:
                    self._kept = None
        except (InvalidDataError, EOFError):  # FFmpeg's is one of Python's, too
            ends_early = True
        except MemoryError:
            raise
        except FFmpegError as error:
            msg = f"the file cannot be read beyond frame {len(self)}: {error.strerror}"
            raise errors.DecodeError(msg) from error
        if self._stated and self._container.format.name == "gif":  # a picture of it ends with an empty block
            last = bytes(packet)[-64:]  # other programs put bytes behind the end of the file
            harmed = last[-1:] not in {b"\0", b";"} and b"\0;" not in last
        self._ends_early = self._is_cut(harmed=harmed, ends_early=ends_early)
        self._next = len(self)  # the place of the packet that is read next
        return clear

    def _is_cut(self, *, harmed: bool, ends_early: bool) -> bool:
        """Tell whether the file is cut off, and leave out the last packet if that is harmed, as it cuts through it."""
        container = self._container
        ends_early = ends_early or harmed or header.is_cut(container.file.file)
        if harmed and not is_joined(container):  # in MPEG-TS and MPEG-PS several packets are cut with one block
            for each in (self._stated, self._coded, self._durations, self.keys, self._sizes):
                each.pop()
            del (self._kept or [])[len(self) :]
        is_mov = container.format.name.startswith("mov")
        listed = len(self.stream.index_entries) if is_mov else self.stream.frames
        self._listed = max(listed, len(self)) if ends_early or is_mov else len(self)
        return ends_early or self._listed > len(self)

    def _may_be_cut(self) -> bool:
        """Tell whether frames may be missing at the end of a file whose container does not count them."""
        name, file = self._container.format.name, self._container.file.file
        if name in {"mpegts", "flv"}:  # varying times have gaps, too
            return header.ends_within_a_packet(file, name)
        return clock_resets(self._container)

    def _without_jumps(self) -> "array[int]":
        """Close the jumps of the clock; return the display times without them, and give them to kept packets."""
        stated, coded = np.array(self._stated), np.array(self._coded)
        coded = np.where(coded == _NO_TIME, stated, coded)
        timed = stated != _NO_TIME
        if np.any(coded == _NO_TIME):
            return self._stated
        resets = clock_resets(self._container)
        base = float(self.stream.time_base or 0)
        ticks, self.jumps = sampling.closed(np.where(timed, stated, coded), coded, base, resets=resets)
        if not self.jumps:
            return self._stated
        shifted = array("q", np.where(timed, ticks, _NO_TIME).tolist())
        for place, packet in enumerate(self._kept or ()):
            self._shift(packet, shifted[place] - self._stated[place])
        return shifted

    @staticmethod
    def _shift(packet: Packet, ticks: int) -> None:
        """Add ticks to the times of a packet that has them."""
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def start_anew(self) -> VideoCodecContext:
        """Return another decoder for the packets, which are read from the start of the file from now on."""
        self.planned = self._seekable = False
        return self._open_anew()[1].codec_context

    def run(self, places: slice) -> Iterator[Packet]:
        """Yield these packets, by their positions in decoding order; the first of them must be a key frame.

        Raises:
            DecodeError: a packet differs from the one that was read first; those yielded before it are right.
        """
        if self._kept is not None:
            yield from self._kept[places]
            return
        try:
            yield from self._read_again(places)
        except FFmpegError as error:
            raise errors.DecodeError(_CHANGED) from error

    def _read_again(self, places: slice) -> Iterator[Packet]:
        reading = self._sought(places.start) if self.planned else self._from_start(places.start)
        for place in range(places.start, places.stop):  # a recording may have grown since
            packet = next(reading, None)
            if packet is None or not self._is(packet, place):
                if not self._seekable:
                    raise errors.DecodeError(_CHANGED)
                reading = self._from_start(place)
                packet = next(reading)
            self._next = place + 1
            self._shift(packet, self.ticks[place] - self._stated[place])
            yield packet

    def _sought(self, key: int) -> Iterator[Packet]:
        """Yield the packets from a key frame on.

        The key frame is reached by reading on, or by a seek to its time or to that of an earlier key frame.
        """
        near = sum(self._sizes[self._next : key]) < NEAR_BYTES
        if self._next <= key and (near or not self._seekable) and (reading := self._read_on(key)):
            return reading
        for tick in self._starts(key) if self._seekable else ():
            self._container.seek(tick, stream=self._reading_of)
            self._reading = _read(self._container, self._reading_of)
            for packet in self._reading:
                if self._is(packet, key):
                    return chain([packet], self._reading)
                if self._place(packet) >= key:  # too far, or a part of it
                    break
        return self._from_start(key)

    def _from_start(self, place: int) -> Iterator[Packet]:
        """Open the file again and read from its start to this packet; from now on do not seek, since a seek failed."""
        self._seekable = False
        self._container, self._reading_of, _ = self._open_anew()
        self._reading, self._next = _read(self._container, self._reading_of), 0
        reading = self._read_on(place)
        if reading is None:
            raise errors.DecodeError(_CHANGED)
        return reading

    def _read_on(self, place: int) -> Iterator[Packet] | None:
        """Read on to this packet and return it with all that follow; None if another packet stands there."""
        packet = next(islice(self._reading, place - self._next, None), None)
        return chain([packet], self._reading) if packet is not None and self._is(packet, place) else None

    def _starts(self, key: int) -> Iterator[int]:
        """Yield times to seek to, each one earlier, and so safer, than the one before."""
        yield self._stated[key]
        if self._coded[key] != _NO_TIME:  # formats that know only these go beyond it for the other
            yield self._coded[key]
        keys = [place for place, is_key in enumerate(self.keys) if is_key]
        at, back = bisect_left(keys, key), 1
        while at > 0:
            at, back = max(0, at - back), back * 2
            yield self._stated[keys[at]]

    def _place(self, packet: Packet) -> int:
        """Return the position of the packet with this time; -1 if there was none at the first reading."""
        tick = _tick(packet)
        number = min(int(np.searchsorted(self._stated, tick, sorter=self._shown)), len(self) - 1)
        place = int(self._shown[number])
        return place if self._stated[place] == tick else -1

    def _is(self, packet: Packet, place: int) -> bool:
        """Tell whether this is the packet that was read first at this position."""
        return _tick(packet) == self._stated[place] and packet.size == self._sizes[place]


def _read(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """Yield the packets of a stream from the current position of its container, without the empty one at the end."""
    for _ in range(_MOST_PAUSES):
        try:
            for packet in container.demux(stream):
                if packet.size:
                    yield packet
        except IndexError:  # a stream that begins in mid-file, which PyAV does not know: go on after its packet
            continue
        except BlockingIOError:  # 64 KiB of MPEG-TS without a packet: recorders fill up what they have reserved
            continue
        return


def _tick(packet: Packet) -> int:
    return _NO_TIME if packet.pts is None else packet.pts


def _tells_frames(container: InputContainer, stream: VideoStream) -> bool:
    """Tell whether in this container and codec every packet is exactly one displayed frame."""
    return (
        container.format.name.split(",")[0] in _PLANNED_FORMATS
        and stream.codec_context.codec.canonical_name in _PLANNED_CODECS
        and stream.codec_context.field_order in {0, 1}  # unknown, progressive
    )
