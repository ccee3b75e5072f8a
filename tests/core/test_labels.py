"""What labels mean: one of all classes or any number of them, and how a class is named."""

from pathlib import Path
from typing import Any

import pytest

from staa import Explainer, Options
from staa.checkpoint import config
from staa.errors import LoadError
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
