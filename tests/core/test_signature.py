"""What a model takes and may be asked is known without its weights, in any process."""

import pickle
from dataclasses import replace

import pytest
import torch

from staa import Explainer, Options
from staa.errors import OptionError
from tests.made import families, models
from tests.made.families import VARIANTS


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Return a tiny ViViT behind the core."""
    return families.explainer(VARIANTS["vivit"].make())


def test_labels_that_look_like_numbers(explainer: Explainer) -> None:
    """Digits are a class's number, everything else its label."""
    labels = ("1", "0", "left", "-1", "1.5")
    signature = replace(explainer.signature, labels=labels)
    wanted: dict[str | int, int] = {"1": 1, "0": 0, 3: 3, "left": 2, "-1": 3, "1.5": 4}
    assert {named: signature.class_id("target", named) for named in wanted} == wanted
    wrong: list[str | int] = ["1_0", " 3", "", "٣", "9", -1, 10**30]
    for named in wrong:
        with pytest.raises(OptionError, match="expected a number from 0 to 4 or a label"):
            signature.class_id("target", named)


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
def test_what_cannot_be_explained_is_refused(explainer: Explainer, options: Options, named: str) -> None:
    """A class for a method that knows none, a class that does not exist, a method that does not exist."""
    with pytest.raises(OptionError, match=named.replace("(", r"\(")):
        explainer.signature.check(options)


def test_it_goes_to_another_process_and_prepares_the_same_pixels(explainer: Explainer) -> None:
    """Sent on, it is the same, and makes of a clip what the model's own process makes."""
    signature = pickle.loads(pickle.dumps(explainer.signature))  # noqa: S301 - our own
    assert signature == explainer.signature
    clips = [models.clip(seed, explainer.grid.frames) for seed in range(2)]
    (pixels, boxes), (others, same) = signature.prepare(clips), explainer.prepare(clips)
    assert torch.equal(pixels, others)
    assert boxes == same
