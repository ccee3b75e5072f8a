"""Do maps depend on the model, and on what is to be seen? `python -m benchmarks.faithfulness.sanity`, a table a model.

First: rank correlation of a clip's map with that of the same model after its weights were drawn anew, from the head
down (Adebayo et al. 2018), mean of some draws: a map that is read from what was learned must lose its likeness. Then:
with the map of the same clip a little changed, which must keep it: noise, a round trip through H.264, a shift by two
pixels. Last: with the map of the next clip, which is how alike maps are that have nothing to do with each other.
Even maps, where nothing speaks for the class, have no ranks and are left out; a star says that some were.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from benchmarks.faithfulness.baselines import blocks as blocks_of
from benchmarks.faithfulness.methods import CORE_METHODS, OurWay
from benchmarks.faithfulness.metrics import Map
from benchmarks.report import MODELS, argument_parser, heads, machine, row
from staa import Clip, Explainer
from staa.checkpoint import loader
from training.evaluate import fresh
from training.movie import encode

Frames = NDArray[np.uint8]
WAYS = ("staa", "staa, version 1", "staa_class", "staa_class, version 2", "rollout", "paper (last block)")
"""The present versions of our methods stand beside those before them."""


def noise(frames: Frames) -> Frames:
    """Return frames with noise of a standard deviation of 4 grey levels."""
    grain = np.random.default_rng(0).normal(0, 4, frames.shape)
    return np.asarray(np.clip(np.rint(frames + grain), 0, 255), np.uint8)


def codec(frames: Frames) -> Frames:
    """Return frames after encoding and decoding with H.264 at crf 28."""
    file = io.BytesIO()
    encode(file, frames, (frames.shape[2], frames.shape[1]), 25, crf="28")
    file.seek(0)
    with av.open(file, "r") as container:
        decoded: list[Any] = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(decoded)


def shift(frames: Frames) -> Frames:
    """Return frames moved by two pixels to the right and down."""
    return np.asarray(np.roll(frames, (2, 2), (1, 2)))


CHANGES: dict[str, Callable[[Frames], Frames]] = {"noise": noise, "H.264": codec, "shift": shift}


@torch.no_grad()
def randomised(folder: Path, blocks: int, seed: int) -> Explainer:
    """Load a model with random weights in its head and in its last `blocks` blocks; -1 is all weights."""
    loaded, recipe = loader.load(folder, "cpu", "float32")
    model: Any = loaded
    layers = blocks_of(model.config.model_type, model)
    anew: list[nn.Module] = [model] if blocks < 0 else [model.classifier, *layers[len(layers) - blocks :]]
    generator = torch.Generator().manual_seed(seed)
    for module in anew:
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, float(parameter.std()), generator=generator)
            else:
                parameter.copy_(parameter[torch.randperm(len(parameter), generator=generator)])
    return Explainer(model, recipe, stride=1)


@dataclass(frozen=True)
class Model:
    """Holds a model as our own ways to explain take it."""

    explainer: Explainer


def maps(explainer: Explainer, clips: Sequence[Clip], way: OurWay, targets: list[int]) -> list[Map]:
    """Return the map of every clip for its target, without what speaks against it."""
    model = Model(explainer)
    return [
        np.clip(way(model, explainer.pixels([clip]), target), 0, None)
        for clip, target in zip(clips, targets, strict=True)
    ]


def likeness(maps: list[Map], others: list[Map]) -> str:
    """Return the mean rank correlation of the pairs without a uniform map; `-` if there are no such pairs."""
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(maps, others, strict=True) if np.ptp(a) and np.ptp(b)]
    if not pairs:
        return "-"
    return f"{np.mean([spearmanr(a, b).statistic for a, b in pairs]):.2f}" + "*" * (len(pairs) < len(maps))


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("models", nargs="*", type=Path, default=MODELS, help="folders of trained models")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--draws", type=int, default=3, help="of the new weights")
    options = parser.parse_args()
    print(f"{machine()}; {options.clips} clips a model, {options.draws} draws of the weights")
    for folder in options.models:
        trained = Explainer.load(folder, device="cpu", stride=1)
        clips, samples = zip(*(fresh(trained, 2000 + index) for index in range(options.clips)), strict=True)
        altered = [[replace(clip, frames=change(clip.frames)) for clip in clips] for change in CHANGES.values()]
        targets = [sample.label for sample in samples]
        blocks = len(blocks_of(trained.family, trained.model))
        drawn = [
            [randomised(folder, count, seed) for seed in range(options.draws)] for count in (*range(blocks + 1), -1)
        ]
        stages = ["head", "+ last block", *(f"+ {count} blocks" for count in range(2, blocks + 1)), "all"]
        print(f"\n## {folder.name}\n")
        print(heads("way", *(f"new {stage}" for stage in stages), *CHANGES, "another clip"))
        for name in WAYS:
            way = CORE_METHODS[name]
            true = maps(trained, clips, way, targets)
            cells = [
                likeness(true * options.draws, [new for model in models for new in maps(model, clips, way, targets)])
                for models in drawn
            ]
            cells += [likeness(true, maps(trained, changed, way, targets)) for changed in altered]
            print(row(name, *cells, likeness(true, true[1:] + true[:1])), flush=True)


if __name__ == "__main__":
    main()
