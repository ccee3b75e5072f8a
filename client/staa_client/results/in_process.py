"""Takes a result of the in-process core (`staa.Explainer`) as one of a server, so that the same pictures show it.

The core is not imported: what is read are the documented attributes of `staa.Result` and of `staa_video.Clip`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from staa_client.results.explanation import Explanation
from staa_client.results.result import Areas, ClassName, ClipInfo, Faithfulness, Model, Prediction, Refinement
from staa_client.video.frames import Frames


class CoreClip(Protocol):
    """The frames that were explained, as `staa.Clip` has them."""

    @property
    def frames(self) -> NDArray[np.uint8]:
        """Return (T, H, W, 3) RGB."""

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Return (T,) the source time of each frame."""

    @property
    def indices(self) -> NDArray[np.int64]:
        """Return (T,) the number of each frame in the source."""

    @property
    def fps(self) -> float:
        """Return the mean frame rate of the source."""

    @property
    def duration(self) -> float:
        """Return the length of the source, seconds."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what was done to the source."""

    @property
    def source(self) -> tuple[int, int]:
        """Return (width, height) of the source in pixels."""


def of_result(
    result: Any, clip: CoreClip, *, model: str | Model = "model", labels: Sequence[str] = (), name: str = "video"
) -> Explanation:
    """Return a `staa.Result` of the in-process core as an explanation, with the frames of its clip as the source.

    >>> explainer = staa.Explainer.load("model_store/motions")
    >>> clip = staa.decode("clip.mp4", explainer.grid.frames)
    >>> of_result(explainer([clip])[0], clip).save("clip.html")

    Args:
        result: What `Explainer` returns for the clip; it must have a map.
        clip: The `staa.Clip` that was explained.
        model: The name of the model, or what pictures say of it.
        labels: The labels of all classes by their ids, as `Explainer.labels`: they name a target that is not among the
            best classes.
        name: The name of the video.

    Raises:
        ValueError: the result has no map, or is of another clip.
    """
    shown = result.attribution
    if shown is None:
        raise ValueError("the result has labels only: ask the explainer with Options(explain=True), the default")
    predictions = tuple(Prediction(guess.class_id, guess.label, guess.score) for guess in result.predictions)
    names = dict(enumerate(labels)) | {guess.class_id: guess.label for guess in predictions}

    def class_of(class_id: int | None) -> ClassName | None:
        return None if class_id is None else ClassName(class_id, names.get(class_id, f"class {class_id}"))

    width, height = clip.source
    return Explanation(
        model if isinstance(model, Model) else Model(model, "in process", "in process", len(names)),
        predictions,
        ClipInfo(width, height, clip.fps, clip.duration, clip.indices, clip.seconds, result.box, clip.notes),
        method=shown.method,
        method_version=shown.method_version,
        threshold=float(result.threshold),
        seconds=np.asarray(result.steps, np.float64),
        temporal=shown.temporal,
        spatial=shown.spatial,
        joint=shown.joint,
        target=class_of(shown.target),
        contrast=class_of(shown.contrast),
        signed=shown.signed,
        shared_evidence=shown.shared_evidence,
        faithfulness=_faithfulness(result.faithfulness, class_of),
        refinement=_refinement(result.refinement),
        source=_frames_of(clip),
        name=name,
    )


def _frames_of(clip: CoreClip) -> Frames | None:
    """Return the frames of a clip; None if it was stripped of its pixels."""
    if not clip.frames.size:
        return None
    return Frames(clip.frames, clip.seconds, clip.indices, clip.fps, clip.duration, clip.source, clip.notes)


def _faithfulness(check: Any, class_of: Any) -> Faithfulness | None:
    if check is None:
        return None
    orders = {"map": check.map, "random": check.random, "centre": check.centre}
    return Faithfulness(
        check.verdict,
        check.message,
        class_of(check.target),
        class_of(check.contrast),
        check.probability,
        check.blurred,
        Areas(**{name: areas.deletion for name, areas in orders.items()}),
        Areas(**{name: areas.insertion for name, areas in orders.items()}),
        check.clips,
        seconds=None,
    )


def _refinement(choice: Any) -> Refinement | None:
    if choice is None:
        return None
    return Refinement(choice.chosen, choice.message, choice.runner_up, choice.lead, choice.clips, seconds=None)
