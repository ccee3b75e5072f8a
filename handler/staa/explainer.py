"""A loaded model that answers clips with labels and maps, one forward pass a batch; needs no TorchServe."""

import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForVideoClassification

from staa import attribution, families, focus, sampling
from staa.attribution import Ask
from staa.capture import STRIDE, capture
from staa.errors import LoadError, OptionError
from staa.prepare import RECIPES, Recipe, configuration, prepare
from staa.types import Attribution, Box, Clip, Faithfulness, Forward, Grid, Options, Prediction, Result
from staa.verify import verify

TOP = 5
"""Labels in a result where the options say nothing."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Explainer:
    """A video classifier that shows where and when it looked.

    >>> explainer = Explainer.load("model_store/motions")
    >>> result = explainer([decode("clip.mp4", explainer.grid.frames)])[0]
    >>> result.predictions[0].label, result.attribution.temporal.argmax()

    Calls from several threads are answered one after the other.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, stride: int | None = None) -> None:
        """Take a model of a known family; its attention is computed by `capture.attend` from now on.

        Where the family reads a mean over all queries, every `stride`-th of them counts; 1 is exact, None is STRIDE.
        """
        config: Any = model.config
        self.family = config.model_type
        self._family = families.family(self.family)
        self.grid: Grid = self._family.grid(config)
        if recipe.shape != self._family.size(config):
            made, taken = recipe.shape or "no fixed size", self._family.size(config)
            msg = f"the preprocessing ends in {made}, the model takes {taken} (height, width): correct {RECIPES[0]}"
            raise LoadError(msg)
        self.labels: tuple[str, ...] = tuple(str(config.id2label[index]) for index in range(config.num_labels))
        self.recipe = recipe
        self.model = model.eval().requires_grad_(requires_grad=False)
        tokens = math.prod(self.grid.shape)
        if stride is not None and (type(stride) is not int or not 1 <= stride <= tokens):
            msg = f"stride is {stride!r}: expected a whole number from 1 to {tokens}, the tokens"
            raise LoadError(msg)
        self.stride = min(STRIDE, tokens) if stride is None else stride
        self._family.route(self.model)
        for saving in self._family.SAVINGS.values():
            saving(self.model)
        self.sites = self._family.sites(self.model, self.grid, self.stride)
        self.directions = self._family.directions(self.model)
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self._lock = threading.Lock()

    @classmethod
    def load(cls, weights: str | Path, device: str = "auto", dtype: str = "auto", stride: int | None = None) -> Self:
        """Load a checkpoint from a folder or a hub id: safetensors only, and never code from a checkpoint.

        Args:
            weights: folder, or hub id such as "facebook/timesformer-base-finetuned-k400".
            device: "auto" (cuda where there is one, else cpu) or a torch device.
            dtype: "auto" (bfloat16 on a GPU that computes in it, else float32), "float32", "bfloat16" or "float16".
            stride: where a mean over all queries is read (VideoMAE), every how many of them count; 1 is exact, None 8.

        Raises:
            LoadError: the checkpoint cannot be read, has no classification head, or its family is not known.
        """
        name = str(weights)
        chosen = _device(device)
        if dtype not in (*DTYPES, "auto"):
            msg = f"dtype is {dtype!r}: expected one of auto, {', '.join(DTYPES)}"
            raise LoadError(msg)
        fast = chosen.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = DTYPES.get(dtype, torch.bfloat16 if fast else torch.float32)
        try:
            config = AutoConfig.from_pretrained(name, trust_remote_code=False)
            families.family(config.model_type).grid(config)
            model, report = AutoModelForVideoClassification.from_pretrained(
                name,
                config=config,
                dtype=precision,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            recipe = Recipe.read(configuration(name))
        except (OSError, ValueError, KeyError) as error:
            files = f"config.json, *.safetensors and {RECIPES[0]}"
            msg = f"{name} cannot be loaded: {error}. Expected a folder or a hub id with {files}"
            raise LoadError(msg) from error
        if report["missing_keys"]:
            missing = ", ".join(sorted(report["missing_keys"])[:4])
            msg = f"{name} lacks the weights {missing}: use a checkpoint that was fine-tuned for video classification"
            raise LoadError(msg)
        return cls(model.to(chosen), recipe, stride)

    def check(self, options: Options) -> None:
        """OptionError where this model cannot answer the options; worth asking before decoding a video."""
        attribution.check(options.method, options.target, options.contrast)
        target, contrast = self.class_id("target", options.target), self.class_id("contrast", options.contrast)
        if target is not None and target == contrast:
            msg = f"target and contrast are both {self.labels[target]!r}: name two classes, or leave contrast out"
            raise OptionError(msg)
        if contrast is not None and len(self.labels) == 1:
            raise OptionError("contrast needs a second class, and this model has one: leave it out")
        if options.top_k is not None and options.top_k > len(self.labels):
            msg = f"top_k is {options.top_k}: expected 1 to {len(self.labels)}, the classes of this model"
            raise OptionError(msg)

    def class_id(self, option: str, named: int | str | None) -> int | None:
        """The number of a class that an option names by its label or by its number.

        Raises:
            OptionError: the model has no such class.
        """
        if named is None:
            return None
        text, number = str(named), -1
        if text.isascii() and text.isdigit() and len(text) < 10:
            number = int(text)
        elif named in self.labels:
            return self.labels.index(text)
        if not 0 <= number < len(self.labels):
            some = ", ".join(self.labels[:8]) + (", ..." if len(self.labels) > 8 else "")
            msg = f"{option} is {named!r}: expected a number from 0 to {len(self.labels) - 1} or a label ({some})"
            raise OptionError(msg)
        return number

    def prepare(self, clips: Sequence[Clip]) -> tuple[Tensor, list[Box]]:
        """Normalised pixels (B, T, 3, h, w) on the model's device, and the box of the source that each clip shows it.

        Raises:
            ValueError: a clip has another number of frames than the model wants.
        """
        made = []
        for clip in clips:
            if len(clip.frames) != self.grid.frames:
                wanted = self.grid.frames
                msg = f"the model wants {wanted} frames, got {len(clip.frames)}: decode(source, {wanted})"
                raise ValueError(msg)
            made.append(prepare(clip.frames, self.recipe, self.device, self.dtype, clip.size))
        return torch.stack([pixels for pixels, _ in made]), [box for _, box in made]

    def pixels(self, clips: Sequence[Clip]) -> Tensor:
        """Normalised pixels (B, T, 3, h, w) on the model's device."""
        return self.prepare(clips)[0]

    def forward(self, pixels: Tensor, rows: Sequence[int] | Mapping[int, str]) -> Forward:
        """One forward pass of pixels (B, T, 3, h, w); attention is read for these rows of the batch only.

        Args:
            pixels: as `prepare` makes them.
            rows: by `staa`, or each by the method that it is mapped to.
        """
        if tuple(pixels.shape[1:]) != (self.grid.frames, 3, *self._family.size(self.model.config)):
            wanted = (self.grid.frames, 3, *self._family.size(self.model.config))
            msg = f"pixels must be (B, {', '.join(map(str, wanted))}), got {tuple(pixels.shape)}"
            raise ValueError(msg)
        methods = dict(rows) if isinstance(rows, Mapping) else dict.fromkeys(rows, "staa")
        if not all(0 <= row < len(pixels) for row in methods):
            msg = f"rows must be of a batch of {len(pixels)}, got {sorted(methods)}"
            raise ValueError(msg)
        for method in methods.values():
            attribution.check(method)
        needs = attribution.wanted(self.sites, methods)
        with self._lock, torch.inference_mode(), capture(self.sites, needs, len(pixels), pixels.device) as heard:
            logits = self.model(**{self._family.PIXELS: pixels}).logits.float()
        return Forward(logits, needs.read, heard)

    @torch.inference_mode()
    def attributions(self, forward: Forward, options: Sequence[Options] | Mapping[int, Options]) -> list[Attribution]:
        """The maps of the rows that were read, by the options of every row of the batch."""
        asks = [self._ask(options[row], forward.logits[row]) for row in forward.rows]
        return attribution.attribute(forward, asks, self.directions)

    def attribution(self, forward: Forward, row: int, options: Options) -> Attribution:
        """The map of one row alone: slower for many, but what fails is this row and no other."""
        only = Forward(forward.logits, (row,), [one.only((row,)) for one in forward.heard])
        return self.attributions(only, {row: options})[0]

    def _ask(self, options: Options, logits: Tensor) -> Ask:
        """The target is the best class where none is named; with a contrast the best other one."""
        if not attribution.METHODS[options.method].classes:
            return Ask(options.method)
        target, contrast = self.class_id("target", options.target), self.class_id("contrast", options.contrast)
        if target is None:
            target = next(best for best in _best(logits) if best != contrast)
        return Ask(options.method, target, contrast)

    def verify(
        self, pixels: Tensor, logits: Tensor, found: Attribution, points: int, batch: int = 8, seconds: float = math.inf
    ) -> Faithfulness:
        """Whether the best class, or the map's own target, rests on what it shows.

        Args:
            pixels: (1, T, 3, h, w) of the clip.
            logits: (K,) of the clip.
            found: its map.
            points: of the curves of deletion and insertion; each takes 8 clips through the model.
            batch: clips in one of these forward passes, at most.
            seconds: wall time that it may take.

        Raises:
            TooSlowError: it would take longer.
        """
        target = _best(logits)[0] if found.target is None else found.target

        def answer(changed: Tensor) -> Tensor:
            made = self.forward(changed, []).logits
            if found.contrast is None:
                return made.softmax(-1)[:, [target]]
            return made[:, [target, found.contrast]].softmax(-1)

        ends, areas = verify(answer, pixels, found.joint, self.grid, points, batch, seconds)
        return Faithfulness(target, found.contrast, points, *ends, *areas)

    def result(
        self,
        logits: Tensor,
        clip: Clip,
        box: Box,
        options: Options,
        found: Attribution | None,
        checked: Faithfulness | None = None,
    ) -> Result:
        """What a forward pass says of one clip: its logits (K,) and its map, by its own options."""
        count = options.top_k or min(TOP, len(self.labels))
        scores = logits.softmax(-1).tolist()
        best = [Prediction(number, self.labels[number], scores[number]) for number in _best(logits)[:count]]
        steps = sampling.steps(clip.seconds, clip.fps, clip.duration, self.grid.t)
        threshold = None if found is None else focus.threshold(found.joint, options.mass)
        return Result(tuple(best), box, steps, found, threshold, checked)

    def __call__(self, clips: Sequence[Clip], options: Options | Sequence[Options] | None = None) -> list[Result]:
        """Labels and, where asked for, the map of every clip, from one forward pass; `verify` takes more.

        Args:
            clips: each with the number of frames that the model wants, `grid.frames`.
            options: one for all clips, or one a clip; the default explains by `staa`.

        Raises:
            OptionError: an option is not one of this model's.
        """
        if not clips:
            return []
        each = [options or Options()] * len(clips) if isinstance(options, Options | None) else list(options)
        if len(each) != len(clips):
            msg = f"one Options for all clips, or one a clip: got {len(each)} for {len(clips)} clips"
            raise ValueError(msg)
        for option in each:
            self.check(option)
        pixels, boxes = self.prepare(clips)
        forward = self.forward(pixels, {row: option.method for row, option in enumerate(each) if option.explain})
        maps = dict(zip(forward.rows, self.attributions(forward, each), strict=True))
        logits = forward.logits
        del forward  # what was read of the pass is not needed while others run
        checked = {
            row: self.verify(pixels[row : row + 1], logits[row], found, each[row].verify)
            for row, found in maps.items()
            if each[row].verify
        }
        parts = zip(logits, clips, boxes, each, strict=True)
        return [self.result(*part, maps.get(row), checked.get(row)) for row, part in enumerate(parts)]


def _best(logits: Tensor) -> list[int]:
    """Classes, best first; of equal ones the first."""
    order: list[int] = logits.argsort(descending=True, stable=True).tolist()
    return order


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"device is {name!r}: expected auto, cpu, cuda or cuda:N"
        raise LoadError(msg) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        msg = f"device is {name!r}, but torch sees no GPU: use device auto or cpu"
        raise LoadError(msg)
    return device
