"""The handler without a server: what fails in one row's map is that row's error alone."""

import json
from typing import Any

import numpy as np
import pytest

from staa import attribution, decode
from staa.attribution import Method, Reading
from tests import archives, families, videos
from tests.families import VARIANTS

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""TorchServe leaves files open, when it is imported too."""


class Context:
    """TorchServe's context, as far as the handler asks it: headers of each row in, statuses out."""

    def __init__(self, weights: str, rows: list[dict[str, str]]) -> None:
        self.model_name = "tiny"
        self.manifest = {"model": {"modelVersion": "1.0"}}
        self.model_yaml_config: dict[str, dict[str, Any]] = {"handler": {"weights": weights, "device": "cpu"}}
        self.system_properties = {"model_dir": weights, "batch_size": "1"}
        from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

        self.metrics = MetricsCacheYamlImpl("metrics.yaml")
        self.metrics.initialize_cache()
        self.rows = rows
        self.statuses: dict[int, int] = {}
        self.timings: dict[int, str] = {}

    def get_request_header(self, row: int, name: str) -> str | None:
        """One header of a row."""
        return self.rows[row].get(name)

    def get_all_request_header(self, row: int) -> dict[str, str]:
        """All headers of a row."""
        return self.rows[row]

    def get_request_id(self, row: int) -> str:
        """What TorchServe calls the row."""
        return f"request-{row}"

    def set_response_status(self, code: int, _phrase: str, row: int) -> None:
        """Keep the status of a row."""
        self.statuses[row] = code

    def set_response_content_type(self, *_: Any) -> None:
        """Not looked at."""

    def set_response_header(self, row: int, name: str, value: str) -> None:
        """Keep the times of a row."""
        if name == "Server-Timing":
            self.timings[row] = value


def fail(_reading: Reading) -> Any:
    """A method that cannot."""
    raise ZeroDivisionError


def not_a_number(reading: Reading) -> Any:
    """A method whose numbers overflowed."""
    joint, _ = attribution.staa(reading)
    return joint * float("nan"), None


@pytest.mark.parametrize("method", [fail, not_a_number])
def test_a_map_that_fails_is_its_rows_error_alone(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, method: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """A method that raises, or gives NaN, is 500 for its row; labels and maps of the other rows are as ever."""
    from staa_handler import StaaHandler

    folder = families.save(VARIANTS["vivit"].make(), tmp_path)
    monkeypatch.setitem(attribution.METHODS, "broken", Method(method))
    wants = [{"explain": "True"}, {"explain": "True", "X-Staa-Method": "broken"}, {"explain": "False"}]
    context = Context(str(folder), wants)
    handler = StaaHandler()
    handler.initialize(context)
    clip = videos.encode(videos.images(12))
    replies = [json.loads(reply) for reply in handler.handle([{"body": clip}] * 3, context)]
    assert context.statuses == {0: 200, 1: 500, 2: 200}
    assert replies[1]["error"]["code"] == "internal"
    assert np.sum(replies[0]["explanation"]["joint"]) == pytest.approx(1, abs=1e-3)
    assert replies[0]["predictions"] == replies[2]["predictions"]
    assert "explanation" not in replies[2]
    capfd.readouterr()


def test_a_map_that_cannot_be_verified_is_its_rows_error_alone(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Checking one map fails, another takes too long, a third is well: 500, 413 and 200, and labels are as ever."""
    from staa_handler import StaaHandler

    folder = families.save(VARIANTS["vivit"].make(), tmp_path)
    asked = {"explain": "True", "X-Staa-Verify": "2"}
    context = Context(str(folder), [asked, {**asked, "X-Staa-Verify": "3"}, {**asked, "X-Staa-Verify": "4"}, {}])
    context.system_properties["batch_size"] = "4"
    handler = StaaHandler()
    handler.initialize(context)
    good = handler.explainer.verify

    def verify(pixels: Any, logits: Any, found: Any, points: int, batch: int, seconds: float) -> Any:
        assert batch == 4
        if points == 2:
            raise ZeroDivisionError
        return good(pixels, logits, found, points, batch, 0 if points == 3 else seconds)

    monkeypatch.setattr(handler.explainer, "verify", verify)
    clip = videos.encode(videos.images(12))
    replies = [json.loads(reply) for reply in handler.handle([{"body": clip}] * 4, context)]
    assert context.statuses == {0: 500, 1: 413, 2: 200, 3: 200}
    assert [reply["error"]["code"] for reply in replies[:2]] == ["internal", "too_slow"]
    assert replies[2]["explanation"]["faithfulness"]["cost"]["clips"] == 34
    assert replies[2]["predictions"] == replies[3]["predictions"]
    capfd.readouterr()


def test_cards_and_frames_in_a_mixed_batch(tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """A card, a file, its frames, a zip that is none, and a bad archive: each its own answer, none disturbs another."""
    from staa_handler import StaaHandler

    folder = families.save(VARIANTS["vivit"].make(), tmp_path)
    asked = {"explain": "True"}
    context = Context(str(folder), [{"X-Staa-Describe": "true"}, asked, asked, asked, asked, asked])
    handler = StaaHandler()
    handler.initialize(context)
    file = videos.encode(videos.images(12))
    clip = decode(file, handler.explainer.grid.frames)
    images = [archives.encode(image) for image in clip.frames]
    archive = archives.pack(archives.about(clip), images)
    other = archive.replace(b"clip.json", b"menu.json")
    broken = archives.pack(archives.about(clip, fps=-1), images)
    bodies: list[Any] = [b"", file, archive, other, broken, {"describe": True}]
    replies = [json.loads(reply) for reply in handler.handle([{"body": body} for body in bodies], context)]
    assert context.statuses == {0: 200, 1: 200, 2: 200, 3: 415, 4: 400, 5: 200}
    assert replies[0] == replies[5]
    assert replies[0]["input"]["frames"] == handler.explainer.grid.frames
    assert replies[0]["labels"] == list(handler.explainer.labels)
    assert replies[1] == replies[2]
    assert [reply["error"]["code"] for reply in replies[3:5]] == ["not_a_video", "request_invalid"]
    assert "decode;dur=" in context.timings[2]
    assert 0 not in context.timings
    capfd.readouterr()


def test_cards_alone_cost_no_forward_pass(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A batch of cards runs no model, whatever comes along; they are the same on both paths."""
    from staa_handler import StaaHandler

    folder = families.save(VARIANTS["vivit"].make(), tmp_path)
    card = {"X-Staa-Describe": "true"}
    context = Context(str(folder), [card, {**card, "explain": "True"}, {**card, "X-Staa-Method": "rollout"}])
    context.model_yaml_config["handler"]["methods"] = ["staa"]
    handler = StaaHandler()
    handler.initialize(context)
    monkeypatch.setattr(handler.explainer, "forward", fail)
    replies = handler.handle([{}, {"body": b"noise"}, {"body": b""}], context)
    assert context.statuses == {0: 200, 1: 200, 2: 200}
    assert len(set(replies)) == 1
    assert list(json.loads(replies[0])["methods"]) == ["staa"]
    capfd.readouterr()
