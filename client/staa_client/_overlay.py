"""A heat map over one frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from staa_client._colours import colours, table
from staa_client._geometry import Box, Floats, place

Frame = NDArray[np.uint8]
UNSEEN = "not seen by the model"
_SATURATION = 0.6
"""What is left of the frame's own colours, so that those of the heat stand out."""


def font(size: float) -> Any:  # Pillow gives one of two classes, by how it was built
    """Pillow's own font at this size in pixels."""
    return ImageFont.load_default(size=size)


def overlay(frame: Frame, grid: Floats, box: Box, *, opacity: float = 0.8) -> Frame:
    """A frame (H, W, 3) with the heat of `grid` (h, w), 0 to 1, over `box`: (H, W, 3).

    The stronger the heat, the more it covers the frame, whose own colours are paled. Outside the box the frame is grey
    and dim, and says that the model did not see it.
    """
    height, width, _ = frame.shape
    heat = place(grid, box, height, width)
    cover = (opacity * heat**0.7)[..., None]
    grey = frame.mean(-1, keepdims=True)
    pale = frame * _SATURATION + grey * (1 - _SATURATION)
    mixed = pale * (1 - cover) + colours(heat) * cover
    x0, y0, x1, y1 = box
    seen = np.zeros((height, width, 1), bool)
    seen[y0:y1, x0:x1] = True
    drawn = np.where(seen, mixed, grey * 0.3 + 20).round().astype(np.uint8)
    return np.asarray(_marked(Image.fromarray(drawn), box))


def blank(height: int, width: int) -> Frame:
    """What stands for a frame that is not at hand: (H, W, 3), plain, in the colour of no heat."""
    return np.broadcast_to(table()[0], (height, width, 3))


def _marked(image: Image.Image, box: Box) -> Image.Image:
    """Outline the box, and write "not seen by the model" into each strip around it that is wide enough."""
    x0, y0, x1, y1 = box
    if (x0, y0, x1, y1) == (0, 0, *image.size):
        return image
    ImageDraw.Draw(image).rectangle((x0 - 1, y0 - 1, x1, y1), outline=(150, 152, 165))
    for strip in (
        (0, y0, x0, y1),
        (x1, y0, image.width, y1),
        (0, 0, image.width, y0),
        (0, y1, image.width, image.height),
    ):
        wide, tall = strip[2] - strip[0], strip[3] - strip[1]
        size = min(13.0, min(wide, tall) * 0.6, max(wide, tall) / 13)
        if size < 7:
            continue
        left, top, right, bottom = (int(edge) for edge in font(size).getbbox(UNSEEN))
        text = Image.new("L", (right - left + 2, bottom - top + 2))
        ImageDraw.Draw(text).text((1 - left, 1 - top), UNSEEN, font=font(size), fill=200)
        if tall > wide:
            text = text.transpose(Image.Transpose.ROTATE_90)
        corner = (strip[0] + (wide - text.width) // 2, strip[1] + (tall - text.height) // 2)
        image.paste(Image.new("RGB", text.size, (225, 226, 235)), corner, text)
    return image
