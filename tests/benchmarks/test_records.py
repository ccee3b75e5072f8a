"""What benchmarks keep of each clip comes back, also after a run was cut off."""

from pathlib import Path

import pytest

from benchmarks.faithfulness.records import Record, Records, by_way
from benchmarks.faithfulness.run import main, paired

ROOT = Path(__file__).resolve().parents[2]
SUBJECT = {"weights": "ab", "figures": "1"}


def test_records_come_back(tmp_path: Path) -> None:
    """The later record of a clip holds; half a line at the end is not there; what follows it is."""
    path = tmp_path / "new/model.jsonl"
    records = Records(path, SUBJECT)
    assert records.get(7) is None
    whole = Record(7, right=True, figures={"a": {"x": 0.5}}, curves={"a": [[0.1], [0.2]]}, maps={"a": [[[1.0]]]})
    for each in (Record(7, right=True), Record(8, right=False), whole):
        records.add(each)
    assert records.get(7) == whole
    path.write_bytes(path.read_bytes() + b'\n{"number": 9, "rig')
    Records(path, SUBJECT).add(Record(10, right=False))
    again = Records(path, SUBJECT)
    assert [again.get(number) for number in (7, 8, 9, 10)] == [
        whole,
        Record(8, right=False),
        None,
        Record(10, right=False),
    ]


def test_records_of_other_weights_are_not_gone_on_with(tmp_path: Path) -> None:
    """A folder's name says little: what was measured with other weights, methods or figures stays apart."""
    path = tmp_path / "model.jsonl"
    Records(path, SUBJECT).add(Record(1, right=False))
    with pytest.raises(SystemExit, match="another folder"):
        Records(path, SUBJECT | {"weights": "cd"})
    assert Records(path, SUBJECT).get(1) == Record(1, right=False)
    path.write_bytes(b"\n".join(path.read_bytes().splitlines()[2:]))
    with pytest.raises(SystemExit, match="about None"):
        Records(path, SUBJECT)


def test_a_record_knows_what_it_lacks() -> None:
    """A clip that another run measured with fewer ways, or without curves, gets those; a wrong label nothing."""
    record = Record(1, right=True, figures={"a": {}, "b": {}}, curves={"a": []})
    assert record.missing(["a", "b"], curves=False, maps=False) == []
    assert record.missing(["a"], curves=True, maps=False) == []
    assert record.missing(["a", "b"], curves=True, maps=False) == ["b"]
    assert record.missing(["a", "c"], curves=False, maps=False) == ["c"]
    assert record.missing(["a"], curves=False, maps=True) == ["a"]
    assert Record(1, right=False).missing(["a"], curves=True, maps=True) == []


def test_a_record_has_more_than_is_wanted() -> None:
    """Ways are compared clip by clip: what another run measured of single clips only stays away."""
    figures, curves, maps = {"a": {"x": 1.0, "y": 2.0}, "b": {"x": 3.0}}, {"a": [[0.5]], "b": [[0.5]]}, {"b": [[[1.0]]]}
    record = Record(1, right=True, figures=figures, curves=curves, maps=maps)
    assert record.only(["a"], ()) == Record(1, right=True, figures={"a": {"x": 1, "y": 2}}, curves={"a": [[0.5]]})
    assert record.only(["a", "b"], ["y"]) == Record(1, right=True, figures={"a": {"x": 1}, "b": {"x": 3}}, maps=maps)


def test_figures_by_way() -> None:
    """Each value has its clip; ways that were not asked for stay away."""
    records = [Record(n, right=True, figures={"a": {"x": n}, **({"b": {"x": -n}} if n < 2 else {})}) for n in (1, 2)]
    assert by_way(records, ["a", "b", "c"]) == {"a": {"x": {1: 1, 2: 2}}, "b": {"x": {1: -1}}}
    assert by_way(records, ["b"]) == {"b": {"x": {1: -1}}}


def test_pairs_are_of_the_same_clip(capsys: pytest.CaptureFixture[str]) -> None:
    """Where ways were measured on different clips, only those of both are compared; bold is what leaves 0 outside."""
    ours = {"pointing": {1: 0.0, 2: 1.0, 3: 1.0}}
    paired({"staa": ours, "other": {"pointing": {2: 0.75, 3: 0.75, 4: 9.0}}, "same": ours}, "staa")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("| other | 3 / 0 | **+0.250 (+0.250 to +0.250)** |")
    assert lines[-1].startswith("| same | 3 / 0 | +0.000 (+0.000 to +0.000) |")


def test_a_run_in_parts_prints_what_one_run_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs share the clips; then the tables are those of one run, but for the times, and nothing is redone."""
    command = [str(ROOT / "benchmarks/models/vivit"), "--clips", "2", "--curves", "1", "--slow", "2"]
    command += ["--samples", "20", "10", "--threads", "1", "--ways", "staa", "random", "LIME", "object"]

    def run(*options: str) -> str:
        main([*command, *options])
        return "".join(part for part in capsys.readouterr().out.split("\n\n") if "| cost |" not in part)

    keep = ("--keep", str(tmp_path))
    for part in ("2/2", "1/2"):
        assert "pointing" not in run(*keep, "--part", part)
    file = tmp_path / "vivit.jsonl"
    size = file.stat().st_size
    assert run(*keep) == run()
    assert file.stat().st_size == size
