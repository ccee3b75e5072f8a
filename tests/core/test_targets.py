"""Which class a class map is for: named by number or label, or the best."""

from typing import Any

import pytest
import torch

from staa import Explainer, Options
from tests.made import families, models
from tests.made.families import VARIANTS


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Return a tiny ViViT behind the core."""
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
