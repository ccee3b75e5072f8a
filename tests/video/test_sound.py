"""The sound of a video, on the clock of its frames."""

import io
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from staa_video import LIMITS
from staa_video.film.sound import sound
from tests.made.videos import beeping, encode, images


def heard(video: bytes, start: float, end: float) -> NDArray[np.float32]:
    """Return the samples of the left channel, each at its place: 1000 a second."""
    samples = np.zeros(round((end - start) * 1000) + 2000, np.float32)
    for frame in sound(video, start, end, 1000, LIMITS):
        assert (frame.format.name, frame.layout.name, frame.sample_rate) == ("fltp", "stereo", 1000)
        samples[frame.pts or 0 :][: frame.samples] = frame.to_ndarray()[0]
    return samples


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "aac"), ("matroska", "libopus"), ("mov", "pcm_s16le"), ("mpegts", "mp2"), ("avi", "mp2")],
)
def test_a_beep_is_heard_at_its_second(container: str, codec: str) -> None:
    """In every container the sound of a segment begins where the segment does."""
    video = beeping(at=1.0, container=container, codec=codec)
    for start in (0.0, 0.7):
        loud = np.flatnonzero(np.abs(heard(video, start, 2.0)) > 0.1) / 1000 + start
        assert loud[0] == pytest.approx(1.0, abs=0.06)
        assert loud[-1] == pytest.approx(1.2, abs=0.06)


def test_there_may_be_none() -> None:
    """Of a video without sound nothing comes, nor of a segment that ends before it."""
    assert list(sound(encode(images(10)), 0, 1, 48_000, LIMITS)) == []
    assert list(sound(beeping(), 5, 6, 48_000, LIMITS)) == []


def joined(parts: list[bytes]) -> bytes:
    """Return recordings of 2 s one behind the other, on one clock."""
    target = io.BytesIO()
    with av.open(target, "w", format="mpegts") as output:
        streams: list[Any] = []
        for number, part in enumerate(parts):
            with av.open(io.BytesIO(part), "r") as recording:
                streams = streams or [output.add_stream_from_template(stream) for stream in recording.streams]
                for packet in recording.demux():
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + number * 180_000, packet.dts + number * 180_000
                        packet.stream = streams[packet.stream.index]
                        output.mux(packet)
    return target.getvalue()


def test_sound_that_changes_ends_there() -> None:
    """Where the rate of the samples changes, as between two programmes of a recording, what came before is kept."""
    parts = [beeping(container="mpegts", codec="mp2", hertz=hertz) for hertz in (48_000, 32_000)]
    first = sum(frame.samples for frame in sound(parts[0], 0, 2, 48_000, LIMITS))
    both = sum(frame.samples for frame in sound(joined(parts), 0, 4, 48_000, LIMITS))
    assert 0.9 * first < both < 1.2 * first


def test_damaged_sound_ends() -> None:
    """Where a file is cut off, the sound that is there comes, and no error."""
    whole = beeping(container="mpegts", codec="mp2")
    samples = sum(frame.samples for frame in sound(whole, 0, 2, 48_000, LIMITS))
    cut = sum(frame.samples for frame in sound(whole[: len(whole) // 2], 0, 2, 48_000, LIMITS))
    assert 0 <= cut < samples
