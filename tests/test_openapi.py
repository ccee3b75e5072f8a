"""docs/openapi.yaml and the code say the same: options, encodings, methods, families, error codes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

import staa.errors
from staa import wire
from staa.attribution import METHODS
from staa.errors import LoadError, StaaError, TooLargeError
from staa.families import FAMILIES
from staa.verify import VERDICTS

SPEC = Path(__file__).parents[1] / "docs" / "openapi.yaml"


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    """The description of the contract."""
    loaded: dict[str, Any] = yaml.safe_load(SPEC.read_text())
    return loaded


def test_the_description_is_valid(spec: dict[str, Any]) -> None:
    """It is OpenAPI 3.1."""
    validate(spec)


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
    assert schemas["Model"]["properties"]["family"]["enum"] == list(FAMILIES)


def test_the_same_errors(spec: dict[str, Any]) -> None:
    """Every code that a request can meet is described, and every status is answered."""
    classes = [each for each in vars(staa.errors).values() if isinstance(each, type) and issubclass(each, StaaError)]
    reachable = [each for each in classes if each not in {LoadError, TooLargeError}]
    described = spec["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    assert set(described) == {each.code for each in reachable}
    for path in spec["paths"].values():
        assert {str(each.status) for each in reachable} < set(path["post"]["responses"])
