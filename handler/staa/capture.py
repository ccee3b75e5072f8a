"""Reading attention out of a forward pass, without changing it.

Every attention of an adapted model goes through `attend`: the fast kernel makes the output, and where somebody listens
to the module, the queries, keys and values are handed to him as well. He reduces them at once to the few rows that are
read; no matrix of tokens x tokens is ever kept, and where every query counts they are taken in chunks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel

from staa.errors import LoadError
from staa.sites import READ, Site

LISTENER = "_staa_listener"
ATTENTION = "staa"
"""Our name in transformers' AttentionInterface."""
STRIDE = 8
"""Every how many queries count in a mean over all, unless told: docs/explain.md has its cost and its error."""
CHUNK = 2**20
"""Attention weights that exist at once where every query counts: 4 MiB of float32."""

Rows = tuple[int, ...]
Chain = tuple[Tensor, Tensor, float]
"""Queries (R, sequences, heads, q, d), keys (R, sequences, heads, n, d), scale; q is n, or 1 in a shortened block."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of a batch need what of every attention; ascending."""

    read: Rows = ()
    """The rows that are explained."""
    push: Rows = ()
    """Those that need the values too, to tell what was written for a class."""
    chain: Rows = ()
    """Those that are carried back, and need queries and keys."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is kept of one attention, float32 but for the chain."""

    site: Site
    wanted: Wanted
    weights: Tensor | None = None
    """(R, sequences, heads, n): attention of the query that is read, or the mean of those that are."""
    matrix: Tensor | None = None
    """(R, sequences, n, n), mean over heads; "time" only."""
    written: Tensor | None = None
    """(R, sequences, heads, n, d): weights times values."""
    chain: Chain | None = None

    def only(self, rows: Rows) -> Self:
        """The same for some of its rows."""

        def pick(part: Tensor | None, own: Rows) -> Tensor | None:
            if part is None or not set(rows) <= set(own):
                return None
            return part if own == rows else part[[own.index(row) for row in rows]]

        query, key = (pick(part, self.wanted.chain) for part in (self.chain or (None, None))[:2])
        chain = None if self.chain is None or query is None or key is None else (query, key, self.chain[2])
        read, push = self.wanted.read, self.wanted.push
        parts = pick(self.weights, read), pick(self.matrix, read), pick(self.written, push)
        return replace(self, weights=parts[0], matrix=parts[1], written=parts[2], chain=chain)


def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """softmax(scale * query key^T) value, each (sequences, heads, tokens, head width), heard by the listener."""
    listener = getattr(module, LISTENER, None)
    if listener is not None:
        listener(query, key, value, scale)
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


def weights(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Attention of the given queries (..., q, d) to all keys (..., n, d), float32: (..., q, n)."""
    return ((query.float() * scale) @ key.float().transpose(-2, -1)).softmax(-1)


def carry(row: Tensor, query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Multiply row @ A for each head: (R, sequences, q) -> (R, sequences, heads, n), float32.

    A is the attention of queries (R, sequences, heads, q, d) to keys (R, sequences, heads, n, d). It is made in chunks
    of queries: there are never more than CHUNK numbers of it, or those of one query.
    """
    step = max(1, CHUNK // key[..., 0].numel())
    transposed = key.float().transpose(-2, -1)
    total = torch.zeros(key.shape[:-1], device=key.device)
    for start in range(0, query.shape[-2], step):
        part = slice(start, start + step)
        attention = ((query[..., part, :].float() * scale) @ transposed).softmax(-1)
        total += (row[:, :, None, None, part] @ attention).squeeze(-2)
    return total


def reduce(site: Site, wanted: Wanted, batch: int) -> Callable[[Tensor, Tensor, Tensor, float], Heard]:
    """A listener's work: from queries, keys, values (B*sequences, heads, n, d) and scale to what is kept."""
    if site.role == "pool":  # every map goes through the pooler
        wanted = replace(wanted, chain=wanted.read)

    def index(rows: Rows, like: Tensor) -> Tensor | None:
        return None if len(rows) == batch else torch.tensor(rows, device=like.device)

    def work(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Heard:
        split = site.layout.split
        made, matrix, written, chain = None, None, None, None
        if wanted.read and site.role in (*READ, "time"):
            rows = index(wanted.read, key)
            keys = split(key, rows)
            if site.role == "time":
                matrix = weights(split(query, rows), keys, scale).mean(2)
            else:
                asked = split(query[:, :, site.queries], rows)
                made = _read(asked, keys, scale)
                if wanted.push:
                    of = [wanted.read.index(row) for row in wanted.push]
                    values = split(value, index(wanted.push, value)).float()
                    written = (made if wanted.push == wanted.read else made[of]).unsqueeze(-1) * values
        if wanted.chain:
            rows = index(wanted.chain, key)
            chain = split(query, rows), split(key, rows), scale
        return Heard(site, wanted, made, matrix, written, chain)

    return work


def _read(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Mean over the queries (R, sequences, heads, q, d) of their attention: (R, sequences, heads, n)."""
    count = query.shape[-2]
    if count == 1:
        return weights(query, key, scale).squeeze(-2)
    even = torch.full((*query.shape[:2], count), 1 / count, device=query.device)
    return carry(even, query, key, scale)


@contextmanager
def capture(sites: Sequence[Site], wanted: Wanted, batch: int) -> Iterator[list[Heard]]:
    """Listen for the time of a forward pass of so many rows; yields what was kept, in the order of the pass."""
    kept: list[Heard] = []
    chosen = [site for site in sites if wanted.chain or (wanted.read and site.role != "deep")]

    def listener(work: Callable[[Tensor, Tensor, Tensor, float], Heard]) -> Callable[..., None]:
        def listen(query: Tensor, key: Tensor, value: Tensor, scale: float) -> None:
            with torch.no_grad():
                kept.append(work(query, key, value, scale))

        return listen

    try:
        for site in chosen:
            setattr(site.module, LISTENER, listener(reduce(site, wanted, batch)))
        yield kept
    finally:
        for site in chosen:
            delattr(site.module, LISTENER)
    if [id(one.site) for one in kept] != [id(site) for site in chosen]:
        msg = f"read {len(kept)} of {len(chosen)} attentions, or in another order: the model did not use `attend`"
        raise RuntimeError(msg)
