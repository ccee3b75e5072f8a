"""What is told of labels and maps: numbers of 0 to 1 with a known meaning, of every answer and of nothing else."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from staa.serving import Telemetry
from staa.serving.telemetry import LABEL_FIGURES, MAP_FIGURES, map_figures
from staa.types import Attribution, Grid
from staa.verify import VERDICTS
from tests.made.requests import NOISE, film
from tests.made.services import ask, scripted, service

GRID = Grid(4, 3, 5, 2)
CELLS = math.prod(GRID.shape)


def shown(cells: NDArray[np.floating], signed: NDArray[np.floating] | None = None) -> Attribution:
    """Return a map of some cells, whose values are made to sum to 1."""
    joint = np.asarray(cells / cells.sum(), np.float32).reshape(GRID.shape)
    return Attribution(joint, GRID, "staa", None if signed is None else np.float32(signed).reshape(GRID.shape))


def test_an_even_map_and_a_single_cell() -> None:
    """They are the two ends: no concentration and even shares, or all of it in one cell."""
    even = map_figures(shown(np.ones(CELLS)))
    assert even == {
        "map_concentration": pytest.approx(0, abs=1e-6),
        "map_strongest_step": pytest.approx(1 / 4),
        "map_strongest_cell": pytest.approx(1 / CELLS),
    }
    assert even["map_concentration"] >= 0
    assert map_figures(shown(np.eye(1, CELLS, 7))) == dict.fromkeys(even, 1.0)
    assert map_figures(Attribution(np.ones((1, 1, 1), np.float32), Grid(1, 1, 1, 1), "staa"))["map_concentration"] == 1


@pytest.mark.parametrize("count", [2, 6, 30])
def test_concentration_is_that_of_the_entropy(count: int) -> None:
    """A map that is even over some cells has their number's logarithm as its entropy, wherever they lie."""
    cells = np.random.default_rng(count).permutation(np.arange(CELLS) < count).astype(float)
    figure = map_figures(shown(cells))["map_concentration"]
    assert figure == pytest.approx(1 - math.log(count) / math.log(CELLS), abs=1e-5)


def test_what_speaks_against_a_class() -> None:
    """It is the negative share of the signed map; a map without a sign, or of nothing, has none."""
    signed = np.where(np.arange(CELLS) < 15, -1.0, 1.0) / CELLS
    assert map_figures(shown(np.ones(CELLS), signed))["map_against"] == pytest.approx(0.25)
    assert map_figures(shown(np.ones(CELLS), abs(signed)))["map_against"] == 0
    assert "map_against" not in map_figures(shown(np.ones(CELLS), 0 * signed))
    assert "map_against" not in map_figures(shown(np.ones(CELLS)))


def measured(bodies: list[Any], *, explain: bool = True) -> tuple[list[Any], list[tuple[str, float, Sequence[str]]]]:
    """Return the replies to a batch, and what was told of it, less the seconds of stages."""
    told: list[tuple[str, float, Sequence[str]]] = []
    telemetry = Telemetry(lambda *one: told.append(one), lambda *one: told.append(one))
    replies, _ = ask(service(scripted(), telemetry=telemetry, batch_size=4), bodies, explain=explain)
    names = {*LABEL_FIGURES, *MAP_FIGURES, "verdicts"}
    return replies, [(name, value, labels) for name, value, labels in told if name in names]


def test_a_batch_tells_its_answers() -> None:
    """Each map by its method, each label by its scores; a refusal and a card tell nothing."""
    bodies = [{"video": film(1), "method": method} for method in ("staa", "staa_class")]
    replies, told = measured([*bodies, {"video": NOISE}, {"describe": True}])
    values: dict[tuple[str, ...], list[float]] = {}
    for name, value, labels in told:
        values.setdefault((name, *labels), []).append(value)
    of_maps = {(name, method) for name in MAP_FIGURES for method in ("staa", "staa_class")} - {("map_against", "staa")}
    assert set(values) == of_maps | {(name,) for name in LABEL_FIGURES}
    assert all(0 <= value <= 1 for _, value, _ in told)
    for index, (reply, method) in enumerate(zip(replies, ("staa", "staa_class"), strict=False)):
        first, second = (guess["score"] for guess in reply["predictions"][:2])
        assert values["doubt",][index] == pytest.approx(1 - first, abs=1e-5)
        assert values["margin",][index] == pytest.approx(first - second, abs=1e-5)
        strongest = np.max(reply["explanation"]["joint"])
        assert values["map_strongest_cell", method] == [pytest.approx(strongest, rel=1e-4)]
        assert values["map_strongest_step", method] == [pytest.approx(max(reply["explanation"]["temporal"]), rel=1e-4)]


def test_labels_alone_tell_of_labels_alone() -> None:
    """Without a map there are no figures of one, and with one label no margin."""
    _, told = measured([{"video": film(1)}, {"video": film(1), "top_k": 1}], explain=False)
    assert [(name, labels) for name, _, labels in told] == [("doubt", ()), ("margin", ()), ("doubt", ())]


def test_a_verified_map_counts_its_verdict() -> None:
    """One of the four codes counts 1 and the others 0, as a request's."""
    (reply,), told = measured([{"video": film(1), "verify": 2, "method": "paper"}])
    counts = {labels: value for name, value, labels in told if name == "verdicts"}
    code = reply["explanation"]["faithfulness"]["verdict"]
    assert counts == {("paper", each, "request"): int(each == code) for each in VERDICTS}
