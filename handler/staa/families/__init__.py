"""The model families: modules with what `Family` names. A new one is a file and a line in FAMILIES."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from torch import Tensor, nn

from staa.errors import LoadError
from staa.sites import Site
from staa.types import Grid

FAMILIES = {
    "timesformer": "staa.families.timesformer",
    "vivit": "staa.families.vivit",
    "videomae": "staa.families.videomae",
    "vjepa2": "staa.families.vjepa2",
}
"""`model_type` of the configuration -> the module that knows it."""


class Family(Protocol):
    """What the core must know of a model family."""

    PIXELS: str
    """The name of the model's input, pixels (B, T, 3, h, w)."""
    SAVINGS: Mapping[str, Callable[[Any], None]]
    """Name -> a change of this one instance after `route`: less work, the same numbers to 1e-5."""

    def grid(self, config: Any) -> Grid:
        """The token grid of a configuration; LoadError where the configuration is not supported."""

    def size(self, config: Any) -> tuple[int, int]:
        """(height, width) of the pixels that the model takes."""

    def route(self, model: Any) -> None:
        """Let this one instance compute its attention by `capture.attend`; the numbers stay the same to 1e-5."""

    def sites(self, model: nn.Module, grid: Grid, stride: int, /) -> list[Site]:
        """The attentions in the order of a pass.

        Where a mean over all queries is read, every `stride`-th of them counts, from another first one in every block:
        as many blocks together ask all of them. 1 is exact.
        """

    def directions(self, model: nn.Module) -> Tensor:
        """(K, width) float32: along which each class's logit grows, in the token that is read, up to 1 / its norm."""


def family(name: str) -> Family:
    """The family of a `model_type`, imported on demand."""
    if name not in FAMILIES:
        msg = f"model_type is {name!r}: known families are {', '.join(FAMILIES)}; use a checkpoint of one of them"
        raise LoadError(msg)
    return cast("Family", import_module(FAMILIES[name]))


def pair(edge: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of a configuration's number or pair, pixels."""
    height, width = (edge, edge) if isinstance(edge, int) else edge
    return height, width


def toward(classifier: nn.Module, norm: nn.Module | None) -> Tensor:
    """(K, width): the classifier's rows times the weight of the layer norm before it, centred as the norm centres."""
    rows = cast("nn.Linear", classifier).weight.float()
    if norm is None:
        return rows
    scaled = rows * cast("nn.LayerNorm", norm).weight.float()
    return scaled - scaled.mean(-1, keepdim=True)
