"""Models of several labels: which of them a video has, in every form of a reply, and in the card."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from staa.errors import LoadError
from staa.serving import Settings, wire
from staa.types import Prediction
from tests.made.requests import film, tensor
from tests.made.services import Scripted, ask, scripted, service

SPEC = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())


@pytest.fixture
def several() -> Scripted:
    """Return an explainer of a tiny model of several labels."""
    explainer = scripted()
    explainer.signature = dataclasses.replace(explainer.signature, problem_type="multi_label_classification")
    return explainer


def follow(value: Any, schema: str) -> None:
    """Hold a value against a schema of the description."""
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{schema}", "components": SPEC["components"]})


def test_every_reply_says_which_labels_a_video_has(several: Scripted) -> None:
    """Those whose score reaches the threshold, with and without a map, in KServe's forms, as the card says it."""
    video = {"video": film(1), "top_k": 3}
    (plain,), _ = ask(service(several), [video], explain=False)
    threshold = plain["predictions"][1]["score"]
    served = service(several, settings=Settings("tiny", decoders=1, label_threshold=threshold))
    bodies = [video, {"instances": [video]}, tensor(film(1), parameters={"top_k": 3})]
    for explain in (False, True):
        (own, first, second), statuses = ask(served, bodies, explain=explain)
        assert statuses == [200, 200, 200]
        follow(own, "Explained" if explain else "Labels")
        follow(first, "KServeV1Reply")
        follow(second, "KServeV2Reply")
        outputs = {one["name"]: one for one in second["outputs"]}
        assert (outputs["present"]["datatype"], outputs["present"]["shape"]) == ("BOOL", [1, 3])
        for listed in (own["predictions"], first["predictions"][0]["predictions"]):
            assert [guess["present"] for guess in listed] == outputs["present"]["data"] == [True, True, False]
        assert json.loads(outputs["reply"]["data"][0])["predictions"] == own["predictions"]
    (card,), _ = ask(served, [{"describe": True}])
    follow(card, "Card")
    assert card["label_threshold"] == threshold


def test_without_a_threshold_it_is_a_half(several: Scripted) -> None:
    """A label counts whose score is written as 0.5."""
    model = wire.Model.of("tiny", "1.0", several.signature, Settings("tiny"))
    assert model.label_threshold == 0.5
    scores = (0.9, 0.5, 0.4999999, 0.49999)
    assert [model.is_present(Prediction(0, "a", score)) for score in scores] == [True, True, True, False]


@pytest.mark.parametrize("threshold", [0, 1])
def test_a_threshold_may_be_either_end(several: Scripted, threshold: int) -> None:
    """With 0 a video has every label, with 1 those alone that are certain."""
    settings = Settings.read({"weights": "tiny", "label_threshold": threshold})
    model = wire.Model.of("tiny", "1.0", several.signature, settings)
    assert model.is_present(Prediction(0, "a", 0.0)) is (threshold == 0)
    assert model.is_present(Prediction(0, "a", 1.0))


def test_a_model_of_one_label_says_nothing_of_it() -> None:
    """Neither its replies nor its card have the fields."""
    replies, _ = ask(service(), [{"video": film(1)}, tensor(film(1)), {"describe": True}])
    text = json.dumps(replies)
    assert "present" not in text
    assert "label_threshold" not in text


def test_a_threshold_for_a_model_of_one_label_is_refused() -> None:
    """It is an error of the configuration, when the model is loaded."""
    said = r"handler.label_threshold is 0.5, and this model gives each video one label .*leave it out"
    with pytest.raises(LoadError, match=said):
        service(settings=Settings("tiny", label_threshold=0.5))
