"""Turns frames into the normalised pixels that a checkpoint expects, and finds the part of the frame that they show.

A checkpoint's own image processor resizes frame by frame with PIL, crops, and converts in float64. Here the same is
done for the whole clip at once: an 8-bit antialiased resize, a crop, and one multiply-add on the cropped pixels.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from staa.errors import RequestError, TooManyPixelsError
from staa.recipe import Recipe, resized_shape
from staa.types import Box

MAX_RESIZED_PIXELS = 2048 * 1152
"""The most pixels of a resized frame: a long strip that is scaled by its short edge must not fill the memory."""


def prepare(
    frames: NDArray[np.uint8],
    recipe: Recipe,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    size: tuple[int, int] | None = None,
) -> tuple[torch.Tensor, Box]:
    """Turn frames into the pixels that a model expects.

    The resize always runs on the CPU in 8 bits, so that every device gets the same pixels, and only the crop is copied
    to the device. The target size depends only on the size of the source: frames of that size are not resized again.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        recipe: the preprocessing of the checkpoint.
        device: the device of the pixels.
        dtype: floating type of the pixels.
        size: (width, height) of the source, if the frames were scaled before; None is the size of the frames.

    Returns:
        pixels: (T, 3, h, w) on `device`.
        box: (x0, y0, x1, y1), the part of the source frame that the pixels show, in source pixels, rounded to nearest.
            It never goes beyond the frame's edges, also if zeros were padded there.

    Raises:
        RequestError: the frames have neither the source's aspect ratio nor the size after the resize.
        TooManyPixelsError: a frame would have too many pixels after the resize.
    """
    width, height = (frames.shape[2], frames.shape[1]) if size is None else size
    greys = _resize(_channels(frames), recipe, (width, height))
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
    (left, right), (top, bottom) = _nearest(x0 * across, x1 * across), _nearest(y0 * down, y1 * down)
    return pixels, (left, top, right, bottom)


def scaled(recipe: Recipe, frame: NDArray[np.uint8], source: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a frame (H, W, 3) after the recipe's first step, the resize; `source` is (width, height) of the source.

    This saves memory: 16 frames of 4K take 400 MB, but 4 MB after the resize for a model of 224 pixels.

    Raises:
        RequestError: the frame has neither the source's aspect ratio nor the size after the resize.
        TooManyPixelsError: the frame would have too many pixels after the resize.
    """
    return np.asarray(_resize(_channels(frame[None]), recipe, source)[0].permute(1, 2, 0))


def _channels(frames: NDArray[np.uint8]) -> torch.Tensor:
    """Turn (T, H, W, 3) into (T, 3, H, W) with channels last in memory, as the 8-bit resize needs it."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)


def _resize(greys: torch.Tensor, recipe: Recipe, source: tuple[int, int]) -> torch.Tensor:
    """Resize (T, 3, H, W) to the target size of the source (width, height), unless it has that size already."""
    shape, target = (greys.shape[-2], greys.shape[-1]), resized_shape(recipe.resize, source[1], source[0])
    if target == shape and recipe.resize is None:
        return greys  # as large as a frame may be
    _check(shape, source[::-1], target)
    if target == shape:
        return greys
    return functional.interpolate(greys, size=target, mode=recipe.mode, antialias=True)


def _check(frame: tuple[int, int], source: tuple[int, int], target: tuple[int, int]) -> None:
    """Refuse frames that have neither the source's aspect ratio nor the target's size, and a target that is too large.

    Every size is (height, width).
    """
    (h, w), (height, width), (rows, columns) = frame, source, target
    if frame != target and abs(w * height - h * width) >= width + height:  # no scale gives both, rounded up or down
        msg = (
            f"the frames are {w}x{h} pixels, the source is {width}x{height}: scale whole frames, to {columns}x{rows} "
            "at best, and do not crop them"
        )
        raise RequestError(msg)
    if rows * columns > MAX_RESIZED_PIXELS:
        size = f"become {columns}x{rows} for this model, over {MAX_RESIZED_PIXELS} pixels"
        raise TooManyPixelsError(f"frames of {width}x{height} {size}: crop them")


def _nearest(begin: float, end: float) -> tuple[int, int]:
    """Round the ends of an interval to whole pixels: the first, and one past the last; there is at least one pixel."""
    first, stop = math.floor(begin + 0.5), math.floor(end + 0.5)
    if first < stop:
        return first, stop
    middle = math.floor((begin + end) / 2)
    return middle, middle + 1
