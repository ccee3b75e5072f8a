"""What frames sampled by the client cost: `python -m benchmarks.speed.client_frames`, a table a model.

Every clip is a generated video. It is explained as a file, and as the frames that the client would send of it, as
JPEGs of several qualities; the server's own code makes both into pixels. Compared are bytes that travel, labels,
scores, and maps: the share of a map that lies elsewhere, and the rank correlation of its cells.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.report import MODELS, argument_parser, heads, machine, row
from staa import Clip, Explainer, Options, Result, decode
from staa.recipe import resized_shape
from staa_client.video import sampled
from staa_video import frames_archive
from training import movie

QUALITIES = (85, 92, 95, 97)
METHODS = ("staa", "staa_class")
FIRST_SEED = 900_000


def compare(model: Path, videos: Sequence[Path]) -> Iterator[str]:
    """Yield the rows of a model's table."""
    explainer = Explainer.load(model)
    count, recipe = explainer.grid.frames, explainer.recipe
    figures: dict[int, list[list[float]]] = {quality: [] for quality in QUALITIES}

    def answers(clip: Clip, target: int) -> list[Result]:
        options = [Options(method=name, target=target if name == "staa_class" else None) for name in METHODS]
        return explainer([clip] * len(options), options)

    for path in videos:
        clip = decode(path, count)
        target = explainer([clip])[0].predictions[0].class_id
        before = answers(clip, target)
        small = sampled(path, count, lambda height, width: resized_shape(recipe.resize, height, width))
        for quality in QUALITIES:
            archive = small.archive(quality)
            after = answers(frames_archive.unpack(archive, count), target)
            same = after[0].predictions[0].class_id == target
            measured = [path.stat().st_size / 1000, len(archive) / 1000, same, _score_change(before[0], after[0])]
            for results in zip(before, after, strict=True):
                a, b = (result.attribution.joint.ravel() for result in results if result.attribution is not None)
                measured += [float(np.abs(a - b).sum() / 2), float(spearmanr(a, b).statistic)]
            figures[quality].append(measured)
    for quality in QUALITIES:
        whole, sent, right, *rest = np.mean(figures[quality], 0)
        yield row(quality, f"{whole:.0f}", f"{sent:.0f}", f"{right:.3f}", *(f"{mean:.4f}" for mean in rest))


def _score_change(before: Result, after: Result) -> float:
    """Return how much the score of the best label changes."""
    best = before.predictions[0]
    scores = {guess.class_id: guess.score for guess in after.predictions}
    return abs(best.score - scores.get(best.class_id, 0.0))


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("models", nargs="*", type=Path, default=MODELS)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{machine()}\n")
    width, height = options.size
    with tempfile.TemporaryDirectory() as folder:
        videos = [Path(folder) / f"{index}.mp4" for index in range(options.clips)]
        for index, path in enumerate(videos):
            movie.write(path, FIRST_SEED + index, None, (width, height), 10.0, 25)
        for model in options.models:
            print(f"## {model.name}: {len(videos)} videos of 10 s, {width}x{height}\n")
            names = [f"{name}: {what}" for name in METHODS for what in ("mass moved", "rank correlation")]
            print(heads("quality", "file, kB", "frames, kB", "same label", "score moves", *names))
            print(*compare(model, videos), sep="\n", end="\n\n", flush=True)


if __name__ == "__main__":
    main()
