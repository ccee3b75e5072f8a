"""The settings of a served model: the `handler:` block of model_store/<name>.yaml."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from staa.attribution import METHODS
from staa.errors import LoadError, OptionError
from staa.signature import Signature
from staa.types import Options
from staa_video import Limits

LABEL_THRESHOLD = 0.5
"""The least score of a label that a video has, where a model of several labels does not say another."""
MOST_WORDS = 500
"""The most characters of `about` and of `license`: every reply carries the one."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold all settings that a block can have; an unknown key is an error."""

    weights: str
    """A checkpoint with safetensors: a folder (absolute, or relative to the archive's root) or a hub id."""
    about: str | None = None
    """What a reader of its answers must know of the model, in a sentence or two: it stands in every reply."""
    license: str | None = None
    """The license of the model, as an SPDX identifier or in words; it stands in the card."""
    clip_seconds: tuple[float, float] | None = None
    """The shortest and the longest clip, in seconds, that the model was trained on; they stand in the card."""
    label_threshold: float | None = None
    """The least score, 0 to 1, of a label that a video has; for models of several labels only; None is 0.5."""
    device: str = "auto"
    """"auto": the GPU that TorchServe gives the worker, else cpu; or a torch device."""
    dtype: str = "auto"
    """"auto": bfloat16 on a GPU that computes in it, float32 elsewhere; or "float32", "bfloat16", "float16"."""
    threads: int = 0
    """The number of torch's threads; 0 leaves torch's default."""
    decoders: int = 4
    """How many videos of one batch are decoded at the same time, each in a process of its own."""
    stride: int | None = None
    """Take every stride-th query, if a mean over all is read (VideoMAE); 1 is exact, None is 8."""
    methods: tuple[str, ...] = tuple(METHODS)
    """The methods that requests may name; staa must be one. rollout needs the most memory: all queries and keys."""
    verify: int = 16
    """The largest allowed option verify of a request, since its passes delay other requests; 0 allows no check."""
    refine: int = 32
    """The largest allowed option refine of a request; 0 allows no choice among maps."""
    verify_seconds: float = 30.0
    """The most seconds of wall time to refine and verify the maps of one batch; a request that would need more is
    refused."""
    batch_seconds: float = 90.0
    """Wall time after which a batch begins no further pass, and what is left of it is refused; or three quarters of
    the model's responseTimeout, where that is less: TorchServe kills the worker then."""
    audit: float = 0.0
    """The share of the explanations, 0 to 1, whose maps are verified while no request waits; their verdicts are only
    counted. At most one is verified at a time: what is drawn meanwhile is left out."""
    traces: str | None = None
    """The URL that spans of OpenTelemetry go to by OTLP over HTTP, "http://127.0.0.1:4318/v1/traces"; None: nowhere."""
    limits: Limits = field(default_factory=Limits)
    """The limits for one video."""

    @classmethod
    def read(cls, block: Mapping[str, Any]) -> Self:
        """Read and check a block of the configuration.

        Raises:
            LoadError: a key is unknown or missing, or a value has the wrong type.
        """
        values = {key: value for key, value in block.items() if value is not None}
        _known("handler", values, [item.name for item in fields(cls)])
        if not isinstance(values.get("weights"), str):
            raise LoadError("handler.weights is missing: give the folder or the hub id of a checkpoint")
        values |= {key: _words(f"handler.{key}", values[key]) for key in ("about", "license") if key in values}
        clip_seconds = _range("handler.clip_seconds", values.pop("clip_seconds", None))
        limits = values.pop("limits", None) or {}
        if not isinstance(limits, Mapping):
            raise LoadError(f"handler.limits is {limits!r}: expected a block of keys")
        _known("handler.limits", limits, [item.name for item in fields(Limits)])
        _numbers("handler.limits", limits)
        _whole("handler.limits", limits, {"bytes": 0, "pixels": 0, "frames": 0, "threads": 1, "memory": 2**26})
        _whole("handler", values, {"threads": 0, "decoders": 1, "stride": 1, "verify": 0, "refine": 0})
        traces = values.get("traces")
        if traces is not None and not (isinstance(traces, str) and traces.startswith(("http://", "https://"))):
            msg = f"handler.traces is {traces!r}: expected the URL of a collector, http://HOST:4318/v1/traces"
            raise LoadError(msg)
        numbers = ("verify_seconds", "batch_seconds", "audit", "label_threshold")
        _numbers("handler", {key: values[key] for key in numbers if key in values})
        for key, what in (("audit", "a share of the explanations"), ("label_threshold", "a score")):
            if values.get(key, 0) > 1:
                raise LoadError(f"handler.{key} is {values[key]!r}: expected {what}, 0 to 1")
        methods = values.pop("methods", tuple(METHODS))
        names = methods if isinstance(methods, list | tuple) else []
        if "staa" not in names or not all(isinstance(name, str) and name in METHODS for name in names):
            msg = f"handler.methods is {methods!r}: expected a list of some of {', '.join(METHODS)}, staa among them"
            raise LoadError(msg)
        return cls(**values, clip_seconds=clip_seconds, methods=tuple(methods), limits=Limits(**limits))

    def threshold_for(self, signature: Signature) -> float | None:
        """Return the least score of a label that a video has; None for a model of one label a video.

        Raises:
            LoadError: a threshold is set for a model of one label a video.
        """
        if not signature.is_exclusive:
            return LABEL_THRESHOLD if self.label_threshold is None else float(self.label_threshold)
        if self.label_threshold is not None:
            raise LoadError(
                f"handler.label_threshold is {self.label_threshold!r}, and this model gives each video one label "
                f"(problem_type {signature.problem_type}): leave it out"
            )
        return None

    def check(self, options: Options) -> None:
        """Raise OptionError if the operator does not allow what a request asks for."""
        if options.method in METHODS and options.method not in self.methods:
            raise OptionError(f"method is {options.method!r}: this server allows {', '.join(self.methods)}")
        for name, asked, most, least in (
            ("verify", options.verify, self.verify, 2),
            ("refine", options.refine, self.refine, 8),
        ):
            if asked > most:
                allowed = f"at most {most}" if most >= least else "none: leave it out"
                raise OptionError(f"{name} is {asked}: this server allows {allowed}")


def _known(where: str, block: Mapping[str, Any], keys: list[str]) -> None:
    unknown = [str(key) for key in block if key not in keys]
    if unknown:
        raise LoadError(f"{where} has unknown keys {', '.join(unknown)}: expected some of {', '.join(keys)}")


def _words(where: str, words: Any) -> str:  # whatever YAML holds
    line = " ".join(words.split()) if isinstance(words, str) else ""
    if not line or not line.isprintable() or len(line) > MOST_WORDS:
        raise LoadError(f"{where} is {words!r:.80}: expected a text of up to {MOST_WORDS} printable characters")
    return line


def _range(where: str, values: Any) -> tuple[float, float] | None:  # whatever YAML holds
    if values is None:
        return None
    if not (isinstance(values, list | tuple) and len(values) == 2):
        raise LoadError(f"{where} is {values!r}: expected two numbers of seconds, [shortest, longest]")
    shortest, longest = values
    _numbers(where, {"shortest": shortest, "longest": longest})
    if not 0 < shortest <= longest:
        raise LoadError(f"{where} is {values!r}: the first is to be more than 0, and no more than the second")
    return float(shortest), float(longest)


def _numbers(where: str, block: Mapping[str, Any]) -> None:
    for key, value in block.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise LoadError(f"{where}.{key} is {value!r}: expected a number, 0 or more")


def _whole(where: str, block: Mapping[str, Any], keys: Mapping[str, int]) -> None:
    for key, least in keys.items():
        if type(block.get(key, least)) is not int or block.get(key, least) < least:
            raise LoadError(f"{where}.{key} is {block[key]!r}: expected a whole number, {least} or more")
