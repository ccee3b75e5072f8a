"""Faults of the method's public reference code, each by its number in docs/explain.md: none of them is here."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from staa import Clip, Explainer, Options, decode, focus
from staa.attribution import METHODS, Reading
from staa.capture import make_reduce
from staa.serving import wire
from staa.sites import Wanted
from staa.types import Attribution, Grid
from tests.made import models, videos


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Return a tiny TimeSformer behind the core."""
    return models.explainer(models.timesformer())


def joint(explainer: Explainer, clip: Clip) -> np.ndarray:
    """Return the map of one clip."""
    found = explainer([clip])[0].attribution
    assert found is not None
    return found.joint


def test_1_the_map_of_a_frame_is_of_that_frame(explainer: Explainer) -> None:
    """What is read for frame i is the CLS row of frame i, and not row i + 1 of frame 0."""
    query, key = torch.randn(2, 4, 2, 17, 8, generator=torch.Generator().manual_seed(0))
    captured = make_reduce(explainer.sites[1], Wanted((0,)), {(0,): None})(query, key, key, 0.3)
    space = METHODS["paper"].run(Reading([captured], torch.zeros(1, 32)))[0][0]
    matrices = ((query @ key.transpose(-2, -1)) * 0.3).softmax(-1).mean(1)
    for frame in range(4):
        assert torch.allclose(space[frame], matrices[frame, 0, 1:], atol=1e-6)
        assert not torch.allclose(space[frame], matrices[0, frame + 1, 1:], atol=1e-3)


def test_2_rows_that_cannot_matter_are_not_read(explainer: Explainer) -> None:
    """Changing the last block's query of every patch changes neither the labels nor what is read: only CLS counts."""
    model = models.timesformer()
    pixels = explainer.pixels([models.clip(0)])
    before = model(pixel_values=pixels).logits
    called = []

    def disturb(_module: torch.nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        called.append(True)
        changed = output.clone()
        changed[:, 1:, :32] += 3  # the query part of the patch rows
        return changed

    model.get_submodule("timesformer.encoder.layer.2.attention.attention.qkv").register_forward_hook(disturb)
    assert torch.allclose(before, model(pixel_values=pixels).logits, atol=1e-6)
    assert called
    query, key = torch.randn(2, 4, 2, 17, 8, generator=torch.Generator().manual_seed(0))
    work = make_reduce(explainer.sites[-1], Wanted((0,)), {(0,): None})
    read = work(query, key, key, 0.3).weights
    query[:, :, 1:] += 3
    again = work(query, key, key, 0.3).weights
    assert read is not None
    assert again is not None
    assert torch.equal(read, again)


def test_3_when_comes_from_temporal_attention(explainer: Explainer) -> None:
    """If all temporal attention goes to frame 2, half of the map moves there; a mean of softmax rows could not."""
    forward = explainer.forward(explainer.pixels([models.clip(0)]), [0])
    time = torch.zeros(1, 16, 4, 4)
    time[..., 2] = 1
    half = [torch.full((1, 4, 16), 0.5), torch.zeros(1, 4, 16), torch.zeros(1, 4, 16)]  # of the first block only
    captured = [
        replace(one, matrix=time, share=half[index // 2]) if one.site.role == "time" else one
        for index, one in enumerate(forward.captured)
    ]
    still = [replace(one, share=torch.zeros(1, 4, 16)) if one.site.role == "time" else one for one in captured]
    before, after = (
        METHODS["staa"].run(Reading(every, torch.zeros(1, 32)))[0][0].sum(-1) for every in (still, captured)
    )
    assert torch.allclose(after, 0.5 * before + 0.5 * before.sum() * torch.tensor([0, 0, 1, 0]), atol=1e-5)
    assert np.ptp(joint(explainer, models.clip(0)).sum((1, 2))) > 1e-3


def test_4_asking_for_attentions_is_an_error_and_never_empty(explainer: Explainer) -> None:
    """Fast attention has no matrices: asking transformers for them fails loudly instead of giving an empty tuple."""
    with pytest.raises(ValueError, match="do not exist"):
        explainer.model(pixel_values=explainer.pixels([models.clip(0)]), output_attentions=True)


def test_5_the_map_covers_the_box_and_nothing_else(explainer: Explainer) -> None:
    """What lies outside of the box changes nothing; what lies inside changes the answer."""
    clip = models.clip(0, height=40, width=64)
    result = explainer([clip])[0]
    x0, y0, x1, y1 = result.box
    assert (y0, y1, x1 - x0) == (0, 40, 40)
    outside, inside = clip.frames.copy(), clip.frames.copy()
    outside[:, :, : x0 - 3] = 0
    outside[:, :, x1 + 3 :] = 255
    inside[:, 10:20, 20:30] = 0
    same, other = (
        joint(explainer, Clip(frames, clip.seconds, clip.indices, clip.fps, clip.duration))
        for frames in (outside, inside)
    )
    assert np.abs(same - joint(explainer, clip)).max() < 1e-6
    assert np.abs(other - joint(explainer, clip)).max() > 1e-4


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_6_phones_are_explained_upright(degrees: int) -> None:
    """A display rotation in the container is applied before anything looks at the frames."""
    pictures = list(videos.images(8))
    upright = decode(videos.encode(pictures), 4)
    turned = decode(videos.encode(pictures, degrees=degrees), 4)
    assert any(
        np.abs(np.rot90(upright.frames, k, (1, 2)).astype(int) - turned.frames).mean() < 3
        for k in (1, 2, 3)
        if np.rot90(upright.frames, k, (1, 2)).shape == turned.frames.shape
    )
    if degrees != 180:
        assert turned.frames.shape[1:3] == upright.frames.shape[1:3][::-1]


def test_7_frames_are_spread_and_keep_their_numbers() -> None:
    """The sample spans the whole clip to its last frame, and index i is frame i of the source."""
    clip = decode(videos.encode(videos.images(100), rate=25), 8)
    assert clip.indices[0] == 0
    assert clip.indices[-1] == 99
    assert np.diff(clip.indices).min() >= 14
    assert np.allclose(clip.seconds, clip.indices / 25, atol=1e-6)


def test_8_nothing_is_random_and_colours_are_rgb(explainer: Explainer) -> None:
    """Two calls agree to the bit, a red video arrives red, and a flat map stays finite."""
    assert np.array_equal(joint(explainer, models.clip(0)), joint(explainer, models.clip(0)))
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 220
    pixels = explainer.pixels([decode(videos.encode([red] * 8), 4)])[0].mean((0, 2, 3))
    assert pixels[0] > pixels[1] + 2
    assert pixels[0] > pixels[2] + 2
    flat = np.full((2, 2, 2), 0.125, np.float32)
    assert np.isfinite(focus.scaled(flat)).all()


def test_9_what_is_measured_is_what_is_shown() -> None:
    """The map in a reply is the attribution itself, not another tensor on the way to a picture."""
    made = np.random.default_rng(0).exponential(size=(4, 4, 4)).astype(np.float32)
    made /= made.sum()
    grid = Grid(4, 4, 4, 1)
    explainer = models.explainer(models.timesformer())
    clip = models.clip(0)
    result = explainer([clip], Options())[0]
    shown = type(result)(result.predictions, result.box, result.steps, Attribution(made, grid, "staa"), 0.01)
    body, _ = wire.reply(wire.Model("m", "1", "timesformer", explainer.labels), wire.Answer(clip, shown), "npz")
    with np.load(io.BytesIO(body)) as archive:
        assert np.array_equal(archive["joint"], made)
        assert json.loads(archive["reply"].tobytes())["explanation"]["method"] == "staa"
