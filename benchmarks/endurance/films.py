"""Films that differ in all that a reply tells of them, and what the library says is right of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from staa import Explainer, Options, decode
from staa.serving import wire
from staa_client import Explanation, Result, contract
from tests.made.videos import encode
from training.clips import LABELS, draw, render

SEGMENT = (0.5, 1.5)
"""Of every film, seconds: what some requests ask about."""
FORMS: Sequence[tuple[str, str, str, dict[str, str]]] = (
    ("mp4", "libx264", "yuv420p", {"g": "20"}),
    ("webm", "libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
    ("matroska", "libx265", "yuv420p", {"x265-params": "log-level=none:keyint=12"}),
    ("avi", "mpeg4", "yuv420p", {"g": "12", "bf": "2"}),
    ("mov", "libx264", "yuv420p", {"bf": "0"}),
    ("gif", "gif", "rgb8", {}),
    ("mpegts", "mpeg2video", "yuv420p", {"g": "10"}),
    ("flv", "flv", "yuv420p", {}),
    ("mp4", "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
    ("ivf", "libvpx", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
)
"""Container, codec, pixel format and options of the films, in turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """Holds a video, and the right answers about it."""

    name: str
    data: bytes
    labels: Result
    maps: Explanation
    """Of the method `staa`."""
    segment: Explanation
    """Of SEGMENT only."""


def films(weights: str, count: int, seed: int) -> list[Film]:
    """Make films of different sizes and lengths, and answer each by the library, one at a time."""
    explainer = Explainer.load(weights, device="cpu")
    model = wire.Model("motions", "0.1.0", explainer.family, explainer.labels)
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        container, codec, pixels, options = FORMS[number % len(FORMS)]
        width, height, frames = 160 + 32 * (number % 11), 120 + 24 * (number % 7), 40 + 3 * number
        scene = draw(rng, label=number % len(LABELS))
        pictures = render(scene, np.arange(frames) / frames, width, height, rng).frames
        muxing = {name: value for name, value in options.items() if name == "movflags"}
        coding = {name: value for name, value in options.items() if name != "movflags"}
        data = encode(pictures, container, codec, pixels, coding, rate=20, muxing=muxing)

        def ask(start: float | None = None, end: float | None = None, *, data: bytes = data, explain: bool) -> Any:
            clip = decode(data, explainer.grid.frames, start, end)
            result = explainer([clip], [Options(explain=explain)])[0]
            body, _ = wire.reply(model, wire.Answer(clip, result), "npz")
            return (contract.explanation if explain else contract.result)(200, {}, body)

        film = Film(f"{number}.{container}", data, ask(explain=False), ask(explain=True), ask(*SEGMENT, explain=True))
        made.append(film)
    return made


def same(answer: Result | Explanation, right: Result | Explanation, *, sampled: bool = False) -> bool:
    """Return whether an answer is the right one, but for rounding and what a batch changes in the last digits.

    Of frames that the client sampled, which are JPEGs, `sampled`, only the clip is compared: the model sees others.
    """
    if _facts(answer) != _facts(right):
        return False
    if sampled:
        return True
    scores, wanted = _scores(answer), _scores(right)
    if scores.keys() != wanted.keys() or any(abs(scores[name] - wanted[name]) > 2e-3 for name in wanted):
        return False
    if not isinstance(right, Explanation):
        return not isinstance(answer, Explanation)
    return isinstance(answer, Explanation) and all(
        _near(getattr(answer, name), getattr(right, name)) for name in ("joint", "temporal", "spatial", "seconds")
    )


def _near(came: Any, wanted: Any) -> bool:
    return bool(came.shape == wanted.shape and np.abs(came - wanted).max() <= 0.01 * np.abs(wanted).max())


def _facts(answer: Result | Explanation) -> Mapping[str, Any]:
    """Return what a reply tells of a clip."""
    return answer.clip.to_dict()


def _scores(answer: Result | Explanation) -> dict[str, float]:
    return {guess.label: guess.score for guess in answer.predictions}


def owner(answer: Result | Explanation, made: Sequence[Film]) -> Film | None:
    """Return the film that an answer is about, by its size and duration; None if it is about none of them."""
    clip = answer.clip
    for film in made:
        facts = film.labels.clip
        if (clip.width, clip.height, clip.duration) == (facts.width, facts.height, facts.duration):
            return film
    return None
