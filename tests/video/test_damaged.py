"""Damage: up to a tenth of the frames it is tolerated and told, and whoever decodes the file has the same verdict."""

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from staa_client.video import frames_at, sampled
from staa_video import Clip, StaaError, decode, live
from staa_video.decoder import in_order, opened
from staa_video.errors import DecodeError
from staa_video.film.damage import Damage, Shown, none_of, spread
from tests.made.awkward import film, header_first, number, pictures
from tests.made.videos import encode

NAMES = {"I": Shown(bad=False, key=True, two_way=False), "P": Shown(bad=False, key=False, two_way=False)}
NAMES |= {"B": Shown(bad=False, key=False, two_way=True)}
FILMS: dict[str, Callable[[], bytes]] = {
    "mp4": film,
    "mp4 of one group": lambda: film(options={"g": "30"}),
    "mp4 header first": header_first,
    "fragments": lambda: film(muxing={"movflags": "frag_keyframe+empty_moov"}),
    "mov of jpegs": lambda: film("mov", "mjpeg", pixels="yuvj420p"),
    "hevc": lambda: film("mp4", "libx265", options={"x265-params": "log-level=none:keyint=10"}),
    "ts": lambda: film("mpegts"),
    "ts of mpeg2": lambda: film("mpegts", "mpeg2video", options={"bf": "2"}),
    "matroska": lambda: film("matroska"),
    "webm": lambda: film("webm", "libvpx-vp9"),
    "flv": lambda: film("flv"),
    "avi": lambda: film("avi", "mpeg4", options={"g": "10", "bf": "2"}),
    "disc": lambda: film("mpeg", "mpeg2video"),
    "raw": lambda: film("h264"),
    "gif": lambda: film("gif", "gif", pixels="rgb8"),
}


@cache
def whole(name: str) -> bytes:
    """Make a film once."""
    return FILMS[name]()


def frames(kinds: str, *bad: int) -> list[Shown]:
    """Return frames of these kinds (I, P, B in the order of display), some of them damaged."""
    return [NAMES[kind]._replace(bad=place in bad) for place, kind in enumerate(kinds)]


def reached(kinds: str, *bad: int, lost: tuple[int, ...] = ()) -> str:
    """Say by a cross which frames damage reaches."""
    return "".join("x" if hit else "." for hit in spread(frames(kinds, *bad), lost).reached)


def test_damage_reaches_what_depends_on_it() -> None:
    """A frame of both directions harms those beside it, another one all up to the next key frame."""
    assert reached("IBBPBBPI", 3) == ".xxxxxx."
    assert reached("IBBPBBPI", 1) == ".xx....."
    assert reached("IIIII", 2) == "..x.."
    assert reached("IPPPIPP", 0) == "xxxx..."
    assert reached("IPPPIPP", lost=(2,)) == "..xx..."
    assert spread(frames("IPPP"), [1]).count == 1


def test_stand_ins_are_near_and_undamaged() -> None:
    """Damaged frames are replaced by their neighbours, but by none that is nearer to another chosen frame."""
    hurt = none_of(60)
    chosen = np.arange(0, 60, 6)
    np.testing.assert_array_equal(none_of(60).stand_ins(chosen, 0, 59), chosen)
    for place in (12, 13, 14, 30, 31, 32, 33, 34, 35, 36, 37, 38):
        hurt.reached[place] = True
    hurt.bad[30] = hurt.missing[30] = True
    found = hurt.stand_ins(chosen, 0, 59)
    assert found.tolist() == [0, 6, 11, 18, 24, 29, 39, 42, 48, 54]
    hurt.reached[24:43] = True
    hurt.missing[30:33] = True
    assert hurt.stand_ins(chosen, 0, 59).tolist() == [0, 6, 11, 18, 23, 29, 36, 43, 48, 54]
    with pytest.raises(DecodeError, match="frames from 30 to 32 are damaged"):
        hurt.stand_ins(np.array([30, 32]), 30, 32)


def test_more_than_a_tenth_is_too_much() -> None:
    """Six of sixty damaged frames are taken, a seventh is not; frames that only depend on them do not count."""
    marks = np.zeros(60, bool)
    marks[:6] = True
    everything = np.ones(60, bool)
    assert len(Damage(marks, ~everything, everything).stand_ins(np.array([0, 59]), 0, 59)) == 2
    with pytest.raises(DecodeError, match="7 of 61 frames are damaged, at most 10%"):
        Damage(marks, ~everything, everything, 1).stand_ins(np.array([0, 59]), 0, 59)


def without(source: bytes, share: float, size: int = 40) -> bytes:
    """Overwrite the middle of a group of JPEGs in a MOV, beginning at a share of them."""
    at = round(len(source) * share)
    start = source.index(b"\xff\xda", at) + 20
    return source[:start] + b"\xff\xd9" * (size // 2) + source[start + size :]


def test_one_damaged_picture_of_thirty_is_told() -> None:
    """The clip holds its neighbour, all others are themselves, and the note says how many are damaged."""
    clip = decode(without(whole("mov of jpegs"), 0.5), 30)
    assert clip.notes == ("1 of 30 frames damaged",)
    assert len(set(clip.indices.tolist())) == 29
    assert [number(image) for image in clip.frames] == clip.indices.tolist()


def test_frames_without_damage_are_taken_without_a_word() -> None:
    """Nothing is told of what need not be decoded: the share is of the frames that were."""
    source = without(whole("mov of jpegs"), 0.5)
    assert decode(source, 2).notes == ()
    assert decode(source, 3, 0.0, 0.4).notes == ()


@pytest.mark.parametrize("share", [0.35, 0.5, 0.72, 0.9, 0.99])
@pytest.mark.parametrize("name", FILMS)
def test_what_is_there_of_a_cut_file_is_taken(name: str, share: float) -> None:
    """Cut behind its header, a file gives the frames that play, numbered as before, and most containers tell of it."""
    source = whole(name)
    clip = verdict(lambda: decode(source[: round(len(source) * share)], 64))
    if isinstance(clip, str):
        assert "cut off" in clip
        return
    last = int(clip.indices[-1])
    assert last < 30
    wrong = [number(image) - index for image, index in zip(clip.frames, clip.indices.tolist(), strict=True)]
    assert not any(wrong[: clip.indices.tolist().index(last)])  # the last one may be cut itself
    if name not in {"ts", "ts of mpeg2", "disc", "flv", "raw", "gif"}:  # which do not say how long they are
        assert clip.notes[0].startswith(f"the file is cut off after frame {last + 1}")


def verdict(ask: Callable[[], Clip]) -> Clip | str:
    """Return a clip, or why there is none."""
    try:
        return ask()
    except (StaaError, ValueError) as error:
        return str(error)


def hurt(source: bytes, rng: random.Random) -> bytes:
    """Overwrite, empty, cut, drop or turn some bytes."""
    harmed, at, size = bytearray(source), rng.randrange(len(source) // 10, len(source)), rng.choice([1, 12, 188, 400])
    size = min(size, len(source) - at)
    match rng.randrange(5):
        case 0:
            harmed[at : at + size] = rng.randbytes(size)
        case 1:
            harmed[at : at + size] = bytes(size)
        case 2:
            del harmed[at:]
        case 3:
            del harmed[at : at + size]
        case _:
            for _ in range(5):
                harmed[rng.randrange(len(source) // 10, len(source))] ^= 1 << rng.randrange(8)
    return bytes(harmed)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", FILMS)
def test_all_have_one_verdict_of_a_damaged_file(name: str, seed: int, tmp_path: Path) -> None:
    """Server and client take it or refuse it for the same reason; what was taken can be drawn, in order and live."""
    source = hurt(whole(name), random.Random(f"{name} {seed}"))
    path = tmp_path / "film"
    path.write_bytes(source)
    clip = verdict(lambda: decode(source, 8))
    if isinstance(clip, str):
        with pytest.raises(ValueError, match=r"\w") as caught:
            sampled(path, 8, lambda height, width: (height, width))
        assert clip in str(caught.value)
        return
    found = sampled(path, 8, lambda height, width: (height, width))
    np.testing.assert_array_equal(found.indices, clip.indices)
    np.testing.assert_array_equal(found.images, clip.frames)
    assert found.notes == clip.notes
    assert len(frames_at(path, clip.indices)) == 8
    first, last = int(clip.indices[0]), int(clip.indices[-1])
    drawn = list(in_order(path, first, last, lambda size: size))
    assert clip.seconds[0] <= drawn[0][0] <= drawn[-1][0] <= clip.seconds[-1]
    with live.opened("file", str(path)) as film_opened:
        assert sum(1 for _ in live.pictures(film_opened, lambda size: size, "AUTO")) > 0


def test_a_clean_film_is_decoded_no_further() -> None:
    """Looking for damage costs nothing where there is none: the end of each group stays undecoded."""
    with opened(encode(pictures(60), rate=25, options={"g": "20", "bf": "0", "sc_threshold": "0"})) as video:
        assert [at for at, _ in video.pictures([20, 41])] == [20, 41]
        assert video.decoded == 3
