"""Describes answers in words for a terminal."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from staa_client.cli.spelling import as_typed
from staa_client.pictures.badge import badge_of
from staa_client.pictures.layer import Layer, absence_words, percent, place_words, score_words
from staa_client.results.card import Card
from staa_client.results.explanation import Explanation
from staa_client.results.result import ClipInfo, Faithfulness, Prediction, Refinement, Result

if TYPE_CHECKING:
    from staa_client.watch.sight import Sight

_SEEN = "seen by the model"


def describe(answer: Result | Explanation) -> str:
    """Return the labels; of an explanation also the strongest seconds and region, and its tests; last the notes."""
    about_map = map_lines(answer) if isinstance(answer, Explanation) else why_not_lines(answer)
    return "\n".join([*label_lines(answer), *about_map, *note_lines(answer)])


def describe_on_a_line(name: str, answer: Result | Explanation, *, with_method: bool = False) -> str:
    """Return one answer of several on one line: its video and label, and of a map when, how far to trust it, the notes.

    The name of the method is there if wanted.
    """
    best = _best_label(answer.predictions, "  ")
    if not isinstance(answer, Explanation):
        return _one_line("  ".join([name, best, *why_not_lines(answer), *_noted(answer.clip.notes)]))
    layer, (moment,) = Layer(answer), answer.top(1)
    subject = f"{words}: " if (words := layer.class_words) else ""
    method = [answer.method] if with_method else []
    when = f"{subject}{moment.start:.2f} - {moment.end:.2f} s"
    return _one_line("  ".join([name, best, *method, when, layer.badge.words, *_noted(layer.note_lines)]))


def _noted(notes: Iterable[str]) -> list[str]:
    """Return notes as parts of a line."""
    return [f"note: {note}" for note in notes]


def describe_sight(sight: "Sight") -> str:
    """Return a window of a stream on one line: its labels, how far to trust its map, and how late they came."""
    head = f"{sight.start:8.2f} - {sight.end:.2f} s"
    tail = f"{sight.latency * 1000:.0f} ms" + (f", {sight.dropped} dropped" if sight.dropped else "")
    if sight.error is not None:
        return f"{head}  {' '.join(str(sight.error).split())}"
    best, smooth = _best_label(sight.predictions), _best_label(sight.smoothed)
    about_map = [] if sight.explanation is None else [f"map: {badge_of(sight.explanation).words}"]
    why_not = why_not_lines(sight.answer) if isinstance(sight.answer, Result) else []
    smoothed = f"(smoothed: {smooth}{', changed' if sight.changed else ''})"
    words = [head, best, smoothed, *about_map, tail, *why_not]
    return _one_line("  ".join(words))


def sight_document(sight: "Sight") -> dict[str, Any]:
    """Return a window of a stream as JSON data."""
    answer = None if sight.answer is None else sight.answer.to_dict()
    smoothed = [guess.to_dict() for guess in sight.smoothed]
    error = None if sight.error is None else {"code": sight.error.code, "message": sight.error.message}
    names = ("number", "start", "end", "latency", "changed", "dropped", "reconnects")
    numbers = {name: getattr(sight, name) for name in names}
    return numbers | {"captured": sight.captured.isoformat(), "answer": answer, "smoothed": smoothed, "error": error}


def _one_line(text: str) -> str:
    """Return a text without line breaks, so that a label of a server cannot add lines to the output."""
    return " ".join(re.split(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+", text))


def printable_line(text: str) -> str:
    """Return a text from outside on one line, without characters that control the terminal."""
    return printable(_one_line(text))


def printable(text: str) -> str:
    """Return a text of several lines without characters that control the terminal; no line may be from outside."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


def _best_label(predictions: tuple[Prediction, ...], between: str = " ") -> str:
    """Return the first label with its score; a model of which only maps are asked may name none.

    If a video may have several labels, return all that it has, or say that it has none.
    """
    if not predictions:
        return "no label"
    listed = [guess for guess in predictions if guess.present] or predictions[:1]
    absent = f"{words}, best: " if (words := absence_words(predictions)) else ""
    return absent + ", ".join(f"{guess.label}{between}{percent(guess.score)}" for guess in listed)


def label_lines(answer: Result | Explanation) -> list[str]:
    """Return a line for each label with its score, the scores aligned; then a line about the model, if it has one.

    If a video may have several labels, the lines say which of them it has, or that it has none.
    """
    predictions, about = answer.predictions, answer.model.about
    labels = [_one_line(guess.label) for guess in predictions]
    wide = max(map(len, labels), default=0)
    lines = [
        f"{label:<{wide}}  {' ' * (6 - len(percent(guess.score)))}{score_words(guess)}"
        for label, guess in zip(labels, predictions, strict=True)
    ]
    return [*lines, *(_one_line(text) for text in (absence_words(predictions), about) if text)]


def note_lines(answer: Result | Explanation) -> list[str]:
    """Return a line for each thing that was done to the clip beyond plain decoding; mostly none."""
    return [note_line(note) for note in answer.clip.notes]


def note_line(note: str) -> str:
    """Return the line of a note."""
    return _one_line(f"note   {note}")


def why_not_lines(answer: Result) -> list[str]:
    """Return a line that says why there is no map; none if nobody asked for one."""
    return [] if answer.not_explained is None else [_one_line(f"not explained: {answer.not_explained}")]


def map_lines(answer: Explanation) -> list[str]:
    """Return lines about the map: its class, when and where, what the model did not see, its choice and its check."""
    layer = Layer(answer)
    class_words = f"{layer.class_words}:" if layer.class_words else ""
    lines = ["", *(line for line in (class_words, layer.balance, layer.overlap) if line)]
    for row, moment in enumerate(answer.top(3)):
        lines.append(f"{'' if row else 'when':<5}  {moment.start:.2f} - {moment.end:.2f} s  {percent(moment.share):>6}")
    clip, (strongest,) = answer.clip, answer.top(1)
    places = {place_words(): answer.region(), place_words(strongest.start, strongest.end): strongest.region}
    wide = max(map(len, places))
    for place, (x0, y0, x1, y1) in places.items():
        lines.append(f"{place:<{wide}}  x {x0} - {x1}, y {y0} - {y1} in pixels of {clip.width} x {clip.height}")
    lines += [f"{'' if row else _SEEN:<{len(_SEEN)}}  {limit}" for row, limit in enumerate(_unseen_lines(clip))]
    if (choice := answer.refinement) is not None:
        lines.append(f"map    {choice} ({_cost_words(choice)})")
    badge, check = badge_of(answer), answer.faithfulness
    cost = f" ({check.verdict}; {_cost_words(check)})" if check is not None else ""
    lines.append(f"check  {badge.words}. {as_typed(badge.sentence)}{cost}")
    return [_one_line(text) for text in lines]


def _cost_words(of: Faithfulness | Refinement) -> str:
    """Return what a check or a choice cost, its seconds if they are known."""
    return f"{of.clips} clips" + ("" if of.seconds is None else f", {of.seconds:.2f} s")


def describe_card(card: Card) -> str:
    """Return what a model says of itself: a line a fact, its labels last."""
    model, (t, h, w), (height, width) = card.model, card.steps, card.size
    several = " (a video may have several)" if card.problem_type.startswith("multi") else ""
    if card.label_threshold is not None:
        several = f" (a video may have several: those of {percent(card.label_threshold)} or more)"
    clip = "any length" if card.clip_seconds is None else "{:g} to {:g} s".format(*card.clip_seconds)
    methods = [
        f"{name} {about.version}{' (for a class)' if about.classes else ''}" for name, about in card.methods.items()
    ]
    checks = {"verify": card.verify, "refine": card.refine}
    facts = {
        "model": f"{model.name} {model.version} ({model.family}, {model.classes} classes)",
        **({"about": model.about} if model.about else {}),
        "license": card.license or "not said",
        "trained": f"on clips of {clip}",
        "input": f"{card.frames} frames of {width} x {height} pixels",
        "map": f"{t} steps of {h} x {w} cells",
        "methods": ", ".join(methods),
        "checks": ", ".join(f"--{name} {f'up to {most}' if most else 'no'}" for name, most in checks.items()),
        "limits": ", ".join(f"{name} {value:,.12g}" for name, value in card.limits.items()),
        "labels": f"{len(card.labels)}{several}",
    }
    lines = [f"{name:<7}  {text}" for name, text in facts.items()]
    lines += [f"{number:>7}  {label}" for number, label in enumerate(card.labels)]
    return "\n".join(map(_one_line, lines))


def _unseen_lines(clip: ClipInfo) -> list[str]:
    """Return lines about what the model did not see; none if it saw whole frames, all different."""
    lines = []
    x0, y0, x1, y1 = clip.box
    if clip.box != (0, 0, clip.width, clip.height):
        lines.append(f"x {x0} - {x1}, y {y0} - {y1} of {clip.width} x {clip.height}")
    return [*lines, clip.repeats] if clip.repeats else lines
