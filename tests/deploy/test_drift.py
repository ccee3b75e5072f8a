"""The alerts tell noise and blur from usual traffic, by what the default model's maps and labels of them are like."""

import itertools
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from staa import Clip, Explainer
from staa.serving import Incoming, Service, Settings, Telemetry
from staa.verify import blur
from tests.deploy.manifests import MONITORING, ROOT
from tests.made import archives
from tests.made.programs import program
from training.evaluate import fresh

METHODS = ("staa", "staa_class")
STEP = 5  # minutes between two values of a series
CLIPS = 12  # in a step
PAST, NOW = 72 * 60 // STEP, 7 * 60 // STEP  # steps: three days of usual traffic, and seven hours that are judged
Figures = dict[tuple[str, Sequence[str]], list[float]]
"""A figure and its labels -> its value for every clip."""


def usual(clip: Clip, _index: int) -> Clip:
    """Return the clip as it is."""
    return clip


def noise(clip: Clip, index: int) -> Clip:
    """Return a clip of random pixels."""
    return replace(clip, frames=np.random.default_rng(index).integers(0, 256, clip.frames.shape, np.uint8))


def blurred(clip: Clip, _index: int) -> Clip:
    """Return the clip so blurred that no object is to be seen."""
    frames = torch.tensor(clip.frames).permute(0, 3, 1, 2)[None].float()
    return replace(clip, frames=blur(frames)[0].permute(0, 2, 3, 1).round().clamp(0, 255).byte().numpy())


@pytest.fixture(scope="module")
def measured() -> dict[str, Figures]:
    """Serve clips of each kind by the default model, and return what was told of their labels and maps."""
    explainer = Explainer.load(ROOT / "model_store" / "motions", device="cpu")
    told: Figures = defaultdict(list)

    def tell(name: str, value: float, labels: Sequence[str]) -> None:
        told[name, tuple(labels)].append(value)

    telemetry = Telemetry(tell, tell)
    served = Service(explainer, Settings("motions"), telemetry, batch_size=4)
    found = {}
    kinds: dict[str, tuple[Callable[[Clip, int], Clip], Iterable[int]]] = {
        "usual": (usual, range(16)), "later": (usual, range(16, 32)), "noise": (noise, range(8)),
        "blurred": (blurred, range(8)),
    }  # fmt: skip
    for kind, (change, numbers) in kinds.items():
        told.clear()
        for number, method in itertools.product(numbers, METHODS):
            clip = change(fresh(explainer, number)[0], number)
            body = archives.pack(archives.about(clip), map(archives.encode, clip.frames))
            verified = method == "staa" and (kind == "noise" or (kind != "blurred" and number % 2 == 0))
            options = {"X-Staa-Method": method, "X-Staa-Verify": "2" if verified else "0"}
            (reply,) = served.answer([Incoming({"body": body}, options, explain=True)])
            assert reply.status == 200
        found[kind] = dict(told)
    served.close()
    return found


def series(name: str, labels: Sequence[str], past: list[float], now: list[float]) -> list[dict[str, str]]:
    """Return a histogram's sum and count as promtool reads them: clips drawn from those of the past, then of now."""
    draw = np.random.default_rng(len(past)).choice
    steps = [draw(past, CLIPS).sum() for _ in range(PAST)] + [draw(now, CLIPS).sum() for _ in range(NOW)]
    method = "".join(f', Method="{label}"' for label in labels)
    target = f'{{job="staa", instance="a", ModelName="motions"{method}}}'
    values = {"sum": " ".join(f"{value:.4f}" for value in np.cumsum(steps)), "count": f"0+{CLIPS}x{PAST + NOW}"}
    return [{"series": f"staa_{name}_{part}{target}", "values": text} for part, text in values.items()]


def verdicts(labels: Sequence[str], past: list[float], now: list[float]) -> dict[str, str]:
    """Return a counter of verdicts as promtool reads it: one verdict a step, in the shares of the past, then of now."""
    names = dict(zip(("Method", "Verdict", "Source"), labels, strict=True))
    target = "".join(f', {name}="{label}"' for name, label in names.items())
    values = np.cumsum([np.mean(past)] * PAST + [np.mean(now)] * NOW)
    return {
        "series": f'staa_verdicts_total{{job="staa", instance="a", ModelName="motions"{target}}}',
        "values": " ".join(f"{value:.4f}" for value in values),
    }


@pytest.mark.parametrize(
    ("kind", "alerts"),
    [
        ("later", {}),
        ("noise", {"StaaMapsFlat": 1, "StaaMapsUnfaithful": 1}),  # the class maps of noise are half as flat
        ("blurred", {"StaaMapsFlat": 2, "StaaScoresDrift": 1}),
    ],
)
def test_hours_after_three_days(
    measured: dict[str, Figures], tmp_path: Path, kind: str, alerts: dict[str, int]
) -> None:
    """Clips as before are silent, noise has maps that are flat and not faithful, and of blur the model is not sure."""
    past, now = measured["usual"], measured[kind]
    samples = [{"labels": f'{{alertname="{name}"}}', "value": count} for name, count in alerts.items()]
    # a quarter of the maps of noise, more or less, is no better than random: that is the edge of this alert
    aside = "StaaAbsent|StaaMapsDistrusted" if kind == "noise" else "StaaAbsent"
    firing = f'count by (alertname) (ALERTS{{alertname!~"{aside}", alertstate="firing"}})'
    ever = f'count_over_time(ALERTS{{alertname!="StaaAbsent"}}[{PAST * STEP}m])'
    case = {
        "interval": f"{STEP}m",
        "input_series": [
            *(one for key in (("doubt", ()), *(("map_concentration", (method,)) for method in METHODS))
              for one in series(*key, past[key], now[key])),
            *(verdicts(labels, values, now.get(("verdicts", labels), [0]))
              for (name, labels), values in past.items() if name == "verdicts"),
        ],
        "promql_expr_test": [
            {"expr": ever, "eval_time": f"{PAST * STEP}m", "exp_samples": []},
            {"expr": firing, "eval_time": f"{(PAST + NOW) * STEP}m", "exp_samples": samples},
        ],
    }  # fmt: skip
    document = {
        "rule_files": [str(MONITORING / "rules.yaml")],
        "evaluation_interval": "15m",
        "group_eval_order": ["staa.recording", "staa.explanations", "staa.alerts"],
        "tests": [case],
    }
    (tmp_path / "drift.yaml").write_text(yaml.safe_dump(document))
    command = [program("promtool", "apt-get install prometheus"), "test", "rules", str(tmp_path / "drift.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_figures_of_the_page(measured: dict[str, Figures]) -> None:
    """What docs/operations.md says of the default model's maps and scores is what was measured."""
    page = (ROOT / "docs" / "operations.md").read_text()
    for name, key in {
        "concentration, `staa`": ("map_concentration", ("staa",)),
        "concentration, `staa_class`": ("map_concentration", ("staa_class",)),
        "share of the strongest step, `staa`": ("map_strongest_step", ("staa",)),
        "doubt": ("doubt", ()),
    }.items():
        means = [np.mean(measured[kind][key]) for kind in ("usual", "noise", "blurred")]
        row = re.search(rf"^\| {name} \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", page, re.MULTILINE)
        assert row, name
        assert [float(figure) for figure in row.groups()] == pytest.approx(means, abs=0.0151)
