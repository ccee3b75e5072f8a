"""Names, labels, ports, paths and times in the manifests are those of the objects and programs that they point to."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from staa_serve.__main__ import arguments
from tests.deploy.manifests import OVERLAYS, ROOT, Object, compose, containers, of, overlay, pods, render

PROXY = ROOT / "deploy" / "proxy"
STOP = 20  # seconds that staa_serve gives the frontend and its workers to end


def configuration() -> dict[str, str]:
    """Return the settings of config.properties."""
    lines = (ROOT / "config.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def nginx(name: str) -> str:
    """Return one of the proxy's files without its comments."""
    return re.sub(r"(?m)(^|\s)#.*$", "", (PROXY / name).read_text())


def proxy_seconds(directive: str) -> float:
    """Return a time of the proxy, in seconds."""
    match = re.search(rf"\b{directive}\s+(\d+)s;", nginx("limits.conf") + nginx("nginx.conf"))
    assert match, directive
    return float(match[1])


def listener(port: int) -> str:
    """Return the server block of the proxy that listens on a port."""
    blocks = re.split(r"\bserver \{", nginx("nginx.conf"))
    return next(block for block in blocks if re.search(rf"\blisten (0\.0\.0\.0|127\.0\.0\.1):{port}\b", block))


def server(pod: Object) -> Object:
    """Return the container of the server."""
    return next(each for each in pod["spec"]["containers"] if each["name"] in {"server", "kserve-container"})


def proxy(pod: Object) -> Object:
    """Return the container of the proxy."""
    return next(each for each in pod["spec"]["containers"] if each["name"] == "proxy")


def ports(pod: Object) -> dict[str, int]:
    """Return a pod's named ports."""
    return {port["name"]: port["containerPort"] for each in pod["spec"]["containers"] for port in each.get("ports", [])}


def everything(tmp_path: Path) -> list[Object]:
    """Return the objects with all components."""
    return render(compose(tmp_path, ["fetch", "gpu", "ingress", "keda", "monitoring"]))


@pytest.mark.parametrize("name", OVERLAYS)
def test_selectors_find_the_pods(name: str) -> None:
    """Whatever selects pods by labels selects ours, and does so by labels that never change."""
    objects = overlay(name)
    ((_, pod),) = pods(objects)
    labels = pod["metadata"]["labels"].items()
    selectors = [
        each["spec"]["selector"]["matchLabels"]
        for kind in ("Deployment", "PodDisruptionBudget")
        for each in of(objects, kind).values()
    ]
    selectors += [each["spec"]["selector"] for each in of(objects, "Service").values()]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in of(objects, "NetworkPolicy").values()]
    selectors += [each["labelSelector"]["matchLabels"] for each in pod["spec"]["topologySpreadConstraints"]]
    assert len(selectors) >= 3
    for selector in selectors:
        assert selector
        assert selector.items() <= labels


def test_ports_lead_to_the_proxy(tmp_path: Path) -> None:
    """Every port that is named exists in the pod, and the proxy listens on it."""
    objects = everything(tmp_path)
    ((_, pod),) = pods(objects)
    assert ports(pod) == {"https": 8443, "internal": 9180}
    assert not server(pod).get("ports"), "TorchServe is not to be reached"
    for port in ports(pod).values():
        assert listener(port)
    for service in of(objects, "Service").values():
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports(pod).keys()
    for policy in of(objects, "NetworkPolicy").values():
        assert {each["port"] for rule in policy["spec"].get("ingress", []) for each in rule["ports"]} <= ports(
            pod
        ).keys()
    paths = of(objects, "Ingress")["staa"]["spec"]["rules"][0]["http"]["paths"]
    services = of(objects, "Service")
    for each in paths:
        backend = each["backend"]["service"]
        assert backend["port"]["name"] in {port["name"] for port in services[backend["name"]]["spec"]["ports"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_probes_ask_what_is_there(name: str) -> None:
    """Probes of the server ask its health port by commands, those of the proxy its open port; none needs a key."""
    for _, pod in pods(overlay(name)):
        assert urlsplit(configuration().get("health_address", "http://127.0.0.1:8083")).port == 8083, "probe.sh's own"
        for kind, what in (("startup", "ready"), ("liveness", "live"), ("readiness", "ready")):
            probe = server(pod)[f"{kind}Probe"]
            assert probe["exec"]["command"] == ["/app/deploy/staa_serve/probe.sh", what]
            assert probe["timeoutSeconds"] > 2, "the longest that probe.sh takes"
        block = listener(9180)
        for kind in ("startup", "liveness", "readiness"):
            target = proxy(pod)[f"{kind}Probe"]["httpGet"]
            assert ports(pod)[target["port"]] == 9180
            assert re.search(rf"location = {target['path']} {{", block), target["path"]
        assert "upstream" not in block
        alive = re.search(rf"location = {proxy(pod)['livenessProbe']['httpGet']['path']} {{([^}}]*)}}", block)
        assert alive
        assert "proxy_pass" not in alive[1], "the proxy is not restarted because the server is away"
        (_, _, ready) = block.partition(f"location = {proxy(pod)['readinessProbe']['httpGet']['path']} {{")
        assert "proxy_pass http://health/ready;" in ready.partition("location")[0], "readiness is the server's"


def test_mounts_are_where_the_programs_look(tmp_path: Path) -> None:
    """Every mount has its volume, every volume its mount, and the proxy reads its files where they are mounted."""
    objects = everything(tmp_path)
    ((_, pod),) = pods(objects)
    volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
    mounts = {mount["name"] for each in containers(pod["spec"]) for mount in each["volumeMounts"]}
    assert mounts == volumes.keys()
    made = of(objects, "ConfigMap")
    assert {each["configMap"]["name"] for each in volumes.values() if "configMap" in each} <= made.keys()
    where = {mount["name"]: mount["mountPath"] for mount in proxy(pod)["volumeMounts"]}
    assert f"nginx -e stderr -c {where['proxy-config']}/nginx.conf" in (PROXY / "nginx.conf").read_text()
    assert re.search(rf"\bdefault {where['keys']}/keys;", nginx("nginx.conf"))
    assert re.search(rf"\bdefault {where['tls']};", nginx("nginx.conf"))
    assert all(mount.get("readOnly") for mount in proxy(pod)["volumeMounts"] if mount["name"] != "proxy-tmp")
    assert not any("subPath" in mount for each in containers(pod["spec"]) for mount in each["volumeMounts"]), (
        "keys would stay old"
    )
    fetch = pod["spec"]["initContainers"][0]
    listed = next(each for name, each in made.items() if name.startswith("staa-fetch"))["data"]
    assert {Path(each).name for each in fetch["command"][1:3]} == listed.keys()
    assert fetch["command"][3] == server(pod)["args"][-1].removeprefix("--store=") == "/models"


def test_the_proxys_files_are_all_there() -> None:
    """The ConfigMap holds every file that nginx reads: each .conf and .js of deploy/proxy."""
    data = next(
        each["data"] for name, each in of(overlay("plain"), "ConfigMap").items() if name.startswith("staa-proxy")
    )
    assert data.keys() == {path.name for path in PROXY.iterdir() if path.suffix in {".conf", ".js"}}
    for name in re.findall(r"(?:include|js_import \w+ from) ([\w.]+);", "".join(data.values())):
        assert name in data, name


def test_bodies_fit_where_they_wait() -> None:
    """The proxy's /tmp holds as many bodies, of the largest size, as the proxy takes in at the same time."""
    ((_, pod),) = pods(overlay("plain"))
    limits = nginx("limits.conf")
    size, large = (re.search(rf"{key} (\d+);", limits) for key in ("client_max_body_size", "limit_conn large"))
    assert size
    assert large
    room = next(each for each in pod["spec"]["volumes"] if each["name"] == "proxy-tmp")["emptyDir"]["sizeLimit"]
    most = proxy(pod)["resources"]["limits"]["ephemeral-storage"]
    assert int(size[1]) * int(large[1]) <= int(room.removesuffix("Gi")) << 30
    assert int(room.removesuffix("Gi")) < int(most.removesuffix("Gi"))
    assert int(size[1]) == int(configuration()["max_request_size"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_grace_period_is_longer_than_the_longest_stop(name: str) -> None:
    """No request is cut off by the end of a pod: the times of server, proxy and Kubernetes fit into each other."""
    slowest = float(configuration()["default_response_timeout"])
    for path in (ROOT / "model_store").glob("*.yaml"):
        slowest = max(slowest, yaml.safe_load(path.read_text()).get("responseTimeout", 0))
    for _, pod in pods(overlay(name)):
        options = arguments(server(pod)["args"])
        grace = pod["spec"]["terminationGracePeriodSeconds"]
        assert options.quiet >= 5, "endpoints take a few seconds to be taken away everywhere"
        assert proxy_seconds("proxy_read_timeout") > slowest, "else the proxy gives up before the worker does"
        assert options.drain >= proxy_seconds("proxy_read_timeout"), "what the proxy waits for is answered"
        (hook,) = re.findall(r"^sleep (\d+)\nkill -QUIT", proxy(pod)["lifecycle"]["preStop"]["exec"]["command"][-1])
        assert 5 <= int(hook) < options.quiet, "the server still takes requests when the proxy's port closes"
        assert grace > options.quiet + options.drain + STOP
        assert grace > int(hook) + proxy_seconds("worker_shutdown_timeout")
        assert options.front in {
            port["containerPort"] for each in (server(pod), proxy(pod)) for port in each.get("ports", [])
        }
        for each in (server(pod), proxy(pod)):
            for probe in ("startupProbe", "livenessProbe"):
                assert each[probe]["terminationGracePeriodSeconds"] <= 30, "what hangs has nothing to finish"
        assert re.search(r"\bpid /tmp/nginx\.pid;", nginx("nginx.conf"))
        start = server(pod)["startupProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] > options.startup, "staa_serve says why it gave up"
        assert options.names == (["motions"] if name != "kserve" else ["{{.Name}}"])
    for each in of(overlay(name), "Deployment").values():
        assert each["spec"]["progressDeadlineSeconds"] > start["periodSeconds"] * start["failureThreshold"]
        assert each["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_autoscalers_have_their_target(tmp_path: Path) -> None:
    """Both autoscalers scale the Deployment that there is, by a container and by metrics that there are."""
    plain = overlay("plain")
    scaler = of(plain, "HorizontalPodAutoscaler")["staa"]["spec"]
    target = of(plain, "Deployment")[scaler["scaleTargetRef"]["name"]]
    wanted = scaler["metrics"][0]["containerResource"]
    chosen = next(
        each for each in target["spec"]["template"]["spec"]["containers"] if each["name"] == wanted["container"]
    )
    assert wanted["name"] in chosen["resources"]["requests"]
    objects = everything(tmp_path)
    queue = of(objects, "ScaledObject")["staa"]["spec"]
    assert queue["scaleTargetRef"]["name"] in of(objects, "Deployment")
    metrics: dict[str, Any] = yaml.safe_load((ROOT / "metrics.yaml").read_text())
    known = {each["name"] for part in ("ts_metrics", "model_metrics") for each in metrics[part]["counter"]}
    used = [set(re.findall(r"rate\((\w+)", each["metadata"]["query"])) for each in queue["triggers"]]
    assert used == [{"ts_inference_requests_total"}, {"ts_queue_latency_microseconds", "staa_answers_total"}]
    assert set().union(*used) <= known


def test_prometheus_finds_the_metrics() -> None:
    """The monitors select the Service of the metrics, its port and a path of the proxy, under the jobs of the rules."""
    objects = overlay("monitoring")
    monitors = of(objects, "ServiceMonitor")
    watched: dict[str, str] = {}
    for each in monitors.values():
        chosen = [
            service
            for service in of(objects, "Service").values()
            if each["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        ]
        assert [service["metadata"]["name"] for service in chosen] == ["staa-metrics"]
        for endpoint in each["spec"]["endpoints"]:
            assert endpoint["port"] in {port["name"] for port in chosen[0]["spec"]["ports"]}
            labels = [label for label in endpoint["relabelings"] if "replacement" in label]
            changed = {label["targetLabel"]: label["replacement"] for label in labels}
            path = "/ready" if "__param_target" in changed else endpoint["path"]
            assert f"location = {path} {{" in listener(9180)
            watched[changed["job"]] = path
    assert watched == {"staa": "/metrics", "staa-ready": "/ready", "staa-proxy": "/metrics/proxy"}
    rules = yaml.safe_dump(of(objects, "PrometheusRule")["staa"])
    assert watched.keys() == set(re.findall(r'job="([^"]+)"', rules))


def test_the_ingress_lets_through_what_the_server_takes() -> None:
    """The ingress takes bodies as large and waits as long as the proxy behind it, and shows callers' paths alone."""
    ingress = of(overlay("ingress"), "Ingress")["staa"]
    said = {key.rsplit("/")[-1]: value for key, value in ingress["metadata"]["annotations"].items()}
    assert int(said["proxy-body-size"].removesuffix("m")) << 20 == int(configuration()["max_request_size"])
    assert float(said["proxy-read-timeout"]) >= proxy_seconds("proxy_read_timeout")
    assert said["backend-protocol"] == "HTTPS"
    if said.get("proxy-ssl-verify") != "on":
        for page in ("kubernetes.md", "security.md"):
            assert "encrypted and not authenticated" in (ROOT / "docs" / page).read_text()
    paths = [each["path"] for each in ingress["spec"]["rules"][0]["http"]["paths"]]
    assert paths == ["/predictions", "/explanations", "/v1/models", "/v2/models", "/models"]
    for path in paths:
        assert f"location {'= /models' if path == '/models' else f'{path}/'} {{" in listener(8444)


def test_kserve_puts_the_pod_together() -> None:
    """KServe's objects name each other, and mean the same containers as the Deployment, but for names and the store."""
    objects = overlay("kserve")
    (service,) = of(objects, "InferenceService").values()
    (runtime,) = of(objects, "ServingRuntime").values()
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in {each["name"] for each in runtime["spec"]["supportedModelFormats"]}
    assert set(runtime["spec"]["protocolVersions"]) == {"v1", "v2"}
    assert runtime["spec"]["containers"][0]["ports"][0]["containerPort"] == 8443, "KServe's Service leads there"
    ((_, ours),), ((_, theirs),) = pods(overlay("plain")), pods(objects)
    differing = {"name", "args", "env", "ports"}
    for mine, other in zip(ours["spec"]["containers"], theirs["spec"]["containers"], strict=True):
        assert {key: mine[key] for key in mine.keys() - differing} == {
            key: other[key] for key in other.keys() - differing
        }
    assert ours["spec"]["volumes"] == theirs["spec"]["volumes"]
    for key in ("securityContext", "terminationGracePeriodSeconds", "topologySpreadConstraints"):
        assert ours["spec"][key] == theirs["spec"][key]
    assert server(ours)["args"][1:] == [each for each in server(theirs)["args"][1:] if not each.startswith("--store=")]
