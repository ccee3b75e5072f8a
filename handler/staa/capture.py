"""Reading attention out of a forward pass, without changing it.

Every attention of an adapted model goes through `attend`: the fast kernel makes the output, and where somebody listens
to the module, the queries, keys and values are handed to the listener as well. It keeps the few rows that are read, and
for the rows of the batch whose method needs them the values, or queries and keys: tokens x width a block. No matrix of
all tokens x tokens is ever kept; where every query counts they are taken in chunks. Only attention over a few steps of
time has its small matrix kept, and `attend_few` makes its output from it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
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
"""Every how many queries count in a mean over all, unless told: benchmarks/RESULTS.md has its cost and error."""
CHUNK = {"cpu": 2**20, "cuda": 2**26}
"""Device -> attention weights that exist at once where every query counts: a cache holds them, or they fill a GPU."""

SHORT = 64
"""Queries: shorter chunks are not made while clips can be taken one by one."""
LONG = 2**16
"""Numbers of the keys of a sequence: on a CPU, so long ones are taken one by one where only one query is read."""
FEW = 32
"""Tokens: on a CPU, plain products are not slower than the kernel for sequences up to this long (8: half its time)."""
CACHE = {"cpu": 2**18, "cuda": 2**26}
"""Device -> numbers of the keys of such sequences that are taken at once: a cache holds all that belongs to them."""

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
    """What is kept of one attention."""

    site: Site
    wanted: Wanted
    weights: Tensor | None = None
    """(R, sequences, heads, n) float32: attention of the query that is read, or the mean of those that are."""
    matrix: Tensor | None = None
    """(R, sequences, n, n) float32, mean over heads; "time" only."""
    values: Tensor | None = None
    """(R, sequences, heads, n, d), in the model's dtype."""
    chain: Chain | None = None

    def only(self, rows: Rows) -> Self:
        """The same for some of its rows."""
        wanted = Wanted(*(rows if set(rows) <= set(own) else () for own in astuple(self.wanted)))
        if wanted == self.wanted:
            return self

        def pick(part: Tensor, own: Rows) -> Tensor | None:
            if not set(rows) <= set(own):
                return None
            places = [own.index(row) for row in rows]
            if places == list(range(places[0], places[-1] + 1)):  # a view, no copy
                return part[places[0] : places[-1] + 1]
            return part.index_select(0, torch.tensor(places, device=part.device))

        made, matrix = (None if part is None else pick(part, self.wanted.read) for part in (self.weights, self.matrix))
        values = None if self.values is None else pick(self.values, self.wanted.push)
        chain = None
        if self.chain is not None:
            query, key = (pick(part, self.wanted.chain) for part in self.chain[:2])
            chain = None if query is None or key is None else (query, key, self.chain[2])
        return replace(self, wanted=wanted, weights=made, matrix=matrix, values=values, chain=chain)


def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """softmax(scale * query key^T) value, each (sequences, heads, tokens, head width), heard by the listener."""
    listener = getattr(module, LISTENER, None)
    if listener is not None:
        listener(query, key, value, scale)
    return F.scaled_dot_product_attention(query, key, value, scale=scale)


def attend_few(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """As `attend`, to 1e-5: for sequences of a few tokens, whose matrix is then there to be read."""
    if query.device.type != "cpu" or query.dtype != torch.float32 or key.shape[-2] > FEW:
        return attend(module, query, key, value, scale)
    listener = getattr(module, LISTENER, None)
    sequences, heads, tokens, width = value.shape
    output = value.new_empty(sequences, tokens, heads, width).transpose(1, 2)  # as its reader wants it in memory
    matrix = None if listener is None else value.new_empty(sequences, tokens, tokens)
    for part, made in _few(query, key, scale):
        output[part] = (made.transpose(1, 2) @ value[part].reshape(-1, tokens, width)).view_as(output[part])
        if matrix is not None:
            matrix[part] = _mean(made, heads)
    if listener is not None:
        listener(query, key, value, scale, matrix)
    return output


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
    """Attention of queries (R, sequences, heads, q, d) to all keys (R, sequences, heads, n, d): (..., q, n) float32."""
    queries = query.float() * scale
    if key.device.type != "cpu" or key[0, 0].numel() < LONG:
        return (key.float() @ queries.transpose(-2, -1)).transpose(-2, -1).softmax(-1)
    pairs = zip(queries.flatten(0, 1), key.flatten(0, 1), strict=True)  # all at once the keys would be copied first
    logits = torch.stack([each @ keys.float().transpose(1, 2) for each, keys in pairs])
    return logits.softmax(-1).view(*key.shape[:2], *logits.shape[1:])


def matrices(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """All attention of short sequences (sequences, heads, n, d), mean over heads: (sequences, n, n) float32."""
    sequences, heads, tokens, _ = key.shape
    matrix = torch.empty(sequences, tokens, tokens, device=key.device)
    for part, made in _few(query, key, scale):
        matrix[part] = _mean(made, heads)
    return matrix


def _few(query: Tensor, key: Tensor, scale: float) -> Iterator[tuple[slice, Tensor]]:
    """Attention of sequences (sequences, heads, n, d), part by part: (part*heads, keys, queries) float32.

    Keys come before queries: a softmax over the last dimension, when it is short, takes twice the time.
    """
    sequences, _, tokens, width = key.shape
    step = max(1, CACHE.get(key.device.type, 2**18) // key[0].numel())
    for start in range(0, sequences, step):
        part = slice(start, start + step)
        queries, keys = (each[part].float().reshape(-1, tokens, width) for each in (query, key))
        unused = keys.new_empty(1, 1, 1).expand(len(keys), tokens, tokens)
        yield part, torch.baddbmm(unused, keys, queries.transpose(1, 2), beta=0, alpha=scale).softmax(1)


def _mean(made: Tensor, heads: int) -> Tensor:
    """(sequences*heads, keys, queries) -> (sequences, queries, keys), the mean over heads."""
    return made.view(-1, heads, *made.shape[1:]).mean(1).transpose(1, 2)


def carry(row: Tensor, query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Multiply row @ A for each head: (R, sequences, k, q) -> (R, sequences, heads, k, n), float32.

    A is the attention of queries (R, sequences, heads, q, d) to keys (R, sequences, heads, n, d). It is made in chunks
    of queries: there are never more than CHUNK numbers of it, or those of one query.
    """
    step = max(1, CHUNK.get(key.device.type, 2**20) // key[..., 0].numel())
    if len(key) > 1 and step < min(SHORT, query.shape[-2]):  # clip by clip: short chunks read all keys for little work
        clips = [slice(index, index + 1) for index in range(len(key))]
        return torch.cat([carry(row[clip], query[clip], key[clip], scale) for clip in clips])
    batch, (tokens, width) = key.shape[:3], key.shape[-2:]
    transposed = key.float().reshape(-1, tokens, width).transpose(1, 2)  # copied once, not by every chunk
    total = torch.zeros(*batch, row.shape[2], tokens, device=key.device)
    for start in range(0, query.shape[-2], step):
        part = slice(start, start + step)
        queries = (query[..., part, :].float() * scale).reshape(-1, query[..., part, :].shape[-2], width)
        attention = (queries @ transposed).softmax(-1).view(*batch, -1, tokens)
        total += row[:, :, None, :, part] @ attention
    return total


Work = Callable[..., Heard]
"""From queries, keys, values (B*sequences, heads, n, d), scale, and the mean over heads of the attention
(B*sequences, n, n) where it was made, to what is kept."""


def reduce(site: Site, wanted: Wanted, indices: Mapping[Rows, Tensor | None]) -> Work:
    """A listener's work; `indices` has the rows of each kind as a tensor, None where they are the whole batch."""
    if site.role == "pool":  # all maps but `paper` go through the pooler
        wanted = replace(wanted, chain=wanted.read)
    if site.role in ("query", "time"):  # the one is no token, of the other there is the matrix
        wanted = replace(wanted, chain=())

    def own(tokens: Tensor, rows: Rows) -> Tensor:
        """These rows, without the rest of a tensor that they are a part of (queries, keys and values in one)."""
        part = site.layout.split(tokens, indices[rows])
        return part.clone() if part.untyped_storage().nbytes() > part.nbytes else part

    def work(query: Tensor, key: Tensor, value: Tensor, scale: float, mean: Tensor | None = None) -> Heard:
        split = site.layout.split
        made, matrix, values, chain = None, None, None, None
        if wanted.read and site.role in (*READ, "time"):
            rows = indices[wanted.read]
            keys = split(key, rows)
            if site.role == "time" and mean is None:
                few = matrices(split(query, rows).flatten(0, 1), keys.flatten(0, 1), scale)
                matrix = few.view(*keys.shape[:2], *few.shape[1:])
            elif mean is not None:
                matrix = split(mean, rows)
            else:
                made = _read(split(query[:, :, site.queries], rows), keys, scale)
                values = own(value, wanted.push) if wanted.push else None
        if wanted.chain:
            chain = own(query, wanted.chain), own(key, wanted.chain), scale
        return Heard(site, wanted, made, matrix, values, chain)

    return work


def _read(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Mean over the queries (R, sequences, heads, q, d) of their attention: (R, sequences, heads, n)."""
    count = query.shape[-2]
    if count == 1:
        return weights(query, key, scale).squeeze(-2)
    even = torch.full((*query.shape[:2], 1, count), 1 / count, device=query.device)
    return carry(even, query, key, scale).squeeze(-2)


@contextmanager
def capture(
    sites: Sequence[Site], wanted: Wanted, batch: int, device: torch.device | None = None
) -> Iterator[list[Heard]]:
    """Listen for the time of a forward pass of so many rows on a device (None is the CPU).

    Yields what was kept, in the order of the pass.
    """
    kept: list[Heard] = []
    indices = {
        rows: None if len(rows) == batch else torch.tensor(rows, device=device) for rows in astuple(wanted) if rows
    }
    chosen = sites if wanted.read else ()

    def listener(work: Work) -> Callable[..., None]:
        def listen(*heard: Any) -> None:
            with torch.no_grad():
                kept.append(work(*heard))

        return listen

    try:
        for site in chosen:
            setattr(site.module, LISTENER, listener(reduce(site, wanted, indices)))
        yield kept
    finally:
        for site in chosen:
            delattr(site.module, LISTENER)
    if [id(one.site) for one in kept] != [id(site) for site in chosen]:
        msg = f"read {len(kept)} of {len(chosen)} attentions, or in another order: the model did not use `attend`"
        raise RuntimeError(msg)
