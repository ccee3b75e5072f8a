"""Which class a class map is for: named by number or label, or the best."""

import dataclasses
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch

from staa import Explainer, Options
from staa.attribution import Reading, class_map
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


def test_a_target_that_is_not_the_best_class_is_told_from_the_best(explainer: Explainer) -> None:
    """Unless the contrast is "none", or a video may have several classes; "none" may be a class's own label."""
    clip = models.clip(0, explainer.grid.frames)
    best, second = (one.class_id for one in explainer([clip], Options(top_k=2))[0].predictions)
    inexclusive = families.explainer(explainer.model)
    inexclusive.signature = dataclasses.replace(explainer.signature, problem_type="multi_label_classification")
    named = families.explainer(explainer.model)
    labels = tuple("none" if number == best else label for number, label in enumerate(explainer.labels))
    named.signature = dataclasses.replace(explainer.signature, labels=labels)
    for asked, options, contrast in (
        (explainer, Options(method="staa_class", target=second), best),
        (explainer, Options(method="staa_class", target=best), None),
        (explainer, Options(method="staa_class", target=second, contrast="none"), None),
        (explainer, Options(method="staa_class", contrast="none"), None),
        (inexclusive, Options(method="staa_class", target=second), None),
        (named, Options(method="staa_class", target=second, contrast="none"), best),
    ):
        made = asked([clip], options)[0].attribution
        assert made is not None
        assert made.contrast == contrast
        assert (made.shared_evidence is None) == (contrast is None)


@pytest.mark.parametrize("name", VARIANTS)
def test_shared_evidence_is_the_overlap_of_what_speaks_for_two_classes(name: str) -> None:
    """It is that of the maps of the two classes, each made by itself and less the mean of those of all classes."""
    explainer = families.explainer(VARIANTS[name].make())
    clips = [models.clip(number, explainer.grid.frames) for number in range(2)]
    pairs = list(permutations(range(len(explainer.labels)), 2))[:2]
    asked = [Options(method="staa_class", target=a, contrast=b) for a, b in pairs]
    forward = explainer.forward(explainer.pixels(clips), dict.fromkeys(range(2), "staa_class"))
    every = torch.stack([class_map(Reading(forward.captured, one.expand(2, -1))) for one in explainer.directions])
    evidence = (every - every.mean(0)).clamp(min=0).double().numpy()
    for row, (result, (a, b)) in enumerate(zip(explainer(clips, asked), pairs, strict=True)):
        # where nothing speaks for one of them, as may be with a single attention that is read, nothing is shared
        for_target, for_contrast = (evidence[number, row] / (evidence[number, row].sum() or 1) for number in (a, b))
        assert result.attribution is not None
        expected = np.minimum(for_target, for_contrast).sum()
        assert result.attribution.shared_evidence == pytest.approx(expected, abs=1e-4)


def test_a_refined_map_has_its_own_overlap() -> None:
    """Each of the maps among which one is chosen says of itself how much evidence two classes share."""
    explainer = families.explainer(VARIANTS["vjepa2"].make())
    clip = models.clip(0, explainer.grid.frames)
    options = Options(method="staa_class", target=1, contrast=2)
    maps = explainer.candidates(explainer.forward(explainer.pixels([clip]), {0: "staa_class"}), 0, options)
    shared = [made.shared_evidence for made in maps.values()]
    assert None not in shared
    assert len({round(share or 0, 3) for share in shared}) > 1
    chosen = explainer([clip], dataclasses.replace(options, refine=8))[0]
    assert chosen.attribution is not None
    assert chosen.refinement is not None
    assert chosen.attribution.shared_evidence == pytest.approx(maps[chosen.refinement.chosen].shared_evidence, abs=1e-6)
