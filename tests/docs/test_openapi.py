"""docs/openapi.yaml and the code say the same: options, encodings, methods, families, error codes."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from openapi_spec_validator import validate

import staa.errors
from staa import Explainer, Grid, Limits
from staa.attribution import METHODS
from staa.errors import LoadError, RequestError, StaaError, TooLargeError
from staa.families import FAMILIES
from staa.recipe import Recipe
from staa.refine import CANDIDATES
from staa.serving import Settings, wire
from staa.signature import Signature
from staa.verify import VERDICTS
from staa_client.video.frames import KIND
from staa_video.frames_archive import FORM, unpack
from tests.made import archives

SPEC = Path(__file__).parents[2] / "docs" / "openapi.yaml"


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    """The description of the contract."""
    loaded: dict[str, Any] = yaml.safe_load(SPEC.read_text())
    return loaded


def test_the_description_is_valid(spec: dict[str, Any]) -> None:
    """It is OpenAPI 3.1."""
    validate(spec)
    assert spec["openapi"].startswith("3.1.")


def test_the_same_options(spec: dict[str, Any]) -> None:
    """Every option is described as a header, as a multipart field and as a JSON key, and none that is not read."""
    parts = spec["components"]
    headers = {one["name"] for one in parts["parameters"].values() if one["in"] == "header"}
    assert headers == {f"X-Staa-{name.replace('_', '-').title()}" for name in wire.READERS}
    form = parts["requestBodies"]["Video"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(form) == {"video", *wire.READERS}
    assert set(parts["schemas"]["JsonRequest"]["properties"]) == {"video", *wire.READERS}


def test_the_same_names(spec: dict[str, Any]) -> None:
    """Encodings, methods and families are those of the code."""
    schemas = spec["components"]["schemas"]
    assert schemas["Maps"]["enum"] == list(wire.ENCODINGS)
    assert schemas["Method"]["enum"] == list(METHODS)
    assert schemas["Faithfulness"]["properties"]["verdict"]["enum"] == list(VERDICTS)
    assert schemas["Candidate"]["enum"] == list(CANDIDATES)
    assert schemas["Model"]["properties"]["family"]["enum"] == list(FAMILIES)


def test_the_card_is_as_described(spec: dict[str, Any]) -> None:
    """The card of the default model is the example, and follows the schema."""
    store = SPEC.parents[1] / "model_store"
    explainer = Explainer.load(store / "motions", "cpu")
    settings = Settings.read(yaml.safe_load((store / "motions.yaml").read_text())["handler"])
    model = wire.Model("motions", "0.1.0", explainer.family, explainer.labels, settings.about)
    body, kind = wire.card(model, explainer.signature, settings)
    assert kind == "application/json"
    content = spec["paths"]["/predictions/{model}"]["post"]["responses"]["200"]["content"]["application/json"]
    assert json.loads(body) == content["examples"]["card"]["value"]
    follow(spec, json.loads(body), "Card")


def test_the_card_of_every_recipe(spec: dict[str, Any]) -> None:
    """A resize to rows and columns, or none, and few methods follow the schema, and are what they are."""
    model = wire.Model("tiny", "1.0", "vivit", ["a", "b"])
    settings = Settings("w", methods=("staa",), verify=0, refine=0, limits=Limits(bytes=10**6, seconds=0.5))
    for resize, told in ((None, None), (64, 64), ((40, 60), [40, 60])):
        recipe = Recipe(resize, "bilinear", (32, 48), (1.0,) * 3, (0.0,) * 3)
        signature = Signature("vivit", ("a", "b"), Grid(2, 4, 6, 2), recipe, "multi_label_classification")
        card = json.loads(wire.card(model, signature, settings)[0])
        follow(spec, card, "Card")
        wants = {"frames": 4, "height": 32, "width": 48, "resize": told, "interpolation": "bilinear"}
        assert card["input"] == wants | {"steps": [2, 4, 6]}
        assert card["methods"] == {"staa": {"version": "2", "classes": False}}
        assert card["problem_type"] == "multi_label_classification"
        assert card["license"] is card["clip_seconds"] is None
        assert card["verify"] == card["refine"] == 0
        assert card["limits"]["seconds"] == 0.5


def test_the_limits_are_all_of_them(spec: dict[str, Any]) -> None:
    """Every limit that a server has is on its card; threads and memory that keep it concern nobody else."""
    described = spec["components"]["schemas"]["Card"]["properties"]["limits"]["required"]
    assert described == [one.name for one in fields(Limits) if one.name not in {"threads", "memory"}]


def test_examples_follow_their_schemas(spec: dict[str, Any]) -> None:
    """Every example of a reply, and of clip.json, is what its schema allows, and that one is read."""
    shown = 0
    for path in spec["paths"].values():
        for answer in path["post"]["responses"].values():
            for content in answer.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    jsonschema.validate(example["value"], {**content["schema"], "components": spec["components"]})
                    shown += 1
    assert shown >= 4
    for answer in spec["components"]["responses"].values():
        content = answer["content"]["application/json"]
        jsonschema.validate(content["example"], {**content["schema"], "components": spec["components"]})
    example = spec["components"]["schemas"]["ClipJson"]["example"]
    follow(spec, example, "ClipJson")
    image = archives.encode(archives.greys(1)[0])
    assert unpack(archives.pack(example, [image] * 4), 4).source == (320, 240)


@pytest.mark.parametrize(
    ("body", "fine"),
    [
        ({"video": "AAAA"}, True),
        ({"describe": True}, True),
        ({"video": "AAAA", "describe": False, "top_k": 3}, True),
        ({"describe": False}, False),
        ({"top_k": 3}, False),
    ],
)
def test_json_needs_a_video_or_asks_for_the_card(spec: dict[str, Any], body: dict[str, Any], fine: bool) -> None:
    """The description of the JSON body and its reader agree on what is a request."""
    schema = {"$ref": "#/components/schemas/JsonRequest", "components": spec["components"]}
    assert jsonschema.Draft202012Validator(schema).is_valid(body) is fine
    if fine:
        assert wire.parse({"body": body}, {}, explain=True).describe is body.get("describe", False)
    else:
        with pytest.raises(RequestError):
            wire.parse({"body": body}, {}, explain=True)


def test_the_content_type_of_frames(spec: dict[str, Any]) -> None:
    """It is described under the name that the client sends, and that messages tell."""
    content = spec["components"]["requestBodies"]["Video"]["content"]
    assert KIND in content
    assert KIND in FORM


def follow(spec: dict[str, Any], value: Any, schema: str) -> None:
    """Hold a value against a schema of the description."""
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{schema}", "components": spec["components"]})


def test_codes_of_the_front_proxy_follow_the_schema(spec: dict[str, Any]) -> None:
    """A strict client takes every code for which the proxy has a message, and all but two are in docs/proxy.md."""
    messages = (SPEC.parents[1] / "deploy/proxy/errors.conf").read_text().partition("map $error_code $error_message")[2]
    codes = set(re.findall(r"^  (\w+) \"", messages, re.MULTILINE)) - {"default"}
    assert {"key_missing", "too_many_requests", "server_lost"} < codes | {"server_lost"}
    for code in codes:
        follow(spec, {"error": {"code": code, "message": "what came, what to do"}}, "Error")
    page = set(re.findall(r"^\| .* \| \d{3} \| `(\w+)` \|", (SPEC.parent / "proxy.md").read_text(), re.MULTILINE))
    assert codes - page == {"request_timed_out", "length_required"}, "nginx cuts these connections, and takes chunks"


def test_the_same_errors(spec: dict[str, Any]) -> None:
    """Every code that a request can meet is described, and every status is answered."""
    classes = [each for each in vars(staa.errors).values() if isinstance(each, type) and issubclass(each, StaaError)]
    reachable = [each for each in classes if each not in {LoadError, TooLargeError}]
    described = spec["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["anyOf"][0]
    described = described["enum"]
    assert set(described) == {each.code for each in reachable}
    for path in spec["paths"].values():
        assert {str(each.status) for each in reachable} < set(path["post"]["responses"])
