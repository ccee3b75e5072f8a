"""Rules, alerts and dashboard are valid, tested, documented, and name only what is exposed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import MONITORING, ROOT
from tests.deploy.monitoring import ALERTS, DASHBOARD, QUERIES, RECORDED, RULES
from tests.made.programs import program

TESTS = sorted(MONITORING.glob("*.test.yaml"))
CASES: list[dict[str, Any]] = [case for path in TESTS for case in yaml.safe_load(path.read_text())["tests"]]
HISTOGRAMS = {
    entry["name"] for entry in yaml.safe_load((ROOT / "metrics.yaml").read_text())["model_metrics"]["histogram"]
}
# Not of the server: Prometheus' own, the prober's, and those of the kubelet.
ELSEWHERE = {"up", "ALERTS", "probe_success", "container_memory_working_set_bytes", "container_spec_memory_limit_bytes"}


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run promtool in the folder of the rules."""
    command = [program("promtool", "apt-get install prometheus"), *map(str, arguments)]
    return subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, timeout=180, check=False)


def metrics(expression: str) -> set[str]:
    """Return the names of the metrics in an expression, less a histogram's suffixes."""
    bare = re.sub(r'"[^"]*"', " ", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\boffset \w+|\b(by|on)\s*\([^)]*\)", " ", bare)
    names = re.findall(r"(?<![\w:])[A-Za-z_][\w:]*(?![\w:])(?!\s*\()", bare)
    words = {"and", "or", "unless"}
    parts = {f"{name}_{part}": name for name in HISTOGRAMS for part in ("bucket", "sum", "count")}
    return {parts.get(name, name) for name in names} - words


def test_prometheus_takes_the_files() -> None:
    """The example of a configuration, with the rules that it names, and the prober's are valid."""
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    prober = program("prometheus-blackbox-exporter", "apt-get install prometheus-blackbox-exporter")
    command = [prober, "--config.file", str(MONITORING / "blackbox.yml"), "--config.check"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def test_the_rules_do_what_their_tests_say() -> None:
    """Figures come out as they went in, and alerts fire when they should and not before."""
    done = promtool("test", "rules", *TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("broken", [{"expr": "vector(0) > 1"}, {"expr": "vector(1)", "for": "0s"}])
def test_alerts_that_are_broken_are_noticed(broken: dict[str, str], tmp_path: Path) -> None:
    """The tests of the rules tell of each alert that never fires, and of each that always does."""
    text = yaml.safe_load((MONITORING / "rules.yaml").read_text())
    for rule in text["groups"][-1]["rules"]:
        rule.update(broken)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(text))
    done = promtool("test", "rules", *(shutil.copy(path, tmp_path) for path in TESTS))
    assert done.returncode != 0
    assert {name for name in ALERTS if f"alertname: {name}," in done.stdout + done.stderr} == set(ALERTS)


def test_every_alert_is_tested_silent_and_firing() -> None:
    """Each alert has a case in which it is silent, and one in which it fires with labels and text."""
    tested = [test for case in CASES for test in case.get("alert_rule_test", [])]
    assert {test["alertname"] for test in tested if not test["exp_alerts"]} == set(ALERTS)
    assert {test["alertname"] for test in tested if test["exp_alerts"]} == set(ALERTS)


def test_every_alert_has_its_runbook() -> None:
    """The runbook has a section for each alert and no other, which the alert names, and which says what to do."""
    page = (ROOT / "docs" / "operations.md").read_text()
    sections = re.split(r"^### ", page.partition("\n## Runbook\n")[2].partition("\n## ")[0], flags=re.MULTILINE)[1:]
    bodies = {title.strip(): body for title, _, body in (section.partition("\n") for section in sections)}
    assert set(bodies) == set(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert len(bodies[name].split()) > 25, f"the runbook says too little of {name}"


def seconds(duration: str) -> int:
    """Return a duration of Prometheus in seconds."""
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def test_no_alert_is_shorter_than_a_start_or_a_stop() -> None:
    """What is asked of one pod waits longer than a pod may take to start, to stop, or to send its last replies."""
    text = (ROOT / "deploy" / "kubernetes" / "base" / "deployment.yaml").read_text()
    spec = yaml.safe_load(text)["spec"]["template"]["spec"]
    start = max(
        each["startupProbe"]["periodSeconds"] * each["startupProbe"]["failureThreshold"] for each in spec["containers"]
    )
    patience = seconds(ALERTS["StaaReplicaNotReady"]["for"])
    assert patience > max(start, spec["terminationGracePeriodSeconds"])
    found = re.search(r"\bworker_shutdown_timeout (\w+);", (ROOT / "deploy" / "proxy" / "nginx.conf").read_text())
    assert found
    assert seconds(ALERTS["StaaDown"]["for"]) > seconds(found[1])


def test_the_proxy_is_full_when_nginx_is() -> None:
    """The alert counts with the connections that callers may have, each of which nginx counts twice."""
    text = (ROOT / "deploy" / "proxy" / "connections.conf").read_text()
    callers = re.search(r"(?m)^limit_conn callers (\d+);", text)
    assert callers
    rule = ALERTS["StaaProxyFull"]
    assert f"> 0.8 * 2 * {callers[1]}" in rule["expr"]
    assert f"of the {callers[1]} that callers may have" in rule["annotations"]["summary"]


def test_rules_and_panels_name_metrics_that_are_exposed() -> None:
    """What is not recorded here stands in metrics.yaml, or is known to come from elsewhere."""
    listed = yaml.safe_load((ROOT / "metrics.yaml").read_text())
    exposed = {entry["name"] for part in listed.values() for kind in part.values() for entry in kind}
    exposed |= set(re.findall(r"# TYPE (\w+) ", (ROOT / "deploy" / "proxy" / "nginx.conf").read_text()))
    used = set().union(*(metrics(text) for text in [*QUERIES, *(rule["expr"] for rule in RULES)]))
    assert len(used) > 20
    assert used <= exposed | RECORDED | ELSEWHERE
    assert used >= RECORDED, "no figure is recorded for nobody"


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It has a fixed name, asks for its data source, and no panel hides another."""
    assert (DASHBOARD["uid"], DASHBOARD["schemaVersion"]) == ("staa-serve", 41)
    assert "id" not in DASHBOARD
    source = DASHBOARD["templating"]["list"][0]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["description"]
        assert {part["datasource"]["uid"] for part in [panel, *panel["targets"]]} == {"${datasource}"}
        grid = panel["gridPos"]
        own = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert not own & places, f"{panel['title']} lies over another panel"
        assert grid["x"] + grid["w"] <= 24
        places |= own
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
