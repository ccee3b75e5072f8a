"""Which class a class map is for: named by number or label, or the best; and what is refused."""

from typing import Any

import pytest
import torch

from staa import Explainer, Options
from staa.errors import OptionError
from tests import families, models
from tests.families import VARIANTS


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """A tiny ViViT behind the core."""
    return families.explainer(VARIANTS["vivit"].make())


def test_the_target_is_the_first_prediction_even_among_equals() -> None:
    """Where two classes have the same logit, both answers name the same one."""
    explainer = families.explainer(VARIANTS["vivit"].make())
    with torch.no_grad():
        head: Any = explainer.model.classifier
        head.weight.zero_()
        head.bias.fill_(1)
    result = explainer([models.clip(0, explainer.grid.frames)], Options(method="staa_class"))[0]
    assert result.attribution is not None
    assert result.attribution.target == result.predictions[0].class_id
    assert result.attribution.joint.sum() == pytest.approx(1, abs=1e-5)


def test_labels_that_look_like_numbers() -> None:
    """Digits are a class's number, everything else its label."""
    explainer = families.explainer(VARIANTS["vivit"].make())
    explainer.labels = ("1", "0", "left", "-1", "1.5")
    wanted: dict[str | int, int] = {"1": 1, "0": 0, 3: 3, "left": 2, "-1": 3, "1.5": 4}
    assert {named: explainer.class_id("target", named) for named in wanted} == wanted
    wrong: list[str | int] = ["1_0", " 3", "", "٣", "9", -1, 10**30]
    for named in wrong:
        with pytest.raises(OptionError, match="expected a number from 0 to 4 or a label"):
            explainer.class_id("target", named)


def test_the_target_is_the_best_class_unless_named(explainer: Explainer) -> None:
    """By number or label; with a contrast alone it is the best other class."""
    clip = models.clip(0, explainer.grid.frames)
    best, second = (one.class_id for one in explainer([clip], Options(top_k=2))[0].predictions)
    for options, target, contrast in (
        (Options(method="staa_class"), best, None),
        (Options(method="staa_class", contrast=best), second, best),
        (Options(method="staa_class", target=explainer.labels[3], contrast="1"), 3, 1),
    ):
        made = explainer([clip], options)[0].attribution
        assert made is not None
        assert (made.target, made.contrast) == (target, contrast)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (Options(target=1), "target is 1, but method staa is not for a class"),
        (Options(method="rollout", contrast="x"), "contrast is 'x', but method rollout"),
        (Options(method="staa_class", target="wings"), "target is 'wings': expected a number from 0 to 4 or a label"),
        (Options(method="staa_class", target=5), "target is 5"),
        (Options(method="staa_class", contrast=-1), "contrast is -1"),
        (Options(method="staa_class", target=2, contrast="LABEL_2"), "both 'LABEL_2'"),
        (Options(method="gradcam"), "expected one of staa, staa_class, rollout, paper"),
    ],
)
def test_what_cannot_be_explained_is_refused(options: Options, named: str) -> None:
    """A class for a method that knows none, a class that does not exist, a method that does not exist."""
    explainer = families.explainer(VARIANTS["vivit"].make())
    with pytest.raises(OptionError, match=named.replace("(", r"\(")):
        explainer.check(options)
