"""Other people's ways to explain work on every family, V-JEPA 2 with its pooler among them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.faithfulness import sanity
from benchmarks.faithfulness.baselines import BASELINES, SLOW_BASELINES, Subject, blocks, gradcam, relevance
from benchmarks.faithfulness.methods import CORE_METHODS
from tests.made import families

FAMILIES = ("divided", "vivit", "videomae-mean", "vjepa2")
TARGET = 1


@pytest.fixture(scope="module", params=FAMILIES)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A tiny model with random weights, with few samples for LIME and KernelSHAP."""
    folder = families.save(families.VARIANTS[request.param].make(), tmp_path_factory.mktemp(request.param))
    return Subject(folder, (8, 8))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A tiny V-JEPA 2."""
    return Subject(families.save(families.VARIANTS["vjepa2"].make(), tmp_path_factory.mktemp("pooled")), (8, 8))


def test_every_way_makes_a_map(subject: Subject) -> None:
    """A map over the grid, of numbers, that is not the same everywhere, and the passes are counted."""
    pixels = families.pixels(subject.explainer, 1)
    for name, way in {**CORE_METHODS, **BASELINES, **SLOW_BASELINES}.items():
        if "refine" in name:
            continue
        before = subject.forwards
        shares = way(subject, pixels, TARGET)
        assert shares.shape == subject.grid.shape, name
        assert np.isfinite(shares).all(), name
        assert np.ptp(shares) > 0, name
        passes = {"random": 0, "centre": 0, "frame difference": 0, "LIME": 8, "KernelSHAP": 8}
        expected = 32 if name.startswith("integrated") else passes.get(name, 1)
        assert subject.forwards - before == expected, name


def test_both_copies_of_a_model_answer_alike(subject: Subject) -> None:
    """The gradients are of the model whose probabilities are measured."""
    pixels = families.pixels(subject.explainer, 2)
    with torch.inference_mode():
        assert torch.allclose(subject.logits(pixels).softmax(-1), subject.answer(pixels), atol=1e-4)


def test_relevance_of_a_pooler_is_the_product_of_its_matrices(pooled: Subject) -> None:
    """The query's row of (gradient x cross-attention) times all (1 + gradient x self-attention), back to the input."""
    pixels = families.pixels(pooled.explainer, 1)
    matrices: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        matrices.append(output[1])

    plain = pooled.plain
    attentions = [*(layer.attention for layer in plain.vjepa2.encoder.layer)]
    attentions += [layer.self_attn for layer in plain.pooler.self_attention_layers]
    attentions.append(plain.pooler.cross_attention_layer.cross_attn)
    hooks = [module.register_forward_hook(keep) for module in attentions]
    logit = plain(pixel_values_videos=pixels.clone().requires_grad_()).logits[0, TARGET]
    for hook in hooks:
        hook.remove()
    pulls = torch.autograd.grad(logit, matrices)
    useful = [(matrix * pull).clamp(min=0).mean(1)[0].double() for matrix, pull in zip(matrices, pulls, strict=True)]
    row = useful[-1].detach().numpy()
    assert row.shape == (1, pooled.grid.t * pooled.grid.h * pooled.grid.w)
    for matrix in reversed(useful[:-1]):
        row = row @ (np.eye(len(matrix)) + matrix.detach().numpy())
    assert relevance(pooled, pixels, TARGET).ravel() == pytest.approx(row[0], rel=1e-3, abs=1e-9)


def test_gradcam_of_a_pooler_is_of_what_the_encoder_gives(pooled: Subject) -> None:
    """Its last block is the pooler: a token is weighted by what the class gains from the encoder's channels."""
    pixels = families.pixels(pooled.explainer, 1)
    assert blocks("vjepa2", pooled.plain)[-1] is pooled.plain.pooler
    assert len(blocks("vjepa2", pooled.plain)) == 1 + len(pooled.plain.vjepa2.encoder.layer)
    tokens = pooled.plain.vjepa2(pixel_values_videos=pixels, skip_predictor=True).last_hidden_state.detach()
    tokens.requires_grad_()
    logit = pooled.plain.classifier(pooled.plain.pooler(tokens))[0, TARGET]
    (gradient,) = torch.autograd.grad(logit, tokens)
    heat = (tokens[0] * gradient[0].mean(0)).sum(-1).clamp(min=0).detach().numpy()
    assert gradcam(pooled, pixels, TARGET).ravel() == pytest.approx(heat, rel=1e-3, abs=1e-7)


def test_new_weights_begin_with_the_head(tmp_path: Path) -> None:
    """No block is drawn anew with the head alone; with one block more the pooler is, and not the encoder."""
    folder = families.save(families.VARIANTS["vjepa2"].make(), tmp_path)
    before = Subject(folder, (8, 8)).explainer.model.state_dict()

    def changed(count: int) -> set[str]:
        after = sanity.randomised(folder, count, seed=0).model.state_dict()
        return {name.split(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name])}

    assert changed(0) == {"classifier"}
    assert changed(1) == {"classifier", "pooler"}
    assert changed(2) == {"classifier", "pooler", "vjepa2"}
