"""The generator's truth is true, labels follow augmentations, and a resized model keeps its answers."""

import numpy as np
import pytest
import torch

from training.clips import LABELS, STEPS, draw, moments, render
from training.model import KINDS, POOLED, build, resize
from training.movie import write
from training.stream import FLIPPED, MIRRORED, REVERSED, TRANSPOSED, VALIDATION_SEEDS, Stream, clip


def centres(mask: np.ndarray) -> np.ndarray:
    """(N, 2) mean x, y of the object in every frame that shows it."""
    return np.array([np.argwhere(frame).mean(0)[::-1] for frame in mask if frame.any()])


@pytest.mark.parametrize("label", range(len(LABELS)))
def test_the_motion_is_the_one_that_the_label_names(label: int) -> None:
    """From its mask alone, the object moves, grows, shrinks or blinks as its label says."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scene = draw(rng, label=label)
        sample = render(scene, np.arange(64) / 64, 96, 96, rng)
        seen = np.asarray(sample.mask.any((1, 2)))
        areas = np.asarray(sample.mask.sum((1, 2)))[seen]
        (dx, dy), name = centres(sample.mask)[-1] - centres(sample.mask)[0], LABELS[label]
        assert not seen[~sample.when].any(), "the object is to be seen in the event only"
        if name.startswith("moves"):
            ahead = {"left": -dx, "right": dx, "up": -dy, "down": dy}[name.split()[1]]
            across = dy if name.split()[1] in {"left", "right"} else dx
            assert ahead > 8
            assert abs(across) < 2
        elif name in {"grows", "shrinks"}:
            assert (areas[-1] > 2 * areas[0]) == (name == "grows")
        elif name == "blinks":
            assert np.count_nonzero(np.diff(seen.astype(int))) >= 4
        else:
            assert np.hypot(dx, dy) < 2
            assert seen.sum() == sample.when.sum()


def test_clips_are_given_by_their_seed() -> None:
    """The same seed gives the same clip, another seed another; the stream's seeds are not the validation's."""
    assert np.array_equal(clip(3, 16, 48)[0], clip(3, 16, 48)[0])
    assert not np.array_equal(clip(3, 16, 48)[0], clip(4, 16, 48)[0])
    first = next(iter(Stream(2, 16, 48, seed=0)))
    again = next(iter(Stream(2, 16, 48, seed=0)))
    later = next(iter(Stream(2, 16, 48, seed=0, done=1)))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], later[0])
    assert VALIDATION_SEEDS > 50_000_000


def test_one_scene_at_two_sizes() -> None:
    """The same scene at 96 px and as a wide frame of 240 rows shows the object in the same place."""
    rng = np.random.default_rng(5)
    scene = draw(rng, label=2)
    small = render(scene, moments(STEPS, 250), 96, 96, rng).mask
    large = render(scene, moments(STEPS, 250), 320, 240, rng).mask[:, :, 40:280]
    assert np.array_equal(small.any((1, 2)), large.any((1, 2)))
    assert np.abs(centres(small) / 96 - centres(large) / 240).max() < 0.02


@pytest.mark.parametrize(
    ("table", "turn"),
    [
        (MIRRORED, lambda mask: mask[:, :, ::-1]),
        (FLIPPED, lambda mask: mask[:, ::-1]),
        (TRANSPOSED, lambda mask: mask.transpose(0, 2, 1)),
        (REVERSED, lambda mask: mask[::-1]),
    ],
    ids=["mirrored", "flipped", "transposed", "reversed"],
)
@pytest.mark.parametrize("label", range(6))
def test_labels_follow_the_augmentation(table: torch.Tensor, turn: object, label: int) -> None:
    """A mirrored "moves left" is a "moves right", a reversed "grows" a "shrinks", and so on."""
    assert callable(turn)
    rng = np.random.default_rng(1)
    turned = turn(render(draw(rng, label=label), np.arange(32) / 32, 96, 96, rng).mask)
    path, areas = centres(turned), turned.sum((1, 2))[turned.any((1, 2))]
    dx, dy = path[-1] - path[0]
    moved = max({0: -dx, 1: dx, 2: -dy, 3: dy}.items(), key=lambda item: item[1])
    found = int(moved[0]) if moved[1] > 5 else (4 if areas[-1] > areas[0] else 5)
    assert int(table[label]) == found


@pytest.mark.parametrize("family", KINDS)
def test_resizing_keeps_a_positions_place(family: str) -> None:
    """Positions of a larger frame are those of the smaller one in between, corners unchanged; other weights stay."""
    small = build(family, 16, 4, 4, 32, 1 + POOLED * (family == "vjepa2"), 4)
    large = resize(small, 32)
    if family in {"timesformer", "vivit"}:
        tables = [getattr(model, family).embeddings.position_embeddings[0, 1:] for model in (small, large)]
        before, after = tables[0].view(-1, 4, 4, 32), tables[1].view(-1, 8, 8, 32)
        assert torch.allclose(before[-1, 0, 0], after[-1, 0, 0], atol=1e-6)
        assert torch.allclose(before[-1, 3, 0], after[-1, 7, 0], atol=1e-6)
    assert torch.equal(small.state_dict()["classifier.weight"], large.state_dict()["classifier.weight"])
    assert large(**{large.main_input_name: torch.zeros(1, 4, 3, 32, 32)}).logits.shape == (1, len(LABELS))


def test_a_movie_has_its_truth_beside_it(tmp_path: object) -> None:
    """The file decodes to as many frames as the truth has boxes, and the boxes lie in the frame."""
    import json
    from pathlib import Path

    from staa import decode

    path = Path(str(tmp_path)) / "clip.mp4"
    truth = json.loads(write(path, 1, 0, (160, 120), 2.0, 25).read_text())
    clip = decode(path, 50)
    assert clip.indices.tolist() == list(range(50))
    assert len(truth["boxes"]) == 50
    assert truth["label"] == LABELS[0]
    for second, box in zip(clip.seconds, truth["boxes"], strict=True):
        assert (box is not None) == (truth["when"][0] <= second + 1e-9 < truth["when"][1])
        assert box is None or (0 <= box[0] < box[2] <= 160 and 0 <= box[1] < box[3] <= 120)
