"""What frames sampled by the client cost: `python -m benchmarks.sampling`, a table a model.

Every clip is a generated video. It is explained as a file, and as the frames that the client would send of it, as
JPEGs of several qualities; the server's own code makes both into pixels. Compared are bytes that travel, labels,
scores, and maps: the share of a map that lies elsewhere, and the rank correlation of its cells.
"""

import argparse
import platform
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from staa import Clip, Explainer, Options, Result, decode, frames
from staa_client.video import sampled
from training import movie

ROOT = Path(__file__).resolve().parents[1]
MODELS = (ROOT / "model_store/motions", ROOT / "benchmarks/models/vivit", ROOT / "benchmarks/models/videomae")
QUALITIES = (85, 92, 95, 97)
METHODS = ("staa", "staa_class")
FIRST_SEED = 900_000


def compare(model: Path, videos: Sequence[Path]) -> list[str]:
    """The rows of a model's table."""
    explainer = Explainer.load(model)
    edge, wanted = explainer.recipe.resize, explainer.grid.frames
    if not isinstance(edge, int):
        msg = f"{model.name} scales to {edge}: a shortest edge is expected here"
        raise TypeError(msg)
    shortest = edge
    whole: list[int] = []
    sent: dict[int, list[int]] = {quality: [] for quality in QUALITIES}
    same: dict[int, list[bool]] = {quality: [] for quality in QUALITIES}
    scores: dict[int, list[float]] = {quality: [] for quality in QUALITIES}
    moved: dict[tuple[int, str], list[float]] = {(quality, name): [] for quality in QUALITIES for name in METHODS}
    ranks: dict[tuple[int, str], list[float]] = {(quality, name): [] for quality in QUALITIES for name in METHODS}

    def scale(height: int, width: int) -> tuple[int, int]:
        if width <= height:
            return int(shortest * height / width), shortest
        return shortest, int(shortest * width / height)

    def answers(clip: Clip, target: int | None) -> list[Result]:
        each = [Options(method=name, target=target if name == "staa_class" else None) for name in METHODS]
        return explainer([clip] * len(each), each)

    for path in videos:
        whole.append(path.stat().st_size)
        clip = decode(path, wanted)
        target = explainer([clip])[0].predictions[0].class_id
        before = answers(clip, target)
        small = sampled(path, wanted, scale)
        for quality in QUALITIES:
            archive = small.archive(quality)
            sent[quality].append(len(archive))
            after = answers(frames.unpack(archive, wanted), target)
            same[quality].append(after[0].predictions[0].class_id == target)
            scores[quality].append(_score_change(before[0], after[0]))
            for name, one, other in zip(METHODS, before, after, strict=True):
                a, b = (found.attribution.joint.ravel() for found in (one, other) if found.attribution is not None)
                moved[quality, name].append(float(np.abs(a - b).sum() / 2))
                ranks[quality, name].append(float(spearmanr(a, b).statistic))
    lines = []
    for quality in QUALITIES:
        cells = [str(quality), f"{np.mean(whole) / 1000:.0f}", f"{np.mean(sent[quality]) / 1000:.0f}"]
        cells += [f"{np.mean(same[quality]):.3f}", f"{np.mean(scores[quality]):.4f}"]
        for name in METHODS:
            cells += [f"{np.mean(moved[quality, name]):.4f}", f"{np.mean(ranks[quality, name]):.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _score_change(one: Result, other: Result) -> float:
    """How far the score of the best label moves."""
    best = one.predictions[0]
    scores = {guess.class_id: guess.score for guess in other.predictions}
    return abs(best.score - scores.get(best.class_id, 0.0))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=MODELS)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{platform.machine()} CPU, torch {torch.__version__}, {datetime.now(UTC).date()}\n")
    width, height = options.size
    with tempfile.TemporaryDirectory() as folder:
        videos = [Path(folder) / f"{number}.mp4" for number in range(options.clips)]
        for number, path in enumerate(videos):
            movie.write(path, FIRST_SEED + number, None, (width, height), 10.0, 25)
        for model in options.models:
            print(f"## {model.name}: {len(videos)} videos of 10 s, {width}x{height}\n")
            heads = [f"{name}: {what}" for name in METHODS for what in ("mass moved", "rank correlation")]
            print("| quality | file, kB | frames, kB | same label | score moves | " + " | ".join(heads) + " |")
            print("|" + " --- |" * (5 + len(heads)))
            print("\n".join(compare(model, videos)) + "\n", flush=True)


if __name__ == "__main__":
    main()
