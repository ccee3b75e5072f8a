"""Labels over several windows: the mean of their scores."""

from collections import deque
from collections.abc import Iterable

from staa_client._labels import Prediction
from staa_client._result import Model


class Smooth:
    """The mean of the scores over the last `count` windows, by class.

    A server lists the `top_k` strongest classes. One that it does not list counts with an even share of what the listed
    ones leave, so that the mean stays a distribution over all classes, whatever `top_k` is.
    """

    def __init__(self, count: int) -> None:
        self._scores: deque[tuple[dict[int, float], float]] = deque(maxlen=count)
        self._labels: dict[int, str] = {}
        self._model: Model | None = None

    def forget(self) -> None:
        """Begin anew, as after a cut."""
        self._scores.clear()
        self._labels.clear()

    def add(self, model: Model, predictions: Iterable[Prediction]) -> tuple[Prediction, ...]:
        """The classes that any of the last windows lists, with their mean scores, strongest first."""
        if model != self._model:  # another version may number its classes otherwise
            self.forget()
            self._model = model
        listed = {each.class_id: each.score for each in predictions}
        self._labels |= {each.class_id: each.label for each in predictions}
        others = model.classes - len(listed)
        self._scores.append((listed, max(0.0, 1 - sum(listed.values())) / others if others > 0 else 0.0))
        known = {each for scores, _ in self._scores for each in scores}
        means = {
            each: sum(scores.get(each, rest) for scores, rest in self._scores) / len(self._scores) for each in known
        }
        ordered = sorted(means, key=lambda each: (-means[each], each))
        return tuple(Prediction(each, self._labels[each], means[each]) for each in ordered)
