"""Measure a model on fresh clips with known truth: `python -m training.evaluate model_store/motions`."""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from staa import Clip, Explainer
from staa.types import Attribution
from training.clips import CURRICULUM, LABELS, Sample, draw, moments, render
from training.stream import VALIDATION_SEEDS

COVERED = 0.15
"""A token lies on the object when the object covers at least this share of its patch."""
SECONDS = 10.0
"""Length that an evaluated clip stands for."""


@dataclass(frozen=True)
class Score:
    """One clip's figures; the chance levels are what a map drawn at random would reach."""

    label: int
    predicted: int
    where: bool
    """The hottest cell of the most important step lies on the object."""
    where_chance: float
    """Share of the clip's cells that do."""
    when: bool
    """The most important step lies in the event."""
    when_chance: float
    """Share of the steps that do."""


def fresh(explainer: Explainer, number: int) -> tuple[Clip, Sample]:
    """The clip of one validation seed, at the model's own size, as it comes out of a decoder."""
    rng = np.random.default_rng(VALIDATION_SEEDS + number)
    frames, source = explainer.grid.frames, int(rng.integers(100, 500))
    height, width = explainer.recipe.crop or (96, 96)
    times = moments(frames, source)
    sample = render(draw(rng, CURRICULUM[-1]), times, width, height, rng)
    indices = np.rint(times * source).astype(np.int64)
    return Clip(sample.frames, times * SECONDS, indices, source / SECONDS, SECONDS), sample


def score(sample: Sample, predicted: int, found: Attribution) -> Score:
    """Compare one map with the truth."""
    grid = found.grid
    height, width = sample.mask.shape[1] // grid.h, sample.mask.shape[2] // grid.w
    cover = sample.mask.reshape(grid.t, grid.tubelet, grid.h, height, grid.w, width).mean((1, 3, 5))
    cover = np.asarray(cover >= COVERED)
    event = np.asarray(sample.when.reshape(grid.t, grid.tubelet).any(1))
    step = int(found.temporal.argmax())
    hit = bool(cover[step].ravel()[found.joint[step].argmax()])
    return Score(sample.label, predicted, hit, float(cover.mean()), bool(event[step]), float(event.mean()))


def measure(explainer: Explainer, clips: int, batch: int = 20, first: int = 0) -> Iterator[Score]:
    """Scores of so many fresh clips, batch by batch."""
    for start in range(first, first + clips, batch):
        pairs = [fresh(explainer, number) for number in range(start, min(start + batch, first + clips))]
        for result, (_, sample) in zip(explainer([clip for clip, _ in pairs]), pairs, strict=True):
            if result.attribution is not None:
                yield score(sample, result.predictions[0].class_id, result.attribution)


def table(scores: list[Score]) -> str:
    """The figures, as the model card states them."""
    right = [each for each in scores if each.label == each.predicted]
    lines = [f"{len(scores)} fresh clips of unseen seeds"]
    lines.append(f"accuracy                                     {len(right) / len(scores):.4f}   chance 0.1250")
    for text, name in (("hottest cell of the best step on the object", "where"), ("best step in the event", "when")):
        hit, chance = (np.mean([getattr(each, key) for each in right]) for key in (name, f"{name}_chance"))
        lines.append(f"{text:<44} {hit:.4f}   chance {chance:.4f}   (clips with the right label)")
    for index, label in enumerate(LABELS):
        own = [each for each in scores if each.label == index]
        lines.append(f"  {label:<12} {np.mean([each.predicted == index for each in own]):.3f}  of {len(own)}")
    return "\n".join(lines)


def main() -> None:
    """Measure, with progress."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description="Measure a model on fresh clips.")
    parser.add_argument("weights", nargs="?", default="model_store/motions", type=Path)
    parser.add_argument("--clips", type=int, default=2000)
    options = parser.parse_args()
    explainer = Explainer.load(options.weights)
    scores: list[Score] = []
    began = time.monotonic()
    for each in measure(explainer, options.clips):
        scores.append(each)
        if len(scores) % 200 == 0:
            print(f"{len(scores)} of {options.clips} clips, {time.monotonic() - began:.0f} s", flush=True)
    print(table(scores))


if __name__ == "__main__":
    main()
