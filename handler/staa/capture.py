"""Reads attention from a forward pass without changing its output.

Every attention of an adapted model calls `attend`. The fast kernel computes the output; if the module has a listener,
it gets the queries, keys and values as well. The listener keeps the attention weights of the few queries that are read,
and for the clips whose method needs them also the values, or queries and keys: tokens x width numbers for each block. A
matrix of all tokens x tokens is never kept; if all queries are read, they are taken in chunks. Only temporal attention,
over a few steps, has its small matrix kept, and `attend_with_matrix` computes the output from it. Beside the attention,
hooks keep how the MLP that follows worked on the token that is read, and how much of every token an attention wrote.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface, PreTrainedModel

from staa.errors import LoadError
from staa.sites import READ_ROLES, Rows, Site, Wanted, measured_share, mlp_gains, written_sizes

LISTENER = "_staa_listener"
ATTENTION = "staa"
"""The name of our attention in transformers' AttentionInterface."""
STRIDE = 8
"""By default a mean over all queries takes every 8th one: benchmarks/RESULTS.md has the cost and error of this."""
CHUNK_WEIGHTS = {"cpu": 2**20, "cuda": 2**26}
"""Device -> how many attention weights are computed at a time: they fit a CPU's cache, or keep a GPU busy."""
SHORT_CHUNK = 64
"""If a chunk would have fewer queries than this, clips are taken one by one, so that it has more."""
LONG_KEYS = 2**16
"""If the keys of one sequence have this many numbers, a CPU takes sequences one by one (with one query to read)."""
FEW_TOKENS = 32
"""For at most this many tokens, plain matrix products are as fast as the kernel on a CPU (8 tokens: twice as fast)."""
MLP_STRIDE = 32
"""If the mean of all tokens is read, every 32nd token tells how the MLPs let a direction through."""
CACHE_NUMBERS = {"cpu": 2**18, "cuda": 2**26}
"""Device -> how many numbers of the keys of short sequences are taken at a time, so that all fits a cache."""

QueriesKeys = tuple[Tensor, Tensor, float]
"""Queries (R, sequences, heads, q, d), keys (R, sequences, heads, n, d), scale; q is n, or 1 in a shortened block."""


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """Hold what is kept of one attention in a forward pass."""

    site: Site
    wanted: Wanted
    weights: Tensor | None = None
    """(R, sequences, heads, n) float32: attention weights of the query that is read, or the mean over those queries."""
    matrix: Tensor | None = None
    """(R, sequences, n, n) float32: all attention weights, mean over heads; only for the role "time"."""
    sizes: Tensor | None = None
    """(R, sequences, n) float32: how much every token wrote into the token that is read (`written_sizes`)."""
    values: Tensor | None = None
    """(R, sequences, heads, n, d): the values, in the model's dtype."""
    queries_keys: QueriesKeys | None = None
    share: Tensor | None = None
    """(R, t, h*w) float32: how much of every token, along itself, the attention wrote, 0..1; if maps are carried back
    through it. It is <output, token> / <token, token>, where the token is that after the output was added."""
    gains: Tensor | None = None
    """(R, 1 or sequences, channels) float32: how the MLP that follows worked on the token that is read (`mlp_gains`);
    if the mean of all tokens is read, on a sample of them."""

    def only(self, rows: Rows) -> Self:
        """Return what was kept for some of the rows."""
        wanted = Wanted(*(tuple(row for row in kept if row in rows) for kept in astuple(self.wanted)))
        if wanted == self.wanted:
            return self

        def pick(tensor: Tensor, had: Rows, asked: Rows) -> Tensor:
            indices = [had.index(row) for row in asked]
            if indices == list(range(indices[0], indices[-1] + 1)):  # a view, no copy
                return tensor[indices[0] : indices[-1] + 1]
            return tensor.index_select(0, torch.tensor(indices, device=tensor.device))

        kept = self.wanted
        queries_keys = None
        if self.queries_keys is not None and wanted.queries:
            query, key, scale = self.queries_keys
            alike = kept.queries, wanted.queries
            queries_keys = pick(query, *alike), pick(key, *alike), scale
        lists: dict[str, tuple[Tensor | None, Rows, Rows]] = {
            "weights": (self.weights, kept.weights, wanted.weights),
            "matrix": (self.matrix, kept.weights, wanted.weights),
            "sizes": (self.sizes, kept.sizes, wanted.sizes),
            "values": (self.values, kept.classes, wanted.classes),
            "share": (self.share, _rows_of_share(self.site, kept), _rows_of_share(self.site, wanted)),
            "gains": (self.gains, kept.classes, wanted.classes),
        }
        parts: dict[str, Any] = {
            name: pick(tensor, had, asked) if tensor is not None and asked else None
            for name, (tensor, had, asked) in lists.items()
        }
        return replace(self, wanted=wanted, queries_keys=queries_keys, **parts)


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float, softcap: float | None = None
) -> Tensor:
    """Return softmax(scale * query key^T) value, all (sequences, heads, tokens, head width), and call the listener.

    A soft cap, which no kernel knows, bounds the logits before the softmax.
    """
    listener = getattr(module, LISTENER, None)
    if listener is not None:
        listener(query, key, value, scale)
    if softcap is not None:
        return _attend_bounded(query, key, value, scale, softcap)
    return F.scaled_dot_product_attention(query, key, value, scale=scale)


def _attend_bounded(query: Tensor, key: Tensor, value: Tensor, scale: float, softcap: float) -> Tensor:
    """Compute attention with a soft cap by its matrices, a few sequences at a time so that they fit a cache."""
    output = value.new_empty(*query.shape[:-1], value.shape[-1])
    step = max(1, CHUNK_WEIGHTS.get(key.device.type, 2**20) // (query[0, ..., 0].numel() * key.shape[-2]))
    for start in range(0, len(query), step):
        chunk = slice(start, start + step)
        logits = bound(query[chunk] * scale @ key[chunk].transpose(-2, -1), softcap)
        output[chunk] = logits.softmax(-1, torch.float32).to(value.dtype) @ value[chunk]
    return output


def bound(logits: Tensor, softcap: float | None) -> Tensor:
    """Return logits between -softcap and softcap, softcap * tanh(logits / softcap); None bounds nothing."""
    return logits if softcap is None else (logits / softcap).tanh_() * softcap


def attend_with_matrix(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Do as `attend`, to 1e-5, by the attention matrix: for short sequences, whose matrix the listener then gets."""
    if query.device.type != "cpu" or query.dtype != torch.float32 or key.shape[-2] > FEW_TOKENS:
        return attend(module, query, key, value, scale)
    listener = getattr(module, LISTENER, None)
    sequences, heads, tokens, width = value.shape
    output = value.new_empty(sequences, tokens, heads, width).transpose(1, 2)  # as its reader wants it in memory
    matrix = None if listener is None else value.new_empty(sequences, tokens, tokens)
    for chunk, attention in _short_attention(query, key, scale):
        output[chunk] = (attention.transpose(1, 2) @ value[chunk].reshape(-1, tokens, width)).view_as(output[chunk])
        if matrix is not None:
            matrix[chunk] = _head_mean(attention, heads)
    if listener is not None:
        listener(query, key, value, scale, matrix)
    return output


def route(model: PreTrainedModel) -> None:
    """Make every attention of this model instance call `attend`, by transformers' AttentionInterface.

    Raises:
        LoadError: the model does not use that interface.
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
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Compute what transformers' sdpa does, and with a soft cap its eager attention.

    Query, key and value are (B, heads, N, d), the result is (B, N, heads, d), None.
    """
    if attention_mask is not None or dropout:
        raise ValueError("attention is read without mask and dropout: call model.eval() and pass whole clips")
    return attend(module, query, key, value, scaling, softcap).transpose(1, 2).contiguous(), None


def attend_first_token(
    module: nn.Module, projections: tuple[Tensor, Tensor, Tensor], width: int, scale: float
) -> Tensor:
    """Compute attention for token 0 only.

    `projections` are the query (B, 1, heads*width), the keys and the values (B, N, heads*width); the result is
    (B, 1, heads*width).
    """
    query, key, value = (tokens.view(*tokens.shape[:2], -1, width).transpose(1, 2) for tokens in projections)
    return attend(module, query, key, value, scale).transpose(1, 2).flatten(2)


def attention_weights(query: Tensor, key: Tensor, scale: float, softcap: float | None = None) -> Tensor:
    """Return the attention weights (R, sequences, heads, q, n), float32.

    Queries are (R, sequences, heads, q, d), keys (R, sequences, heads, n, d).
    """
    queries = query.float() * scale
    if key.device.type != "cpu" or key[0, 0].numel() < LONG_KEYS:
        return bound((key.float() @ queries.transpose(-2, -1)).transpose(-2, -1), softcap).softmax(-1)
    pairs = zip(queries.flatten(0, 1), key.flatten(0, 1), strict=True)  # all at once the keys would be copied first
    logits = torch.stack([rows @ keys.float().transpose(1, 2) for rows, keys in pairs])
    return bound(logits, softcap).softmax(-1).view(*key.shape[:2], *logits.shape[1:])


def mean_matrices(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Return the attention matrices (sequences, n, n) float32 of short sequences, as a mean over heads.

    Queries and keys are (sequences, heads, n, d).
    """
    sequences, heads, tokens, _ = key.shape
    matrix = torch.empty(sequences, tokens, tokens, device=key.device)
    for chunk, attention in _short_attention(query, key, scale):
        matrix[chunk] = _head_mean(attention, heads)
    return matrix


def _short_attention(query: Tensor, key: Tensor, scale: float) -> Iterator[tuple[slice, Tensor]]:
    """Yield the attention of sequences (sequences, heads, n, d) in chunks: (chunk*heads, keys, queries) float32.

    Keys are dimension 1, since a softmax over a short last dimension takes twice the time.
    """
    sequences, _, tokens, width = key.shape
    step = max(1, CACHE_NUMBERS.get(key.device.type, 2**18) // key[0].numel())
    for start in range(0, sequences, step):
        chunk = slice(start, start + step)
        queries, keys = (tensor[chunk].float().reshape(-1, tokens, width) for tensor in (query, key))
        unused = keys.new_empty(1, 1, 1).expand(len(keys), tokens, tokens)
        yield chunk, torch.baddbmm(unused, keys, queries.transpose(1, 2), beta=0, alpha=scale).softmax(1)


def _head_mean(attention: Tensor, heads: int) -> Tensor:
    """Average over heads: (sequences*heads, keys, queries) -> (sequences, queries, keys)."""
    return attention.view(-1, heads, *attention.shape[1:]).mean(1).transpose(1, 2)


def row_times_attention(row: Tensor, query: Tensor, key: Tensor, scale: float, softcap: float | None = None) -> Tensor:
    """Return row @ A for each head: (R, sequences, k, q) -> (R, sequences, heads, k, n), float32.

    A is the attention of queries (R, sequences, heads, q, d) to keys (R, sequences, heads, n, d). It is computed in
    chunks of queries, each of at most CHUNK_WEIGHTS numbers, but at least one query.
    """
    step = max(1, CHUNK_WEIGHTS.get(key.device.type, 2**20) // key[..., 0].numel())
    if len(key) > 1 and step < min(SHORT_CHUNK, query.shape[-2]):  # short chunks read all keys for little work
        clips = [slice(index, index + 1) for index in range(len(key))]
        return torch.cat([row_times_attention(row[clip], query[clip], key[clip], scale, softcap) for clip in clips])
    batch, (tokens, width) = key.shape[:3], key.shape[-2:]
    transposed = key.float().reshape(-1, tokens, width).transpose(1, 2)  # copied once, not by every chunk
    total = torch.zeros(*batch, row.shape[2], tokens, device=key.device)
    for start in range(0, query.shape[-2], step):
        chunk = slice(start, start + step)
        queries = (query[..., chunk, :].float() * scale).reshape(-1, query[..., chunk, :].shape[-2], width)
        attention = bound(queries @ transposed, softcap).softmax(-1).view(*batch, -1, tokens)
        total += row[:, :, None, :, chunk] @ attention
    return total


Reduce = Callable[..., Captured]
"""A function that takes queries, keys, values (B*sequences, heads, n, d), the scale, and the attention matrices
(B*sequences, n, n), mean over heads, if they were computed; it returns what is kept."""


def make_reduce(site: Site, wanted: Wanted, indices: Mapping[Rows, Tensor | None]) -> Reduce:
    """Return the function that a listener calls to keep what is wanted of one attention.

    Args:
        site: the attention.
        wanted: the rows that need weights, values, or queries and keys.
        indices: for each of these tuples of rows the same rows as a tensor, or None for all rows of the batch. With
            four clips, (0, 2) -> tensor([0, 2]) and (0, 1, 2, 3) -> None.
    """
    if site.role == "pool":  # all maps but `paper` go through the pooler
        wanted = replace(wanted, queries=wanted.weights)
    if site.role in ("query", "time"):  # the one is no token, of the other there is the matrix
        wanted = replace(wanted, queries=())

    def keep(tokens: Tensor, rows: Rows) -> Tensor:
        """Return these rows; copy them if they are part of a larger tensor, which would be kept in memory with them."""
        kept = site.layout.split(tokens, indices[rows])
        return kept.clone() if kept.untyped_storage().nbytes() > kept.nbytes else kept

    def reduce(query: Tensor, key: Tensor, value: Tensor, scale: float, mean: Tensor | None = None) -> Captured:
        split = site.layout.split
        weights, matrix, sizes, values, queries_keys = None, None, None, None, None
        if wanted.weights and site.role in (*READ_ROLES, "time"):
            rows = indices[wanted.weights]
            keys = split(key, rows)
            if site.role == "time" and mean is None:
                short = mean_matrices(split(query, rows).flatten(0, 1), keys.flatten(0, 1), scale)
                matrix = short.view(*keys.shape[:2], *short.shape[1:])
            elif mean is not None:
                matrix = split(mean, rows)
            else:
                weights = _mean_over_queries(split(query[:, :, site.queries], rows), keys, scale, site.softcap)
                if wanted.sizes:
                    alike = wanted.sizes == wanted.weights  # as a rule, and then nothing is copied
                    own = weights if alike else weights[[wanted.weights.index(row) for row in wanted.sizes]]
                    sizes = written_sizes(site, own, split(value, indices[wanted.sizes]))
                values = keep(value, wanted.classes) if wanted.classes else None
        if wanted.queries:
            queries_keys = keep(query, wanted.queries), keep(key, wanted.queries), scale
        return Captured(site, wanted, weights, matrix, sizes, values, queries_keys)

    return reduce


def _mean_over_queries(query: Tensor, key: Tensor, scale: float, softcap: float | None) -> Tensor:
    """Return the mean over queries (R, sequences, heads, q, d) of their attention: (R, sequences, heads, n)."""
    count = query.shape[-2]
    if count == 1:
        return attention_weights(query, key, scale, softcap).squeeze(-2)
    even = torch.full((*query.shape[:2], 1, count), 1 / count, device=query.device)
    return row_times_attention(even, query, key, scale, softcap).squeeze(-2)


def _rows_of_share(site: Site, wanted: Wanted) -> Rows:
    """Return the rows whose maps are carried back through an attention; through spatial ones, class maps only."""
    return wanted.classes if site.role == "cls" else wanted.carried


def _hook_streams(
    site: Site, wanted: Wanted, indices: Mapping[Rows, Tensor | None], found: dict[str, Any]
) -> Iterator[RemovableHandle]:
    """Hook the residual stream around an attention, so that `found` gets its "share" and "gains" (see Captured)."""
    if site.mlp is not None and wanted.classes:
        mlp, of_classes = site.mlp, indices[wanted.classes]
        sequences = site.layout.sequences if site.layout.cls_each else 1
        read = slice(None, None, MLP_STRIDE) if site.role == "all" else slice(1)

        def read_of(tokens: Tensor) -> Tensor:
            tokens = tokens[:, read]
            clips = tokens.reshape(-1, sequences, *tokens.shape[1:])
            return clips if of_classes is None else clips.index_select(0, of_classes)

        def keep_token(_module: nn.Module, inputs: tuple[Tensor]) -> None:
            found["token"] = read_of(inputs[0])

        def keep_gains(_module: nn.Module, _inputs: tuple[Tensor], channels: Tensor) -> None:
            found["gains"] = mlp_gains(mlp, found.pop("token"), read_of(channels))

        yield mlp.norm.register_forward_pre_hook(keep_token)
        yield mlp.first.register_forward_hook(keep_gains)
    rows = _rows_of_share(site, wanted)
    if site.before is None or site.after is None or not rows:
        return
    before, after = site.before, site.after

    def keep_before(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        found["before"] = before.layout.without_cls(inputs[0], indices[rows])

    def keep_share(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        began = found.pop("before")
        if inputs[0].shape[1] > 1:  # not in a shortened block, which has nothing to carry back
            found["share"] = measured_share(began, after.layout.without_cls(inputs[0], indices[rows]))

    yield before.module.register_forward_pre_hook(keep_before)
    yield after.module.register_forward_pre_hook(keep_share)


@contextmanager
def capture(
    sites: Sequence[Site], wanted: Wanted, batch: int, device: torch.device | None = None
) -> Iterator[list[Captured]]:
    """Listen to the attentions during a forward pass of `batch` rows on a device (None is the CPU).

    Gives a list, which the forward pass fills with what is kept of each attention, in its order; the block's end
    completes it.
    """
    kept: list[Captured] = []
    indices = {
        rows: None if len(rows) == batch else torch.tensor(rows, device=device) for rows in astuple(wanted) if rows
    }
    chosen = sites if wanted.weights else ()
    streams: list[dict[str, Any]] = [{} for _ in chosen]
    handles: list[RemovableHandle] = []

    def listener(reduce: Reduce) -> Callable[..., None]:
        def listen(*attention: Any) -> None:
            with torch.no_grad():
                kept.append(reduce(*attention))

        return listen

    try:
        for site, found in zip(chosen, streams, strict=True):
            setattr(site.module, LISTENER, listener(make_reduce(site, wanted, indices)))
            handles.extend(_hook_streams(site, wanted, indices, found))
        yield kept
    finally:
        for handle in handles:
            handle.remove()
        for site in chosen:
            delattr(site.module, LISTENER)
    if [id(captured.site) for captured in kept] != [id(site) for site in chosen]:
        msg = f"read {len(kept)} of {len(chosen)} attentions, or in another order: the model did not use `attend`"
        raise RuntimeError(msg)
    kept[:] = [replace(captured, **found) for captured, found in zip(kept, streams, strict=True)]
