"""Measure a model on fresh clips with known truth: `python -m training.evaluate model_store/motions`."""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from staa import Clip, Explainer
from staa.types import Attribution, Grid
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


def fresh(explainer: Explainer, index: int) -> tuple[Clip, Sample]:
    """Return the clip of one validation seed, at the model's own size, as it comes out of a decoder."""
    rng = np.random.default_rng(VALIDATION_SEEDS + index)
    frames, source = explainer.grid.frames, int(rng.integers(100, 500))
    height, width = explainer.recipe.crop or (96, 96)
    times = moments(frames, source)
    sample = render(draw(rng, CURRICULUM[-1]), times, width, height, rng)
    indices = np.rint(times * source).astype(np.int64)
    return Clip(sample.frames, times * SECONDS, indices, source / SECONDS, SECONDS), sample


def token_means(values: np.ndarray, grid: Grid) -> NDArray[np.float64]:
    """Return the mean over each token, (t, h, w), of the values of pixels (T, H, W); of a mask that is a share."""
    height, width = values.shape[1] // grid.h, values.shape[2] // grid.w
    return np.asarray(values.reshape(grid.t, grid.tubelet, grid.h, height, grid.w, width).mean((1, 3, 5)))


def event_steps(sample: Sample, grid: Grid) -> NDArray[np.bool_]:
    """Return (t,): whether the event goes on in each step."""
    return np.asarray(sample.when.reshape(grid.t, grid.tubelet).any(1))


def score(sample: Sample, predicted: int, attribution: Attribution) -> Score:
    """Compare one map with the truth."""
    covered = token_means(sample.mask, attribution.grid) >= COVERED
    event = event_steps(sample, attribution.grid)
    step = int(attribution.temporal.argmax())
    hit = bool(covered[step].ravel()[attribution.joint[step].argmax()])
    return Score(sample.label, predicted, hit, float(covered.mean()), bool(event[step]), float(event.mean()))


def measure(explainer: Explainer, clips: int, batch: int = 20, first: int = 0) -> Iterator[Score]:
    """Yield the scores of so many fresh clips, batch by batch."""
    for start in range(first, first + clips, batch):
        pairs = [fresh(explainer, index) for index in range(start, min(start + batch, first + clips))]
        for result, (_, sample) in zip(explainer([clip for clip, _ in pairs]), pairs, strict=True):
            if result.attribution is not None:
                yield score(sample, result.predictions[0].class_id, result.attribution)


def table(scores: list[Score]) -> str:
    """Return the figures, as the model card states them."""
    right = [score for score in scores if score.label == score.predicted]
    lines = [f"{len(scores)} fresh clips of unseen seeds"]
    lines.append(f"accuracy                                     {len(right) / len(scores):.4f}   chance 0.1250")
    for text, name in (("hottest cell of the best step on the object", "where"), ("best step in the event", "when")):
        hit, chance = (np.mean([getattr(score, key) for score in right]) for key in (name, f"{name}_chance"))
        lines.append(f"{text:<44} {hit:.4f}   chance {chance:.4f}   (clips with the right label)")
    for index, label in enumerate(LABELS):
        guesses = [score.predicted for score in scores if score.label == index]
        lines.append(f"  {label:<12} {np.equal(guesses, index).mean():.3f}  of {len(guesses)}")
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
    for measured in measure(explainer, options.clips):
        scores.append(measured)
        if len(scores) % 200 == 0:
            print(f"{len(scores)} of {options.clips} clips, {time.monotonic() - began:.0f} s", flush=True)
    print(table(scores))


if __name__ == "__main__":
    main()
