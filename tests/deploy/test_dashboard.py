"""The dashboard's queries and the rules, run by a real Prometheus that watches a real server."""

import contextlib
import json
import subprocess
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil
import pytest
import yaml

from tests.deploy.manifests import MONITORING, ROOT
from tests.deploy.monitoring import DASHBOARD, QUERIES, RECORDED
from tests.deploy.proxies import Proxy, running
from tests.made.programs import free_ports, program
from tests.made.torchserve import Server, call, start
from tests.made.videos import moving_disc

SCRAPE = 1  # seconds
BURST = 64  # requests at once: 28 more than one server's queue and batch hold
# Figures of a past in which a hundred maps, labels and verdicts an hour were as the default model's are.
PAST = {
    "model_method:staa_maps:rate1h": 100 / 3600,
    "model_method:staa_map_concentration:rate1h": 15 / 3600,
    "model:staa_labels:rate1h": 100 / 3600,
    "model:staa_doubt:rate1h": 2 / 3600,
    "model_method_source:staa_verdicts:increase6h": 600,
    "model_method_source:staa_distrusted:increase6h": 30,
    "model_method_source:staa_faithful:increase6h": 400,
}
# What Grafana puts in: its own interval, four scrapes and more, and the choices of the dashboard's variables.
VARIABLES = {"$__rate_interval": "5m", "${job}": "staa", "$job": "staa", "$model": ".+"}


@dataclass(frozen=True)
class Watch:
    """A Prometheus that watches a server."""

    server: Server
    url: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the series of an instant query, each with its labels and its value."""
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        reply = call(f"{self.url}/api/v1/query", f"query={quote(query)}".encode(), FORM)
        answer = json.loads(reply.body)
        assert answer["status"] == "success", f"{query}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def wait(self, query: str, seconds: float = 60) -> list[dict[str, Any]]:
        """Return the series of a query once there are some."""
        deadline = time.monotonic() + seconds
        while not (found := self.ask(query)):
            assert time.monotonic() < deadline, f"no data after {seconds:g} s: {query}"
            time.sleep(0.5)
        return found


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@contextlib.contextmanager
def background(*command: str | Path, cwd: Path) -> Iterator[None]:
    """Run a daemon until the block ends."""
    with (cwd / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log)
    try:
        yield
        assert process.poll() is None, (cwd / "log").read_text()
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def use(server: Server) -> None:
    """Ask for all that has a metric: maps, a check, a choice, a rule, no video, and more than the queue holds."""
    clip = moving_disc()
    path = f"{server.inference}/explanations/motions"
    class_map = {"X-Staa-Method": "staa_class", "X-Staa-Refine": "8", "X-Staa-Verify": "2"}
    assert call(path, clip).status == call(path, clip, class_map).status == 200
    assert call(path, clip, {"X-Staa-Explain-When": "score_below=0"}).status == 200
    assert call(path, b"no video at all").status == call(path, b"another one").status == 415
    with ThreadPoolExecutor(BURST) as pool:
        replies = list(pool.map(lambda _: call(f"{server.inference}/predictions/motions", clip).status, range(BURST)))
    assert set(replies) == {200, 503}


def before(server: Server) -> AbstractContextManager[Proxy]:
    """Run the proxy before a server, as in its pod."""
    inference, health, metrics = (urlsplit(url).port or 0 for url in (server.inference, server.health, server.metrics))
    return running(inference, health=health, metrics=metrics)


def audited(archive: Path) -> None:
    """Let a model's archive ask for the audit of every explanation."""
    with zipfile.ZipFile(archive) as packed:
        files = {info: packed.read(info) for info in packed.infolist()}
    with zipfile.ZipFile(archive, "w") as packed:
        for info, content in files.items():
            config = info.filename == "model-config.yaml"
            packed.writestr(info, content.replace(b"handler:\n", b"handler:\n  audit: 1\n") if config else content)


def remember(folder: Path) -> None:
    """Write a week of recorded figures, up to 2 hours ago, into a Prometheus' folder that is to be."""
    labels = {"model": 'job="staa",model="motions"'}
    labels["model_method"] = f'{labels["model"]},Method="staa"'
    labels["model_method_source"] = f'{labels["model_method"]},Source="audit"'
    now = int(time.time())
    lines = []
    for name, value in PAST.items():
        lines.append(f"# TYPE {name} gauge")
        lines += [f"{name}{{{labels[name.partition(':')[0]]}}} {value} {now - 3600 * age}" for age in range(168, 1, -1)]
    (folder / "past").write_text("\n".join([*lines, "# EOF", ""]))
    promtool = program("promtool", "apt-get install prometheus")
    command: list[str | Path] = [
        promtool,
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        folder / "past",
        folder / "data",
    ]
    subprocess.run(command, capture_output=True, timeout=60, check=True)


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Serve the default model behind the proxy, use it, and watch both by the example of a configuration."""
    daemon = program("prometheus", "apt-get install prometheus")
    probe = program("prometheus-blackbox-exporter", "apt-get install prometheus-blackbox-exporter")
    folder = tmp_path_factory.mktemp("watch")
    archive: list[str | Path] = [ROOT / "archive.sh", "motions", "--output", folder]
    subprocess.run(archive, capture_output=True, timeout=300, check=True)
    audited(folder / "motions.mar")
    remember(folder)
    port, prober = free_ports(2)
    with (
        start(folder, "motions") as server,
        before(server) as proxy,
    ):
        config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        config["global"] |= {"scrape_interval": f"{SCRAPE}s", "evaluation_interval": f"{SCRAPE}s"}
        rules = (MONITORING / "rules.yaml").read_text().replace("interval: 1m", f"interval: {SCRAPE}s")
        (folder / "rules.yaml").write_text(rules)
        for job in config["scrape_configs"]:
            job |= {"static_configs": [{"targets": [f"127.0.0.1:{proxy.plain}"]}], "scrape_timeout": f"{SCRAPE}s"}
        config["scrape_configs"][1]["relabel_configs"][-1]["replacement"] = f"127.0.0.1:{prober}"
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        listen = f"--web.listen-address=127.0.0.1:{port}"
        options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}", listen]
        blackbox = [f"--config.file={MONITORING / 'blackbox.yml'}", f"--web.listen-address=127.0.0.1:{prober}"]
        with background(probe, *blackbox, cwd=folder), background(daemon, *options, cwd=folder):
            seen = Watch(server, f"http://127.0.0.1:{port}")
            use(server)
            seen.wait('probe_success == 1 and on () up{job="staa"} == 1 and on () Requests5XX')
            seen.wait('staa_verdicts_total{Source="audit"} == 1')  # nothing is asked meanwhile
            use(server)  # a rate needs two values of each counter
            time.sleep(3 * SCRAPE)
            yield seen


def test_the_jobs_of_the_example_watch(watch: Watch) -> None:
    """The server's metrics and the proxy's are taken in, and the prober says that the server is ready."""
    jobs = {series["metric"]["job"]: series["value"][1] for series in watch.ask("up")}
    assert jobs == {"staa": "1", "staa-ready": "1", "staa-proxy": "1"}
    assert [series["value"][1] for series in watch.ask('up{job="staa"}')] == ["1"]
    assert [series["value"][1] for series in watch.ask('probe_success{job="staa-ready"}')] == ["1"]


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_dashboard_gives_data(watch: Watch, query: str) -> None:
    """A panel of a server in use shows numbers, and not nothing or NaN."""
    found = watch.wait(query)
    assert all(series["value"][1] != "NaN" for series in found), found


def test_the_models_to_choose_from_are_those_that_are_served(watch: Watch) -> None:
    """The dashboard's list of models is of the values of a label that there are."""
    (models,) = [each["definition"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    selector, label = models.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
    assert {series["metric"][label] for series in watch.ask(selector)} == {"motions"}


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_every_rule_records_something(watch: Watch, name: str) -> None:
    """A recorded figure of a server in use is there, of the model where it is one of a model."""
    labels = watch.wait(name)[0]["metric"]
    assert labels["job"] == "staa"
    assert not name.startswith("model") or labels["model"] == "motions"


def test_figures_are_those_of_the_requests(watch: Watch) -> None:
    """What is asked is what is answered and what finds no room; management's requests stand in neither."""
    counts = ("ts_inference_requests_total", "staa_answers_total", "Requests5XX", "Requests2XX", "Requests4XX")
    asked, answers, errors, fine, refused = (float(watch.ask(name)[0]["value"][1]) for name in counts)
    assert asked == 2 * (5 + BURST)
    assert answers == asked - errors
    assert fine + refused > answers
    assert watch.ask('ALERTS{alertname="StaaErrors"}'), "a burst beyond the queue is on its way to an alert"
    assert not watch.ask(
        'ALERTS{alertname=~"StaaDown|StaaAbsent|StaaNotReady|StaaReplicaNotReady|StaaNotServing|StaaWorkerRestarted|StaaProxyFull"}'
    )


def test_a_killed_worker_is_an_alert(watch: Watch) -> None:
    """The prober sees that no worker is ready, and once one is, its load time tells that it is another."""
    family = psutil.Process(watch.server.process.pid).children(recursive=True)
    (worker,) = [child for child in family if any("model_service_worker" in part for part in child.cmdline())]
    worker.kill()
    watch.wait("probe_success == 0")
    (alert,) = watch.wait('ALERTS{alertname="StaaWorkerRestarted", alertstate="firing"}', 120)
    assert alert["metric"]["WorkerName"].startswith("W-9000-motions")
    watch.wait("probe_success == 1")
