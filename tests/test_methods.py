"""Every method of every family against full attention matrices, and what a class map adds up to."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from staa import Explainer, Options
from staa.attribution import METHODS, pushes
from staa.errors import OptionError
from tests import families, models, slow
from tests.families import VARIANTS, Variant

torch.set_num_threads(1)


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Each way in which a family is read."""
    return VARIANTS[request.param]


@pytest.fixture(scope="module")
def model(variant: Variant) -> Any:
    """An untouched eager model of transformers, with norms that are not plain."""
    made = variant.make()
    torch.manual_seed(5)
    for module in made.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.normal_(module.bias)
    return made


@pytest.fixture(scope="module")
def explainer(model: Any) -> Explainer:
    """The same weights behind the core."""
    return families.explainer(model)


def normalised(weights: families.Doubles) -> families.Doubles:
    """Sizes sum to 1."""
    return np.asarray(weights / np.abs(weights).sum())


def found(explainer: Explainer, pixels: torch.Tensor, options: list[Options]) -> list[Any]:
    """One attribution a row."""
    forward = explainer.forward(pixels, {row: option.method for row, option in enumerate(options)})
    return explainer.attributions(forward, options)


def test_rollout_equals_the_slow_computation(variant: Variant, model: Any, explainer: Explainer) -> None:
    """Attention rollout is what one product of full matrices over all blocks gives, to 1e-5."""
    pixels = families.pixels(explainer, 2)
    for one, clip in zip(found(explainer, pixels, [Options(method="rollout")] * 2), pixels, strict=True):
        wanted = normalised(slow.rollout(variant, model, clip))
        assert np.abs(one.joint - wanted).max() < 1e-5
        assert np.ptp(wanted) > 1e-3, "a flat map would agree with anything"


@pytest.mark.parametrize(("target", "contrast"), [(1, None), (4, 2)])
def test_class_maps_equal_the_slow_computation(
    variant: Variant, model: Any, explainer: Explainer, target: int, contrast: int | None
) -> None:
    """Class maps, the signed ones too, are what the writes of single tokens and heads add up to, to 1e-5."""
    pixels = families.pixels(explainer, 2)
    options = [Options(method="staa_class", target=target, contrast=contrast)] * 2
    for one, clip in zip(found(explainer, pixels, options), pixels, strict=True):
        joint, signed = (normalised(part) for part in slow.for_class(variant, model, clip, target, contrast))
        assert np.abs(one.joint - joint).max() < 1e-5
        assert np.abs(one.signed - signed).max() < 1e-5
        assert np.ptp(signed) > 1e-3, "a flat map would agree with anything"
        assert (one.target, one.contrast) == (target, contrast)


def test_paper_is_the_last_block(variant: Variant, model: Any, explainer: Explainer) -> None:
    """The public reference reads the row of the last block and nothing else."""
    pixels = families.pixels(explainer, 1)
    attentions, _ = slow.attentions(variant, model, pixels[0])
    last = [one for one in attentions if one.output is not None][-1]
    mean = variant is VARIANTS["videomae-mean"]
    wanted = np.zeros(slow.size(attentions))
    for sequence, matrix in zip(last.where, last.matrix.mean(1), strict=True):
        for number, weight in zip(sequence, matrix.mean(0) if mean else matrix[0], strict=True):
            wanted[number] += weight
    (one,) = found(explainer, pixels, [Options(method="paper")])
    assert np.abs(one.joint.ravel() - normalised(wanted[: one.joint.size])).max() < 1e-5


def test_the_direct_terms_add_up_to_the_logit(variant: Variant, explainer: Explainer) -> None:
    """A logit is (<u, start> + all pushes + <u, biases> + <u, MLPs>) / deviation + constant."""
    pixels = families.pixels(explainer, 1)
    heard: dict[str, list[torch.Tensor]] = {"attention": [], "mlp": [], "token": []}
    model: Any = explainer.model

    def read(tokens: torch.Tensor) -> torch.Tensor:
        whole = tokens if variant is VARIANTS["videomae-mean"] else tokens[:, :1]
        return whole.double().mean((0, 1))

    hooks = []
    for name, module in model.named_modules():
        outputs = [site.output or (site.module if site.role == "query" else None) for site in explainer.sites]
        mlp = name.endswith((".mlp.fc2", "layer.0.output.dense", "layer.1.output.dense", "layer.2.output.dense"))
        if any(module is output for output in outputs):
            kind = "attention"
        elif mlp and ("encoder" not in name or variant.family != "vjepa2") and "self_attention" not in name:
            kind = "mlp"
        else:
            continue
        hooks.append(
            module.register_forward_hook(
                lambda _m, _i, out, kind=kind: heard[kind].append(read(out[0] if isinstance(out, tuple) else out))
            )
        )
    layer = slow.norm(variant, model)
    where = layer if layer is not None else model.classifier

    def keep(_module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        x = inputs[0].double()
        if variant.family == "timesformer" and model.config.attention_type == "space_only":
            x = x.view(1, -1, *x.shape[1:]).mean(1)
        heard["token"].append(x[0] if x.ndim == 2 else x[0, 0])

    hooks.append(where.register_forward_pre_hook(keep))
    forward = explainer.forward(pixels, {0: "staa_class"})
    for hook in hooks:
        hook.remove()
    (token,) = heard["token"]
    assert (
        len(heard["mlp"]) == len(heard["attention"]) == len([one for one in forward.heard if one.written is not None])
    )
    begin = token - sum(heard["attention"]) - sum(heard["mlp"])
    for target in range(5):
        toward = explainer.directions[target].double()
        pushed = sum(
            pushes(one, toward[None].float()).double().sum() for one in forward.heard if one.written is not None
        )
        biases = sum(toward @ site.output.bias.double() for site in explainer.sites if site.output is not None)
        assert pushed + biases == pytest.approx(float(sum(toward @ part for part in heard["attention"])), abs=1e-4)
        rest = toward @ begin + sum(toward @ part for part in heard["mlp"])
        logit = pushed + biases + rest
        if layer is not None:
            logit = logit / (token.var(unbiased=False) + layer.eps).sqrt()
            logit = logit + model.classifier.weight[target].double() @ layer.bias.double()
        assert logit + model.classifier.bias[target] == pytest.approx(float(forward.logits[0, target]), abs=1e-3)


def test_rows_of_a_batch_have_their_own_methods_and_targets(explainer: Explainer) -> None:
    """A mixed batch gives every row what it gets alone; a row that wants no map costs nothing."""
    clips = [models.clip(seed, explainer.grid.frames) for seed in range(6)]
    options = [
        Options(method="staa_class", target=1),
        Options(explain=False),
        Options(method="rollout"),
        Options(),
        Options(method="staa_class", target=1, contrast=0),
        Options(method="paper"),
    ]
    for clip, option, mixed in zip(clips, options, explainer(clips, options), strict=True):
        alone = explainer([clip], option)[0].attribution
        if alone is None or mixed.attribution is None:
            assert (alone, mixed.attribution, option.explain) == (None, None, False)
            continue
        assert mixed.attribution.method == option.method
        assert np.abs(alone.joint - mixed.attribution.joint).max() < 1e-5
        assert mixed.attribution.target == alone.target == option.target


def test_every_method_is_a_distribution_and_forward_only(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under inference mode, where nothing can be differentiated, every method answers; sums are 1."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a backward pass")

    monkeypatch.setattr(torch.autograd, "grad", refuse)
    monkeypatch.setattr(torch.Tensor, "backward", refuse)
    clip = models.clip(0, explainer.grid.frames)
    with torch.inference_mode():
        for method in METHODS:
            made = explainer([clip], Options(method=method))[0].attribution
            assert made is not None
            assert made.joint.sum() == pytest.approx(1, abs=1e-5)
            assert (made.signed is None) == (not METHODS[method].classes)
            assert made.signed is None or np.abs(made.signed).sum() == pytest.approx(1, abs=1e-5)


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


def test_swapping_target_and_contrast_turns_the_signs(model: Any) -> None:
    """Why this and not that is the opposite of why that and not this."""
    explainer = families.explainer(copy.deepcopy(model))
    pixels = families.pixels(explainer, 1)
    ways = [Options(method="staa_class", target=a, contrast=b) for a, b in ((0, 3), (3, 0))]
    one, other = (found(explainer, pixels, [way])[0].signed for way in ways)
    assert np.abs(one + other).max() < 1e-5
