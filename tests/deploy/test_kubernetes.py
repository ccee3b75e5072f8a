"""Every overlay renders, is valid for the oldest and the newest Kubernetes, and follows the one file of settings."""

import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy import crds
from tests.deploy.manifests import (
    ALL,
    COMPONENTS,
    KUBERNETES,
    MONITORING,
    ROOT,
    Object,
    compose,
    containers,
    of,
    overlay,
    pods,
    render,
    text,
)

VERSIONS = ("1.27", "1.37")  # the oldest and the newest that docs/kubernetes.md names
DEFINED = {"v1", "apps/v1", "autoscaling/v2", "networking.k8s.io/v1", "policy/v1"}  # by Kubernetes itself
TOGETHER = tuple(name for name in COMPONENTS if not name.startswith("ray"))  # with Ray there is no TorchServe
SETTINGS = KUBERNETES / "settings" / "kustomization.yaml"


def validator() -> Any:
    """Return the module of Kubernetes' schemas, or skip."""
    return pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")


def kind(thing: Object) -> str:
    """Return the group, version and kind of an object."""
    return f"{thing['apiVersion']} {thing['kind']}"


def check(thing: Object, version: str) -> None:
    """Check an object against the strict schema of its kind."""
    if thing["apiVersion"] in DEFINED:
        validator().validate(thing, version, strict=True)
    else:
        jsonschema.validate(thing, crds.SCHEMAS[kind(thing)])


def deployment(pod: Object, name: str) -> Object:
    """Return a Deployment of a pod template: what operators make of their objects, for Kubernetes' own schema."""
    inner = {"containers", "volumes", "securityContext", "topologySpreadConstraints", "terminationGracePeriodSeconds"}
    outer = {"serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "tolerations"}
    spec = {key: value for key, value in pod["spec"].items() if key in inner | outer}
    labels = pod["metadata"]["labels"]
    template = {"metadata": {"labels": labels}, "spec": spec}
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    return made | {"spec": {"selector": {"matchLabels": labels}, "template": template}}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(version: str) -> None:
    """Every object of every overlay has only fields that its kind has, with values that it allows."""
    distinct: list[Object] = []
    for name in ALL:
        objects = overlay(name)
        assert len(objects) > 4
        ours = of(objects, "Deployment")
        made = [deployment(pod, of_name) for of_name, pod in pods(objects) if of_name not in ours]
        distinct += [each for each in [*objects, *made] if each not in distinct]
    for each in distinct:
        check(each, version)


@pytest.mark.parametrize("change", [("spec", "replcas"), ("spec", "template", "spec", "hostNetwrk")])
def test_the_schemas_see_a_typing_error(change: tuple[str, ...]) -> None:
    """A field that Kubernetes does not know is found, deep in a pod too."""
    validator()
    wrong = of(overlay("plain"), "Deployment")["staa"]
    inner = wrong
    for key in change[:-1]:
        inner = inner[key]
    inner[change[-1]] = 1
    with pytest.raises(Exception, match=change[-1]):
        check(wrong, VERSIONS[0])


def test_the_schemas_of_custom_resources_see_a_typing_error() -> None:
    """A field that is not one of those in use is found in each custom resource."""
    objects = [
        each
        for name in ("complete", "kserve", "ray", "ray-bulk")
        for each in overlay(name)
        if each["apiVersion"] not in DEFINED
    ]
    assert {kind(each) for each in objects} == set(crds.SCHEMAS)
    for each in objects:
        each["spec"]["scaleTargetReff"] = {}
        with pytest.raises(jsonschema.ValidationError):
            check(each, VERSIONS[0])


@pytest.mark.deploy
def test_custom_resources_are_valid_for_their_operators() -> None:
    """Every custom resource passes the definition that its operator ships: STAA_CRDS names their folder."""
    found = {}
    for path in Path(os.environ["STAA_CRDS"]).glob("*.yaml"):
        for each in filter(None, yaml.safe_load_all(path.read_text())):
            for version in each["spec"]["versions"]:
                name = f"{each['spec']['group']}/{version['name']} {each['spec']['names']['kind']}"
                found[name] = crds.converted(version["schema"]["openAPIV3Schema"])
    custom = [each for name in ALL for each in overlay(name) if each["apiVersion"] not in DEFINED]
    assert {kind(each) for each in custom} <= set(found)
    for each in custom:
        jsonschema.validate(each, found[kind(each)])


@pytest.mark.parametrize("names", [("gpu", "keda"), ("keda", "gpu"), ("fetch", "gpu", "ingress"), TOGETHER])
def test_components_combine(names: tuple[str, ...], tmp_path: Path) -> None:
    """Components can be put together, in any order, and the result is valid and has one autoscaler at most."""
    objects = render(compose(tmp_path, names))
    for each in objects:
        check(each, VERSIONS[1])
    scalers = [*of(objects, "HorizontalPodAutoscaler"), *of(objects, "ScaledObject")]
    assert len(scalers) == (0 if "gpu" in names and "keda" not in names else 1), names
    assert len({(each["kind"], each["metadata"]["name"]) for each in objects}) == len(objects)


def test_a_users_own_overlay_can_change_the_rest(tmp_path: Path) -> None:
    """What the settings do not cover is changed by a patch in an overlay of one's own."""
    patch = "- {op: replace, path: /spec/maxReplicas, value: 40}"
    extra = f"patches:\n  - target: {{kind: HorizontalPodAutoscaler}}\n    patch: |-\n      {patch}"
    autoscaler = of(render(compose(tmp_path, ["ingress"], extra)), "HorizontalPodAutoscaler")["staa"]
    assert autoscaler["spec"]["maxReplicas"] == 40


def test_every_setting_arrives(tmp_path: Path) -> None:
    """Each value of settings/ reaches the objects that it is for, and no example's value is left beside it."""
    text(KUBERNETES / "overlays" / "plain")  # or skip
    folder = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for needed in KUBERNETES.rglob("*.py"):
        shutil.copy(needed, folder / needed.relative_to(ROOT / "deploy"))
    path = folder / "kubernetes" / "settings" / "kustomization.yaml"
    keys = re.findall(r"^ +- ([a-z-]+)=", path.read_text(), flags=re.MULTILINE)
    assert len(keys) > 8
    changed = re.sub(r"^( +- )([a-z-]+)=.*$", r"\1\2=set-\2", path.read_text(), flags=re.MULTILINE)
    changed = re.sub(r"^namespace: .*$", "namespace: set-namespace", changed, flags=re.MULTILINE)
    changed = changed.replace("registry.example.com", "set.registry").replace("0.1.0", "set-tag")
    path.write_text(changed)
    shutil.copytree(ROOT / "scale", tmp_path / "scale", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    rendered = "".join(text(folder / "kubernetes" / "overlays" / name) for name in ALL)
    for key in [*keys, "tag"]:
        assert f"set-{key}" in rendered, key
    objects = [each for name in ALL for each in render(folder / "kubernetes" / "overlays" / name)]
    assert "example.com" not in yaml.safe_dump_all(each for each in objects if each["kind"] != "ConfigMap")
    namespaces = {each["metadata"]["namespace"] for each in objects}
    assert namespaces == {"set-namespace"}
    assert 'namespace="set-namespace"' in rendered
    assert 'namespace="staa"' not in rendered


@pytest.mark.parametrize("name", ALL)
def test_images_are_pinned_in_one_place(name: str) -> None:
    """Every image is one of the block images of settings/, with a tag or a digest that is not `latest`."""
    block = yaml.safe_load(SETTINGS.read_text())["images"]
    allowed = {f"{each['newName']}:{each['newTag']}" for each in block}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {each["newTag"].removesuffix("-cuda") for each in block} == {version}, "the tags are this version's"
    used = {each["image"] for _, pod in pods(overlay(name)) for each in containers(pod["spec"])}
    assert used
    assert used <= allowed


def test_the_rules_are_the_monitorings_own() -> None:
    """The operator's rules are those of deploy/monitoring/rules.yaml, which promtool tests."""
    wanted = yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
    script = KUBERNETES / "components" / "monitoring" / "rules.py"
    written = of(overlay("monitoring"), "PrometheusRule")["staa"]["spec"]["groups"]
    assert written == wanted, f"rules.yaml has changed: run python3 {script.relative_to(ROOT)}"


def test_the_dashboard_fits_a_configmap() -> None:
    """Grafana's sidecar finds the dashboard by its label, and it is smaller than a ConfigMap may be."""
    dashboard = of(overlay("monitoring"), "ConfigMap")["staa-dashboard"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert dashboard["data"]["staa.json"] == (MONITORING / "dashboard.json").read_text()
    assert len(dashboard["data"]["staa.json"].encode()) < 1 << 20


def test_nothing_is_duplicated_from_the_proxys_folder() -> None:
    """The ConfigMap of the proxy holds each file of deploy/proxy that nginx reads, as it is there."""
    data = next(
        each["data"] for name, each in of(overlay("plain"), "ConfigMap").items() if name.startswith("staa-proxy")
    )
    for name, content in data.items():
        assert content == (ROOT / "deploy" / "proxy" / name).read_text()
    assert "nginx.conf" in data


def test_the_documentation_names_versions_overlays_and_settings() -> None:
    """docs/kubernetes.md names the versions that are tested, every overlay, component and setting."""
    said = (ROOT / "docs" / "kubernetes.md").read_text()
    settings = re.findall(r"^ +- ([a-z-]+)=", SETTINGS.read_text(), flags=re.MULTILINE)
    for word in [*VERSIONS, *(f"`{each}`" for each in (*ALL, *COMPONENTS, *settings))]:
        assert word in said, word
    assert os.access(KUBERNETES / "namespace.yaml", os.R_OK)
