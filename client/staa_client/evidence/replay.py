"""Asks again what a line of a store says was asked, and compares the two answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np

from staa_client.evidence.record import Record, SentVideo
from staa_client.evidence.store import find
from staa_client.evidence.window import frames_again
from staa_client.results.explanation import Answer, Explanation
from staa_client.results.maps import Floats
from staa_client.transport import ask
from staa_client.transport import steps as call_steps
from staa_client.video.source import Sample, Video

TOLERANCE: Final = 0.01
"""By how much scores may differ, and the cosine of two maps from 1, unless the caller says otherwise."""
_DIGEST: Final = 16
"""The characters of a digest that are shown."""


@dataclass(frozen=True, slots=True)
class ReplayCheck:
    """Holds one thing that was compared."""

    name: str
    """What it is, such as "video" or "scores"."""
    then: str
    """What the line says."""
    now: str
    """What is so now."""
    same: bool
    """Whether the two agree."""


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Holds an answer that was asked for again, compared with the one in a store."""

    time: str
    """When the first answer came: UTC, in the form of ISO 8601."""
    request_id: str | None
    """The id of the first request in the server's log."""
    checks: tuple[ReplayCheck, ...]
    """What was compared, in the order of the table."""
    then: Answer = field(repr=False)
    """The answer in the store."""
    now: Answer = field(repr=False)
    """The answer that came now."""

    @property
    def same(self) -> bool:
        """Return whether all that was compared agrees."""
        return all(check.same for check in self.checks)

    def __str__(self) -> str:
        """Return a table, a line for each thing that was compared."""
        rows = [("", "then", "now", "")]
        rows += [(check.name, check.then, check.now, "same" if check.same else "DIFFERS") for check in self.checks]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(text.ljust(width) for text, width in zip(row, wide, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)


def replay(context: call_steps.Context, line: str, video: Video, tolerance: float) -> call_steps.Steps[Replay]:
    """Ask again by a line of a store, and compare.

    Raises:
        ValueError: there is no such line, it cannot be read or asked again, or the tolerance is no share.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is {tolerance!r}: expected a number from 0 to below 1")
    before: Record = yield call_steps.Work(partial(find, line))
    came: list[call_steps.Exchange[Answer]] = []
    asking = replace(context, keep=came.append)
    sample: Sample = "client" if before.video.as_frames else "server"
    if before.video.kind in {"window", "live"}:
        video = yield call_steps.Work(partial(frames_again, before, video, context.deadline))
    yield from ask.explain(asking, video, before.model, before.options, sample)
    after: Record = yield call_steps.Work(partial(Record.of, came[0]))
    checks = tuple(compare(before, after, tolerance))
    return Replay(before.time, before.request_id, checks, before.answer, after.answer)


def compare(before: Record, after: Record, tolerance: float) -> Iterator[ReplayCheck]:
    """Yield what a record and the one of now have in common, and what not."""
    yield ReplayCheck(
        "line", "as written" if before.is_intact else "changed since it was written", "", before.is_intact
    )
    yield _check("video", *_digests(before.video, after.video))
    yield _check("model", *(_model(record.answer) for record in (before, after)))
    yield _check("frames", *(_frames(record.answer) for record in (before, after)))
    yield from _compare_labels(before.answer, after.answer, tolerance)
    yield from _compare_maps(before.answer, after.answer, tolerance)


def _check(name: str, then: str, now: str) -> ReplayCheck:
    return ReplayCheck(name, then, now, then == now)


def _digests(then: SentVideo, now: SentVideo) -> tuple[str, str]:
    """Return the digests of the two videos; of what was sent, if one of them was frames of no known video."""
    whole, again = then.source_sha256, now.source_sha256
    if whole is None or again is None:
        whole, again = then.sha256, now.sha256
    return whole[:_DIGEST], again[:_DIGEST]


def _model(answer: Answer) -> str:
    model = answer.model
    return f"{model.name} {model.version}, {model.family} of {model.classes} classes"


def _frames(answer: Answer) -> str:
    numbers: Sequence[int] = answer.clip.frames.tolist()
    shown = ", ".join(map(str, numbers[:3]))
    return f"{shown}, ... {numbers[-1]}" if len(numbers) > 4 else ", ".join(map(str, numbers))


def _compare_labels(then: Answer, now: Answer, tolerance: float) -> Iterator[ReplayCheck]:
    """Compare the best label, and the scores of all labels that both answers have."""
    best = [answer.predictions[0] if answer.predictions else None for answer in (then, now)]
    words = ["none" if guess is None else guess.label for guess in best]
    yield _check("label", *words)
    scores = [{guess.class_id: guess.score for guess in answer.predictions} for answer in (then, now)]
    both = scores[0].keys() & scores[1].keys()
    apart = max((abs(scores[0][class_id] - scores[1][class_id]) for class_id in both), default=0.0)
    shown = ["none" if guess is None else f"{guess.score:.4f}" for guess in best]
    yield ReplayCheck("scores", shown[0], f"{shown[1]}, at most {apart:.2g} apart", apart <= tolerance)


def _compare_maps(then: Answer, now: Answer, tolerance: float) -> Iterator[ReplayCheck]:
    """Compare whether there is a map, how it was made, its cells, and the verdict on it."""
    if not (isinstance(then, Explanation) and isinstance(now, Explanation)):
        yield _check("map", *("explained" if isinstance(answer, Explanation) else "none" for answer in (then, now)))
        return
    yield _check("method", *(f"{each.method}, version {each.method_version}" for each in (then, now)))
    yield _check("target", *(_target(each) for each in (then, now)))
    cosine, apart = likeness(_cells(then), _cells(now))
    told = f"cosine {cosine:.5f}, cells at most {apart:.2g} apart"
    shapes = ["x".join(map(str, each.joint.shape)) for each in (then, now)]
    yield ReplayCheck("map", shapes[0], f"{shapes[1]}, {told}", cosine >= 1 - tolerance)
    verdicts = ["none" if each.faithfulness is None else each.faithfulness.verdict for each in (then, now)]
    if set(verdicts) != {"none"}:
        yield _check("verdict", *verdicts)


def _target(explanation: Explanation) -> str:
    target = "none" if explanation.target is None else str(explanation.target)
    return target if explanation.contrast is None else f"{target}, not {explanation.contrast}"


def _cells(explanation: Explanation) -> Floats:
    return explanation.joint if explanation.signed is None else explanation.signed


def likeness(one: Floats, other: Floats) -> tuple[float, float]:
    """Return the cosine of two maps, and by how much their cells differ at most; 0 and 1 if they differ in shape."""
    if one.shape != other.shape:
        return 0.0, 1.0
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    alike = float(np.array_equal(a, b)) if lengths == 0 else float(a @ b) / lengths
    return alike, float(np.abs(a - b).max())
