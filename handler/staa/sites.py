"""The attentions of a model in the order of a pass: what each is to the classifier, and how it cuts up a clip."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from staa.types import Grid

Role = Literal["cls", "first", "all", "query", "time", "pool", "deep"]
"""What the classifier has from an attention.

"cls", "first", "all", "query": what it writes into the token that is read (CLS, token 0, the mean of all, a learned
query). "time": the temporal half of divided attention. "pool": self-attention of an attentive pooler. "deep": others.
"""
READ = ("cls", "first", "all", "query")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the tokens of one clip lie in the sequences of an attention."""

    grid: Grid
    sequences: int = 1
    """Sequences of a clip: 1, one a step, or one a patch."""
    cls: bool = False
    """Whether each begins with CLS."""
    apart: bool = False
    """Whether each has a CLS of its own; else it is one token, which stands in all of them."""
    patch_major: bool = False
    """Whether steps count faster than patches in the order of the tokens."""

    def split(self, tokens: Tensor, rows: Tensor | None) -> Tensor:
        """(B*sequences, heads, n, d) -> (R, sequences, heads, n, d), these rows (R,) of the batch or all."""
        clips = tokens.view(-1, self.sequences, *tokens.shape[1:])
        return clips if rows is None else clips.index_select(0, rows)

    def place(self, tokens: Tensor) -> Tensor:
        """(R, sequences, m) without CLS -> (R, t, h*w)."""
        steps, patches = self.grid.t, self.grid.h * self.grid.w
        if self.patch_major:
            return tokens.reshape(-1, patches, steps).transpose(1, 2)
        return tokens.reshape(-1, steps, patches)

    def cut(self, tokens: Tensor) -> Tensor:
        """(R, t, h*w) -> (R, sequences, m): the way back."""
        order = tokens.transpose(1, 2) if self.patch_major else tokens
        return order.reshape(len(tokens), self.sequences, -1)


@dataclass(frozen=True, slots=True)
class Site:
    """One attention."""

    module: nn.Module
    layout: Layout
    role: Role
    first: int = 0
    """Where it is read: the first query that counts."""
    every: int = 0
    """Every how many from there count too, all alike; 0 is none."""
    output: nn.Linear | None = None
    """Where it is read: the map after it; None where there is none."""
    carried: bool = False
    """Whether a class map is carried back through it to the input tokens."""

    @property
    def queries(self) -> slice:
        """Those that count."""
        return slice(self.first, None, self.every) if self.every else slice(self.first, self.first + 1)
