"""Gives the frames of an open video by their numbers, and says when each is displayed and what is damaged."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import accumulate, chain
from typing import TypeVar

import numpy as np
from av.error import FFmpegError
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

from staa_video import errors, picture, sampling
from staa_video.clip import IN_THE_CLIENT, Budget, Limits
from staa_video.codecs import check_scans, parts_of
from staa_video.container import Open, undecodable
from staa_video.film import damage
from staa_video.film.damage import Damage, Shown
from staa_video.picture import Image
from staa_video.plan import FEW_PIXELS, Packet, Packets

T = TypeVar("T")
Numbered = Iterator[tuple[int, VideoFrame, picture.Matrix]]
"""(number, frame, display matrix of the frame), in ascending order of the numbers."""
_TWO_WAY = {PictureType.B, PictureType.BI}
_DROPPING_CODECS = {"h264", "hevc"}  # they leave out frames whose references are missing, without an error


class Video:
    """Reads frames of an open video by their numbers.

    Args:
        open_anew: opens the video at its start; may be called more than once.
        limits: what may be spent on it.

    Raises:
        TooLargeError, NotVideoError, DecodeError: as `decode` does.
    """

    seconds: NDArray[np.float64]
    """(N,) ascending time of each frame; the first is 0."""
    fps: float
    """Mean frame rate, frames per second."""
    duration: float
    """Seconds from the first frame to the end of the last."""
    damage: Damage
    """What is wrong with the frames; where packets tell them, it is seen only once a damaged one is met."""
    planned: bool
    """Whether the packets tell the numbers and times of the frames; if not, all frames were decoded to count them."""
    shape: picture.Shape
    """What the file says of the shape of its pictures."""
    size: tuple[int, int]
    """(width, height) of the pictures as they are displayed; (0, 0) before the first."""
    decoded: int
    """How many frames the decoder has given so far, wanted or not."""

    def __init__(self, open_anew: Open, limits: Limits) -> None:
        self.decoded = 0
        self._budget = Budget(limits)
        self._packets = Packets(open_anew, self._budget)
        self._stream, self.shape = self._packets.stream, self._packets.shape
        self.size: tuple[int, int] = (0, 0)
        self._picture_notes: tuple[str, ...] = ()
        self._context = self._stream.codec_context
        few = self._context.width * self._context.height <= FEW_PIXELS
        self._context.thread_type, self._context.thread_count = "AUTO", 1 if few else int(limits.threads)
        self._budget.check_pixels(self._context.width, self._context.height)
        self._parts = parts_of(self._stream)
        self._failed_after: list[int] | None = None  # how many frames had come before each packet that failed
        self._is_slowed = False
        self._reason = ""  # why the last of them failed
        self._ticks: Sequence[int | None] = self._packets.display
        self.damage = damage.none_of(len(self._ticks))
        self.planned = self._packets.planned
        if self.planned:
            self._tell_time()
        else:
            self.survey()

    def survey(self) -> None:
        """Decode all frames, to count them and to see which are damaged; set the times, rate and duration anew.

        Where packets tell the times, and some frames are damaged or missing, those of the packets stay: so a frame has
        one number, whether damage was met before it or not.
        """
        planned, self.planned = self.planned, False
        ticks, frames, lost = self._looked_at()
        missing = planned and len(ticks) < len(self._ticks)
        if lost or missing or any(frame.bad for frame in frames):  # several threads tell of it by chance: look with one
            self._context = self._packets.start_anew()
            self._context.thread_count = 1
            ticks, frames, lost = self._looked_at()
        if not ticks and lost:
            count = len(self._packets)
            raise errors.DecodeError(f"none of {count} frames can be decoded ({self._reason}): encode it as H.264")
        self._shown, self._numbers = ticks, [*range(len(ticks))]  # -1 for what comes too late to be shown
        lost = [place for place in lost if place]  # a recording may start between two key frames
        if planned and self._keeps_plan(harmed=bool(lost) or any(frame.bad for frame in frames)):
            number_of = {tick: number for number, tick in enumerate(self._ticks)}
            keys = dict(zip(self._packets.ticks, self._packets.keys, strict=True))
            whole = [Shown(bad=True, key=keys[tick], two_way=False, missing=True) for tick in self._packets.display]
            numbers = [number_of[tick] for tick in ticks]
            latest = [-1, *accumulate(numbers, max)]
            self._numbers = [number if number > top else -1 for number, top in zip(numbers, latest, strict=False)]
            for number, shown in zip(self._numbers, frames, strict=True):
                if number >= 0:
                    whole[number] = shown
            self.damage = damage.spread(whole)
        else:
            self.damage, self._ticks = damage.spread(frames, lost), ticks
        self._tell_time()

    def _looked_at(self) -> tuple[list[int | None], list[Shown], list[int]]:
        """Decode all frames; return their ticks, what is to be said of them, and before which a packet failed."""
        self._failed_after = []
        ticks, frames = [], []
        for frame in self._decoded([slice(0, len(self._packets))]):
            ticks.append(frame.pts)
            frames.append(Shown(frame.is_corrupt, frame.key_frame, frame.pict_type in _TWO_WAY))
        return ticks, frames, self._failed_after

    def _tell_time(self) -> None:
        rates = self._stream.average_rate, self._stream.guessed_rate
        base = float(self._stream.time_base or 0)
        ticks = self._ticks if self._packets.timed else [None] * len(self._ticks)
        self.seconds, self.fps, self.duration = sampling.timeline(ticks, base, self._packets.last, *rates)
        if self._packets.animated and len(self.seconds):
            seconds, duration = sampling.slowed(self.seconds, self.duration)
            self._is_slowed = duration > self.duration + sampling.EPSILON
            if self._is_slowed:
                self.seconds, self.duration, self.fps = seconds, duration, len(seconds) / duration

    def _keeps_plan(self, *, harmed: bool) -> bool:
        """Tell whether the decoded frames are those that packets told, but for some that damage took away."""
        shown = set(self._shown)
        if len(shown) < len(self._shown) or not shown.issubset(self._ticks):
            return False
        skipped = len(self._ticks) - len(shown)
        codec = self._context.codec.canonical_name
        return harmed or (codec in _DROPPING_CODECS and skipped <= damage.MOST_SKIPPED * len(self._ticks))

    @property
    def notes(self) -> list[str]:
        """Return what was done to pictures and times, and what is wrong with the source, a sentence each."""
        slowed = "pictures of less than 20 ms are displayed for 100 ms, as in browsers" if self._is_slowed else ""
        told = [slowed, sampling.in_words(self._packets.jumps), self._packets.cut, self.damage.in_words]
        return [*self._picture_notes, *(note for note in told if note)]

    def check_duration(self) -> None:
        """Raise TooLongError if the video is longer than allowed."""
        most = self._budget.limits.duration
        if self.duration <= most:
            return
        gaps = np.diff(self.seconds, append=self.duration)
        longest = int(np.argmax(gaps))
        msg = f"the video lasts {self.duration:.1f} s, at most {most:g} s are taken, whatever its start and end: "
        if self.duration - gaps[longest] <= most and gaps[longest] > sampling.JUMP_SPACINGS * np.median(gaps):
            msg += f"its clock jumps by {gaps[longest]:.1f} s after {self.seconds[longest]:.1f} s; "
        raise errors.TooLongError(f"{msg}cut it{IN_THE_CLIENT}")

    def planned_or_surveyed(self, use: Callable[["Video"], T]) -> T:
        """Call `use` with this video; if the frames differ from what the packets told, survey them and call it anew."""
        if self.planned:
            try:
                return use(self)
            except errors.DecodeError as error:
                if isinstance(error, errors.NoFramesError):
                    raise
            with undecodable():
                self.survey()
        return use(self)

    def pictures(self, numbers: Collection[int], *, smaller: bool = False) -> Iterator[tuple[int, Image]]:
        """Yield the frames with these numbers, ascending, each (H, W, 3) RGB.

        All have the size and rotation of the first one: a frame of another size is scaled, a later rotation is ignored.

        Args:
            numbers: the numbers of the frames.
            smaller: whether large pictures whose colours are converted may be smaller than `size`, which is faster.

        Raises:
            DecodeError: one of them cannot be decoded.
        """
        missing = set(numbers)
        scaler = picture.Scaler(shape=self.shape, smaller=smaller)
        for number, frame, matrix in self.frames(numbers):
            image = scaler(frame, matrix)
            self.size, self._picture_notes = scaler.source, scaler.notes
            yield number, image
            missing.remove(number)
        if missing:
            raise errors.DecodeError(self._cannot(min(missing)))

    def frames(self, numbers: Collection[int]) -> Numbered:
        """Decode the frames with these numbers, ascending, damaged or not.

        Raises:
            DecodeError: the last of them cannot be decoded, or the decoder gives other frames than the packets told, or
                than it gave when all frames were counted.
        """
        wanted, last = set(numbers), max(numbers)
        matrix: picture.Matrix = None
        for number, frame in self._by_plan(wanted) if self.planned else self._by_count():
            if frame.key_frame or number in wanted:
                matrix = picture.matrix(frame) or matrix  # it holds until there is another
            if number in wanted:
                yield number, frame, matrix
            if number >= last:
                return
        raise errors.DecodeError(self._cannot(last))

    def _cannot(self, number: int) -> str:
        return f"frame {number} of {len(self.seconds)} cannot be decoded: send a video that plays to its end"

    def _by_plan(self, numbers: Collection[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Decode only the packets that the frames with these numbers depend on: (number, frame), ascending."""
        display = self._packets.display
        wanted = {display[number] for number in numbers}
        number_of = {tick: number for number, tick in enumerate(display)}
        runs = sampling.runs(self._packets.ticks, self._packets.keys, wanted)
        previous = -1
        for frame in self._decoded(runs, wanted):
            if frame.pts is None or frame.pts not in number_of:
                raise errors.DecodeError("a frame was displayed that no packet announced")
            if frame.is_corrupt:  # which others are is not always told of the last frames of a run
                raise errors.DecodeError("a frame is damaged on the way to a wanted one")
            if number_of[frame.pts] > previous:  # what leads the key frame of a run belongs to the run before
                previous = number_of[frame.pts]
                yield previous, frame

    def _by_count(self) -> Iterator[tuple[int, VideoFrame]]:
        """Decode all frames again: (number, frame); raise DecodeError if they differ from those that were counted."""
        for place, frame in enumerate(self._decoded([slice(0, len(self._packets))])):
            if place >= len(self._shown) or frame.pts != self._shown[place]:
                raise errors.DecodeError("the video decodes differently each time: send it in another encoding")
            if self._numbers[place] >= 0:
                yield self._numbers[place], frame

    def _decoded(self, runs: Sequence[slice], wanted: Collection[int] = ()) -> Iterator[VideoFrame]:
        """Decode runs of packets, each of which starts with a key frame.

        If `wanted` holds display times, frames with other times may be missing.
        """
        self._budget.check_frames(sum(run.stop - run.start for run in runs))
        shown = 0
        for run in runs:
            self._context.flush_buffers()
            for packet in chain(self._fed(run, wanted, shown), [None]):
                self._budget.check_time()
                for frame in self._decoded_packet(packet, shown):
                    if (frame.pts or 0) > self._packets.end:
                        continue
                    self._budget.check_pixels(frame.width, frame.height)
                    shown += 1
                    self._budget.check_frames(shown)
                    self.decoded += 1
                    yield frame

    def _fed(self, run: slice, wanted: Collection[int], shown: int) -> Iterator[Packet]:
        """Yield the packets of a run, and tell the decoder before each whether it may skip it."""
        codec = self._context.codec.canonical_name
        # In HEVC a frame that is no reference in its own layer may be one for the next: only H.264 can leave them out.
        skips = bool(wanted) and codec == "h264"
        for packet in self._packets.run(run):
            self._context.skip_frame = "NONREF" if skips and packet.pts not in wanted else "DEFAULT"
            if codec == "mjpeg":
                check_scans(bytes(packet), f"frame {shown} of the video")
            yield packet

    def _decoded_packet(self, packet: "Packet | None", shown: int) -> Iterator[VideoFrame]:
        """Decode one packet; None gives the frames that are left at the end.

        A packet that cannot be decoded is left out before the first frame, and where all frames are looked at.
        """
        try:
            for part in self._parts(packet):
                self._budget.check_time()
                yield from self._context.decode(part)
        except MemoryError:
            raise
        except FFmpegError as error:
            self._reason = error.strerror or str(error)
            if self._failed_after is not None:
                self._failed_after.append(shown)
                return
            if not shown:  # a recording may start between two key frames
                return
            msg = f"the video cannot be decoded beyond frame {shown}: {error.strerror}"
            raise errors.DecodeError(msg) from error
