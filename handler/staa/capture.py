"""Reading attention out of a forward pass, without changing it.

Every attention of an adapted model goes through `attend`: the fast kernel makes the output, and where somebody listens
to the module, the queries and keys are handed to him as well. He reduces them at once to the few rows that are read; no
matrix of tokens x tokens is ever kept, and where every query counts they are taken in chunks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel

from staa.errors import LoadError

Reduce = Callable[[Tensor, Tensor, float], Any]
"""(queries, keys, scale) -> what is kept of them; both are (sequences, heads, tokens, head width)."""

Tap = list[tuple[nn.Module, Reduce]]
"""One attention of every block, first block first, and what is kept of it."""

Kept = dict[str, list[Any]]
"""Name of a tap -> what its reductions kept, in the order of the blocks."""

LISTENER = "_staa_listener"
ATTENTION = "staa"
"""Our name in transformers' AttentionInterface."""
STRIDE = 8
"""Every how many queries count in a mean over all, unless told: docs/explain.md has its cost and its error."""
CHUNK = 2**20
"""Attention weights that exist at once where every query counts: 4 MiB of float32."""


def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """softmax(scale * query key^T) value, each (sequences, heads, tokens, head width), heard by the listener."""
    listener = getattr(module, LISTENER, None)
    if listener is not None:
        listener(query, key, scale)
    return F.scaled_dot_product_attention(query, key, value, scale=scale)


def route(model: PreTrainedModel) -> None:
    """Let every attention of this one instance go through `attend`, by transformers' own interface.

    Raises:
        LoadError: the model does not take its attention from the interface.
    """
    AttentionInterface.register(ATTENTION, _attention)
    model.set_attn_implementation(ATTENTION)
    if model.config._attn_implementation != ATTENTION:  # noqa: SLF001 its only name
        msg = f"{type(model).__name__} ignores transformers' AttentionInterface: use a tested version of transformers"
        raise LoadError(msg)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """As transformers' sdpa: (B, heads, N, d) each -> (B, N, heads, d), and no matrix."""
    if attention_mask is not None or dropout:
        raise ValueError("attention is read without mask and dropout: call model.eval() and pass whole clips")
    return attend(module, query, key, value, scaling).transpose(1, 2).contiguous(), None


def first_token(module: nn.Module, parts: tuple[Tensor, Tensor, Tensor], width: int, scale: float) -> Tensor:
    """Attention of token 0 alone, heard as every other: projections (B, 1 or N, heads*width) -> (B, 1, heads*width)."""
    query, key, value = (part.view(*part.shape[:2], -1, width).transpose(1, 2) for part in parts)
    return attend(module, query, key, value, scale).transpose(1, 2).flatten(2)


def chosen(tokens: Tensor, rows: Tensor | None) -> Tensor:
    """(B, ...) -> (R, ...): these rows (R,) of the batch, or all."""
    return tokens if rows is None else tokens.index_select(0, rows)


def weights(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Attention of the given queries (..., heads, q, d) to all keys (..., heads, n, d), float32, mean over heads."""
    logits = (query.float() * scale) @ key.float().transpose(-2, -1)
    return logits.softmax(-1).mean(-3)


def carry(row: Tensor, query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Multiply row @ A: (R, q) -> (R, n).

    A is the attention of queries (R, heads, q, d) to keys (R, heads, n, d), mean over heads, in float32. It is made in
    chunks of queries: there are never more than CHUNK numbers of it.
    """
    batch, heads, tokens, _ = key.shape
    step = max(1, CHUNK // (batch * heads * tokens))
    transposed = key.float().transpose(-2, -1)
    total = torch.zeros(batch, tokens, device=key.device)
    for start in range(0, query.shape[-2], step):
        part = slice(start, start + step)
        attention = ((query[:, :, part].float() * scale) @ transposed).softmax(-1)
        total += (row[:, None, None, part] @ attention).squeeze(2).mean(1)
    return total


def stack(kept: Kept) -> tuple[Tensor, Tensor | None]:
    """What was kept of every block at "space", and at "time" if that was tapped, as `Forward` wants it."""
    return torch.stack(kept["space"]), torch.stack(kept["time"]) if "time" in kept else None


@contextmanager
def capture(taps: dict[str, Tap]) -> Iterator[Kept]:
    """Listen at the taps for the time of a forward pass; yields name -> what was kept, in the order of the blocks."""
    kept: Kept = {name: [] for name in taps}
    heard: list[nn.Module] = []

    def listener(name: str, reduce: Reduce) -> Callable[[Tensor, Tensor, float], None]:
        def listen(query: Tensor, key: Tensor, scale: float) -> None:
            with torch.no_grad():
                kept[name].append(reduce(query, key, scale))

        return listen

    try:
        for name, tap in taps.items():
            for module, reduce in tap:
                setattr(module, LISTENER, listener(name, reduce))
                heard.append(module)
        yield kept
    finally:
        for module in heard:
            delattr(module, LISTENER)
    for name, tap in taps.items():
        if len(kept[name]) != len(tap):
            msg = f"read {len(kept[name])} of {len(tap)} attentions of {name!r}: the model did not use `attend`"
            raise RuntimeError(msg)
