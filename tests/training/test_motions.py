"""The default model, held against the truth of fresh clips."""

from pathlib import Path

import numpy as np
import pytest

from staa import Explainer
from training.evaluate import Score, measure, table

ROOT = Path(__file__).parents[2]
CLIPS = 100


@pytest.fixture(scope="module")
def scores() -> list[Score]:
    """Clips of seeds that neither training nor the model card has seen."""
    return list(measure(Explainer.load(ROOT / "model_store" / "motions", device="cpu"), CLIPS, first=500_000))


def test_labels_are_right(scores: list[Score]) -> None:
    """At least 90% of the clips get their label; chance is one in eight."""
    assert np.mean([each.label == each.predicted for each in scores]) >= 0.9


def test_where_and_when_are_right(scores: list[Score], capsys: pytest.CaptureFixture[str]) -> None:
    """The hottest cell of the best step lies on the object, and that step in the event, far more often than chance."""
    with capsys.disabled():
        print(f"\n{table(scores)}")  # noqa: T201  # the figures beside chance, for whoever reads the run
    where, where_chance = np.mean([each.where for each in scores]), np.mean([each.where_chance for each in scores])
    when, when_chance = np.mean([each.when for each in scores]), np.mean([each.when_chance for each in scores])
    assert where >= 0.75
    assert where_chance < 0.1
    assert when >= 0.9
    assert when_chance < 0.5


def test_the_model_is_small() -> None:
    """All that is shipped of it is under 8 MB, weights as safetensors."""
    files = [path for path in (ROOT / "model_store" / "motions").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 8e6
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"} <= {p.name for p in files}
