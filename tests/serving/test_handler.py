"""TorchServe's adapter: its rows and headers arrive, statuses, headers and measurements go where it has them."""

import json
import logging
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from staa.verify import VERDICTS
from tests.made import families
from tests.made.families import VARIANTS
from tests.made.requests import NOISE, film

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""TorchServe leaves files open, when it is imported too."""


class Context:
    """Stand for TorchServe's context, as far as the handler asks it: headers of each row in, statuses out."""

    def __init__(self, weights: str, rows: list[dict[str, str]]) -> None:
        self.model_name = "tiny"
        self.manifest = {"model": {"modelVersion": "1.0"}}
        self.model_yaml_config: dict[str, Any] = {"handler": {"weights": weights, "device": "cpu"}}
        self.system_properties = {"model_dir": weights, "batch_size": "2"}
        from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

        self.metrics = MetricsCacheYamlImpl("metrics.yaml")
        self.metrics.initialize_cache()
        self.rows = rows
        self.statuses: dict[int, tuple[int, str]] = {}
        self.headers: dict[int, dict[str, str]] = {}

    def get_request_header(self, row: int, name: str) -> str | None:
        """Return one header of a row."""
        return self.rows[row].get(name)

    def get_all_request_header(self, row: int) -> dict[str, str]:
        """Return all headers of a row."""
        return self.rows[row]

    def get_request_id(self, row: int) -> str:
        """Return what TorchServe calls the row."""
        return f"request-{row}"

    def set_response_status(self, code: int, phrase: str, row: int) -> None:
        """Keep the status of a row."""
        self.statuses[row] = code, phrase

    def set_response_content_type(self, row: int, value: str) -> None:
        """Keep the content type of a row."""
        self.set_response_header(row, "content-type", value)

    def set_response_header(self, row: int, name: str, value: str) -> None:
        """Keep a header of a row."""
        self.headers.setdefault(row, {})[name] = value


def test_a_batch_of_torchserves_rows(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Labels, maps and a refusal: statuses with their phrases, content types, times, and metrics of metrics.yaml."""
    from staa_handler import StaaHandler

    folder = families.save(VARIANTS["vivit"].make(), tmp_path)
    wants = [{"explain": "False"}, {"explain": "True", "X-Staa-Maps": "npz"}, {"explain": "True"}]
    context = Context(str(folder), wants)
    handler = StaaHandler()
    handler.initialize(context)
    film_body = {"body": {"video": film(1)}}
    with caplog.at_level(logging.INFO):
        replies = handler.handle([film_body, film_body, {"body": {"video": NOISE}}], context)
    assert context.statuses == {0: (200, "OK"), 1: (200, "OK"), 2: (415, "Unsupported Media Type")}
    assert [context.headers[row]["content-type"] for row in range(3)] == [
        "application/json", "application/x-npz", "application/json"
    ]  # fmt: skip
    assert "decode;dur=" in context.headers[0]["Server-Timing"]
    assert json.loads(replies[0])["model"] == {"name": "tiny", "version": "1.0", "family": "vivit", "classes": 5}
    assert json.loads(replies[2])["error"]["code"] == "not_a_video"
    handler.service.close()
    written = caplog.text
    assert "staa_answers_total.Count:3|#ModelName:tiny" in written
    assert "staa_rows_total.Count:3|#ModelName:tiny" in written
    assert "staa_forwards_total.Count:1|#ModelName:tiny" in written
    assert "staa_decode_seconds.Seconds:" in written
    assert "staa_map_concentration.Ratio:" in written
    assert written.count("staa_doubt.Ratio:") == 2


def test_an_audit_counts_between_two_batches(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    """TorchServe's metric is a line of the log, which is written while no batch is under way."""
    from staa_handler import StaaHandler

    context = Context(str(families.save(VARIANTS["vivit"].make(), tmp_path)), [{"explain": "True"}])
    context.model_yaml_config["handler"]["audit"] = 1
    handler = StaaHandler()
    handler.initialize(context)
    with caplog.at_level(logging.INFO):
        handler.handle([{"body": {"video": film(1)}}], context)
        deadline = time.monotonic() + 20
        while "staa_verdicts_total" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.05)
    handler.service.close()
    verdicts = re.findall(
        r"staa_verdicts_total\.Count:(\d)\|#ModelName:tiny,Method:staa,Verdict:(\w+),Source:audit", caplog.text
    )
    assert sorted(code for _, code in verdicts) == sorted(VERDICTS)
    assert sum(int(count) for count, _ in verdicts) == 1


@pytest.mark.parametrize(("patience", "seconds"), [(None, 90), (60, 45)])
def test_torchserves_patience_bounds_a_batch(tmp_path: Any, patience: float | None, seconds: float) -> None:
    """The model's responseTimeout is taken, or else TorchServe's own default of 120 s."""
    from staa_handler import StaaHandler

    context = Context(str(families.save(VARIANTS["vivit"].make(), tmp_path)), [])
    context.model_yaml_config["responseTimeout"] = patience
    handler = StaaHandler()
    handler.initialize(context)
    handler.service.close()
    assert handler.service.batch_seconds == seconds


def test_a_worker_whose_gpu_is_lost_ends() -> None:
    """It says why and leaves with 1, so that TorchServe starts another."""
    code = "import logging; logging.basicConfig(); from staa_handler import _end_worker; _end_worker()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "this worker ends" in done.stderr
