"""Gives the sound of a video on the clock of its frames, for pages that play a copy of it."""

from collections.abc import Iterator
from fractions import Fraction

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard

from staa_video.clip import Budget, Limits
from staa_video.codecs import SOUND
from staa_video.container import Source, clock_resets, has_clock, opening
from staa_video.plan import Packets

_CODECS = {*SOUND, "alac", "pcm_s16be", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_alaw", "pcm_mulaw"}


def sound(source: Source, start: float, end: float, rate: int, limits: Limits) -> Iterator[AudioFrame]:
    """Yield the sound of [start, end) seconds as stereo floats; nothing if there is none that can be played in time.

    The times of the samples count from `start`. Where sound is damaged, it ends. There is none of codecs that are not
    listed here, and none of a recording whose clock jumps, as sound and frames would part.

    Args:
        source: the same as for `decode`.
        start: seconds, on the clock of the frames: the first frame is at 0.
        end: seconds.
        rate: samples per second of what is yielded.
        limits: what may be spent.

    Raises:
        TooLargeError, NotVideoError, DecodeError, OSError: as `decode` does.
    """
    with opening(source, limits) as open_anew:
        container, pictures, _ = open_anew()
        if clock_resets(container) and Packets(open_anew, Budget(limits)).jumps:
            return
        container, pictures, _ = open_anew()
        track = container.streams.best("audio")
        if not isinstance(track, AudioStream) or not has_clock(container) or pictures.start_time is None:
            return
        if track.codec_context is None or track.codec_context.codec.canonical_name not in _CODECS:
            return
        pictures.discard, track.discard = Discard.all, Discard.default
        zero = float(pictures.start_time * (pictures.time_base or 0)) + start
        yield from _resampled(container, track, zero, end - start, rate)


def _resampled(
    container: InputContainer, track: AudioStream, zero: float, length: float, rate: int
) -> Iterator[AudioFrame]:
    """Yield the samples from `zero` seconds on, for `length` seconds, with times that count from `zero`."""
    resampler, written = AudioResampler("fltp", "stereo", rate), -1
    try:
        if zero > 1:
            container.seek(int((zero - 1) * 1_000_000))
        for frame in container.decode(track):
            if frame.time is None or frame.time - zero + frame.samples / frame.sample_rate <= 0:
                continue
            if frame.time - zero >= length:
                return
            if written < 0:
                written = max(round((frame.time - zero) * rate), 0)
            frame.pts = None
            try:
                resampled = resampler.resample(frame)
            except ValueError:  # its rate or channels change
                return
            for samples in resampled:
                samples.pts, samples.time_base = written, Fraction(1, rate)
                written += samples.samples
                yield samples
    except FFmpegError:
        return
