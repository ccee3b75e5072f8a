"""A short run of the harness, what was found once, and that the harness itself finds what it must."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from staa_video.pool import Pool
from tests.fuzz import __main__ as harness
from tests.fuzz import containers, requests
from tests.fuzz.kinds import Check, Finding, Folder, Kind
from tests.fuzz.mutations import CHANGES, mutate, pieces

SECONDS = 5.0
"""Of each kind."""
pytestmark = pytest.mark.filterwarnings("ignore")  # numbers that overflow do not matter here


@pytest.mark.parametrize("name", harness.STATIC)
def test_nothing_is_found(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was a finding once is none, and a few seconds of damaged inputs, other ones each day, find nothing new."""
    kind = harness.STATIC[name]
    outcomes, findings = harness.fuzz(kind, harness.inputs(kind, random.randrange(10**6)), SECONDS, Folder(tmp_path))
    assert not findings, capsys.readouterr().err
    assert outcomes.total() > 20


def test_an_input_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed and number give the same bytes, in every kind and on another day; another number gives others."""
    kinds = [*harness.STATIC.values(), requests.kind()]
    first = [[kind.input(3, number) for number in range(20)] for kind in kinds]
    tomorrow = time.time() + 86400
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert [[kind.input(3, number) for number in range(20)] for kind in kinds] == first
    for inputs in first:
        assert len(set(inputs)) > 10


@pytest.mark.parametrize("name", containers.FORMS)
def test_every_form_has_pieces(name: str) -> None:
    """The structure of each kind of container is found: pieces lie in the file, one behind the other's begin."""
    data = containers.seed(name)
    found = pieces(data)
    assert len(found) > 2
    assert all(0 <= piece.start < piece.end <= len(data) for piece in found)
    if name.startswith(("mp4", "mov", "matroska", "webm", "ts", "avi", "ogg", "ivf", "flv")):
        assert any(piece.end - piece.start != 64 for piece in found[:-1]), "runs of what has no known structure"


def test_every_change_changes() -> None:
    """Each way of damage makes other bytes of a file most of the time, and never fails on short ones."""
    chance, data, other = random.Random(1), containers.seed("mp4 h264"), containers.seed("ts h264")
    for change in CHANGES:
        assert sum(change(chance, data, other) != data for _ in range(20)) > 10
        for short in (b"a", b"moov", b"\0\0\0\x08moov", b"RIFF", b"G" * 189, b"\x1a\x45\xdf\xa3\x80"):
            change(chance, short, short)
    assert mutate(chance, b"", data) == b""


def test_a_finding_is_kept_and_repeated(tmp_path: Path) -> None:
    """A finding lies in the folder with the command that repeats it; the run goes on."""

    def check(data: bytes) -> str:
        if data[0] % 4 == 0:
            raise Finding("it divides by four")
        return "fine"

    @contextmanager
    def opened() -> Iterator[Check]:
        yield check

    kind = Kind("numbers", lambda chance: chance.randbytes(1), opened, lambda: iter([("old", b"\x08")]))
    outcomes, findings = harness.fuzz(kind, harness.inputs(kind, 7), 0.2, Folder(tmp_path))
    assert findings == outcomes["a finding"] > 1
    assert (tmp_path / "numbers-old.bin").read_bytes() == b"\x08"
    kept = next(path for path in tmp_path.glob("numbers-7-*.bin"))
    number = int(kept.stem.split("-")[2])
    assert kind.input(7, number) == kept.read_bytes()
    assert f"--seed 7 --number {number}" in kept.with_suffix(".txt").read_text()


def test_a_wrong_next_answer_is_a_finding() -> None:
    """A process that decodes, and answers the next good video wrongly, does not pass."""

    class Wrong:
        """A pool that gives every good video's frames in the wrong order, once it was given noise."""

        def __init__(self, pool: Pool) -> None:
            self.pool, self.count = pool, 0

        def decode(self, *given: object, **how: object) -> object:
            """Decode, but turn the frames round after the first time."""
            clip = self.pool.decode(*given, **how)  # type: ignore[arg-type]
            self.count += 1
            if self.count > 1:
                clip.frames[:] = clip.frames[::-1].copy()
            return clip

    with Pool(workers=1, limits=containers.LIMITS) as pool:
        check = containers.Decoder(Wrong(pool), containers.Told())  # type: ignore[arg-type]
        assert {check(b"noise %d" % number) for number in range(containers.EVERY - 1)} == {"not_a_video"}
        with pytest.raises(Finding, match="the next good video shows"):
            check(b"noise")


def test_a_whole_request_is_known() -> None:
    """A request whose body is as long as its head says must be answered; one that says more may wait."""
    whole = requests.worded("POST", "/predictions/motions", [], b"abc")
    assert requests.is_complete(whole)
    assert not requests.is_complete(whole[:-1])
    assert not requests.is_complete(whole.replace(b"Connection", b"Transfer-Encoding: chunked\r\nConnection"))
    assert not requests.is_complete(whole[:40])


def test_a_request_without_version_is_known() -> None:
    """A first line of two words alone is HTTP/0.9; a space that is none, or a version, makes it another."""
    whole = requests.worded("POST", "/predictions/motions", [], b"abc")
    assert not requests.has_no_version(whole)
    assert not requests.has_no_version(b"noise")
    assert requests.has_no_version(b"GET /ping\r\n")
    assert requests.has_no_version(whole.replace(b" HTTP/1.1", b"\xa0HTTP/1.1", 1))


def test_other_forms_of_replies_are_findings() -> None:
    """A page of HTML in place of the contract's error is a finding, and so is what is no HTTP."""
    with pytest.raises(Finding, match="another form"):
        requests.Asker._check_form(404, b"<html>no such page</html>")
    requests.Asker._check_form(
        404, b'{"error": {"code": "not_found", "message": "there is no such route: see the page"}}'
    )
    with pytest.raises(Finding, match="no HTTP"):
        requests.parsed(b"\0\1\2")
