"""The Pod Security Standard "restricted", field by field, "baseline" included."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.deploy.manifests import Object, containers

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
}
SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: Object) -> list[str]:
    """Return what the standard forbids in a pod template (metadata, spec); nothing where it is "restricted"."""
    return [*_of_pod(pod), *(found for each in containers(pod["spec"]) for found in _of_container(each, pod["spec"]))]


def _of_pod(pod: Object) -> Iterator[str]:
    spec = pod["spec"]
    security = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    for volume in spec.get("volumes", []):
        if kinds := set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']}: {', '.join(kinds)}"
    for sysctl in security.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    for key, value in pod["metadata"].get("annotations", {}).items():
        if key.startswith("container.apparmor.security.beta.kubernetes.io/") and value == "unconfined":
            yield f"annotation {key}"
    yield from _of_context("pod", security)


def _of_container(container: Object, spec: Object) -> Iterator[str]:
    name, own, pods = container["name"], container.get("securityContext", {}), spec.get("securityContext", {})
    capabilities = own.get("capabilities", {})
    yield from _of_context(name, own)
    required: dict[str, bool] = {
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "privileged": not own.get("privileged"),
        "capabilities.drop": "ALL" in capabilities.get("drop", []),
        "capabilities.add": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        "runAsNonRoot": own.get("runAsNonRoot", pods.get("runAsNonRoot")) is True,
        "seccompProfile": own.get("seccompProfile", pods.get("seccompProfile", {})).get("type") in SECCOMP,
        "procMount": own.get("procMount") in {None, "Default"},
        "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
        "host of a probe or hook": not any(_hosts(container)),
    }
    yield from (f"{name}: {field}" for field, fulfilled in required.items() if not fulfilled)


def _of_context(owner: str, context: Object) -> Iterator[str]:
    """Yield what neither a pod's nor a container's security context may say."""
    refused: dict[str, Callable[[Any], bool]] = {
        "runAsUser": lambda value: value == 0,
        "runAsNonRoot": lambda value: value is False,
        "seccompProfile": lambda value: value.get("type") not in SECCOMP,
        "seLinuxOptions": lambda value: (
            value.get("type") not in SELINUX or bool(value.get("user")) or bool(value.get("role"))
        ),
        "windowsOptions": lambda value: bool(value.get("hostProcess")),
        "appArmorProfile": lambda value: value.get("type") == "Unconfined",
    }
    yield from (f"{owner}: {field}" for field, bad in refused.items() if field in context and bad(context[field]))


def _hosts(container: Object) -> Iterator[str]:
    """Yield the hosts that probes and hooks name: they would make the kubelet ask elsewhere."""
    probes = [container.get(f"{kind}Probe", {}) for kind in ("startup", "readiness", "liveness")]
    for action in [*probes, *container.get("lifecycle", {}).values()]:
        for kind in ("httpGet", "tcpSocket"):
            if host := action.get(kind, {}).get("host"):
                yield host
