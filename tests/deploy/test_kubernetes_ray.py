"""The overlays with Ray: what names, labels and ports point to, who reaches what, and Serve's configuration."""

import re
import shlex
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import RAY, ROOT, Object, of, overlay, pods
from tests.deploy.proxies import CONFIGURATION

SERVICES = [name for name in RAY if name != "ray-bulk"]
SERVE = ROOT / "scale" / "ray.yaml"
PARTS = {"RayService": "rayClusterConfig", "RayJob": "rayClusterSpec"}
FRONT, RAYS, JOB = (
    "app.kubernetes.io/name=staa-serve",
    "app.kubernetes.io/component=ray",
    "app.kubernetes.io/component=ray-bulk",
)
NAMES = ("UDP 53", "TCP 53")
OPENINGS = {
    "staa-deny": set(),
    "staa-callers": {
        ("in", "pods staa-serve/caller=true", ("TCP https",)),
        ("in", "namespaces staa-serve/caller=true", ("TCP https",)),
    },
    "staa-to-ray": {
        ("out", f"pods {RAYS}", ("TCP 8000",)),
        ("out", "namespaces kubernetes.io/metadata.name=kube-system", NAMES),
    },
    "staa-ray-deny": set(),
    "staa-ray-cluster": {
        ("in", f"pods {RAYS}", ()),
        ("out", f"pods {RAYS}", ()),
        ("out", "namespaces kubernetes.io/metadata.name=kube-system", NAMES),
    },
    "staa-ray-serve": {("in", f"pods {FRONT}", ("TCP serve",))},
    "staa-ray-head": {
        ("in", "namespaces kubernetes.io/metadata.name=kuberay-system", ("TCP dashboard",)),
        ("out", "anybody", ("TCP 443", "TCP 6443")),
    },
}
BULK_OPENINGS = {
    "staa-bulk-deny": set(),
    "staa-bulk-cluster": {
        ("in", f"pods {JOB}", ()),
        ("out", f"pods {JOB}", ()),
        ("out", "namespaces kubernetes.io/metadata.name=kube-system", NAMES),
    },
    "staa-bulk-head": {
        ("in", "namespaces kubernetes.io/metadata.name=kuberay-system", ("TCP dashboard",)),
        ("out", "anybody", ("TCP 6443",)),
    },
    "staa-bulk-storage": {("out", "anybody", ("TCP 443",))},
}


def cluster(objects: list[Object]) -> Object:
    """Return the specification of the Ray cluster that an overlay has."""
    ((kind, thing),) = [(each["kind"], each) for each in objects if each["kind"] in PARTS]
    found: Object = thing["spec"][PARTS[kind]]
    return found


def groups(objects: list[Object]) -> dict[str, Object]:
    """Return the groups of workers, by name."""
    return {each["groupName"]: each for each in cluster(objects)["workerGroupSpecs"]}


def templates(objects: list[Object]) -> list[Object]:
    """Return the pod templates of the Ray cluster: the head's, and those of the workers."""
    return [cluster(objects)["headGroupSpec"]["template"], *(each["template"] for each in groups(objects).values())]


def ports(template: Object) -> dict[str, int]:
    """Return the named ports of a pod."""
    (container,) = template["spec"]["containers"]
    return {each["name"]: each["containerPort"] for each in container.get("ports", [])}


def serve_config(objects: list[Object]) -> dict[str, Any]:
    """Return what the RayService gives to Ray Serve."""
    loaded: dict[str, Any] = yaml.safe_load(of(objects, "RayService")["staa-ray"]["spec"]["serveConfigV2"])
    return loaded


def lets_through(policy: Object) -> set[tuple[str, str, tuple[str, ...]]]:
    """Return what a network policy lets through: direction, who, and the ports, none for all."""
    found = set()
    for direction, rules, side in (("in", "ingress", "from"), ("out", "egress", "to")):
        for rule in policy["spec"].get(rules, []):
            open_ports = tuple(f"{each['protocol']} {each['port']}" for each in rule.get("ports", []))
            for peer in rule.get(side, [{}]):
                who = "anybody"
                for selector, labels in peer.items():
                    ((key, value),) = labels["matchLabels"].items()
                    who = f"{selector.removesuffix('Selector')}s {key}={value}"
                found.add((direction, who, open_ports))
    return found


def test_the_service_has_serves_own_configuration() -> None:
    """The RayService's text is scale/ray.yaml, every byte; with a GPU the number of GPUs alone differs."""
    text = SERVE.read_text()
    assert of(overlay("ray"), "RayService")["staa-ray"]["spec"]["serveConfigV2"] == text
    gpu = of(overlay("ray-gpu"), "RayService")["staa-ray"]["spec"]["serveConfigV2"]
    assert text.endswith("gpus: 0\n")
    assert gpu == text.removesuffix("0\n") + "1"


@pytest.mark.parametrize("name", SERVICES)
def test_the_pods_have_room_for_all_processes(name: str) -> None:
    """One pod is enough for one process of each, all pods for as many as Serve may want; the head runs none of it."""
    objects = overlay(name)
    head, workers = cluster(objects)["headGroupSpec"], groups(objects)
    assert head["rayStartParams"]["num-cpus"] == "0"
    (application,) = serve_config(objects)["applications"]
    gpus, least, most, widest = application["args"]["gpus"], 0.0, 0.0, 0.0
    for each in application["deployments"]:
        if gpus and each["name"].startswith("Model-"):
            continue  # in a pod of its own
        each_has = each.get("ray_actor_options", {"num_cpus": 1})["num_cpus"]
        scaling = each.get("autoscaling_config", {"min_replicas": 1, "max_replicas": each.get("num_replicas")})
        least += each_has * scaling["min_replicas"]
        most += each_has * scaling["max_replicas"]
        widest = max(widest, each_has)
    cpus = {group: int(each["rayStartParams"]["num-cpus"]) for group, each in workers.items()}
    for group, each in workers.items():
        assert str(cpus[group]) == each["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
    assert least <= cpus["cpu"] * workers["cpu"]["minReplicas"]
    assert most <= cpus["cpu"] * workers["cpu"]["maxReplicas"]
    assert ("gpu" in workers) == bool(gpus)
    if gpus:
        limits = workers["gpu"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits["nvidia.com/gpu"] == workers["gpu"]["rayStartParams"]["num-gpus"] == str(gpus)
        assert workers["gpu"]["minReplicas"] == workers["gpu"]["maxReplicas"] == 1


@pytest.mark.parametrize("name", RAY)
def test_ray_wants_a_token_of_everybody(name: str) -> None:
    """Ray's ports take nobody without the token, which is a Secret that the documentation makes."""
    spec = cluster(overlay(name))
    assert spec["authOptions"] == {"mode": "token", "secretName": "staa-ray-token"}
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    assert "create secret generic staa-ray-token --from-literal=auth_token=" in page, "KubeRay's own key"
    assert "RAY_AUTH" not in yaml.safe_dump(spec), "KubeRay puts it in; twice would be once too often"
    for kind in ("Secret", "Ingress"):
        assert not of(overlay(name), kind)


@pytest.mark.parametrize("name", RAY)
def test_the_version_is_the_images(name: str) -> None:
    """KubeRay is told the version of Ray that the image has."""
    assert f"]=={cluster(overlay(name))['rayVersion']}" in (ROOT / "requirements-ray.txt").read_text()


@pytest.mark.parametrize("name", RAY)
def test_only_the_autoscaler_has_a_token_of_kubernetes(name: str) -> None:
    """What holds the token of the API is mounted by KubeRay's container beside the head, and by nothing of ours."""
    spec = cluster(overlay(name))
    mounted = {each["name"] for each in spec["autoscalerOptions"]["volumeMounts"]}
    for template in templates(overlay(name)):
        tokens = {each["name"] for each in template["spec"]["volumes"] if "projected" in each}
        ours = {each["name"] for container in template["spec"]["containers"] for each in container["volumeMounts"]}
        assert not ours & tokens
        assert tokens <= mounted
        assert {each["name"] for each in template["spec"]["volumes"]} >= ours
    head = templates(overlay(name))[0]
    assert {each["name"] for each in head["spec"]["volumes"]} >= mounted


@pytest.mark.parametrize("name", RAY)
def test_the_network_of_ray_has_these_openings_alone(name: str) -> None:
    """Every pod is closed in both directions; the openings are those of the lists; each policy finds pods."""
    objects = overlay(name)
    policies = of(objects, "NetworkPolicy")
    assert {each: lets_through(policy) for each, policy in policies.items()} == (
        BULK_OPENINGS if name == "ray-bulk" else OPENINGS
    )
    found = set()
    for _, pod in pods(objects):
        labels = pod["metadata"]["labels"].items()
        chosen = {
            each for each, policy in policies.items() if policy["spec"]["podSelector"]["matchLabels"].items() <= labels
        }
        closed = {direction for each in chosen for direction in policies[each]["spec"]["policyTypes"]}
        assert closed == {"Ingress", "Egress"}
        assert any(each.endswith("-deny") for each in chosen)
        found |= chosen
    assert found == policies.keys()


@pytest.mark.parametrize("name", RAY)
def test_ports_labels_and_accounts_are_there(name: str) -> None:
    """Ports that probes and policies name exist in the pod; KubeRay's ports are its numbers; selectors find pods."""
    objects = overlay(name)
    head, *workers = templates(objects)
    serving = {"serve": 8000} if name != "ray-bulk" else {}
    assert ports(head) == {"gcs-server": 6379, "dashboard": 8265} | serving
    for each in workers:
        assert ports(each) == serving
    accounts = of(objects, "ServiceAccount")
    for each in (head, *workers):
        assert each["spec"]["serviceAccountName"] in accounts
        assert "app.kubernetes.io/name" not in each["metadata"]["labels"], "KubeRay's Services select by its own"
        (container,) = each["spec"]["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            target = container[probe]["httpGet"]
            assert (target["path"], target["port"]) in {("/api/healthz", 52365), ("/-/healthz", "serve")}
        assert container["livenessProbe"]["httpGet"]["port"] == 52365, "Serve's absence is no reason to end a pod"
    for budget in of(objects, "PodDisruptionBudget").values():
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        assert any(wanted <= pod["metadata"]["labels"].items() for _, pod in pods(objects))


@pytest.mark.parametrize("name", SERVICES)
def test_the_front_proxy_leads_to_ray(name: str) -> None:
    """The proxy's pod has no server; its upstreams are the Service and port of Serve, as many places as before."""
    objects = overlay(name)
    deployment = of(objects, "Deployment")["staa"]
    assert deployment["spec"]["replicas"] >= 2
    spec = deployment["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["containers"]] == ["proxy"]
    assert (
        deployment["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] == "proxy"
    )
    mounted = {each["name"] for each in spec["containers"][0]["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["volumes"]}
    assert not {"HorizontalPodAutoscaler", "ScaledObject"} & {each["kind"] for each in objects}
    service = of(objects, "RayService")["staa-ray"]["spec"]
    where = f"{service['serveService']['metadata']['name']}:{serve_config(objects)['http_options']['port']}"
    (data,) = [each["data"] for key, each in of(objects, "ConfigMap").items() if key.startswith("staa-proxy")]
    servers = re.findall(r"(?s)upstream (\w+) \{.*?server (\S+) max_fails=0( max_conns=\d+)?;", data["servers.conf"])
    usual = re.findall(r"(?s)upstream (\w+) \{.*?server \S+ max_fails=0( max_conns=\d+)?;", _usual())
    assert [(group, most) for group, _, most in servers] == usual
    assert {address for _, address, _ in servers} == {where}
    (waited,) = [each["command"][-1] for each in spec["initContainers"]]
    assert where.partition(":")[0] in shlex.split(waited.replace(";", " "))
    answers = max(float(each) for each in re.findall(r"keepalive_time (\d+)s", data["servers.conf"]))
    longest = re.search(r"proxy_read_timeout (\d+)s", data["limits.conf"])
    assert longest
    assert service["rayClusterDeletionDelaySeconds"] > answers + float(longest[1]), "an old cluster answers what it has"


def _usual() -> str:
    """Return the upstreams that the proxy has before TorchServe."""
    return (CONFIGURATION / "servers.conf").read_text()


def test_all_pods_of_ray_are_alike() -> None:
    """The pods of the GPU and of the job are the RayService's, but for image, size, ports and what storage wants."""
    (_, worker), (_, gpu) = (templates(overlay(name)) for name in ("ray", "ray-bulk"))
    (*_, gpus) = templates(overlay("ray-gpu"))
    for other in (gpu, gpus):
        for key in ("securityContext", "enableServiceLinks", "automountServiceAccountToken"):
            assert other["spec"][key] == worker["spec"][key]
        (one,), (two,) = worker["spec"]["containers"], other["spec"]["containers"]
        differing = {"image", "resources", "ports", "envFrom", "readinessProbe"}
        assert {key: one[key] for key in one.keys() - differing} == {key: two[key] for key in two.keys() - differing}
    heads = [cluster(overlay(name))["headGroupSpec"]["template"]["spec"] for name in ("ray", "ray-bulk")]
    assert heads[0]["volumes"] == heads[1]["volumes"]
    assert heads[0]["securityContext"] == heads[1]["securityContext"]
    options = [cluster(overlay(name))["autoscalerOptions"] for name in RAY]
    assert options == [options[0]] * len(RAY)


def test_the_job_runs_the_command() -> None:
    """The RayJob's command line is that of ./scale.sh bulk, with the settings' source and place for the answers."""
    job = of(overlay("ray-bulk"), "RayJob")["staa-bulk"]["spec"]
    words = shlex.split(job["entrypoint"])
    assert words[:4] == ["python", "-m", "scale", "bulk"]
    assert [each.partition("://")[0] for each in words[4:6]] == ["s3", "s3"]
    command = (ROOT / "scale" / "bulk" / "command.py").read_text()
    options = dict(zip(words[6::2], words[7::2], strict=True))
    assert options.pop("--address") == "auto", "else it would start a Ray of its own, in the head's pod"
    assert [each for each in options if f'add_argument("{each}", ' not in command] == []
    group = groups(overlay("ray-bulk"))["cpu"]
    assert sum(map(int, options.values())) <= int(group["rayStartParams"]["num-cpus"]) * group["maxReplicas"]
    assert job["submissionMode"] == "HTTPMode", "a pod that submits would need the token and a way to the head"
    assert job["shutdownAfterJobFinishes"]
