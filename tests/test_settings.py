"""The configuration block: what is known is taken, what is not is an error at load."""

from typing import Any

import pytest

from staa import Limits, Settings
from staa.errors import LoadError


def test_a_block_becomes_settings() -> None:
    """Known keys arrive, limits among them; the rest keeps its default."""
    settings = Settings.read({"weights": "weights", "device": "cpu", "limits": {"duration": 20}})
    assert settings.weights == "weights"
    assert settings.device == "cpu"
    assert settings.limits == Limits(duration=20)


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"weights": "w", "colour": 1}, "colour"),
        ({"weights": "w", "limits": {"cows": 1}}, "cows"),
        ({"weights": "w", "limits": {"bytes": "many"}}, "limits.bytes"),
        ({"weights": "w", "limits": 3}, "limits"),
        ({"weights": "w", "threads": -1}, "threads"),
        ({"weights": "w", "decoders": True}, "decoders"),
        ({"weights": "w", "stride": 0}, "stride"),
        ({}, "weights"),
    ],
)
def test_a_mistake_is_named(block: dict[str, Any], named: str) -> None:
    """An unknown key or a wrong value is an error that names it."""
    with pytest.raises(LoadError, match=named):
        Settings.read(block)
