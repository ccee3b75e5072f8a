"""What benchmarks keep of each clip comes back, also after a run was cut off."""

import sys
from pathlib import Path

import pytest

from benchmarks.faithfulness import main
from benchmarks.records import Record, Records, by_way

ROOT = Path(__file__).resolve().parents[1]


def test_records_come_back(tmp_path: Path) -> None:
    """The later record of a clip holds; half a line at the end is not there; what follows it is."""
    path = tmp_path / "new/model.jsonl"
    records = Records(path)
    assert records.get(7) is None
    whole = Record(7, right=True, figures={"a": {"x": 0.5}}, curves={"a": [[0.1], [0.2]]}, maps={"a": [[[1.0]]]})
    for each in (Record(7, right=True), Record(8, right=False), whole):
        records.add(each)
    assert records.get(7) == whole
    path.write_bytes(path.read_bytes() + b'\n{"number": 9, "rig')
    Records(path).add(Record(10, right=False))
    again = Records(path)
    assert [again.get(number) for number in (7, 8, 9, 10)] == [
        whole,
        Record(8, right=False),
        None,
        Record(10, right=False),
    ]


def test_a_record_knows_what_it_lacks() -> None:
    """A clip that another run measured with fewer ways, or without curves, is measured again; a wrong label never."""
    record = Record(1, right=True, figures={"a": {}, "b": {}}, curves={"a": []})
    assert not record.lacks(["a", "b"], curves=False, maps=False)
    assert not record.lacks(["a"], curves=True, maps=False)
    assert record.lacks(["a", "b"], curves=True, maps=False)
    assert record.lacks(["a", "c"], curves=False, maps=False)
    assert record.lacks(["a"], curves=False, maps=True)
    assert not Record(1, right=False).lacks(["a"], curves=True, maps=True)


def test_a_record_has_more_than_is_wanted() -> None:
    """Ways are compared clip by clip: what another run measured of single clips only stays away."""
    record = Record(1, right=True, figures={"a": {"x": 1, "y": 2}, "b": {"x": 3}}, curves={"a": [[0.5]], "b": [[0.5]]})
    assert record.only(["a"], ()) == Record(1, right=True, figures={"a": {"x": 1, "y": 2}}, curves={"a": [[0.5]]})
    assert record.only(["a", "b"], ["y"]) == Record(1, right=True, figures={"a": {"x": 1}, "b": {"x": 3}})


def test_figures_by_way() -> None:
    """Values stand in the order of the clips; ways that were not asked for stay away."""
    records = [Record(n, right=True, figures={"a": {"x": n}, **({"b": {"x": -n}} if n < 2 else {})}) for n in (1, 2)]
    assert by_way(records, ["a", "b", "c"]) == {"a": {"x": [1, 2]}, "b": {"x": [-1]}}
    assert by_way(records, ["b"]) == {"b": {"x": [-1]}}


def test_a_run_in_parts_prints_what_one_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs share the clips; then the tables are those of one run, but for the times, and nothing is redone."""
    command = [str(ROOT / "benchmarks/models/vivit"), "--clips", "2", "--curves", "1"]
    command += ["--ways", "staa", "random"]

    def run(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["faithfulness", *command, *options])
        main()
        return "".join(part for part in capsys.readouterr().out.split("\n\n") if "| cost |" not in part)

    keep = ("--keep", str(tmp_path))
    for part in ("2/2", "1/2"):
        assert "pointing" not in run(*keep, "--part", part)
    file = tmp_path / "vivit.jsonl"
    size = file.stat().st_size
    assert run(*keep) == run()
    assert file.stat().st_size == size
