"""docs/how-to/move-from-torchserve.md: nginx takes its blocks, and its tables have every setting that there is.

Its commands are run at both homes by tests/contract/test_moving.py.
"""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import proxies

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "move-from-torchserve.md").read_text()
UPSTREAMS = re.findall(r"^```nginx\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
STARTS = re.findall(r"^    \./scale\.sh (.*?) *#", PAGE, re.MULTILINE)


def section(heading: str) -> str:
    """Return what stands under a heading."""
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def keys_of(heading: str) -> set[str]:
    """Return the words in backticks in the first column of a table."""
    rows = re.findall(r"^\| (.*?) \| ", section(heading), re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([\w.]+):?`", row)}


def test_the_ways_to_start_are_arguments() -> None:
    """Each option by which the page starts Ray is one that the command takes."""
    command = (ROOT / "scale" / "__main__.py").read_text()
    assert len(STARTS) == 2
    for line in STARTS:
        *options, name = shlex.split(line)
        assert name == "motions"
        for option in options[::2]:
            assert f'add_argument("{option}", ' in command


@pytest.mark.parametrize("number", range(len(UPSTREAMS)))
def test_the_proxy_takes_the_servers(number: int, tmp_path: Path) -> None:
    """Each block is a servers.conf that nginx takes, with every group of the one that is shipped."""
    for path in proxies.CONFIGURATION.iterdir():
        if path.suffix in {".conf", ".js"}:
            (tmp_path / path.name).write_text(path.read_text().replace(" /tmp/", f" {tmp_path}/"))
    shipped = (tmp_path / "servers.conf").read_text()
    (tmp_path / "servers.conf").write_text(UPSTREAMS[number])
    groups = [re.findall(r"^upstream (\w+) \{", text, re.MULTILINE) for text in (shipped, UPSTREAMS[number])]
    assert groups[0] == groups[1]
    done = subprocess.run(
        [proxies.nginx(), "-t", "-e", "stderr", "-c", tmp_path / "nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_of_torchserve_has_its_row() -> None:
    """No key of config.properties and of the model's yaml is left out of the two tables."""
    lines = (ROOT / "config.properties").read_text().splitlines()
    ours = {line.partition("=")[0] for line in lines if re.match(r"\w+=", line)}
    ours = {re.sub(r"^(grpc_)management_", r"\1inference_", name) for name in ours}
    assert ours <= keys_of("Settings: config.properties")
    model: dict[str, Any] = yaml.safe_load((ROOT / "model_store" / "motions.yaml").read_text())
    assert model.keys() | {"version", "deviceType"} <= keys_of("Settings: the model's yaml")


def test_every_metric_of_the_frontend_has_its_row() -> None:
    """What the frontend of TorchServe measures, unless it is off, is in the table."""
    metrics = yaml.safe_load((ROOT / "metrics.yaml").read_text())
    machine = re.compile("CPU|Memory|Disk|GPU")
    names = {each["name"] for kind in metrics["ts_metrics"].values() for each in kind}
    names |= {each["name"] for each in metrics["model_metrics"]["gauge"]}
    assert {name for name in names if not machine.match(name)} <= keys_of("Metrics")


def test_every_option_of_the_other_command_is_named() -> None:
    """No option of ./serve.sh is passed over."""
    text = (ROOT / "deploy" / "staa_serve" / "__main__.py").read_text()
    options = set(re.findall(r'"(--[a-z-]+)"', text))
    assert len(options) > 6
    assert [each for each in sorted(options) if f"`{each}`" not in PAGE] == []
