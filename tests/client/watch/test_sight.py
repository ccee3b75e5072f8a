"""Sights: what a window was answered, with labels smoothed over several, and errors that pass."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from staa_client import UnreachableError
from staa_client.results.result import Model, Prediction
from staa_client.watch import watch
from staa_client.watch.sight import MeanScores
from tests.client.watch.conftest import SlowClient, busy, grabbed


def test_a_sight_says_what_when_and_how_late() -> None:
    """A watched stream gives a sight a window, with its stream time, the time of day, the latency and the answer."""
    model = SlowClient(0.01)
    begun = datetime.now(UTC)
    with watch(model, grabbed(4), "motions/2", frames=4, latency="keep", mass=0.5, top_k=3) as sights:
        found = list(sights)
    assert [(s.number, s.start, s.end) for s in found] == [(i, i / 2, 2 + i / 2) for i in range(5)]
    assert model.options == [{"model": "motions/2", "mass": 0.5, "top_k": 3}] * 5
    for sight, sent in zip(found, model.seen, strict=True):
        assert sight.frames is sent
        assert sight.start <= sent.seconds[0] <= sent.seconds[-1] < sight.end == sent.duration
        np.testing.assert_array_equal(sent.images[:, 0, 0, 0], sent.indices)
        assert begun <= sight.captured <= datetime.now(UTC)
        assert 0.01 <= sight.latency < 60
        assert sight.explanation is not None
        assert sight.explanation is sight.answer
        assert (sight.error, sight.dropped, sight.reconnects, sight.changed) == (None, 0, 0, False)
        assert sight.predictions == sight.explanation.predictions
        assert sight.smoothed[0].score == pytest.approx(0.9312)


def test_labels_alone_cost_no_map() -> None:
    """With `explain=False` the answer is a result of `predict`, and there is no explanation."""
    with watch(SlowClient(), grabbed(2), frames=4, explain=False, latency="keep") as sights:
        (sight,) = sights
    assert sight.explanation is None
    assert sight.predictions[0].label == "moves down"


def test_a_label_that_changes_is_marked_once() -> None:
    """`changed` is true for the sight whose smoothed top label is new, which takes a majority, and false after it."""
    model = SlowClient()
    labels = iter(["a", "b", "a", "b", "b", "b"])
    classes = {"a": 0, "b": 1}

    def explain(frames: Any, name: str) -> Any:
        answer = SlowClient.explain(model, frames, name)
        label = next(labels)
        listed = [type(answer.predictions[0])(classes[label], label, 0.9)]
        return type(answer)(**{n: getattr(answer, n) for n in answer.__slots__} | {"predictions": tuple(listed)})

    model.explain = explain  # type: ignore[method-assign, assignment]
    with watch(model, grabbed(4.5), frames=4, latency="keep", smooth=3) as sights:
        found = [(sight.smoothed[0].label, sight.changed) for sight in sights]
    assert found == [("a", False), ("a", False), ("a", False), ("b", True), ("b", False), ("b", False)]


def test_errors_that_pass_are_handed_on() -> None:
    """A busy server makes a sight with an error, the labels before it stay, it is counted, and the watch goes on."""
    away = UnreachableError("away", code="unreachable")
    model = SlowClient(0, busy(), None, away, None)
    with watch(model, grabbed(3.5), frames=4, latency="keep") as sights:
        found = list(sights)
        assert sights.failed == 2
    assert [sight.error and sight.error.code for sight in found] == ["busy", None, "unreachable", None]
    assert [bool(sight.smoothed) for sight in found] == [False, True, True, True]
    assert found[2].smoothed == found[1].smoothed
    assert (found[2].answer, found[2].predictions, found[2].changed) == (None, (), False)


def test_the_mean_of_scores_is_a_distribution_over_all_classes() -> None:
    """A class that a window did not list counts with an even share of what was left: all classes sum to 1."""
    model, smooth = Model("m", "1", "f", 4), MeanScores(2)
    smooth.add(model, [Prediction(3, "gone", 1.0)])
    smooth.add(model, [Prediction(0, "a", 0.7), Prediction(1, "b", 0.2)])
    mean = {each.label: each.score for each in smooth.add(model, [Prediction(1, "b", 0.6), Prediction(2, "c", 0.3)])}
    assert mean == pytest.approx({"b": 0.4, "a": (0.7 + 0.05) / 2, "c": (0.05 + 0.3) / 2})
    assert sum(mean.values()) + 0.05 == pytest.approx(1)
    assert list(mean) == sorted(mean, key=lambda label: -mean[label])
    assert smooth.add(Model("m", "2", "f", 2), [Prediction(0, "other", 0.9)]) == (Prediction(0, "other", 0.9),)
    assert math.isclose(sum(each.score for each in smooth.add(Model("m", "2", "f", 2), [Prediction(1, "x", 1.0)])), 1)


def test_a_class_that_is_not_listed_counts_no_more_than_the_weakest_listed_one() -> None:
    """Where a video may have several labels, two weak ones leave nothing for the third to be strong by."""
    model, smooth = Model("m", "1", "f", 3), MeanScores(2)
    smooth.add(model, [Prediction(0, "a", 0.03), Prediction(1, "b", 0.01)])
    mean = {each.label: each.score for each in smooth.add(model, [Prediction(2, "c", 0.9), Prediction(0, "a", 0.8)])}
    assert mean == pytest.approx({"c": (0.01 + 0.9) / 2, "a": (0.03 + 0.8) / 2, "b": (0.01 + 0.0) / 2})
