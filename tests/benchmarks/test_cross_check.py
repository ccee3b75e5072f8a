"""Our measures of a map, and those of Quantus (Hedström et al. 2023), on the same model, map and truth.

One frame of 4 x 4 patches stands for a clip, and one pixel for a patch: the shapes that both can take.
"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.faithfulness import metrics
from staa.types import Grid
from staa.verify import Probabilities, curves
from training.clips import Sample

quantus = pytest.importorskip("quantus", exc_type=ImportError, reason="OpenCV, which it imports, wants libGL")
pytestmark = pytest.mark.filterwarnings("ignore")

GRID = Grid(1, 4, 4, 1)
QUIET = {"disable_warnings": True, "abs": False, "normalise": False}


class Pictures(nn.Module):
    """A small network over pictures (B, 1, 4, 4): logits (B, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 5))

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        made: Tensor = self.layers(pictures)
        return made


@pytest.fixture(scope="module", params=range(4))
def case(request: pytest.FixtureRequest) -> tuple[Pictures, Tensor, np.ndarray, int]:
    """A model, a clip (1, 1, 1, 4, 4), a map (1, 4, 4) without ties, and a class."""
    torch.manual_seed(request.param)
    model = Pictures().eval()
    pixels = torch.rand(1, 1, 1, 4, 4) + 0.2
    found = np.random.default_rng(request.param).permutation(16).reshape(1, 4, 4) / 15
    return model, pixels, found, int(model(pixels[:, 0]).argmax())


def ask(measure: Any, case: tuple[Pictures, Tensor, np.ndarray, int], **more: Any) -> Any:
    """What Quantus says of the one clip."""
    model, pixels, found, target = case
    inputs = {"x_batch": pixels[:, 0].numpy(), "y_batch": np.array([target]), "a_batch": found[None]}
    return measure(model=model, **inputs, device="cpu", **more)[0]


def answer(model: Pictures) -> Probabilities:
    """Probabilities of clips of one frame."""
    return lambda pixels: model(pixels[:, 0]).softmax(-1)


def test_deletion(case: tuple[Pictures, Tensor, np.ndarray, int]) -> None:
    """The curve is that of pixel flipping, patch by patch, strongest first."""
    model, pixels, found, target = case
    theirs = ask(quantus.PixelFlipping(perturb_baseline=0.0, **QUIET), case, softmax=True)
    fractions = [step / 16 for step in range(17)]
    fill = torch.zeros_like(pixels)
    with torch.no_grad():
        ours = curves(answer(model), pixels, fill, [found], GRID, target, fractions, 8)[0, 0]
    assert ours[1:] == pytest.approx(np.ravel(theirs), abs=1e-5)


def test_faithfulness(case: tuple[Pictures, Tensor, np.ndarray, int]) -> None:
    """Correlation of a segment's weight with what the probability loses without it; here a segment is a patch."""
    model, pixels, found, target = case
    theirs = ask(quantus.FaithfulnessEstimate(perturb_baseline=0.0, **QUIET), case, softmax=True)
    fill = torch.zeros_like(pixels)
    ((ours, _),) = metrics.by_segment(answer(model), pixels, fill, [found], GRID, target)
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(
    ("measure", "key"),
    [("AUC", "pixel AUROC"), ("PointingGame", "pointing"), ("RelevanceMassAccuracy", "mass on object")],
)
def test_where(case: tuple[Pictures, Tensor, np.ndarray, int], measure: str, key: str) -> None:
    """AUROC, pointing game and share of the weight on the object."""
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 1:3, 2:] = True
    frames = np.zeros((1, 4, 4, 3), np.uint8)
    truth = metrics.Truth.of(Sample(frames, mask, np.zeros_like(mask), np.array([True]), 0), GRID)
    theirs = ask(getattr(quantus, measure)(**QUIET), case, s_batch=mask[None])
    assert metrics.agreement(case[2], truth)[key] == pytest.approx(float(theirs), abs=1e-6)
