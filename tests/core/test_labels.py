"""What labels mean: one of all classes or any number of them, and how a class is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from staa import Explainer, Options
from staa.checkpoint import config
from staa.errors import LoadError, OptionError
from tests.made import models

SEVERAL = "multi_label_classification"


def load(folder: Path, **changes: Any) -> Explainer:
    """Return a tiny TimeSformer from a folder, with these changes of its configuration."""
    return Explainer.load(models.save(models.timesformer(**changes), folder), device="cpu")


def test_several_labels_have_a_sigmoid_each(tmp_path: Path) -> None:
    """Each score of a model of several labels is the sigmoid of its own logit, best first."""
    explainer = load(tmp_path, problem_type=SEVERAL)
    clip = models.clip(0)
    predictions = explainer([clip])[0].predictions
    logits = explainer.forward(explainer.pixels([clip]), []).logits[0]
    scores = [guess.score for guess in predictions]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx([logits[guess.class_id].sigmoid().item() for guess in predictions])
    assert abs(sum(scores) - 1) > 0.01
    assert len(explainer([clip], Options(top_k=2))[0].predictions) == 2


@pytest.mark.parametrize("contrast", [None, 3])
def test_the_check_of_a_map_measures_the_sigmoid(tmp_path: Path, contrast: int | None) -> None:
    """A check begins at the sigmoid of the target's logit, less that of the contrast if there is one."""
    explainer = load(tmp_path, problem_type=SEVERAL)
    clip = models.clip(0)
    logits = explainer.forward(explainer.pixels([clip]), []).logits[0]
    options = Options(method="staa_class", target=1, contrast=contrast, verify=2)
    checked = explainer([clip], options)[0].faithfulness
    assert checked is not None
    wanted = logits[1] if contrast is None else logits[1] - logits[contrast]
    assert checked.probability == pytest.approx(wanted.sigmoid().item(), abs=1e-5)


def test_a_kind_of_problem_without_classes_is_refused(tmp_path: Path) -> None:
    """Regression, and a kind that does not exist, are refused in words when the model is loaded."""
    with pytest.raises(LoadError, match=r"regression.*no classes"):
        load(tmp_path, problem_type="regression")
    with pytest.raises(ValueError, match=r"problem_type = 'guess': expected one of single_label.*, multi_label"):
        config.clean({"problem_type": "guess"}, "config.json")


def test_one_label_is_right_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    """A configuration that says nothing, or that one class is right, gives a softmax."""
    for number, changes in enumerate(({}, {"problem_type": "single_label_classification"})):
        explainer = load(tmp_path / str(number), **changes)
        result = explainer([models.clip(0)], Options(top_k=5))[0]
        assert explainer.signature.problem_type == "single_label_classification"
        assert sum(guess.score for guess in result.predictions) == pytest.approx(1, abs=1e-5)


def test_a_class_without_a_label_is_named_by_its_number(tmp_path: Path) -> None:
    """Where a list of labels has holes, the classes in them are LABEL_1 and so on, and each row has its own."""
    named = config.clean({"id2label": {"4": "e", "0": "a", "2": "c"}}, "config.json")
    assert list(named["id2label"].values()) == ["a", "LABEL_1", "c", "LABEL_3", "e"]
    blank = config.clean({"id2label": {"0": "a", "1": None, "2": " ", "3": ""}}, "config.json")
    assert list(blank["id2label"].values()) == ["a", "LABEL_1", "LABEL_2", "LABEL_3"]
    folder = models.save(models.timesformer(), tmp_path)
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(facts | {"id2label": {"0": "a", "4": "e"}}))
    explainer = Explainer.load(folder, device="cpu")
    assert explainer.labels == ("a", "LABEL_1", "LABEL_2", "LABEL_3", "e")
    wanted = models.explainer(models.timesformer())([models.clip(0)])[0].predictions
    found = explainer([models.clip(0)])[0].predictions
    assert [guess.class_id for guess in found] == [guess.class_id for guess in wanted]
    assert explainer.signature.class_id("target", "LABEL_2") == 2


def test_two_classes_need_no_names(tmp_path: Path) -> None:
    """A checkpoint of two classes loads without names, as transformers writes none for two that were given none."""
    folder = models.save(models.timesformer(num_labels=2), tmp_path)
    assert "id2label" not in json.loads((folder / "config.json").read_text())
    assert Explainer.load(folder, device="cpu").labels == ("LABEL_0", "LABEL_1")


def test_classes_of_one_label_are_told_by_their_numbers(tmp_path: Path) -> None:
    """Two classes of one label are served; as a target the label is refused with their numbers, a number is taken."""
    names = ["run", "sit", "run", "LABEL_4", "run"]
    explainer = load(tmp_path, id2label=dict(enumerate(names)), label2id={})
    assert explainer.labels == tuple(names)
    by_number = explainer([models.clip(0)], Options(method="staa_class", target=2))[0].attribution
    assert by_number is not None
    assert by_number.target == 2
    with pytest.raises(OptionError, match=r"target is 'run', the label of several classes.*\(0, 2, 4\)"):
        explainer.check(Options(method="staa_class", target="run"))
    with pytest.raises(OptionError, match=r"contrast is 'run'"):
        explainer.check(Options(method="staa_class", target="sit", contrast="run"))
