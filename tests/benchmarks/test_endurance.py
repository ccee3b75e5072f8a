"""The soak judges answers rightly: it knows a wrong one, one of another film, and by what a request was lost."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.endurance import attacks
from benchmarks.endurance.callers import code, nested, verdict
from benchmarks.endurance.films import Film, films
from benchmarks.endurance.served import Served
from benchmarks.endurance.tally import NOTHING, RIGHT, Tally
from benchmarks.report import ROOT
from staa_video import StaaError, decode
from tests.made import hostile


@pytest.fixture(scope="module")
def made() -> list[Film]:
    """Return two films, with their right answers."""
    return films(str(ROOT / "model_store" / "motions"), 2, 1)


def test_an_answer_is_judged(made: list[Film]) -> None:
    """The right answer is right; another one is wrong, and another film's is crossed."""
    one, other = made
    assert verdict([one.maps, other.labels], [one, other], made) == RIGHT
    assert verdict([one.segment], [one], made, segment=True) == RIGHT
    assert verdict([one.segment], [one], made) == "wrong"
    assert verdict([other.maps], [one], made) == "crossed"
    assert verdict([], [one], made) == "wrong"
    moved = replace(one.maps, joint=one.maps.joint[::-1].copy())
    assert verdict([moved], [one], made) == "wrong"


def test_a_loss_is_put_down_to_the_fault_at_work(tmp_path: Path) -> None:
    """A fault that was over before the request was sent is no cause; one of the server goes before a caller's."""
    tally = Tally(tmp_path)
    with tally.fault("worker killed"):
        began = time.monotonic()
    with tally.fault("attack: x"):
        tally.count("raw", "cut", began)
        tally.count("raw", "cut", time.monotonic())
    tally.count("raw", "cut", time.monotonic())
    tally.count("raw", RIGHT, began)
    assert {cause for _, _, cause in tally.outcomes} == {"worker killed", "attack: x", NOTHING}
    assert tally.unexplained() == {"cut (attack: x)": 1, f"cut ({NOTHING})": 1}


def test_what_is_wrong_is_kept(tmp_path: Path) -> None:
    """The bodies of a request that was answered wrongly lie in the folder."""
    Tally(tmp_path).count("raw", "crossed", time.monotonic(), [b"asked", b"came"])
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"asked", b"came"]


def test_a_slope_is_that_of_the_line() -> None:
    """Memory that grows by a megabyte a second grows by 3600 an hour."""
    grown = {"serve": 0.0, "frontend": 0.0, "worker": 0.0, "decoders": 0.0, "nginx": 0.0}
    served = Served(Path(), Path(), [], None, None)  # type: ignore[arg-type]
    served.samples = [{"seconds": float(n), "all": float(n), **grown} for n in range(40)]
    assert served.slope(10)["all"] == pytest.approx(3600)
    assert served.slope(35) == {}


def test_forms_of_replies() -> None:
    """Numbers become lists of a shape; the code of an error is found in both forms."""
    assert nested([1, 2, 3, 4, 5, 6], [3, 2]) == [[1, 2], [3, 4], [5, 6]]
    assert code(b'{"error": {"code": "x"}}') == "x"
    assert code(b'{"code": 503, "type": "ServiceUnavailableException"}') == "ServiceUnavailableException"
    assert code(b"<html>").startswith("b'<html>")


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_hostile_videos_are_what_they_say(kind: str) -> None:
    """Each is made, small, and has an answer or an error of the tree when there is less of it."""
    make = hostile.KINDS[kind]
    few = {hostile.one_packet: (4, 256, 144), hostile.streams: (3, 256), hostile.with_exif: ()}
    function = getattr(make, "func", make)
    source = function(*few.get(function, (40,)))
    assert len(source) < 200_000
    status = 200
    try:
        assert len(decode(source, 4).frames) == 4
    except StaaError as error:
        status = error.status
    assert status < 500


def test_attacks_fit_under_the_limit_of_large_bodies() -> None:
    """The forms are as large as a body may be that does not count as large."""
    assert len(attacks.fields()) <= attacks.LARGE
    assert attacks.parts(2).count(b"form-data") == 2
