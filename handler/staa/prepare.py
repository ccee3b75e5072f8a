"""Frames -> the normalised pixels that a checkpoint expects, and the box of the source frame that the model sees.

A checkpoint's own image processor resizes frame by frame with PIL, crops, and converts in float64. The same arithmetic
is done here for the whole clip at once: an 8-bit antialiased resize, and one multiply-add on what the crop keeps.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers.utils.hub import cached_file

from staa.errors import LoadError, RequestError, TooManyPixelsError
from staa.types import Box

Triple = tuple[float, float, float]
RECIPES = ("preprocessor_config.json", "video_preprocessor_config.json")

LARGEST = 2048 * 1152
"""Pixels that a resize may make of a frame: a strip that is scaled by its short edge must not fill the memory."""

_HALF, _IMAGENET_MEAN, _IMAGENET_STD = [0.5] * 3, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

_COMMON: dict[str, Any] = {
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 2,
    "do_center_crop": True,
    "crop_size": 224,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "offset": False,
    "do_normalize": True,
    "image_mean": _HALF,
    "image_std": _HALF,
}
_IMAGENET = {"image_mean": _IMAGENET_MEAN, "image_std": _IMAGENET_STD}
_VIVIT = {"size": {"shortest_edge": 256}, "rescale_factor": 1 / 127.5, "offset": True}

DEFAULTS: dict[str, dict[str, Any]] = {
    "VideoMAEFeatureExtractor": {},
    "VideoMAEImageProcessor": {},
    "VideoMAEVideoProcessor": {},
    "TimesformerFeatureExtractor": {},
    "TimesformerImageProcessor": {},
    "TimesformerVideoProcessor": _IMAGENET,
    "VivitImageProcessor": _VIVIT,
    "VivitVideoProcessor": _VIVIT,
    "VJEPA2VideoProcessor": {"crop_size": 256, **_IMAGENET},
}
"""Processor class -> what it takes for keys that a checkpoint's file leaves out, where that differs from VideoMAE's."""

_MODES = {2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to every frame of a clip, in this order."""

    resize: int | tuple[int, int] | None
    """Length of the shortest edge, or (height, width), in pixels; None leaves the size."""
    mode: str
    """Interpolation: bilinear or bicubic, antialiased."""
    crop: tuple[int, int] | None
    """(height, width) of the centre crop, pixels; a smaller frame is padded with zeros. None crops nothing."""
    scale: Triple
    """For each of R, G, B: pixel = scale * grey + shift, where grey is 0..255."""
    shift: Triple
    """The other half of the multiply-add."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """(height, width) of the pixels of every clip; None where they follow the clip's own shape."""
        return self.crop or (self.resize if isinstance(self.resize, tuple) else None)

    def scaled(self, frame: NDArray[np.uint8], source: tuple[int, int]) -> NDArray[np.uint8]:
        """Return a frame (H, W, 3) of a source of this (width, height) after the resize, the first step of all.

        16 frames of 4K take 400 MB as they came, and 4 MB so for a model of 224 pixels.

        Raises:
            RequestError: the frame has neither the shape of the source nor that of the resize.
            TooManyPixelsError: the resize would make too much of it.
        """
        return np.asarray(_scaled(_channels(frame[None]), self, source)[0].permute(1, 2, 0))

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """Read a checkpoint's preprocessor_config.json or video_preprocessor_config.json.

        A key that is missing takes the default of the processor class that the file names.

        Raises:
            LoadError: the processor class is unknown, or a value is not supported.
        """
        name = _processor(config)
        facts = _COMMON | DEFAULTS[name] | {key: value for key, value in config.items() if value is not None}
        if facts["resample"] not in _MODES:
            msg = f"resample = {facts['resample']} is not supported: 2 (bilinear) and 3 (bicubic) are"
            raise LoadError(msg)
        if facts["offset"] and not facts["do_rescale"]:
            raise LoadError("offset without do_rescale has no meaning: set do_rescale to true or offset to false")
        crop = _edges("crop_size", facts["crop_size"])
        size = _edges("size", facts["size"])
        if name == "VJEPA2VideoProcessor":  # its constructor does not read the file's size
            size = int(_square(crop)[0] * 256 / 224)

        factor = float(facts["rescale_factor"]) if facts["do_rescale"] else 1.0
        mean = _triple("image_mean", facts["image_mean"]) if facts["do_normalize"] else (0.0, 0.0, 0.0)
        std = _triple("image_std", facts["image_std"]) if facts["do_normalize"] else (1.0, 1.0, 1.0)
        if min(std) <= 0:
            msg = f"image_std = {facts['image_std']} is not supported: expected positive numbers"
            raise LoadError(msg)
        offset = 1.0 if facts["offset"] else 0.0
        return cls(
            resize=size if facts["do_resize"] else None,
            mode=_MODES[facts["resample"]],
            crop=_square(crop) if facts["do_center_crop"] else None,
            scale=(factor / std[0], factor / std[1], factor / std[2]),
            shift=((-offset - mean[0]) / std[0], (-offset - mean[1]) / std[1], (-offset - mean[2]) / std[2]),
        )


def configuration(weights: str) -> dict[str, Any]:
    """The processor configuration of a checkpoint, a folder or hub id; ValueError where it has none."""
    for name in RECIPES:
        path = cached_file(weights, name, _raise_exceptions_for_missing_entries=False)
        if path is not None:
            loaded: dict[str, Any] = json.loads(Path(path).read_text())
            return loaded
    msg = f"there is no {' or '.join(RECIPES)}"
    raise ValueError(msg)


def prepare(
    frames: NDArray[np.uint8],
    recipe: Recipe,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    size: tuple[int, int] | None = None,
) -> tuple[torch.Tensor, Box]:
    """Turn frames into the pixels that a model expects.

    The resize runs on the CPU in 8 bits whatever the device is: every device gets the same pixels, and only the crop
    travels. Its target follows from the size of the source alone: frames that have it already are not resized again.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        recipe: what to do to them.
        device: where the pixels are wanted.
        dtype: floating type of the pixels.
        size: (width, height) of the source where the frames are scaled; None is that of the frames.

    Returns:
        pixels: (T, 3, h, w) on `device`.
        box: (x0, y0, x1, y1), the part of the source frame that the pixels show, source pixels rounded to nearest.
            Zero padding shows nothing of the frame: the box ends at the frame's edges.

    Raises:
        RequestError: the frames have neither the shape of the source nor that of the resize.
        TooManyPixelsError: the resize would make too much of a frame.
    """
    width, height = (frames.shape[2], frames.shape[1]) if size is None else size
    greys = _scaled(_channels(frames), recipe, (width, height))
    rows, columns = greys.shape[-2:]

    h, w = recipe.crop or (rows, columns)
    top, left = (rows - h) // 2, (columns - w) // 2
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + h, rows), min(left + w, columns)
    greys = greys[:, :, y0:y1, x0:x1]
    if (y1 - y0, x1 - x0) != (h, w):
        greys = functional.pad(greys, (x0 - left, left + w - x1, y0 - top, top + h - y1))

    scale, shift = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (recipe.scale, recipe.shift))
    greys = greys.contiguous().to(device)
    pixels = greys.to(torch.float32).mul_(scale).add_(shift).to(dtype)
    across, down = width / columns, height / rows
    return pixels, (_nearest(x0 * across), _nearest(y0 * down), _nearest(x1 * across), _nearest(y1 * down))


def _processor(config: Mapping[str, Any]) -> str:
    """Return the name of the processor class that a file names, without a backend's suffix."""
    keys = ("image_processor_type", "video_processor_type", "feature_extractor_type")
    named = next((str(config[key]) for key in keys if config.get(key)), None)
    name = "" if named is None else named.removesuffix("Pil").removesuffix("Fast")
    if name not in DEFAULTS:
        msg = f"the file names {named!r}: expected one of {', '.join(DEFAULTS)}, under one of {', '.join(keys)}"
        raise LoadError(msg)
    return name


def _edges(key: str, value: object) -> int | tuple[int, int]:
    """Read a size: n or {"shortest_edge": n} is n, {"height": h, "width": w} is (h, w)."""
    match value:
        case int(n) if n > 0:
            return n
        case {"shortest_edge": int(n), **rest} if n > 0 and not rest:
            return n
        case {"height": int(h), "width": int(w)} if h > 0 and w > 0:
            return h, w
    msg = f'{key} = {value} is not supported: {{"shortest_edge": n}}, {{"height": h, "width": w}} and n pixels are'
    raise LoadError(msg)


def _square(edges: int | tuple[int, int]) -> tuple[int, int]:
    return (edges, edges) if isinstance(edges, int) else edges


def _triple(key: str, value: object) -> Triple:
    """Read a number, or one for each of R, G, B."""
    match value:
        case float(x) | int(x):
            return float(x), float(x), float(x)
        case [float(r) | int(r), float(g) | int(g), float(b) | int(b)]:
            return float(r), float(g), float(b)
    msg = f"{key} = {value} is not supported: expected a number, or one for each of R, G, B"
    raise LoadError(msg)


def _channels(frames: NDArray[np.uint8]) -> torch.Tensor:
    """(T, H, W, 3) -> (T, 3, H, W) in channels_last, which the 8-bit resize wants."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)


def _scaled(greys: torch.Tensor, recipe: Recipe, source: tuple[int, int]) -> torch.Tensor:
    """Resize (T, 3, H, W), but not what has been: the shape wanted follows from the (width, height) of the source."""
    shape, wanted = (greys.shape[-2], greys.shape[-1]), _resized(recipe.resize, source[1], source[0])
    if wanted == shape and recipe.resize is None:
        return greys  # as large as a frame may be
    _check(shape, source[::-1], wanted)
    if wanted == shape:
        return greys
    return functional.interpolate(greys, size=wanted, mode=recipe.mode, antialias=True)


def _resized(resize: int | tuple[int, int] | None, height: int, width: int) -> tuple[int, int]:
    """Return (rows, columns) after the resize; as in transformers the long edge is cut to whole pixels, not rounded."""
    if resize is None:
        return height, width
    if isinstance(resize, tuple):
        return resize
    if width <= height:
        return int(resize * height / width), resize
    return resize, int(resize * width / height)


def _check(frame: tuple[int, int], source: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Refuse frames of one (height, width) for another where a resize would distort them, or they fill the memory."""
    (h, w), (height, width), (rows, columns) = frame, source, wanted
    if frame != wanted and abs(w * height - h * width) >= width + height:  # no scale gives both, rounded up or down
        msg = (
            f"the frames are {w}x{h} pixels, the source is {width}x{height}: scale whole frames, to {columns}x{rows} "
            "at best, and do not crop them"
        )
        raise RequestError(msg)
    if rows * columns > LARGEST:
        msg = f"frames of {width}x{height} become {columns}x{rows} for this model, over {LARGEST} pixels: crop them"
        raise TooManyPixelsError(msg)


def _nearest(x: float) -> int:
    return math.floor(x + 0.5)
