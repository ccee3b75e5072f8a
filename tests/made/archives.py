"""Archives of frames for tests: any image format, any clip.json, any names."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from staa import Clip
from tests.made.videos import Image as Pixels


def encode(image: Pixels, form: str = "PNG", **options: Any) -> bytes:
    """An image file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def about(clip: Clip, **changes: Any) -> dict[str, Any]:
    """The clip.json of a clip."""
    width, height = clip.source
    return {
        "width": width,
        "height": height,
        "fps": clip.fps,
        "duration": clip.duration,
        "frames": clip.indices.tolist(),
        "times": clip.seconds.tolist(),
        **changes,
    }


def steady(count: int = 8, **changes: Any) -> dict[str, Any]:
    """The clip.json of `count` frames of 64x48 pixels, 10 a second."""
    numbers = list(range(count))
    facts = {"width": 64, "height": 48, "fps": 10.0, "duration": count / 10, "frames": numbers}
    return {**facts, "times": [number / 10 for number in numbers], **changes}


def pack(
    facts: Any, images: Iterable[bytes] | Mapping[str, bytes], end: str = "png", method: int = zipfile.ZIP_STORED
) -> bytes:
    """An archive: clip.json of these facts (bytes are taken as they are), then images by name, or by number.

    The same content gives the same bytes at any time: no member has today's date.
    """
    named = images if isinstance(images, Mapping) else {f"{i}.{end}": image for i, image in enumerate(images)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in {"clip.json": facts if isinstance(facts, bytes) else json.dumps(facts), **named}.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def greys(count: int = 8, height: int = 48, width: int = 64) -> list[Pixels]:
    """Frames of which each has its own grey: frame i is 10 i."""
    return [np.full((height, width, 3), 10 * i, np.uint8) for i in range(count)]
