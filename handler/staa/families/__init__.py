"""The model families: each is a module that implements `Family`. A new one needs a file and a line in FAMILIES."""

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
    "videoprism_vision_model": "staa.families.videoprism",
}
"""`model_type` of the configuration -> the module of the family."""


class Family(Protocol):
    """Say what the core must know of a model family."""

    INPUT_NAME: str
    """The name of the model's argument for pixels (B, T, 3, h, w)."""
    OPTIMISATIONS: Mapping[str, Callable[[Any], None]]
    """Name -> a change of one model instance, after `route`, that saves work; outputs stay the same to 1e-5."""

    def grid(self, config: Any) -> Grid:
        """Return the token grid of a configuration; raise LoadError if the configuration is not supported."""

    def size(self, config: Any) -> tuple[int, int]:
        """Return (height, width) of the pixels that the model takes."""

    def route(self, model: Any) -> None:
        """Make this model instance compute its attention by `capture.attend`; outputs stay the same to 1e-5."""

    def sites(self, model: nn.Module, grid: Grid, stride: int, /) -> list[Site]:
        """Return the attentions in the order of a forward pass.

        If a mean over all queries is read, only every `stride`-th query is taken, with another first one in every
        block, so that `stride` blocks together cover all queries. With stride 4, block 0 takes the queries 0, 4, 8 and
        so on, block 1 the queries 1, 5, 9. A stride of 1 is exact.
        """

    def directions(self, model: nn.Module) -> Tensor:
        """Return the directions (K, width) in which the token that is read raises the logit of each class.

        The last norm also divides by the size of the token; this positive factor is left out.
        """


def family(name: str) -> Family:
    """Import and return the family of a `model_type`; raise LoadError if it is not known."""
    if name not in FAMILIES:
        msg = f"model_type is {name!r}: known families are {', '.join(FAMILIES)}; use a checkpoint of one of them"
        raise LoadError(msg)
    return cast("Family", import_module(FAMILIES[name]))


def pair(edge: int | Sequence[int]) -> tuple[int, int]:
    """Return (height, width) in pixels from a configuration's value, which is one number or a pair."""
    height, width = (edge, edge) if isinstance(edge, int) else edge
    return height, width


def class_directions(classifier: nn.Module, norm: nn.Module | None) -> Tensor:
    """Return (K, width): the classifier's rows times the weight of the norm before it, less their mean.

    The mean is subtracted because the norm subtracts that of its input.
    """
    rows = cast("nn.Linear", classifier).weight.float()
    if norm is None:
        return rows
    scaled = rows * cast("nn.LayerNorm", norm).weight.float()
    return scaled - scaled.mean(-1, keepdim=True)
