"""Options: which there are, and which are about maps."""

from typing import Any

import pytest

from staa_client import AsyncClient, Client


@pytest.mark.parametrize("explain", [True, False])
def test_an_option_that_does_not_exist_is_said_at_once(explain: bool) -> None:
    """A misspelt option is a TypeError that names those there are, with maps or without, whatever its value."""
    for value in (3, None):
        options: Any = {"tpo_k": value}
        for kind in (Client, AsyncClient):
            with pytest.raises(TypeError, match=r"unknown options tpo_k: expected some of top_k"):
                kind().batch([b"x"], explain=explain, **options)
    with pytest.raises(ValueError, match="method are about maps"):
        Client().batch([b"x"], explain=False, method="staa")
