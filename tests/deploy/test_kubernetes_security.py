"""Pods are "restricted" by Kubernetes' own standard, hold no token and no secret, and talk to nobody they need not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import (
    ALL,
    COMPONENTS,
    KUBERNETES,
    OVERLAYS,
    Object,
    compose,
    containers,
    of,
    overlay,
    pods,
    render,
)
from tests.deploy.restricted import violations

Opening = tuple[str, str, tuple[str, ...]]  # direction, who, ports

CALLERS: set[Opening] = {
    ("in", "pods staa-serve/caller=true", ("TCP https",)),
    ("in", "namespaces staa-serve/caller=true", ("TCP https",)),
}
MONITORING: set[Opening] = {("in", "namespaces kubernetes.io/metadata.name=monitoring", ("TCP internal",))}
INGRESS: set[Opening] = {("in", "namespaces kubernetes.io/metadata.name=ingress-nginx", ("TCP https",))}
FETCH: set[Opening] = {
    ("out", "namespaces kubernetes.io/metadata.name=kube-system", ("UDP 53", "TCP 53")),
    ("out", "anybody", ("TCP 443",)),
}
OPENINGS = {
    "plain": CALLERS,
    "gpu": CALLERS,
    "monitoring": CALLERS | MONITORING,
    "keda": CALLERS | MONITORING,
    "ingress": CALLERS | INGRESS,
    "complete": CALLERS | MONITORING | INGRESS,
    "kserve": {
        ("in", "namespaces kubernetes.io/metadata.name=istio-system", ("TCP 8443",)),
        ("in", "pods staa-serve/caller=true", ("TCP 8443",)),
        ("in", "namespaces staa-serve/caller=true", ("TCP 8443",)),
    }
    | FETCH,
}


def peer(rule: Object) -> str:
    """Return a peer of a network policy in words."""
    ((selector, labels),) = rule.items()
    ((key, value),) = labels["matchLabels"].items()
    return f"{selector.removesuffix('Selector')}s {key}={value}"


def openings(policy: Object) -> set[Opening]:
    """Return what a network policy lets through."""
    found: set[Opening] = set()
    for direction, rules, side in (("in", "ingress", "from"), ("out", "egress", "to")):
        for rule in policy["spec"].get(rules, []):
            ports = tuple(f"{each['protocol']} {each['port']}" for each in rule["ports"])
            found |= (
                {(direction, who, ports) for who in map(peer, rule[side])}
                if side in rule
                else {(direction, "anybody", ports)}
            )
    return found


@pytest.mark.parametrize("name", ALL)
def test_pods_are_restricted(name: str) -> None:
    """The pods of every overlay keep to the Pod Security Standard "restricted", and write to no root file system."""
    made = list(pods(overlay(name)))
    assert made
    for _, pod in made:
        assert violations(pod) == []
        for each in containers(pod["spec"]):
            assert each["securityContext"]["readOnlyRootFilesystem"] is True
            assert set(each["resources"]["limits"]) >= {"memory", "ephemeral-storage"}
            assert set(each["resources"]["requests"]) >= {"cpu", "memory", "ephemeral-storage"}


def test_the_init_container_is_restricted(tmp_path: Path) -> None:
    """With the component fetch, too, the pod is restricted and the server cannot write the archives."""
    ((_, pod),) = pods(render(compose(tmp_path, ["fetch"])))
    assert violations(pod) == []
    assert [each["name"] for each in containers(pod["spec"])] == ["fetch", "server", "proxy"]
    mounts = {
        (each["name"], mount["mountPath"]): mount.get("readOnly", False)
        for each in containers(pod["spec"])
        for mount in each["volumeMounts"]
    }
    assert mounts["server", "/models"] is True
    assert mounts["fetch", "/models"] is False


def _container(**change: Any) -> Callable[[Object], None]:
    return lambda pod: pod["spec"]["containers"][0]["securityContext"].update(change)


def _pod(**change: Any) -> Callable[[Object], None]:
    return lambda pod: pod["spec"].update(change)


def _probe(pod: Object) -> None:
    pod["spec"]["containers"][1]["readinessProbe"]["httpGet"]["host"] = "example.com"


BROKEN: dict[str, Callable[[Object], None]] = {
    "escalation": _container(allowPrivilegeEscalation=True),
    "escalation left open": lambda pod: pod["spec"]["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "privileged": _container(privileged=True),
    "capability": _container(capabilities={"drop": ["ALL"], "add": ["SYS_PTRACE"]}),
    "capabilities kept": _container(capabilities={"drop": ["NET_RAW"]}),
    "root": _container(runAsUser=0),
    "root allowed": _container(runAsNonRoot=False),
    "unconfined": _container(seccompProfile={"type": "Unconfined"}),
    "AppArmor off": _container(appArmorProfile={"type": "Unconfined"}),
    "SELinux user": _container(seLinuxOptions={"user": "system_u"}),
    "unmasked /proc": _container(procMount="Unmasked"),
    "Windows host process": _container(windowsOptions={"hostProcess": True}),
    "host network": _pod(hostNetwork=True),
    "host processes": _pod(hostPID=True),
    "host memory": _pod(hostIPC=True),
    "host path": _pod(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
    "sysctl": lambda pod: pod["spec"]["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
    "root of the pod": lambda pod: pod["spec"]["securityContext"].update(runAsUser=0),
    "host port": lambda pod: pod["spec"]["containers"][1]["ports"][0].update(hostPort=443),
    "probe of another host": _probe,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_weaker_pod_is_seen(name: str) -> None:
    """Each field of the standard, weakened alone, is found."""
    ((_, pod),) = pods(overlay("plain"))
    BROKEN[name](pod)
    assert violations(pod)


@pytest.mark.parametrize("name", ALL)
def test_pods_hold_no_token(name: str) -> None:
    """Neither the pod nor its ServiceAccount mounts a token of the API server, and nobody is given any right."""
    objects = overlay(name)
    accounts = of(objects, "ServiceAccount")
    for _, pod in pods(objects):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert accounts[pod["spec"]["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert pod["spec"]["enableServiceLinks"] is False
    assert not {each["kind"] for each in objects} & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_secrets_are_named_and_never_made(name: str) -> None:
    """No overlay makes a Secret; each that is named stands in the documentation with the command that makes it."""
    objects = overlay(name)
    assert not of(objects, "Secret")
    said = (KUBERNETES.parents[1] / "docs" / "kubernetes.md").read_text()
    named = {
        volume["secret"]["secretName"]
        for _, pod in pods(objects)
        for volume in pod["spec"]["volumes"]
        if "secret" in volume
    }
    named |= {each["secretName"] for ingress in of(objects, "Ingress").values() for each in ingress["spec"]["tls"]}
    assert {"staa-tls", "staa-keys"} <= named
    for secret in named:
        assert any(f"create secret {kind} {secret} " in said for kind in ("tls", "generic")), secret


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_network_has_these_openings_alone(name: str) -> None:
    """Pods are closed in both directions, and the openings are those of this list, no more and no fewer."""
    policies = of(overlay(name), "NetworkPolicy").values()
    for _, pod in pods(overlay(name)):
        labels = pod["metadata"]["labels"].items()
        chosen = [each for each in policies if each["spec"]["podSelector"]["matchLabels"].items() <= labels]
        assert len(chosen) == len(policies), "every policy is about these pods"
        assert {direction for each in chosen for direction in each["spec"]["policyTypes"]} == {"Ingress", "Egress"}
    assert set().union(*map(openings, policies)) == OPENINGS[name]


def test_fetching_opens_the_way_out_and_nothing_else(tmp_path: Path) -> None:
    """The component fetch adds names and HTTPS outwards."""
    policies = of(render(compose(tmp_path, ["fetch"])), "NetworkPolicy").values()
    assert set().union(*map(openings, policies)) == CALLERS | FETCH


def test_the_documentation_says_which_pods_go_out() -> None:
    """Where docs/security.md says that an intruder reaches no other host, it names all that opens a way out."""
    page = (KUBERNETES.parents[1] / "docs" / "security.md").read_text()
    (row,) = [line for line in page.splitlines() if "reaches no other host" in line]
    open_ones = {name for name in OVERLAYS if any(way == "out" for way, _, _ in OPENINGS[name])} | {"fetch"}
    assert {name for name in (*OVERLAYS, *COMPONENTS) if f"`{name}`" in row} == open_ones


def test_the_namespace_enforces_the_standard() -> None:
    """The namespace of the documentation is the one of the settings, and refuses what is not restricted."""
    namespace = yaml.safe_load((KUBERNETES / "namespace.yaml").read_text())
    settings = yaml.safe_load((KUBERNETES / "settings" / "kustomization.yaml").read_text())
    assert namespace["metadata"]["name"] == settings["namespace"]
    levels = {
        namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")
    }
    assert levels == {"restricted"}


def test_every_component_is_in_an_overlay_or_off() -> None:
    """A component is used by an overlay of its own name, but fetch, which is off unless somebody asks for it."""
    used = {
        path
        for name in ALL
        for path in yaml.safe_load((KUBERNETES / "overlays" / name / "kustomization.yaml").read_text())["components"]
    }
    assert {f"../../components/{name}" for name in COMPONENTS} - used == {"../../components/fetch"}
