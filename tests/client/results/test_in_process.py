"""Results of the in-process core as explanations: the same pictures, and nothing of the core imported."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import staa
from staa.verify import VERDICTS
from staa_client import ClassName, Explanation, Model, load, of_result
from staa_client.cli.output.terminal import describe
from tests.client.pictures.conftest import Page
from tests.made.models import clip, explainer, timesformer

CLASS_MAP = staa.Options(method="staa_class", target=1, contrast=2, verify=2, refine=8, top_k=2)


@pytest.fixture(scope="module")
def core() -> staa.Explainer:
    """A tiny model."""
    return explainer(timesformer())


def test_a_result_of_the_core_is_drawn_by_the_same_pictures(core: staa.Explainer, tmp_path: Path) -> None:
    """Labels, map, seconds and frames are those of the result, and a report of it plays."""
    film = clip(1)
    (result,) = core([film])
    shown = of_result(result, film, model="tiny", name="noise.mp4")
    assert isinstance(shown, Explanation)
    assert result.attribution is not None
    assert np.array_equal(shown.joint, result.attribution.joint)
    assert np.array_equal(shown.seconds, result.steps)
    assert [(guess.label, guess.score) for guess in shown.predictions] == [
        (guess.label, guess.score) for guess in result.predictions
    ]
    assert (shown.method, shown.threshold, shown.clip.box) == ("staa", result.threshold, result.box)
    assert shown.method_version
    assert shown.model == Model("tiny", "in process", "in process", len(result.predictions))
    page = Page(shown.save(tmp_path / "x.html").read_text("utf-8"))
    assert len(page.data["frames"]) == len(film.frames)
    assert shown.save(tmp_path / "x.png").stat().st_size > 5000


def test_a_class_map_of_the_core_keeps_its_check_and_its_choice(core: staa.Explainer, tmp_path: Path) -> None:
    """Target, signs, verdict and choice come along; a class that is not among the best is named by `labels`."""
    film = clip(2)
    (result,) = core([film], CLASS_MAP)
    shown = of_result(result, film, labels=core.labels)
    assert (shown.target, shown.contrast) == (ClassName(1, core.labels[1]), ClassName(2, core.labels[2]))
    assert shown.signed is not None
    assert result.attribution is not None
    assert shown.shared_evidence == result.attribution.shared_evidence is not None
    assert shown.faithfulness is not None
    assert shown.faithfulness.message == VERDICTS[shown.faithfulness.verdict]
    assert shown.refinement is not None
    assert "chosen by a test" in shown.refinement.message
    assert (shown.faithfulness.seconds, shown.refinement.seconds) == (None, None), "nobody measured them"
    words = describe(shown)
    assert f"({shown.refinement.clips} clips)" in words
    assert f"{shown.faithfulness.clips} clips)" in words
    again = load(replace(shown, source=None).save(tmp_path / "x.json"))
    assert (again.faithfulness, again.refinement) == (shown.faithfulness, shown.refinement)
    assert again.faithfulness is not None
    assert again.faithfulness.to_dict()["cost"] == {"clips": again.faithfulness.clips}


def test_a_clip_without_pixels_and_a_result_without_a_map(core: staa.Explainer) -> None:
    """Without its pixels a clip gives no source; labels alone are refused in words."""
    film = clip(3)
    (result,) = core([film])
    assert of_result(result, film.bare()).source is None
    (labels,) = core([film], staa.Options(explain=False))
    with pytest.raises(ValueError, match="labels only"):
        of_result(labels, film)


def test_the_core_is_not_imported() -> None:
    """The client has the function without torch and without the core."""
    script = "import sys, staa_client\nstaa_client.of_result\nprint({'torch', 'staa'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "set()"
