"""TimeSformer: CLS attends to the patches of each frame (divided, space only) or of all frames at once (joint).

Token order of transformers' implementation: CLS, then patch-major and frame-minor. Divided temporal attention works on
(B*P, T) tokens, divided spatial attention and space only on (B*T, 1 + P).
"""

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any, cast

from torch import Tensor, nn
from transformers.models.timesformer.modeling_timesformer import TimesformerSelfAttention

from staa.capture import Tap, attend, chosen, stack, weights
from staa.errors import LoadError
from staa.types import Grid

PIXELS = "pixel_values"
read = stack


def grid(config: Any) -> Grid:
    """One token a patch and frame."""
    if config.attention_type not in READS:
        msg = f"attention_type is {config.attention_type!r}: expected one of {', '.join(READS)}; use such a checkpoint"
        raise LoadError(msg)
    if not (isinstance(config.image_size, int) and isinstance(config.patch_size, int)):
        msg = (
            f"got {config.image_size = }, {config.patch_size = }: transformers' TimeSformer takes square ones, a number"
        )
        raise LoadError(msg)
    side = config.image_size // config.patch_size
    return Grid(t=config.num_frames, h=side, w=side, tubelet=1)


def size(config: Any) -> tuple[int, int]:
    """Square frames."""
    return config.image_size, config.image_size


def adapt(model: nn.Module) -> None:
    """Replace the arithmetic of every attention of this instance: transformers' is always eager.

    Space only: transformers leaves out the mean over frames and gives B*T rows of logits. The tokens are averaged
    before the last norm, as in the authors' own code (facebookresearch/TimeSformer, models/vit.py).
    """
    config: Any = model.config
    for module in model.modules():
        if isinstance(module, TimesformerSelfAttention):
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]
    if config.attention_type == "space_only":
        norm = cast("nn.LayerNorm", model.get_submodule("timesformer.layernorm"))
        norm.forward = partial(_mean_norm, norm, config.num_frames)  # type: ignore[method-assign]


def _forward(self: TimesformerSelfAttention, hidden_states: Tensor, output_attentions: bool = False) -> tuple[Tensor]:
    """(sequences, tokens, width) -> the same, as the original forward."""
    if output_attentions:
        raise ValueError("the matrices of fast attention do not exist: read the rows with staa.capture")
    sequences, tokens, width = hidden_states.shape
    qkv = self.qkv(hidden_states).view(sequences, tokens, 3, self.num_heads, width // self.num_heads)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    mixed = attend(self, query, key, value, self.scale)
    return (mixed.transpose(1, 2).reshape(sequences, tokens, width),)


def _mean_norm(norm: nn.LayerNorm, frames: int, hidden_states: Tensor) -> Tensor:
    """(B*T, tokens, width) -> (B, tokens, width), the norm of the mean over frames."""
    return nn.LayerNorm.forward(norm, hidden_states.view(-1, frames, *hidden_states.shape[1:]).mean(1))


def _frames(grid: Grid, rows: Tensor | None, query: Tensor, key: Tensor, scale: float) -> Tensor:
    """The CLS row of each frame: (B*t, heads, 1 + P, d) -> (R, t, P)."""
    query, key = (_split(tokens, grid.t, rows) for tokens in (query[:, :, :1], key))
    return weights(query, key, scale)[..., 0, 1:]


def _clip(grid: Grid, rows: Tensor | None, query: Tensor, key: Tensor, scale: float) -> Tensor:
    """The CLS row over all frames: (B, heads, 1 + P*t, d) -> (R, t, P)."""
    row = weights(chosen(query[:, :, :1], rows), chosen(key, rows), scale)[:, 0, 1:]
    return row.view(-1, grid.h * grid.w, grid.t).transpose(1, 2)


def _time(grid: Grid, rows: Tensor | None, query: Tensor, key: Tensor, scale: float) -> Tensor:
    """All of the small temporal attention: (B*P, heads, t, d) -> (R, P, t, t)."""
    query, key = (_split(tokens, grid.h * grid.w, rows) for tokens in (query, key))
    return weights(query, key, scale)


def _split(tokens: Tensor, sequences: int, rows: Tensor | None) -> Tensor:
    """(B*sequences, heads, tokens, d) -> (R, sequences, heads, tokens, d)."""
    return chosen(tokens.view(-1, sequences, *tokens.shape[1:]), rows)


READS: dict[str, dict[str, tuple[str, Callable[..., Tensor]]]] = {
    "divided_space_time": {
        "space": ("attention.attention", _frames),
        "time": ("temporal_attention.attention", _time),
    },
    "joint_space_time": {"space": ("attention.attention", _clip)},
    "space_only": {"space": ("attention.attention", _frames)},
}
"""attention_type -> name of the tap -> which attention of a block, and what is kept of it."""


def taps(model: nn.Module, grid: Grid, rows: Tensor | None) -> dict[str, Tap]:
    """The CLS rows of every block, and all of the temporal attention where it is divided."""
    config: Any = model.config
    blocks = list(model.get_submodule("timesformer.encoder.layer").children())
    return {
        name: Tap([block.get_submodule(part) for block in blocks], partial(keep, grid, rows))
        for name, (part, keep) in READS[config.attention_type].items()
    }
