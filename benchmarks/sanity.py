"""Do the maps depend on the model, and on what is to be seen? `python -m benchmarks.sanity`, one table a model.

First: rank correlation of a clip's map with that of the same model after its weights were drawn anew, from the head
down (Adebayo et al. 2018), mean of some draws: a map that is read from what was learned must lose its likeness. Then:
with the map of the same clip a little changed, which must keep it: noise, a round trip through H.264, a shift by two
pixels. Last: with the map of the next clip, which is how alike maps are that have nothing to do with each other.
Even maps, where nothing speaks for the class, have no ranks and are left out; a star says that some were.
"""

import argparse
import io
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from benchmarks.faithfulness import MODELS
from benchmarks.metrics import Map
from benchmarks.others import BLOCKS
from staa import Clip, Explainer, Options, families
from staa.attribution import METHODS
from training.evaluate import fresh

Frames = NDArray[np.uint8]


def noise(frames: Frames) -> Frames:
    """With a standard deviation of 4 grey levels."""
    grain = np.random.default_rng(0).normal(0, 4, frames.shape)
    return np.asarray(np.clip(np.rint(frames + grain), 0, 255), np.uint8)


def codec(frames: Frames) -> Frames:
    """H.264 at crf 28, and back."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=25, options={"crf": "28"})
        (stream.height, stream.width), stream.pix_fmt = frames.shape[1:3], "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as container:
        decoded: list[Any] = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(decoded)


def shift(frames: Frames) -> Frames:
    """Two pixels to the right and down."""
    return np.asarray(np.roll(frames, (2, 2), (1, 2)))


CHANGES: dict[str, Callable[[Frames], Frames]] = {"noise": noise, "H.264": codec, "shift": shift}


@torch.no_grad()
def randomised(folder: Path, blocks: int, seed: int) -> Explainer:
    """With a new head and so many new blocks from the last on; -1 is everything."""
    explainer = Explainer.load(folder, device="cpu", stride=1)
    model: Any = explainer.model
    layers = list(model.get_submodule(BLOCKS[explainer.family]).children())
    parts: list[nn.Module] = [model] if blocks < 0 else [model.classifier, *layers[len(layers) - blocks :]]
    generator = torch.Generator().manual_seed(seed)
    for part in parts:
        for parameter in part.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, float(parameter.std()), generator=generator)
            else:
                parameter.copy_(parameter[torch.randperm(len(parameter), generator=generator)])
    explainer.directions = families.family(explainer.family).directions(model)
    return explainer


def maps(explainer: Explainer, clips: list[Clip], method: str, targets: list[int]) -> list[Map]:
    """One a clip, for its target where the method takes one."""
    options = [Options(method=method, target=target if METHODS[method].classes else None) for target in targets]
    return [result.attribution.joint.astype(np.float64) for result in explainer(clips, options) if result.attribution]


def likeness(one: list[Map], other: list[Map]) -> str:
    """Mean rank correlation of the pairs without an even map; `-` where none is left."""
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(one, other, strict=True) if np.ptp(a) and np.ptp(b)]
    if not pairs:
        return "-"
    return f"{np.mean([spearmanr(a, b).statistic for a, b in pairs]):.2f}" + "*" * (len(pairs) < len(one))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, default=MODELS, help="folders of trained models")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--draws", type=int, default=3, help="of the new weights")
    options = parser.parse_args()
    print(
        f"{platform.machine()} CPU, torch {torch.__version__}, {time.strftime('%F')}; "
        f"{options.clips} clips a model, {options.draws} draws of the weights"
    )
    for folder in options.models:
        trained = Explainer.load(folder, device="cpu", stride=1)
        pairs = [fresh(trained, 2000 + number) for number in range(options.clips)]
        clips, targets = [clip for clip, _ in pairs], [sample.label for _, sample in pairs]
        blocks = len(list(trained.model.get_submodule(BLOCKS[trained.family]).children()))
        stages = {
            "head": 0,
            **{f"+ {n} blocks" if n > 1 else "+ last block": n for n in range(1, blocks + 1)},
            "all": -1,
        }
        drawn = [[randomised(folder, count, seed) for seed in range(options.draws)] for count in stages.values()]
        columns = [*(f"new {name}" for name in stages), *CHANGES, "another clip"]
        print(f"\n## {folder.name}\n\n| method | {' | '.join(columns)} |\n|" + " --- |" * (1 + len(columns)))
        for method in METHODS:
            own = maps(trained, clips, method, targets)
            cells = [
                likeness(own * options.draws, [map_ for one in models for map_ in maps(one, clips, method, targets)])
                for models in drawn
            ]
            for change in CHANGES.values():
                altered = [Clip(change(c.frames), c.seconds, c.indices, c.fps, c.duration) for c in clips]
                cells.append(likeness(own, maps(trained, altered, method, targets)))
            cells.append(likeness(own, own[1:] + own[:1]))
            print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
