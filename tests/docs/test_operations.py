"""docs/operations.md says of timeouts what the files say, and they are in order."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from staa import Limits
from staa.serving import Settings
from staa_client import Timeout

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
TABLE = PAGE.partition("\n## Every timeout on the path\n")[2].partition("\n## ")[0]
ROWS: dict[tuple[str, str], float] = {
    (file, setting): float(seconds)
    for setting, seconds, file in re.findall(r"^\| `([^`]+)` \| ([\d.]+) \| `([^`]+)` \|", TABLE, re.MULTILINE)
}
POD = "deploy/kubernetes/base/deployment.yaml"
LIMITS = "deploy/proxy/limits.conf"
MODEL = "model_store/motions.yaml"


def actual(file: str, setting: str) -> float:
    """Return the seconds that a file sets: what its program takes, or what stands in it."""
    text = (ROOT / file).read_text()
    known = {
        "connect": Timeout().connect,
        "read": Timeout().read,
        "limits.seconds": Limits().seconds,
        "verify_seconds": Settings(weights="").verify_seconds,
        "batch_seconds": Settings(weights="").batch_seconds,
    }
    if file == POD:
        return of_pod(yaml.safe_load(text)["spec"]["template"]["spec"], setting)
    if file.endswith(".py") and not setting.startswith("--"):
        return float(known[setting] or math.inf)
    forms = {
        ".py": rf'"{setting}", .*default=(\d+)',
        ".conf": rf"^{setting} (\d+)s;" if not setting.endswith("_seconds") else rf"{setting} \{{ default (\d+); \}}",
        ".properties": rf"^{setting}=(\d+)$",
        ".yaml": rf"^{setting}: (\d+)$",
        ".yml": rf"^ *{setting}: (\d+)s$",
    }
    (found,) = re.findall(forms[Path(file).suffix], text, re.MULTILINE)
    return float(found) / (1000 if setting == "maxBatchDelay" else 1)


def of_pod(pod: dict[str, Any], setting: str) -> float:
    """Return what a pod's description sets: an option of the server, the patience of a probe, or a field."""
    containers = {each["name"]: each for each in pod["containers"]}
    if setting.startswith("--"):
        (found,) = [word for word in containers["server"]["args"] if word.startswith(f"{setting}=")]
        return float(found.partition("=")[2])
    if " " in setting:
        container, probe = setting.split()
        facts = containers[container][probe]
        return float(facts["periodSeconds"] * facts["failureThreshold"])
    return float(pod[setting])


@pytest.mark.parametrize(("file", "setting"), ROWS)
def test_a_timeout_is_the_one_of_its_file(file: str, setting: str) -> None:
    """Each row of the table names a setting that is there, with its value."""
    assert actual(file, setting) == ROWS[file, setting]


def test_every_timeout_of_the_proxy_is_in_the_table() -> None:
    """No time of nginx is left out; a new one has to be explained."""
    text = (ROOT / LIMITS).read_text()
    times = set(re.findall(r"^(\w+) \d+s;", text, re.MULTILINE)) - {"lingering_timeout"}
    assert {setting for file, setting in ROWS if file == LIMITS} == times
    assert len(ROWS) == len(re.findall(r"^\| `", TABLE, re.MULTILINE)), "a row is not of the table's form"


def test_they_are_in_order() -> None:
    """Who is further out waits longer, so that the one who knows the reason says it."""
    handler = (
        ROWS["video/staa_video/clip.py", "limits.seconds"] + ROWS["handler/staa/serving/settings.py", "verify_seconds"]
    )
    answer = ROWS[LIMITS, "proxy_read_timeout"]
    batch = ROWS["handler/staa/serving/settings.py", "batch_seconds"]
    assert (
        handler
        < batch
        <= 0.75 * ROWS[MODEL, "responseTimeout"]
        < ROWS[MODEL, "responseTimeout"]
        < answer
        <= ROWS[POD, "--drain"]
    )
    grace = ROWS[POD, "terminationGracePeriodSeconds"]
    assert ROWS[POD, "--quiet"] + ROWS[POD, "--drain"] + 20 < grace
    assert ROWS["deploy/proxy/nginx.conf", "worker_shutdown_timeout"] + ROWS[POD, "--quiet"] < grace
    assert answer < ROWS["deploy/proxy/nginx.conf", "worker_shutdown_timeout"]
    assert (
        ROWS[MODEL, "startupTimeout"]
        < ROWS["deploy/staa_serve/__main__.py", "--startup"]
        < ROWS[POD, "server startupProbe"]
    )
    assert ROWS[POD, "proxy readinessProbe"] <= ROWS["deploy/monitoring/prometheus.yml", "scrape_timeout"]


def test_a_full_queue_is_shorter_than_patience() -> None:
    """What the page says of the queue: eight batches, which take seconds and not the client's whole timeout."""
    model = yaml.safe_load((ROOT / MODEL).read_text())
    batches = model["jobQueueSize"] / model["batchSize"]
    wait = batches * (0.047 + 0.077 * model["batchSize"])
    assert f"Full, it holds {math.floor(batches)} batches, {wait:.1f} s" in PAGE
    assert wait < ROWS["client/staa_client/transport/deadline.py", "read"]
