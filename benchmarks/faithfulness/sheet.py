"""What the ways show, for a person to look at: one row a clip, one column a way, at a step of the event.

`python -m benchmarks.faithfulness.sheet docs/maps.png` draws what docs/explain.md shows: clips of the default model,
with maps of no class, of their label, of another one, and of the same network with random weights.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from transformers import AutoConfig, AutoModelForVideoClassification

from benchmarks.faithfulness.metrics import Map
from benchmarks.report import ROOT, argument_parser
from staa import Explainer, Options
from staa_client.pictures.colours import BALANCE, HEAT, colours_of, table_of
from staa_client.pictures.letters import load_font
from staa_client.pictures.overlay import overlay
from training.clips import LABELS, Sample
from training.evaluate import fresh

SIDE, BARS, GAP, HEAD = 132, 22, 8, 34
"""Pixels: of a frame, of the curve under it, between them, of the names above."""
INK = (232, 233, 240)


def sheet(clips: Sequence[tuple[Sample, Mapping[str, Map]]], signed: Collection[str] = ()) -> Image.Image:
    """Return a drawing: the frame with its object outlined, then every way's map over it and its curve over time.

    Colours are the square root of the share, up to the largest of the clip; of the `signed` ways red speaks for the
    class and blue against it. Under it bars for the steps, the event's in a brighter tone: of what speaks for the class
    where the map is signed, as part of the step with the most weight of both signs.
    """
    names = list(dict.fromkeys(name for _, maps in clips for name in maps))
    width = GAP + (len(names) + 1) * (SIDE + GAP)
    page = Image.new("RGB", (width, HEAD + len(clips) * (SIDE + BARS + 2 * GAP)), (18, 18, 26))
    draw = ImageDraw.Draw(page)
    for column, name in enumerate(("clip and object", *names)):
        for line, text in enumerate(name.split(", ")):
            draw.text((GAP + column * (SIDE + GAP), 4 + 14 * line), text, fill=INK, font=load_font(11))
    for row, (sample, maps) in enumerate(clips):
        top = HEAD + row * (SIDE + BARS + 2 * GAP)
        seen = np.flatnonzero(sample.when & sample.mask.any((1, 2)))
        frame = int(seen[len(seen) // 2])
        page.paste(_outlined(sample, frame), (GAP, top))
        draw.text((GAP, top + SIDE + 4), LABELS[sample.label], fill=INK, font=load_font(12))
        for column, name in enumerate(names, 1):
            left = GAP + column * (SIDE + GAP)
            if name not in maps:
                draw.text((left, top + 4), "not run", fill=INK, font=load_font(11))
                continue
            shares = maps[name]
            step = frame * len(shares) // len(sample.frames)
            picture = _large(sample.frames[frame])
            sizes = np.abs(shares)
            heat = (np.sign(shares) * np.sqrt(sizes / (sizes.max() or 1)))[step].astype(np.float32)
            scale = BALANCE if name in signed else HEAT
            page.paste(Image.fromarray(overlay(picture, heat, (0, 0, SIDE, SIDE), scale=scale)), (left, top))
            temporal = np.clip(shares, 0, None).sum((1, 2)) / (sizes.sum((1, 2)).max() or 1)
            _bars(draw, temporal, sample, (left, top + SIDE + 3))
    return page


def _large(frame: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _outlined(sample: Sample, frame: int) -> Image.Image:
    picture = Image.fromarray(_large(sample.frames[frame]))
    rows, columns = (np.flatnonzero(sample.mask[frame].any(axis)) for axis in (1, 0))
    if len(rows):
        scale = SIDE / sample.mask.shape[1]
        box = (columns[0] - 1, rows[0] - 1, columns[-1] + 2, rows[-1] + 2)
        ImageDraw.Draw(picture).rectangle([float(edge * scale) for edge in box], outline=INK)
    return picture


def _bars(draw: ImageDraw.ImageDraw, temporal: np.ndarray, sample: Sample, corner: tuple[int, int]) -> None:
    steps = len(temporal)
    event = np.asarray(sample.when.reshape(steps, -1).any(1))
    wide = SIDE / steps
    hot, cold = (tuple(tone) for tone in colours_of(np.array([0.75, 0.35], np.float32)).tolist())
    draw.rectangle((corner[0], corner[1], corner[0] + SIDE - 1, corner[1] + BARS), fill=tuple(map(int, table_of()[0])))
    for step, share in enumerate(temporal):
        left = corner[0] + step * wide
        foot = corner[1] + BARS
        draw.rectangle((left, foot - share * BARS, left + wide - 1.5, foot), fill=hot if event[step] else cold)


def main() -> None:
    """Draw the clips of docs/explain.md."""
    parser = argument_parser(__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--clips", type=int, nargs="+", default=[7000, 7001, 7002, 7003], help="numbers of fresh clips")
    options = parser.parse_args()
    weights = ROOT / "model_store/motions"
    trained = Explainer.load(weights, device="cpu")
    torch.manual_seed(0)
    auto: Any = AutoModelForVideoClassification
    random = Explainer(auto.from_config(AutoConfig.from_pretrained(weights)), trained.recipe)
    rows = []
    signed = "staa_class, of the label", "staa_class, of the next label"
    names = "staa", *signed, "staa, random weights"
    for index in options.clips:
        clip, sample = fresh(trained, index)
        targets = sample.label, (sample.label + 1) % len(LABELS)
        asked = [Options(), *(Options(method="staa_class", target=target, contrast="none") for target in targets)]
        shown = [result.attribution for result in trained([clip] * 3, asked) + random([clip])]
        maps = [map_.joint if map_.signed is None else map_.signed for map_ in shown if map_]
        rows.append((sample, {name: np.asarray(map_, float) for name, map_ in zip(names, maps, strict=True)}))
    sheet(rows, signed).save(options.path, optimize=True)


if __name__ == "__main__":
    main()
