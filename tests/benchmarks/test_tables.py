"""The figures of every clip come back from a CSV, and goals and tables are what the figures say."""

from pathlib import Path

import pytest

from benchmarks.faithfulness import figures, goals, tables
from benchmarks.faithfulness.figures import AREAS, Figures, Measured, by_way
from benchmarks.faithfulness.goals import Lead, lead
from benchmarks.faithfulness.records import Record

ABOUT = {"subject": {"family": "vivit", "grid": "8 x 6 x 6", "weights": "0123456789abcdef"}, "machine": "here, 2 cores"}


def test_figures_come_back(tmp_path: Path) -> None:
    """Four digits of every figure; a clip with a wrong label, and figures that are missing or no numbers, as such."""
    first = Record(
        7, right=True, figures={"a, b": {"pointing": 1.0, "seconds": 0.123456}, "c": {"pointing": float("nan")}}
    )
    records = [Record(9, right=True, figures={"c": {"pointing": -1e-7}}), first, Record(8, right=False)]
    path = figures.write(tmp_path / "new", Measured("model", ABOUT, records))
    assert path.read_text().startswith("# {")
    measured = figures.read(path)
    assert (measured.name, measured.about) == ("model", ABOUT)
    assert list(measured.records) == [
        Record(7, right=True, figures={"a, b": {"pointing": 1.0, "seconds": 0.1235}, "c": {}}),
        Record(8, right=False),
        Record(9, right=True, figures={"c": {"pointing": -1e-7}}),
    ]
    again = figures.write(tmp_path, measured)
    assert again.read_bytes() == path.read_bytes()


def test_a_csv_of_other_columns_is_refused(tmp_path: Path) -> None:
    """A figure that got another name or place is not taken for another one."""
    path = figures.write(tmp_path, Measured("model", ABOUT, [Record(1, right=False)]))
    path.write_text(path.read_text().replace("deletion, blur", "deletion"))
    with pytest.raises(ValueError, match="measure anew"):
        figures.read(path)


def test_figures_by_way() -> None:
    """Each value has its clip; ways that were not asked for stay away."""
    records = [Record(n, right=True, figures={"a": {"x": n}, **({"b": {"x": -n}} if n < 2 else {})}) for n in (1, 2)]
    assert by_way(records, ["a", "b", "c"]) == {"a": {"x": {1: 1, 2: 2}}, "b": {"x": {1: -1}}}
    assert by_way(records, ["b"]) == {"b": {"x": {1: -1}}}


def test_pairs_are_of_the_same_clip() -> None:
    """Where ways were measured on different clips, only those of both are compared; bold is what leaves 0 outside."""
    ours = {"pointing": {1: 0.0, 2: 1.0, 3: 1.0}}
    other = {"pointing": {2: 0.75, 3: 0.75, 4: 9.0}}
    lines = [*tables.pairs({"staa": ours, "other": other, "same": ours, "the object": ours}, "staa")]
    assert lines[-2].startswith("| other | 2 / 0 | **+0.250 (+0.250 to +0.250)** | - |")
    assert lines[-1].startswith("| same | 3 / 0 | +0.000 (+0.000 to +0.000) |")


def test_less_is_better_in_deletion() -> None:
    """A lead is positive for the better way, whichever way the figure goes; without common clips there is none."""
    known: Figures = {"a": {area: {1: 0.2, 2: 0.3} for area in AREAS}, "b": {area: {1: 0.5, 2: 0.5} for area in AREAS}}
    deleted, inserted = (lead(known, "a", "b", area) for area in AREAS[:2])
    assert deleted is not None
    assert inserted is not None
    assert (deleted.clips, deleted.mean, deleted.verdict) == (2, 0.25, "ahead")
    assert (inserted.clips, inserted.mean, inserted.verdict) == (2, -0.25, "behind")
    assert lead(known, "a", "c", AREAS[0]) is None
    assert [Lead(9, 0.1, low, high).verdict for low, high in ((0.0, 0.2), (-0.1, 0.0), (0.001, 0.2))] == [
        "level",
        "level",
        "ahead",
    ]


def shifted(
    by: float, clips: int = 40, columns: tuple[str, ...] = (*AREAS, "when AUROC", "pointing")
) -> dict[str, dict[int, float]]:
    """Return figures that are better by so much than 0.5, with the same small spread, clip by clip."""
    return {
        column: {clip: 0.5 + figures.BETTER[column] * (by + 0.01 * (clip % 5)) for clip in range(clips)}
        for column in columns
    }


def test_a_lead_is_judged_by_its_interval() -> None:
    """Ahead of one and level with another that is as good; missed where one of the figures is not ahead."""
    known: Figures = {"ours": shifted(0.1), "worse": shifted(0.0), "alike": shifted(0.1), "few": shifted(0.0, clips=29)}
    assert goals.against("ours", "worse", AREAS, ahead=True)(known) == "met, 40 clips"
    assert goals.against("ours", "alike", AREAS, ahead=False)(known) == "met, 40 clips"
    assert goals.against("ours", "alike", AREAS[:1], ahead=True)(known).startswith("**missed**: deletion, blur level")
    missed = goals.against("worse", "ours", AREAS, ahead=False)(known)
    assert missed.startswith("**missed**: deletion, blur behind, -0.100")
    assert missed.count("behind") == 4
    assert goals.against("ours", "few", AREAS, ahead=True)(known) == "not measured", "29 clips are too few"
    assert goals.against("ours", "none", AREAS, ahead=True)(known) == "not measured"
    one = {**known["ours"], AREAS[3]: known["worse"][AREAS[3]]}
    assert goals.against("one", "worse", AREAS, ahead=True)({**known, "one": one}) == (
        "**missed**: insertion, mean level, +0.000 (+0.000 to +0.000); 40 clips"
    )


def test_bounds_are_judged_by_the_mean() -> None:
    """Pointing at 0.95 or more; of a figure of 1/11 a distractor's pixel gets a tenth of what the object's gets."""
    known = {"pointing": dict.fromkeys(range(19), 1.0) | {19: 0.0} | dict.fromkeys(range(20, 40), 0.95)}
    assert goals.points_at_the_object("a", 0.95)({"a": known}).startswith("met: 0.950")
    assert goals.points_at_the_object("a", 0.96)({"a": known}).startswith("**missed**: 0.950")
    little = {"a": {"distractors": dict.fromkeys(range(40), 0.0909)}}
    much = {"a": {"distractors": dict.fromkeys(range(40), 0.1)}}
    assert goals.distractors_get_little("a", 0.1)(little) == "met: 0.100 (0.100-0.100), 40 clips"
    assert goals.distractors_get_little("a", 0.1)(much).startswith("**missed**: 0.111")
    assert goals.distractors_get_little("a", 0.1)({}) == "not measured"


def test_goals_of_made_up_models(tmp_path: Path) -> None:
    """Through the CSV to the page: a small model that meets its goals, and a default one without its own."""
    better = {"staa_class": 0.1, "staa_class, refine=16": 0.1, "staa": 0.0}
    rivals = ("LIME", "KernelSHAP", "Chefer relevance", "integrated gradients, signed", "rollout", "random")
    values = {way: shifted(by) for way, by in (better | dict.fromkeys(rivals, 0.0)).items()}
    records = [
        Record(
            clip,
            right=True,
            figures={way: {key: cells[clip] for key, cells in known.items()} for way, known in values.items()},
        )
        for clip in range(40)
    ]
    for name in ("small", goals.DEFAULT):
        figures.write(tmp_path, Measured(name, ABOUT, [*records, Record(40, right=False)]))
    models = [figures.read(path) for path in sorted(tmp_path.glob("*.csv"))]
    verdicts = {goal.text: [goal.verdict(model.name, model.figures()) for model in models] for goal in goals.GOALS}
    assert [model.name for model in models] == [goals.DEFAULT, "small"]
    for goal in goals.GOALS:
        of_default, of_small = verdicts[goal.text]
        assert of_small == ("met, 40 clips" if goal.small else "-")
        assert (of_default == "-") == (not goal.default)
    missed = [goal.text for goal in goals.GOALS if verdicts[goal.text][0].startswith("**missed**")]
    assert missed == [
        "`staa` ahead of rollout in insertion, both fills",
        *(g.text for g in goals.GOALS if "points" in g.text),
    ]
    text = tables.page(models)
    assert "| way | passes | motions points | motions deletes | motions inserts | small points |" in text
    assert "| clips |  | 40 | 40 | 40 | 40 | 40 | 40 |" in text
    assert "| `staa_class`, ours | 0 | 0.620 | 0.380 | 0.620 | 0.620 | 0.380 | 0.620 |" in text
    assert "| LIME | 0 | (0.520) | (0.480) | (0.520) | (0.520) | (0.480) | (0.520) |" in text
    assert "Clips 0 to 40, but 1 of 41 that the model labels wrong." in text
    assert "| random | 40 | **+0.100 (+0.100 to +0.100)** |" in text


def test_the_page_is_made_of_the_csvs() -> None:
    """No figure of the pages was typed, and none is of an older measuring."""
    measured = [figures.read(path) for path in sorted(tables.MEASURED.glob("*.csv"))]
    assert tables.PAGE.read_text() == tables.page(measured), "run python -m benchmarks.faithfulness.tables --write"
    page = tables.EXPLAINED.read_text()
    assert page == tables.with_summary(page, measured)


def test_the_verdicts_of_the_page_are_those_that_were_counted() -> None:
    """The page for users repeats the shares of two models in benchmarks/RESULTS.md, and no older ones."""
    counted = tables.PAGE.with_name("RESULTS.md").read_text()
    shares: dict[str, dict[str, list[str]]] = {}
    for model in ("vivit", "videomae"):
        table = counted.partition(f"\n{model}, 60 clips, share of the verdicts\n\n")[2].partition("\n\n")[0]
        rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
        shares[model] = {way: cells for points, way, *cells, _ in rows if points == "4"}
    page = tables.EXPLAINED.read_text().partition("| 60 clips, ViViT / VideoMAE, `verify=4` |")[2].partition("\n\n")[0]
    said = [line.strip("| ").replace("`", "").split(" | ") for line in page.splitlines()[2:]]
    assert len(said) == 5
    for way, *cells in said:
        both = zip(shares["vivit"][way], shares["videomae"][way], strict=True)
        assert cells == [" / ".join(pair) for pair in both], way


def test_every_way_that_is_not_ours_has_its_source() -> None:
    """The page for users says who thought of each way in its first table that is neither ours nor without a model."""
    sources = tables.EXPLAINED.read_text().partition("\n## Sources\n")[2].partition("\n## ")[0]
    others = {
        way: name for way, name in tables.SUMMARY.items() if way not in (*tables.OURS, "frame difference", "random")
    }
    assert len(others) == 5
    for name in others.values():
        assert f"| {name.removesuffix(', signed')} | " in sources
