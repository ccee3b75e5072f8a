"""V-JEPA 2: an attentive pooler on an encoder; one learned query attends to all tubelets after a few self-attentions.

Token order: step-major, row, column. The encoder rotates queries and keys (RoPE); the pooler, which is read, does not.
"""

from typing import Any

from torch import Tensor, nn

from staa.capture import Kept, Tap, carry, chosen, route, weights
from staa.types import Grid

PIXELS = "pixel_values_videos"
adapt = route


def grid(config: Any) -> Grid:
    """One token a tubelet."""
    side = config.crop_size // config.patch_size
    return Grid(t=config.frames_per_clip // config.tubelet_size, h=side, w=side, tubelet=config.tubelet_size)


def size(config: Any) -> tuple[int, int]:
    """Square frames."""
    return config.crop_size, config.crop_size


def taps(model: nn.Module, grid: Grid, rows: Tensor | None, _stride: int = 1) -> dict[str, Tap]:
    """The row of the learned query; queries and keys of the pooler's self-attentions, until that row is known."""

    def space(query: Tensor, key: Tensor, scale: float) -> Tensor:
        row = weights(chosen(query, rows), chosen(key, rows), scale)[:, 0]
        return row.view(-1, grid.t, grid.h * grid.w)

    def carrier(query: Tensor, key: Tensor, scale: float) -> tuple[Tensor, Tensor, float]:
        return chosen(query, rows), chosen(key, rows), scale

    layers = model.get_submodule("pooler.self_attention_layers")
    return {
        "carriers": Tap([layer.get_submodule("self_attn") for layer in layers.children()], carrier),
        "space": Tap([model.get_submodule("pooler.cross_attention_layer.cross_attn")], space),
    }


def read(kept: Kept) -> tuple[Tensor, None]:
    """The row, carried back through the self-attentions a, last first: r <- 0.5 r + 0.5 r a."""
    space: Tensor = kept["space"][0]
    row = space.flatten(1)
    while kept["carriers"]:
        row = 0.5 * row + 0.5 * carry(row, *kept["carriers"].pop())
    return row.view_as(space).unsqueeze(0), None
