"""How many replicas there are: the autoscalers are those that were simulated, and the runbook's commands reach them."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.speed.scaling import Scaler, measured
from tests.deploy.manifests import KUBERNETES, OVERLAYS, ROOT, Object, of, overlay, pods, render

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
RUNBOOK = OPERATIONS.partition("\n## Runbook\n")[2]
COMMANDS = [
    shlex.split(line, comments=True)
    for line in re.findall(r"(?m)^    (kubectl .*)$|`(kubectl [^`]*)`", RUNBOOK)
    for line in line
    if line
]
LOOKED_FOR = {"hpa": "HorizontalPodAutoscaler", "scaledobject": "ScaledObject", "inferenceservice": "InferenceService"}


def block(page: str, word: str) -> Any:
    """Return what the YAML block of a page says that has a word in it."""
    (text,) = [each for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if word in each]
    return yaml.safe_load(text)


def merged(thing: Object, patch: Object) -> Object:
    """Return an object with a merge patch; each of its fields was there before."""
    assert patch.keys() <= thing.keys(), patch
    inner = {key: merged(thing[key], value) for key, value in patch.items() if isinstance(value, dict)}
    return thing | patch | inner


def asked(word: str, command: list[str]) -> str:
    """Return what a command says after an option."""
    return command[command.index(word) + 1]


@pytest.mark.parametrize("name", ["keda", "complete"])
def test_keda_is_what_the_documentation_recommends(name: str) -> None:
    """The ScaledObject has the triggers of docs/operations.md, all of them and no other."""
    said = block(OPERATIONS, "metricType")
    triggers = of(overlay(name), "ScaledObject")["staa"]["spec"]["triggers"]
    address = next(each["metadata"].pop("serverAddress") for each in triggers)
    for each in triggers:
        assert each["metadata"].pop("serverAddress", address) == address, "both ask the same Prometheus"
        assert each["metadata"].pop("ignoreNullValues") == "false"
        assert each.pop("name")
    assert triggers == said


def test_keda_is_what_was_simulated() -> None:
    """Its targets and its pace are those of the table that the documentation recommends."""
    server, scaler = measured((ROOT / "benchmarks" / "RESULTS.md").read_text()), Scaler()
    spec = of(overlay("keda"), "ScaledObject")["staa"]["spec"]
    requests, wait = (float(each["metadata"]["threshold"]) for each in spec["triggers"])
    assert (requests, wait) == (round(scaler.load * server.capacity, 1), scaler.target)
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    pace = {
        way: {each["type"]: each["value"] for each in behavior[way]["policies"]} for way in ("scaleUp", "scaleDown")
    }
    assert pace == {
        "scaleUp": {"Percent": 100 * scaler.up, "Pods": 4},
        "scaleDown": {"Percent": 100 * scaler.down, "Pods": 1},
    }
    assert {each["selectPolicy"] for each in behavior.values()} == {"Max"}
    assert {each["periodSeconds"] for way in behavior.values() for each in way["policies"]} == {scaler.period}
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == scaler.calm
    assert spec["minReplicaCount"] == scaler.least


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_overlay_runs_one_pod(name: str) -> None:
    """One says how many, and two at least: the autoscaler, or the Deployment where there is none."""
    objects = overlay(name)
    least = [each["spec"]["minReplicas"] for each in of(objects, "HorizontalPodAutoscaler").values()]
    least += [each["spec"]["minReplicaCount"] for each in of(objects, "ScaledObject").values()]
    least += [each["spec"]["predictor"]["minReplicas"] for each in of(objects, "InferenceService").values()]
    fixed = [each["spec"]["replicas"] for each in of(objects, "Deployment").values() if "replicas" in each["spec"]]
    (count,) = least + fixed
    assert count >= 2


def test_the_example_of_an_overlay_can_be_applied(tmp_path: Path) -> None:
    """The overlay that docs/kubernetes.md shows renders, and its patches arrive."""
    example = yaml.safe_dump(block(PAGE, "components:"))
    here = os.path.relpath(KUBERNETES, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(example.replace("../..", here))
    objects = render(tmp_path)
    spec = of(objects, "ScaledObject")["staa"]["spec"]
    assert (spec["maxReplicaCount"], spec["triggers"][0]["metadata"]["threshold"]) == (40, "40")
    assert "replicas" not in of(objects, "Deployment")["staa"]["spec"]


def test_the_runbook_reads_the_logs_of_every_pod() -> None:
    """Its line for logs selects all pods, and containers that they have; `logs deployment/staa` reads one of them."""
    assert "logs deployment/" not in OPERATIONS + PAGE
    (logs,) = [each for each in COMMANDS if "logs" in each]
    for name in OVERLAYS:
        ((_, pod),) = pods(overlay(name))
        key, _, value = asked("-l", logs).partition("=")
        assert pod["metadata"]["labels"][key] == value
        for container in pod["spec"]["containers"]:
            assert asked("-c", logs) == container["name"] or f"`-c {container['name']}`" in RUNBOOK
    assert {"--prefix", "--tail=-1"} <= set(logs), "with a selector kubectl shows ten lines a pod"


def test_the_runbook_asks_the_one_who_owns_the_number() -> None:
    """Replicas are raised where they are decided: each command names a field of an object that an overlay has."""
    raised = set()
    for command in (each for each in COMMANDS if "patch" in each):
        kind, name = command[command.index("patch") + 1 :][:2]
        patch = yaml.safe_load(asked("-p", command))
        found = [each for over in OVERLAYS for each in of(overlay(over), LOOKED_FOR[kind]).values()]
        assert {each["metadata"]["name"] for each in found} == {name}
        for each in found:
            assert merged(each, patch) != each
        raised.add(kind)
    assert raised == LOOKED_FOR.keys()
    by_hand = [line for line in RUNBOOK.splitlines() if "kubectl -n staa scale" in line]
    assert [line.partition("# ")[2] for line in by_hand] == ["without an autoscaler: the overlay gpu"]
    for word in ("delete hpa staa", "`replicas` in `overlays/gpu/kustomization.yaml`"):
        assert word in PAGE
