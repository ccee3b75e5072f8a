"""What benchmarks keep of each clip comes back, also after a run was cut off."""

from pathlib import Path

import pytest

from benchmarks.faithfulness import figures, tables
from benchmarks.faithfulness.records import Record, Records, load
from benchmarks.faithfulness.run import main

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
    with pytest.raises(SystemExit, match="does not say"):
        Records(path, SUBJECT)


def test_a_record_knows_what_it_lacks() -> None:
    """A clip that another run measured with fewer ways, figures or maps gets those; a wrong label nothing."""
    record = Record(1, right=True, figures={"a": {"x": 1.0}, "b": {}})
    assert record.missing(["a", "b"]) == []
    assert record.missing(["a", "b"], ["x"]) == ["b"]
    assert record.missing(["a", "c"], ["x"]) == ["c"]
    assert record.missing(["a"], ["x", "y"]) == ["a"]
    assert record.missing(["a"], maps=True) == ["a"]
    assert Record(1, right=False).missing(["a"], ["x"], maps=True) == []


def test_two_runs_of_different_things_in_one_file_are_found(tmp_path: Path) -> None:
    """Processes that began at once may both write the first line, and it must be the same."""
    path = tmp_path / "model.jsonl"
    Records(path, SUBJECT, "here").add(Record(1, right=False))
    path.write_bytes(path.read_bytes() * 2)
    assert load(path) == ({"subject": SUBJECT, "machine": "here"}, {1: Record(1, right=False)})
    other = tmp_path / "other.jsonl"
    Records(other, SUBJECT | {"weights": "cd"})
    path.write_bytes(path.read_bytes() + other.read_bytes())
    with pytest.raises(ValueError, match="and about"):
        load(path)


def test_a_new_file_begins_with_what_is_known(tmp_path: Path) -> None:
    """What a run lost with its file is taken from another one; a file that is there already is left as it is."""
    path = tmp_path / "model.jsonl"
    for known in ([Record(1, right=False)], [Record(2, right=False)]):
        records = Records(path, SUBJECT, known=known)
        assert records.get(1) == load(path)[1][1] == Record(1, right=False)
        assert records.get(2) is None


def test_a_record_has_more_than_is_wanted() -> None:
    """Ways are compared clip by clip: what another run measured of single clips only stays away."""
    figures, curves, maps = {"a": {"x": 1.0, "y": 2.0}, "b": {"x": 3.0}}, {"a": [[0.5]], "b": [[0.5]]}, {"b": [[[1.0]]]}
    record = Record(1, right=True, figures=figures, curves=curves, maps=maps)
    assert record.only(["a"], ()) == Record(1, right=True, figures={"a": {"x": 1, "y": 2}}, curves={"a": [[0.5]]})
    assert record.only(["a", "b"], ["y"]) == Record(1, right=True, figures={"a": {"x": 1}, "b": {"x": 3}}, maps=maps)


def test_a_run_in_parts_prints_what_one_run_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs share the clips; then the tables are those of one run, but for the times, and nothing is redone.

    The CSV that is made of them brings a run with an empty folder as far, too.
    """
    monkeypatch.setattr("benchmarks.faithfulness.run.SHOWN", 1)
    command = [str(ROOT / "benchmarks/models/vivit"), "--clips", "2", "--curves", "2", "--slow", "2"]
    command += ["--samples", "20", "10", "--threads", "1", "--segments", "1"]
    command += ["--ways", "rollout", "random", "LIME", "gradient x input", "object"]

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
    tables.take(tmp_path, tmp_path)
    measured = figures.read(tmp_path / "vivit.csv")
    right = [record for record in measured.records if record.right]
    assert [figures.KEPT[0] in record.figures["rollout"] for record in right] == [True, False]
    assert all(figures.AREAS[0] in known for record in right for known in record.figures.values())
    for record in right:
        sizes, signed = (record.figures[f"gradient x input{signed}"] for signed in ("", ", signed"))
        assert [sizes[cost] for cost in figures.COSTS] == [signed[cost] for cost in figures.COSTS]
        assert (sizes["forward"], sizes["backward"]) == (1, 1)
        assert record.figures["LIME"]["forward"] == 20
    again = tmp_path / "again"

    def seconds(*options: str) -> list[float]:
        run("--keep", str(again), *options)
        _, records = load(again / "vivit.jsonl")
        return [records[record.number].figures["random"]["seconds"] for record in right]

    before = [record.figures["random"]["seconds"] for record in right]
    assert seconds("--csv", str(tmp_path), "--part", "1/1") == before
    drawn = seconds("--sheet", str(tmp_path / "sheet.png"))
    assert drawn[0] != before[0], "a sheet needs the maps of the first, which no CSV holds"
    assert drawn[1] == before[1]
