"""Every frame of an awkward video is itself, whoever asks for it and how: its picture shows its number."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from staa_video import StaaError, decode, live
from staa_video.decoder import in_order, opened, pictures
from tests.made import awkward
from tests.made.awkward import CASES, TABLE, Awkward
from tests.made.formats import FORMATS

ALL = TABLE | FORMATS | CASES
TAKEN = {name: case for name, case in ALL.items() if not case.refused}
REFUSED = {name: case for name, case in ALL.items() if case.refused}


@pytest.fixture(scope="module", params=TAKEN)
def video(request: pytest.FixtureRequest) -> tuple[Awkward, bytes]:
    """A video that is taken."""
    case = TAKEN[request.param]
    return case, case.make()


def shown(case: Awkward, images: Iterator[np.ndarray] | list[np.ndarray]) -> list[int]:
    """Read the numbers that pictures of a case show."""
    return [awkward.number(image, case.matrix) for image in images]


def test_a_clip_holds_the_frames_of_its_numbers(video: tuple[Awkward, bytes]) -> None:
    """Few frames and more than there are: each is that of its number, in the size of the first."""
    case, source = video
    for wanted in (5, 40):
        clip = decode(source, wanted)
        assert shown(case, list(clip.frames)) == [case.shows[i] for i in clip.indices]
        assert wanted > len(case.shows) or clip.indices[-1] == len(case.shows) - 1
        assert clip.source == case.size
        assert clip.duration == pytest.approx(case.duration)
        assert len(clip.notes) == len(case.notes)
        assert all(note.startswith(begin) for note, begin in zip(clip.notes, case.notes, strict=True)), clip.notes


def test_frames_by_number_are_those_of_the_clip(video: tuple[Awkward, bytes]) -> None:
    """Alone or with others, a frame has the same pixels."""
    case, source = video
    clip = decode(source, 5)
    together = pictures(source, clip.indices.tolist())
    for image, number in zip(clip.frames, clip.indices.tolist(), strict=True):
        np.testing.assert_array_equal(together[number], image)
    assert shown(case, list(pictures(source, [4]).values())) == [case.shows[4]]
    with pytest.raises(StaaError, match="no frame 900"):
        pictures(source, [4, 900])


def test_all_frames_come_once_in_their_order(video: tuple[Awkward, bytes]) -> None:
    """A part of the video is drawn frame by frame, evenly, and at a lower rate fewer of them."""
    case, source = video
    with opened(source) as film:
        seconds = film.seconds
    last = min(12, len(seconds) - 1)
    drawn = list(in_order(source, 2, last, lambda size: (size[0] // 2, size[1] // 2)))
    assert shown(case, [image for _, image in drawn]) == list(case.shows[2 : last + 1])
    np.testing.assert_allclose([second for second, _ in drawn], seconds[2 : last + 1])
    assert drawn[0][1].shape == (case.size[1] // 2, case.size[0] // 2, 3)
    fewer = [second for second, _ in in_order(source, 0, last, lambda size: size, rate=4.0)]
    assert np.diff(fewer).min() >= 0.2 - 1e-9
    assert len(fewer) <= last or np.diff(seconds).min() > 0.25
    more = [second for second, _ in in_order(source, 0, last, lambda size: size, rate=4.0, always=(1, last))]
    np.testing.assert_allclose(more, sorted({*fewer, seconds[1], seconds[last]}))


def test_a_live_source_shows_the_same(video: tuple[Awkward, bytes], tmp_path: Path) -> None:
    """Read as it comes, a file gives the same frames, at times that ascend."""
    case, source = video
    (tmp_path / "film").write_bytes(source)
    with live.opened("file", str(tmp_path / "film")) as film:
        seen = list(live.pictures(film, lambda size: size, "AUTO"))
    numbers = shown(case, [picture.image for picture in seen])
    if any("cut off" in note for note in case.notes):  # what comes after a gap at the cut has no number in a clip
        numbers = numbers[: len(case.shows)]
    assert numbers == list(case.shows)
    assert {picture.size for picture in seen} == {case.size}
    spacing = np.diff([picture.seconds for picture in seen]).min()
    assert spacing > 0 or (spacing == 0 and case is FORMATS["times_twice"])


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_by_all(name: str, tmp_path: Path) -> None:
    """A clip, frames by number and frames in order have the same error; from a file, too."""
    source = REFUSED[name].make()
    (tmp_path / "film").write_bytes(source)
    for given in (source, tmp_path / "film"):
        for ask in (
            lambda given: decode(given, 30),
            lambda given: pictures(given, range(30)),
            lambda given: list(in_order(given, 0, 29, lambda size: size)),
        )[: 2 if name == "damaged" else 3]:  # a movie leaves damaged frames out, however many
            with pytest.raises(StaaError) as caught:
                ask(given)
            assert caught.value.code == REFUSED[name].refused


def test_start_and_end_count_on_the_closed_clock() -> None:
    """A second after a jump of an hour is the second after the frames before it, wherever the jump is."""
    source = awkward.jumping("mpegts", seconds=3600)
    clip = decode(source, 5, 0.8, 1.0)
    assert clip.indices.tolist() == [20, 21, 22, 23, 24]
    np.testing.assert_allclose(clip.seconds, np.arange(20, 25) / 25)
    assert decode(source, 2, 0.4, 0.8).indices.tolist() == [10, 19]


def test_a_pipe_is_read_to_its_end() -> None:
    """What cannot be sought is kept in memory while it is decoded."""
    source = awkward.film()
    out, into = os.pipe()
    with os.fdopen(into, "wb") as writer, os.fdopen(out, "rb") as reader:
        writer.write(source)
        writer.close()
        assert decode(reader, 3).indices.tolist() == [0, 14, 29]


def test_data_that_pyav_does_not_know_is_no_hindrance() -> None:
    """EXIF in the pictures of a camera's Motion JPEG is left where it is, and they lie as it says."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    marker = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    plain = awkward.film("avi", "mjpeg", pixels="yuvj420p")
    source = awkward.exchanged_pictures(plain, lambda jpeg: jpeg[:2] + marker + jpeg[2:])
    clip = decode(source, 3)
    assert clip.source == (120, 160)
    assert [awkward.number(image, (0, 1, -1, 0)) for image in clip.frames] == [0, 14, 29]


def test_scans_without_end_are_refused_before_they_are_decoded() -> None:
    """A picture of a Motion JPEG with two thousand empty scans is refused for them, whatever it begins with."""
    with pytest.raises(StaaError, match="more than 64 scans"):
        decode(TABLE["scans_without_end"].make(), 3)
