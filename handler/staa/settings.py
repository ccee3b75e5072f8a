"""How a served model is set up: the `handler:` block of model_store/<name>.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from staa.errors import LoadError
from staa.video import Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a block may say; an unknown key is an error."""

    weights: str
    """Folder, relative to the archive's root or absolute, or hub id of a checkpoint with safetensors."""
    device: str = "auto"
    """"auto": cuda where there is one, else cpu; or a torch device."""
    dtype: str = "auto"
    """"auto": bfloat16 on cuda, float32 elsewhere; or "float32", "bfloat16", "float16"."""
    threads: int = 0
    """Of torch; 0 leaves torch's choice."""
    decoders: int = 4
    """Videos of one batch that are decoded at the same time."""
    stride: int | None = None
    """Where a mean over all queries is read (VideoMAE), every how many of them count; 1 is exact, None is 8."""
    limits: Limits = field(default_factory=Limits)
    """What a video may cost."""

    @classmethod
    def read(cls, block: Mapping[str, Any]) -> Self:
        """Check a block of the configuration.

        Raises:
            LoadError: a key is unknown or missing, or a value has the wrong type.
        """
        values = dict(block)
        _known("handler", values, [item.name for item in fields(cls)])
        if not isinstance(values.get("weights"), str):
            raise LoadError("handler.weights is missing: give the folder or the hub id of a checkpoint")
        limits = values.pop("limits", None) or {}
        if not isinstance(limits, Mapping):
            msg = f"handler.limits is {limits!r}: expected a block of keys"
            raise LoadError(msg)
        _known("handler.limits", limits, [item.name for item in fields(Limits)])
        _numbers("handler.limits", limits)
        _numbers("handler", {key: values[key] for key in ("threads", "decoders", "stride") if key in values})
        if not min(values.get("decoders", 1), values.get("stride", 1)) >= 1:
            raise LoadError("handler.decoders and handler.stride are 1 or more")
        return cls(**values, limits=Limits(**limits))


def _known(where: str, block: Mapping[str, Any], keys: list[str]) -> None:
    unknown = [str(key) for key in block if key not in keys]
    if unknown:
        msg = f"{where} has unknown keys {', '.join(unknown)}: expected some of {', '.join(keys)}"
        raise LoadError(msg)


def _numbers(where: str, block: Mapping[str, Any]) -> None:
    for key, value in block.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            msg = f"{where}.{key} is {value!r}: expected a number, 0 or more"
            raise LoadError(msg)
