"""Writes a result, a card or an error as bytes; this module holds the names of the fields in a reply."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from staa.attribution import METHODS
from staa.errors import StaaError
from staa.refine import describe_choice
from staa.serving.rules import ALWAYS, RULES, ExplainWhen
from staa.serving.settings import Settings
from staa.serving.wire.encodings import ENCODINGS, Body, Reply, rounded, to_json
from staa.signature import Signature
from staa.types import Faithfulness, Floats, Prediction, Refinement, Result
from staa.verify import VERDICTS, verdict
from staa_video import Clip

CARD_LIMITS = ("bytes", "pixels", "duration", "frames", "seconds")
"""The limits that a card tells, in its order."""


@dataclass(frozen=True, slots=True)
class Model:
    """Name the model that answers."""

    name: str
    version: str
    family: str
    labels: Sequence[str]
    about: str | None = None
    """What a reader of its answers must know of the model."""
    label_threshold: float | None = None
    """The least score of a label that a video has; None where each video has one label."""

    @classmethod
    def of(cls, name: str, version: str, signature: Signature, settings: Settings) -> Self:
        """Return the model of this signature, served by these settings.

        Raises:
            LoadError: the settings do not fit the model.
        """
        threshold = settings.threshold_for(signature)
        return cls(name, version, signature.family, signature.labels, settings.about, threshold)

    def is_present(self, guess: Prediction) -> bool | None:
        """Return whether a video has the label of a prediction; None where each video has one label."""
        return None if self.label_threshold is None else rounded(guess.score) >= self.label_threshold


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Hold the model's result for one video."""

    clip: Clip
    result: Result
    verify_seconds: float = 0
    """How many seconds the check of its map took."""
    refine_seconds: float = 0
    """How many seconds the choice of its map took."""
    why_not: str | None = None
    """Why there is no map although one was asked for, in words; None if there is one, or none was asked for."""


def card(model: Model, signature: Signature, settings: Settings) -> Reply:
    """Write the card of a model: its labels, its input, its options and its limits."""
    grid, recipe = signature.grid, signature.recipe
    height, width = recipe.shape or (None, None)  # it is never None for a model that was loaded
    return to_json(
        {
            "model": _model(model),
            "labels": list(model.labels),
            "problem_type": signature.problem_type,
            **({} if model.label_threshold is None else {"label_threshold": model.label_threshold}),
            "license": settings.license,
            "clip_seconds": None if settings.clip_seconds is None else list(settings.clip_seconds),
            "input": {
                "frames": grid.frames,
                "height": height,
                "width": width,
                "resize": recipe.resize,
                "interpolation": recipe.mode,
                "steps": list(grid.shape),
            },
            "methods": {
                name: {"version": METHODS[name].version, "classes": METHODS[name].classes} for name in settings.methods
            },
            "verify": settings.verify,
            "refine": settings.refine,
            "explain_when": [name for name in RULES if name != "margin_below" or len(model.labels) > 1],
            "limits": {key: getattr(settings.limits, key) for key in CARD_LIMITS},
        }
    )


def reply(model: Model, answer: Answer, maps: str, when: ExplainWhen = ALWAYS) -> Reply:
    """Write the answer to one video; `maps` is a key of ENCODINGS, `when` the rules of its request."""
    body, arrays = document(model, answer)
    body |= not_explained(answer, when)
    threshold = answer.result.threshold
    return to_json(body) if threshold is None else ENCODINGS[maps](body, arrays, threshold)


def document(model: Model, answer: Answer) -> tuple[Body, dict[str, Floats]]:
    """Return the reply without maps and threshold, and the maps by name, if maps were asked for."""
    clip, result = answer.clip, answer.result
    body: Body = {
        "model": _model(model),
        "predictions": [_prediction(model, guess) for guess in result.predictions],
        "clip": {
            "width": clip.source[0],
            "height": clip.source[1],
            "fps": round(clip.fps, 6),
            "duration": round(clip.duration, 6),
            "frames": clip.indices.tolist(),
            "times": clip.seconds.round(6).tolist(),
            "box": list(result.box),
            **({"notes": list(clip.notes)} if clip.notes else {}),
        },
    }
    shown = result.attribution
    if shown is None:
        return body, {}
    body["explanation"] = {
        "method": shown.method,
        "method_version": METHODS[shown.method].version,
        "target": _class(model.labels, shown.target),
        "contrast": _class(model.labels, shown.contrast),
        **({} if shown.shared_evidence is None else {"shared_evidence": rounded(shown.shared_evidence)}),
        "shape": list(shown.grid.shape),
        "steps": result.steps.round(6).tolist(),
    }
    if result.refinement is not None:
        body["explanation"]["refinement"] = _refinement(result.refinement, answer.refine_seconds)
    if result.faithfulness is not None:
        body["explanation"]["faithfulness"] = _faithfulness(model.labels, result.faithfulness, answer.verify_seconds)
    arrays = {"temporal": shown.temporal, "spatial": shown.spatial, "joint": shown.joint}
    if shown.signed is not None:
        arrays["signed"] = shown.signed
    return body, arrays


def not_explained(answer: Answer, when: ExplainWhen) -> Body:
    """Return the field that says why there is no map; nothing if there is one, or none was asked for."""
    return {} if answer.why_not is None else {"not_explained": {"rule": when.text, "message": answer.why_not}}


def failure(error: StaaError, about: str = "") -> Reply:
    """Write the reply to a failed request; `about` begins its message and says which of several videos failed."""
    message = str(error) if str(error).startswith(about) else about + str(error)
    return to_json({"error": {"code": error.code, "message": message}})


def _model(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "family": model.family,
        "classes": len(model.labels),
        **({"about": model.about} if model.about else {}),
    }


def _prediction(model: Model, guess: Prediction) -> dict[str, Any]:
    present = model.is_present(guess)
    return {
        "class_id": guess.class_id,
        "label": guess.label,
        "score": rounded(guess.score),
        **({} if present is None else {"present": present}),
    }


def _class(labels: Sequence[str], class_id: int | None) -> dict[str, Any] | None:
    return None if class_id is None else {"class_id": class_id, "label": labels[class_id]}


def _refinement(refined: Refinement, seconds: float) -> dict[str, Any]:
    return {
        "chosen": refined.chosen,
        "message": describe_choice(refined.chosen),
        "runner_up": refined.runner_up,
        "lead": rounded(refined.lead),
        "cost": {"clips": refined.clips, "seconds": rounded(seconds)},
    }


def _faithfulness(labels: Sequence[str], checked: Faithfulness, seconds: float) -> dict[str, Any]:
    orders = {"map": checked.map, "random": checked.random, "centre": checked.centre}
    code = verdict(checked)
    return {
        "verdict": code,
        "message": VERDICTS[code],
        "target": _class(labels, checked.target),
        "contrast": _class(labels, checked.contrast),
        "probability": rounded(checked.probability),
        "blurred": rounded(checked.blurred),
        "deletion": {name: rounded(areas.deletion) for name, areas in orders.items()},
        "insertion": {name: rounded(areas.insertion) for name, areas in orders.items()},
        "cost": {"clips": checked.clips, "seconds": rounded(seconds)},
    }
