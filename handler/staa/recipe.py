"""Reads a checkpoint's preprocessing, what is done to every frame of a clip, from the file of its image processor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from staa.errors import LoadError

Triple = tuple[float, float, float]

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
_FRAME = {"do_center_crop": False, "resample": 3}  # the whole frame, whatever its shape
_CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
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
    "VideoPrismVideoProcessor": {**_FRAME, **_CLIP, "size": {"height": 288, "width": 288}, "do_normalize": False},
    "LlavaOnevisionVideoProcessor": {**_FRAME, **_CLIP, "size": {"height": 384, "width": 384}},
}
"""Processor class -> its defaults for keys that a file leaves out, if they differ from those in _COMMON."""

_MODES = {1: "lanczos", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hold the steps of preprocessing for every frame of a clip, in their order."""

    resize: int | tuple[int, int] | None
    """The length of the shortest edge, or (height, width), in pixels; None does not resize."""
    mode: str
    """The interpolation of the resize: "bilinear", "bicubic" or "lanczos", antialiased."""
    crop: tuple[int, int] | None
    """(height, width) of the centre crop in pixels; a smaller frame is padded with zeros. None does not crop."""
    scale: Triple
    """The factors for R, G, B: pixel = scale * value + shift, where value is 0..255."""
    shift: Triple
    """The summands for R, G, B in the same formula."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """Return (height, width) of the pixels; None if it depends on the shape of the clip."""
        return self.crop or (self.resize if isinstance(self.resize, tuple) else None)

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
            known = ", ".join(f"{number} ({mode})" for number, mode in _MODES.items())
            raise LoadError(f"resample = {facts['resample']} is not supported: {known} are")
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
            raise LoadError(f"image_std = {facts['image_std']} is not supported: expected positive numbers")
        offset = 1.0 if facts["offset"] else 0.0
        return cls(
            resize=size if facts["do_resize"] else None,
            mode=_MODES[facts["resample"]],
            crop=_square(crop) if facts["do_center_crop"] else None,
            scale=(factor / std[0], factor / std[1], factor / std[2]),
            shift=((-offset - mean[0]) / std[0], (-offset - mean[1]) / std[1], (-offset - mean[2]) / std[2]),
        )


def resized_shape(resize: int | tuple[int, int] | None, height: int, width: int) -> tuple[int, int]:
    """Return (rows, columns) after the resize; as in transformers, the long edge is rounded down to whole pixels."""
    if resize is None:
        return height, width
    if isinstance(resize, tuple):
        return resize
    if width <= height:
        return int(resize * height / width), resize
    return resize, int(resize * width / height)


def _processor(config: Mapping[str, Any]) -> str:
    """Return the processor class that a file names, without the suffix "Pil" or "Fast" of its backend."""
    keys = ("image_processor_type", "video_processor_type", "feature_extractor_type")
    named = next((str(config[key]) for key in keys if config.get(key)), None)
    name = "" if named is None else named.removesuffix("Pil").removesuffix("Fast")
    if name not in DEFAULTS:
        msg = f"the file names {named!r}: expected one of {', '.join(DEFAULTS)}, under one of {', '.join(keys)}"
        raise LoadError(msg)
    return name


def _edges(key: str, value: object) -> int | tuple[int, int]:
    """Read a size: n and {"shortest_edge": n} give n, {"height": h, "width": w} gives (h, w)."""
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
    """Read three numbers for R, G, B, or one number for all three."""
    match value:
        case float(x) | int(x):
            return float(x), float(x), float(x)
        case [float(r) | int(r), float(g) | int(g), float(b) | int(b)]:
            return float(r), float(g), float(b)
    raise LoadError(f"{key} = {value} is not supported: expected a number, or one for each of R, G, B")
