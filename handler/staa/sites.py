"""Describes the attentions of a model: what the classifier reads of each, and how it cuts a clip into sequences."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from staa.types import Grid

Role = Literal["cls", "first", "all", "query", "time", "pool", "deep"]
"""What the classifier has from an attention.

"cls", "first", "all", "query": what it writes into the token that is read (CLS, token 0, the mean of all, a learned
query). "time": the temporal half of divided attention. "pool": self-attention of an attentive pooler. "deep": others.
"""
READ_ROLES = ("cls", "first", "all", "query")
"""The roles of attentions that write into the token that is read."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Say how an attention arranges the tokens of one clip in sequences."""

    grid: Grid
    sequences: int = 1
    """The number of sequences for one clip: 1, or one for each step, or one for each patch."""
    cls: bool = False
    """Whether every sequence begins with CLS."""
    cls_each: bool = False
    """Whether every sequence has its own CLS; if not, one CLS token is shared by all sequences."""
    patch_major: bool = False
    """Whether the tokens are in the order of patch, then step; if not, of step, then patch."""

    def split(self, tokens: Tensor, rows: Tensor | None) -> Tensor:
        """Select rows (R,) of a batch, None for all: (B*sequences, heads, n, d) -> (R, sequences, heads, n, d)."""
        clips = tokens.view(-1, self.sequences, *tokens.shape[1:])
        return clips if rows is None else clips.index_select(0, rows)

    def to_grid(self, tokens: Tensor) -> Tensor:
        """Arrange tokens without CLS by step and patch: (R, sequences, m) -> (R, t, h*w)."""
        steps, patches = self.grid.t, self.grid.h * self.grid.w
        if self.patch_major:
            return tokens.reshape(-1, patches, steps).transpose(1, 2)
        return tokens.reshape(-1, steps, patches)

    def to_sequences(self, tokens: Tensor) -> Tensor:
        """Arrange tokens in sequences, the inverse of `to_grid`: (R, t, h*w) -> (R, sequences, m)."""
        order = tokens.transpose(1, 2) if self.patch_major else tokens
        return order.reshape(len(tokens), self.sequences, -1)


@dataclass(frozen=True, slots=True)
class Site:
    """Hold one attention of a model, and what the classifier reads of it."""

    module: nn.Module
    layout: Layout
    role: Role
    first_query: int = 0
    """The first query whose attention is read."""
    query_step: int = 0
    """Read also every `query_step`-th query after the first, with equal weight; 0 reads the first only."""
    output: nn.Linear | None = None
    """The linear layer after the attention; None if there is none or it is not needed."""
    carried: bool = False
    """Whether a class map is carried back through it to the input tokens."""

    @property
    def queries(self) -> slice:
        """Return the queries whose attention is read."""
        first, step = self.first_query, self.query_step
        return slice(first, None, step) if step else slice(first, first + 1)
