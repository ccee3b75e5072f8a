"""Describes a model without its weights: enough to check the options of a request and to prepare its video."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from staa import attribution, families
from staa.checkpoint import loader
from staa.checkpoint.config import PROBLEMS
from staa.checkpoint.files import RECIPE_FILES
from staa.errors import LoadError, OptionError
from staa.prepare import prepare
from staa.recipe import Recipe
from staa.types import Box, Grid, Options
from staa_video import Clip

NO_CONTRAST = "none"
"""The value of the option `contrast` that compares to no class, in a model without a class of this label."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Describe a model as its callers see it; a signature can be sent to another process."""

    family: str
    """The model's family, a key of FAMILIES."""
    labels: tuple[str, ...]
    """The label of each class, in the order of the class numbers."""
    grid: Grid
    recipe: Recipe
    problem_type: str = PROBLEMS[0]
    """One of PROBLEMS: whether a clip has one class, or any number of them."""

    @classmethod
    def of(cls, config: Any, recipe: Recipe) -> Self:
        """Return the signature of a model's configuration and its preprocessing.

        Raises:
            LoadError: the family is not known, the configuration is not supported, or the two do not fit together.
        """
        family = families.family(config.model_type)
        grid = family.grid(config)
        if recipe.shape != family.size(config):
            shape, size = recipe.shape or "no fixed size", family.size(config)
            raise LoadError(
                f"the preprocessing ends in {shape}, the model takes {size} (height, width): correct {RECIPE_FILES[0]}"
            )
        labels = tuple(str(config.id2label[index]) for index in range(config.num_labels))
        return cls(config.model_type, labels, grid, recipe, config.problem_type or PROBLEMS[0])

    @classmethod
    def read(cls, weights: str | Path) -> Self:
        """Return the signature of a checkpoint, a folder or a hub id, whose weights are not read.

        Raises:
            LoadError: as `of` does, or the checkpoint cannot be read.
        """
        return cls.of(*loader.describe(weights))

    def check(self, options: Options) -> None:
        """Raise OptionError if this model cannot fulfil the options; call it before a video is decoded."""
        attribution.check(options.method, options.target, options.contrast, options.refine)
        target, contrast = self.class_id("target", options.target), self.contrast_id(options.contrast)
        if target is not None and target == contrast:
            msg = f"target and contrast are both {self.labels[target]!r}: name two classes, or leave contrast out"
            raise OptionError(msg)
        if contrast is not None and len(self.labels) == 1:
            raise OptionError("contrast needs a second class, and this model has one: leave it out")
        if options.top_k is not None and options.top_k > len(self.labels):
            raise OptionError(f"top_k is {options.top_k}: expected 1 to {len(self.labels)}, the classes of this model")

    def class_id(self, option: str, named: int | str | None) -> int | None:
        """Return the number of a class that an option names by its label or by its number.

        Raises:
            OptionError: the model has no such class, or several of this label.
        """
        if named is None:
            return None
        text, class_id = str(named), -1
        if text.isascii() and text.isdigit() and len(text) < 10:
            class_id = int(text)
        elif named in self.labels:
            numbers = [number for number, label in enumerate(self.labels) if label == named]
            if len(numbers) > 1:
                some = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
                raise OptionError(
                    f"{option} is {named!r}, the label of several classes: name one by its number ({some})"
                )
            return numbers[0]
        if not 0 <= class_id < len(self.labels):
            some = ", ".join(self.labels[:8]) + (", ..." if len(self.labels) > 8 else "")
            msg = f"{option} is {named!r}: expected a number from 0 to {len(self.labels) - 1} or a label ({some})"
            raise OptionError(msg)
        return class_id

    def contrast_id(self, named: int | str | None) -> int | None:
        """Return the number of the class that the option `contrast` names; None if it names none, or "none".

        Raises:
            OptionError: as `class_id` does.
        """
        return None if named == NO_CONTRAST and NO_CONTRAST not in self.labels else self.class_id("contrast", named)

    @property
    def is_exclusive(self) -> bool:
        """Return whether a video has one of the classes; if not, it may have several of them or none."""
        return self.problem_type == PROBLEMS[0]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probability of each class, given logits (..., K); those of several labels do not sum to 1."""
        return logits.softmax(-1) if self.is_exclusive else logits.sigmoid()

    def prepare(
        self, clips: Sequence[Clip], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, list[Box]]:
        """Return normalised pixels (B, T, 3, h, w) on a device, and the box of the source that each clip shows.

        Raises:
            ValueError: a clip has not as many frames as the model takes.
        """
        prepared = []
        for clip in clips:
            if len(clip.frames) != self.grid.frames:
                count = self.grid.frames
                raise ValueError(f"the model wants {count} frames, got {len(clip.frames)}: decode(source, {count})")
            prepared.append(prepare(clip.frames, self.recipe, device, dtype, clip.size))
        return torch.stack([pixels for pixels, _ in prepared]), [box for _, box in prepared]
