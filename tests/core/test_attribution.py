"""Every method of every family against full attention matrices, and what a class map adds up to."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from staa import Explainer, Options
from staa.attribution import METHODS, back_through_mlp, without_cls, written_for
from staa.capture import Captured
from staa.errors import OptionError
from staa.sites import READ_ROLES
from tests.made import families, models, slow
from tests.made.families import VARIANTS, Variant

torch.set_num_threads(1)


MLPS = {"vjepa2": "pooler.cross_attention_layer", "videoprism_vision_model": "head"}
"""Family -> the module whose MLP writes into the token that is read, if not all do."""
FIRST = {
    "timesformer": "timesformer.encoder.layer.0",
    "vivit": "vivit.layers.0",
    "videomae": "videomae.encoder.layer.0",
    "vjepa2": "pooler.cross_attention_layer",
}
"""Where the token that is read begins."""


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Return each way in which a family is read."""
    return VARIANTS[request.param]


@pytest.fixture(scope="module")
def model(variant: Variant) -> Any:
    """Return an untouched eager model of transformers, with norms that are not plain."""
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
    """Return the same weights behind the core."""
    return families.explainer(model)


def normalised(weights: families.Doubles) -> families.Doubles:
    """Return a map whose sizes sum to 1."""
    return np.asarray(weights / np.abs(weights).sum())


def found(explainer: Explainer, pixels: torch.Tensor, options: list[Options]) -> list[Any]:
    """Return one attribution a row."""
    forward = explainer.forward(pixels, {row: option.method for row, option in enumerate(options)})
    return explainer.attributions(forward, options)


def test_rollout_equals_the_slow_computation(variant: Variant, model: Any, explainer: Explainer) -> None:
    """Attention rollout is what one product of full matrices over all blocks gives, to 1e-5."""
    pixels = families.pixels(explainer, 2)
    for one, clip in zip(found(explainer, pixels, [Options(method="rollout")] * 2), pixels, strict=True):
        wanted = normalised(slow.rollout(variant, model, clip))
        assert np.abs(one.joint - wanted).max() < 1e-5
        assert np.ptp(wanted) > 1e-3, "a flat map would agree with anything"


@pytest.mark.parametrize(("target", "contrast"), [(1, "none"), (2, 4)])
def test_class_maps_equal_the_slow_computation(
    variant: Variant, model: Any, explainer: Explainer, target: int, contrast: int | str
) -> None:
    """Class maps, the signed ones too, are what the writes of single tokens and heads add up to, to 1e-5."""
    pixels = families.pixels(explainer, 2)
    options = [Options(method="staa_class", target=target, contrast=contrast)] * 2
    other = None if contrast == "none" else int(contrast)
    for one, clip in zip(found(explainer, pixels, options), pixels, strict=True):
        positive, signed = slow.for_class(variant, model, clip, target, other)
        # where nothing speaks for the class the map is even
        joint, signed = normalised(positive if positive.any() else np.ones_like(positive)), normalised(signed)
        assert np.abs(one.joint - joint).max() < 1e-5
        assert np.abs(one.signed - signed).max() < 1e-5
        assert np.ptp(signed) > 1e-3, "a flat map would agree with anything"
        assert (one.target, one.contrast) == (target, other)


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
    """A logit is (<u, start> + all that is written + <u, biases> + <u, MLPs>) / deviation + constant."""
    pixels = families.pixels(explainer, 1)
    heard: dict[str, list[torch.Tensor]] = {"start": [], "attention": [], "mlp": [], "token": []}
    model: Any = explainer.model

    def read(tokens: torch.Tensor) -> torch.Tensor:
        whole = tokens if variant is VARIANTS["videomae-mean"] else tokens[:, :1]
        return whole.double().mean((0, 1))

    hooks = []
    outputs = [site.output or site.module for site in explainer.sites if site.role in READ_ROLES]
    for name, module in model.named_modules():
        ends = ".mlp.fc2", "layer.0.output.dense", "layer.1.output.dense", "layer.2.output.dense"
        mlp = name.endswith(ends) and name.startswith(MLPS.get(variant.family, ""))
        attention = any(module is output for output in outputs)
        if not (attention or mlp):
            continue
        kind = "attention" if attention else "mlp"
        hooks.append(
            module.register_forward_hook(
                lambda _m, _i, out, kind=kind: heard[kind].append(read(out[0] if isinstance(out, tuple) else out))
            )
        )
    if variant.family in FIRST:
        first = model.get_submodule(FIRST[variant.family])
        hooks.append(first.register_forward_pre_hook(lambda _m, inputs: heard["start"].append(read(inputs[0]))))
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
    written = [one for one in forward.captured if one.values is not None]
    assert len(heard["mlp"]) == len(heard["start"]) * len(written)  # VideoPrism's query is not in what is read
    assert len(heard["attention"]) == len(written)
    for target in range(5):
        toward = explainer.directions[target].double()
        pushed = sum(written_for(one, toward[None, None].float()).double().sum() for one in written)
        biases = sum(toward @ site.output.bias.double() for site in explainer.sites if site.output is not None)
        assert pushed + biases == pytest.approx(float(sum(toward @ part for part in heard["attention"])), abs=1e-4)
        rest = sum(toward @ part for part in (*heard["start"], *heard["mlp"]))
        logit = pushed + biases + rest
        if layer is not None:
            logit = logit / (token.var(unbiased=False) + layer.eps).sqrt()
            logit = logit + model.classifier.weight[target].double() @ layer.bias.double()
        assert logit + model.classifier.bias[target] == pytest.approx(float(forward.logits[0, target]), abs=1e-3)


def constant(one: Captured, toward: torch.Tensor, tokens: torch.Tensor) -> float:
    """Return what the biases of the MLP and of its norm add along a direction (1, sequences, width), gates fixed.

    `tokens` (sequences, n, width) are the input of the norm; the first of each sequence is read, or all are alike.
    """
    assert one.site.mlp is not None
    mlp, token = copy.deepcopy(one.site.mlp), tokens[None, :, :1].double()
    parts = [part.double() for part in (mlp.norm, mlp.first, mlp.last)]
    norm, first, last = parts
    channels = first(norm(token))
    gates = (mlp.gate(channels) / channels).mean(2)
    inward = (toward.double() @ last.weight) * gates
    return float((inward @ (first(norm.bias)) + toward.double() @ last.bias).mean())


def test_the_direction_carried_back_adds_up_to_the_logit(variant: Variant, model: Any) -> None:
    """A logit is all that is written along the directions carried back, what the token began with, and the biases.

    With a mean of all tokens that holds where the gates of all tokens are alike; here, all tokens are.
    """
    explained = copy.deepcopy(model)
    pixels = families.pixels(families.explainer(model), 1)
    if variant is VARIANTS["videomae-mean"]:
        explained.videomae.embeddings.position_embeddings = torch.zeros(())
        pixels = pixels[:, :1, :, :1, :1].expand_as(pixels)
    explainer = families.explainer(explained)
    begun: list[torch.Tensor] = []
    inputs_of: dict[Any, torch.Tensor] = {}
    norms = [site.mlp.norm for site in explainer.sites if site.mlp is not None]
    for norm in norms:
        norm.register_forward_pre_hook(lambda module, inputs: inputs_of.update({module: inputs[0]}))
    if variant.family in FIRST:
        first = explainer.model.get_submodule(FIRST[variant.family])
        hook = first.register_forward_pre_hook(lambda _m, inputs: begun.append(inputs[0][0, 0].double()))
        forward = explainer.forward(pixels, {0: "staa_class"})
        hook.remove()
    else:  # VideoPrism's query is not in what is read
        forward = explainer.forward(pixels, {0: "staa_class"})
    written = [one for one in forward.captured if one.values is not None]
    logits, token = forward.logits[0].double(), last_token(variant, explainer, pixels)
    layer = slow.norm(variant, explainer.model)
    for target in range(5):
        toward = explainer.directions[target][None, None]
        total = 0.0
        for one in reversed(written):
            if one.site.mlp is not None:
                total += constant(one, toward, inputs_of[one.site.mlp.norm])
                toward = back_through_mlp(one, toward)
            bias = 0 if one.site.output is None else float((toward @ one.site.output.bias).mean())
            pushes, centred = (written_for(one, toward, centred=part).double() for part in (False, True))
            total += float(pushes.sum()) + bias
            assert one.weights is not None
            assert one.values is not None
            # a head's weights sum to 1, so centring takes what the mean value would write, from every head
            mean = without_cls(one.site.layout, one.values.transpose(-1, -2)).transpose(-1, -2).mean((1, 3))
            along = written_for(replace(one, values=mean[:, None, :, None].expand_as(one.values)), toward)
            assert float(centred.sum()) == pytest.approx(float((pushes - along).sum()), rel=1e-4, abs=1e-4)
        total += float(sum(toward.double().mean(1) @ token for token in begun))
        assert total == pytest.approx(float(explainer.directions[target].double() @ token), rel=1e-4, abs=1e-4)
        head: Any = explainer.model.classifier
        if layer is not None:
            total = total / float((token.var(unbiased=False) + layer.eps).sqrt())
            total += float(head.weight[target].double() @ layer.bias.double())
        assert total + float(head.bias[target]) == pytest.approx(float(logits[target]), rel=1e-4, abs=1e-4)


def last_token(variant: Variant, explainer: Explainer, pixels: torch.Tensor) -> torch.Tensor:
    """Return the token (width,) that goes into the last norm, or into the classifier if there is none."""
    layer, heard = slow.norm(variant, explainer.model), list[torch.Tensor]()
    classifier: Any = explainer.model.classifier
    where: nn.Module = classifier if layer is None else layer
    hook = where.register_forward_pre_hook(lambda _m, inputs: heard.append(inputs[0].double()))
    explainer.forward(pixels, [])
    hook.remove()
    (x,) = heard
    if getattr(explainer.model.config, "attention_type", "") == "space_only":
        x = x.view(1, -1, *x.shape[1:]).mean(1)
    return x[0] if x.ndim == 2 else x[0, 0]


@pytest.mark.parametrize("order", [range(7), [3, 6, 0, 5, 1, 4, 2], [1, 0, 4], [1, 2, 2]])
def test_rows_of_a_batch_have_their_own_methods_and_targets(explainer: Explainer, order: Sequence[int]) -> None:
    """A mixed batch gives every row what it gets alone, and keeps of every row only what its method needs."""
    ways = [
        Options(method="staa_class", target=1, contrast="none"),
        Options(explain=False),
        Options(method="rollout"),
        Options(),
        Options(method="staa_class", target=1, contrast=0),
        Options(method="paper"),
        Options(method="rollout"),
    ]
    options = [ways[index] for index in order]
    clips = [models.clip(seed, explainer.grid.frames) for seed in order]
    for clip, option, mixed in zip(clips, options, explainer(clips, options), strict=True):
        alone = explainer([clip], option)[0].attribution
        if alone is None or mixed.attribution is None:
            assert (alone, mixed.attribution, option.explain) == (None, None, False)
            continue
        assert mixed.attribution.method == option.method
        assert np.abs(alone.joint - mixed.attribution.joint).max() < 1e-5
        assert (alone.signed is None) == (mixed.attribution.signed is None)
        if alone.signed is not None and mixed.attribution.signed is not None:
            assert np.abs(alone.signed - mixed.attribution.signed).max() < 1e-5
        contrast = None if option.contrast == "none" else option.contrast
        assert (mixed.attribution.target, mixed.attribution.contrast) == (option.target, contrast)
    forward = explainer.forward(
        explainer.pixels(clips), {row: option.method for row, option in enumerate(options) if option.explain}
    )
    explained = sum(option.explain for option in options)
    for_class = sum(option.method == "staa_class" for option in options)
    carried = sum(option.method == "rollout" for option in options)
    averaged = sum(option.method == "staa" for option in options if option.explain)
    for one in forward.captured:
        assert one.weights is None or len(one.weights) == explained
        assert one.sizes is None or len(one.sizes) == averaged
        assert one.values is None or len(one.values) == for_class
        assert one.gains is None or len(one.gains) == for_class
        assert one.share is None or len(one.share) == for_class + averaged * (one.site.role != "cls")
        if one.queries_keys is not None and one.site.role != "pool":
            assert len(one.queries_keys[0]) == carried


def test_nothing_but_what_is_needed_stays_alive(explainer: Explainer) -> None:
    """No tensor that is kept holds on to a larger one, and none is tokens x tokens but the small temporal one."""
    pixels = families.pixels(explainer, 2)
    for method in METHODS:
        for one in explainer.forward(pixels, {0: method, 1: method}).captured:
            kept = [one.weights, one.matrix, one.sizes, one.values, one.share, one.gains, *(one.queries_keys or ())[:2]]
            for part in (part for part in kept if part is not None):
                assert part.untyped_storage().nbytes() <= part.nbytes
            tokens = explainer.grid.t * explainer.grid.h * explainer.grid.w
            assert all(part is None or part.shape[-2:] != (tokens, tokens) for part in kept[:2])
            assert (one.matrix is not None) == (one.site.role == "time")


def test_a_method_that_was_not_named_before_the_pass_is_an_error(explainer: Explainer) -> None:
    """A map of a pass that kept nothing for it fails loudly, and is never an even map."""
    for named, asked in (("staa", "staa_class"), ("staa", "rollout"), ("paper", "staa"), ("paper", "staa_class")):
        forward = explainer.forward(families.pixels(explainer, 1), {0: named})
        with pytest.raises(ValueError, match="not kept: name the method before"):
            explainer.attributions(forward, [Options(method=asked)])


def test_bfloat16_is_close(variant: Variant) -> None:
    """In bfloat16 every method stays within 1e-2 of float32."""
    model = variant.make(initializer_range=0.2)
    high, low = families.explainer(model), families.explainer(copy.deepcopy(model).to(torch.bfloat16))
    pixels = families.pixels(high, 2)
    for method in METHODS:
        options = [Options(method=method, target=1 if METHODS[method].classes else None)] * 2
        pairs = zip(found(high, pixels, options), found(low, pixels.bfloat16(), options), strict=True)
        assert all(np.abs(one.joint - other.joint).max() < 1e-2 for one, other in pairs)


def test_rows_that_are_not_in_the_batch_are_refused(explainer: Explainer) -> None:
    """A row beyond the batch, and a method that does not exist, are errors before the pass."""
    with pytest.raises(ValueError, match="of a batch of 2"):
        explainer.forward(families.pixels(explainer, 2), [0, 5])
    with pytest.raises(OptionError, match="expected one of"):
        explainer.forward(families.pixels(explainer, 1), {0: "magic"})


def test_every_method_is_a_distribution_and_forward_only(explainer: Explainer) -> None:
    """Under inference mode, where nothing can be differentiated, every method answers; sums are 1."""
    clip = models.clip(0, explainer.grid.frames)
    with torch.inference_mode():
        for method in METHODS:
            made = explainer([clip], Options(method=method))[0].attribution
            assert made is not None
            assert made.joint.sum() == pytest.approx(1, abs=1e-5)
            assert (made.signed is None) == (not METHODS[method].classes)
            assert made.signed is None or np.abs(made.signed).sum() == pytest.approx(1, abs=1e-5)


def test_swapping_target_and_contrast_turns_the_signs(model: Any) -> None:
    """Why this and not that is the opposite of why that and not this."""
    explainer = families.explainer(copy.deepcopy(model))
    pixels = families.pixels(explainer, 1)
    ways = [Options(method="staa_class", target=a, contrast=b) for a, b in ((0, 3), (3, 0))]
    one, other = (found(explainer, pixels, [way])[0].signed for way in ways)
    assert np.abs(one + other).max() < 1e-5
