"""A loaded model that returns labels and maps for clips, with one forward pass for a batch; needs no TorchServe."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from staa import attribution, families, focus
from staa.attribution import MapRequest
from staa.capture import STRIDE, capture
from staa.checkpoint.loader import load as load_checkpoint
from staa.errors import LoadError
from staa.recipe import Recipe
from staa.refine import candidates, describe_choice, refine
from staa.signature import Signature
from staa.types import Attribution, Box, Faithfulness, Forward, Options, Prediction, Refinement, Result
from staa.verify import VERDICTS, Probabilities, blur, mean_colour, verdict, verify
from staa_video import Clip, sampling

DEFAULT_TOP_K = 5
"""How many labels a result has by default."""
_LOCKS: WeakKeyDictionary[nn.Module, threading.Lock] = WeakKeyDictionary()
"""Model -> the lock of its forward passes, which two explainers of one model share: both listen to its modules."""


class Explainer:
    """A video classifier that shows where and when it looked.

    >>> explainer = Explainer.load("model_store/motions")
    >>> result = explainer([decode("clip.mp4", explainer.grid.frames)])[0]
    >>> result.predictions[0].label, result.attribution.temporal.argmax()

    Calls from several threads run one after the other, also if two explainers share one model.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, stride: int | None = None) -> None:
        """Take a model of a known family; from now on it computes its attention by `capture.attend`.

        If the family reads a mean over all queries, only every `stride`-th query is taken; 1 is exact, None is STRIDE.
        """
        config: Any = model.config
        self.signature = Signature.of(config, recipe)
        self.family, self.labels = self.signature.family, self.signature.labels
        self.grid, self.recipe = self.signature.grid, self.signature.recipe
        self._family = families.family(self.family)
        self.model = model.eval().requires_grad_(requires_grad=False)
        tokens = math.prod(self.grid.shape)
        if stride is not None and (type(stride) is not int or not 1 <= stride <= tokens):
            raise LoadError(f"stride is {stride!r}: expected a whole number from 1 to {tokens}, the tokens")
        self.stride = min(STRIDE, tokens) if stride is None else stride
        self._family.route(self.model)
        for optimise in self._family.OPTIMISATIONS.values():
            optimise(self.model)
        self.sites = self._family.sites(self.model, self.grid, self.stride)
        self.directions = self._family.directions(self.model)
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self._lock = _LOCKS.setdefault(model, threading.Lock())

    @classmethod
    def load(cls, weights: str | Path, device: str = "auto", dtype: str = "auto", stride: int | None = None) -> Self:
        """Load a checkpoint from a folder or a hub id: safetensors only, and never code from a checkpoint.

        Args:
            weights: folder, or hub id such as "facebook/timesformer-base-finetuned-k400".
            device: "auto" (cuda if there is a GPU, otherwise cpu) or a torch device.
            dtype: "auto" (bfloat16 on a GPU that supports it, otherwise float32), "float32", "bfloat16" or "float16".
            stride: take every stride-th query, if a mean over all is read (VideoMAE); 1 is exact, None is 8.

        Raises:
            LoadError: the checkpoint cannot be read, has no classification head, or its family is not known.
        """
        return cls(*load_checkpoint(weights, device, dtype), stride)

    def check(self, options: Options) -> None:
        """Raise OptionError if this model cannot fulfil the options; call it before a video is decoded."""
        self.signature.check(options)

    def prepare(self, clips: Sequence[Clip]) -> tuple[Tensor, list[Box]]:
        """Return normalised pixels (B, T, 3, h, w) on the model's device, and the box of the source that each shows.

        Raises:
            ValueError: a clip has not as many frames as the model takes.
        """
        return self.signature.prepare(clips, self.device, self.dtype)

    def device_works(self) -> bool:
        """Return whether the model's device still works; after some errors a process can use its GPU no more."""
        try:
            return bool(torch.ones(1, device=self.device).sum().item() == 1)
        except RuntimeError:
            return False

    def pixels(self, clips: Sequence[Clip]) -> Tensor:
        """Return normalised pixels (B, T, 3, h, w) on the model's device."""
        return self.prepare(clips)[0]

    def forward(self, pixels: Tensor, rows: Sequence[int] | Mapping[int, str]) -> Forward:
        """Run one forward pass of pixels (B, T, 3, h, w), and read the attention of some rows of the batch.

        Args:
            pixels: as `prepare` returns them.
            rows: the rows to explain by `staa`, or a mapping of row to method.
        """
        shape = (self.grid.frames, 3, *self._family.size(self.model.config))
        if tuple(pixels.shape[1:]) != shape:
            raise ValueError(f"pixels must be (B, {', '.join(map(str, shape))}), got {tuple(pixels.shape)}")
        methods = dict(rows) if isinstance(rows, Mapping) else dict.fromkeys(rows, "staa")
        if not all(0 <= row < len(pixels) for row in methods):
            raise ValueError(f"rows must be of a batch of {len(pixels)}, got {sorted(methods)}")
        for method in methods.values():
            attribution.check(method)
        keep = attribution.what_to_keep(methods)
        with self._lock, torch.inference_mode(), capture(self.sites, keep, len(pixels), pixels.device) as captured:
            logits = self.model(**{self._family.INPUT_NAME: pixels}).logits.float()
        return Forward(logits, keep.weights, captured)

    @torch.inference_mode()
    def attributions(self, forward: Forward, options: Sequence[Options] | Mapping[int, Options]) -> list[Attribution]:
        """Return a map for each row whose attention was read; `options` holds those of every row of the batch."""
        requests = [self._map_request(options[row], forward.logits[row]) for row in forward.rows]
        return attribution.attribute(forward, requests, self.directions)

    def attribution(self, forward: Forward, row: int, options: Options) -> Attribution:
        """Return the map of one row only: slower for many rows, but an error then concerns this row alone."""
        return self.attributions(forward.only((row,)), {row: options})[0]

    @torch.inference_mode()
    def candidates(self, forward: Forward, row: int, options: Options) -> dict[str, Attribution]:
        """Return the class maps of a row among which `choose` chooses, by name; the first is that of `attribution`."""
        request = self._map_request(options, forward.logits[row])
        return candidates(forward.only((row,)), request, self.directions, exclusive=self.signature.is_exclusive)

    def choose(
        self,
        pixels: Tensor,
        maps: Mapping[str, Attribution],
        clips: int,
        batch: int = 8,
        seconds: float = math.inf,
    ) -> tuple[Attribution, Refinement]:
        """Choose one of the maps of a clip, by what the model answers where parts of the clip are hidden.

        Args:
            pixels: (1, T, 3, h, w), those of the clip.
            maps: what `candidates` returned.
            clips: the most clips through the model.
            batch: the most clips in one of these forward passes.
            seconds: the most wall time.

        Raises:
            TooSlowError: it would take more wall time.
        """
        first = next(iter(maps.values()))
        if first.target is None:
            raise ValueError("only class maps are chosen from")
        rankings = {name: shown.ranking for name, shown in maps.items()}
        answer = self._probability(first.target, first.contrast)
        refinement = refine(answer, pixels, rankings, self.grid, clips, batch, seconds)
        message = describe_choice(refinement.chosen)
        return maps[refinement.chosen], replace(refinement, message=message)

    def _probability(self, target: int, contrast: int | None) -> Probabilities:
        """Return a function of pixels that gives the probability (B, 1) of a class; with a contrast, of the two."""

        def probability(changed: Tensor) -> Tensor:
            logits = self.forward(changed, []).logits
            if contrast is None:
                return self.signature.probabilities(logits)[:, [target]]
            return logits[:, [target, contrast]].softmax(-1)

        return probability

    def _map_request(self, options: Options, logits: Tensor) -> MapRequest:
        """Choose target and contrast, where they are not named.

        The target is the best class, or the best one other than the contrast. The contrast of a target that is named
        and is not the best class is the best class, if the classes exclude each other: otherwise the map would mostly
        show what speaks for any class.
        """
        if not attribution.METHODS[options.method].classes:
            return MapRequest(options.method)
        target = self.signature.class_id("target", options.target)
        contrast = self.signature.contrast_id(options.contrast)
        best = next(class_id for class_id in ranked(logits) if class_id != contrast)
        if target is None:
            target = best
        elif options.contrast is None and target != best and self.signature.is_exclusive:
            contrast = best
        return MapRequest(options.method, target, contrast)

    def verify(
        self,
        pixels: Tensor,
        logits: Tensor,
        shown: Attribution,
        points: int,
        batch: int = 8,
        seconds: float = math.inf,
        before_pass: Callable[[], object] = lambda: None,
        *,
        refined: bool = False,
    ) -> Faithfulness:
        """Measure whether the map's target (or the best class, if it has none) depends on the tokens that it shows.

        Args:
            pixels: (1, T, 3, h, w), those of the clip.
            logits: (K,), those of the clip.
            shown: the map of the clip.
            points: how many points the deletion and insertion curves have; each needs 8 clips through the model.
            batch: the most clips in one of these forward passes.
            seconds: the most wall time.
            before_pass: called before each of these passes; it may wait, or raise an error that ends the check.
            refined: whether the map was chosen by a test like this one; then another fill hides the cells.

        Raises:
            TooSlowError: it would take more wall time.
        """
        target = ranked(logits)[0] if shown.target is None else shown.target
        answer = self._probability(target, shown.contrast)

        def probabilities(changed: Tensor) -> Tensor:
            before_pass()
            return answer(changed)

        fill = mean_colour if refined else blur
        ends, areas = verify(probabilities, pixels, shown.ranking, self.grid, points, batch, seconds, fill)
        checked = Faithfulness(target, shown.contrast, points, *ends, *areas)
        code = verdict(checked)
        return replace(checked, verdict=code, message=VERDICTS[code])

    def result(
        self,
        logits: Tensor,
        clip: Clip,
        box: Box,
        options: Options,
        shown: Attribution | None,
    ) -> Result:
        """Make the result of one clip from its logits (K,), its map and its options."""
        count = options.top_k or min(DEFAULT_TOP_K, len(self.labels))
        scores = self.signature.probabilities(logits).tolist()
        best = [Prediction(class_id, self.labels[class_id], scores[class_id]) for class_id in ranked(logits)[:count]]
        steps = sampling.steps(clip.seconds, clip.fps, clip.duration, self.grid.t)
        threshold = None if shown is None else focus.threshold(shown.joint, options.mass)
        return Result(tuple(best), box, steps, shown, threshold)

    def __call__(self, clips: Sequence[Clip], options: Options | Sequence[Options] | None = None) -> list[Result]:
        """Return the labels of every clip, and its map if asked for, from one forward pass.

        Only `refine` and `verify` need more passes.

        Args:
            clips: clips of `grid.frames` frames each, as the model takes.
            options: one for all clips, or one for each clip; the default explains by `staa`.

        Raises:
            OptionError: this model cannot fulfil an option.
        """
        if not clips:
            return []
        asked = [options or Options()] * len(clips) if isinstance(options, Options | None) else list(options)
        if len(asked) != len(clips):
            raise ValueError(f"one Options for all clips, or one a clip: got {len(asked)} for {len(clips)} clips")
        for option in asked:
            self.check(option)
        pixels, boxes = self.prepare(clips)
        explained = {row: option for row, option in enumerate(asked) if option.explain}
        forward = self.forward(pixels, {row: option.method for row, option in explained.items()})
        maps = dict(zip(forward.rows, self.attributions(forward, asked), strict=True))
        candidates = {row: self.candidates(forward, row, option) for row, option in explained.items() if option.refine}
        logits = forward.logits
        del forward  # what was read of the pass is not needed while others run
        rows = enumerate(zip(logits, clips, boxes, asked, strict=True))
        results = [self.result(*facts, maps.get(row)) for row, facts in rows]
        for row, option in explained.items():
            pixel = pixels[row : row + 1]
            if option.refine:
                chosen = self.choose(pixel, candidates[row], option.refine)
                results[row] = with_choice(results[row], *chosen, option.mass)
            if option.verify and (shown := results[row].attribution) is not None:
                checked = self.verify(pixel, logits[row], shown, option.verify, refined=bool(option.refine))
                results[row] = replace(results[row], faithfulness=checked)
        return results


def with_choice(result: Result, chosen: Attribution, refinement: Refinement, mass: float) -> Result:
    """Return a result with the map that was chosen in place of its own; `mass` is that of its options."""
    threshold = focus.threshold(chosen.joint, mass)
    return replace(result, attribution=chosen, threshold=threshold, refinement=refinement)


def ranked(logits: Tensor) -> list[int]:
    """Return the numbers of the classes, best first; of equal logits the lower number comes first."""
    order: list[int] = logits.argsort(descending=True, stable=True).tolist()
    return order
