"""Requests: options and models as they travel."""

import pytest

from staa_client import (
    contract,
)
from tests.client.servers import Recorder, client


def test_options_become_headers() -> None:
    """Every option that is given is one X-Staa header, with dashes for underscores; None is left to the server."""
    call = contract.call("explanations", "motions", {"top_k": 3, "target": "moves up", "mass": None, "start": 0.5})
    assert call.path == "explanations/motions"
    assert {name: value for name, value in call.headers.items() if name != "Content-Type"} == {
        "X-Staa-Top-K": "3",
        "X-Staa-Target": "moves up",
        "X-Staa-Start": "0.5",
    }


def test_a_model_may_carry_its_version() -> None:
    """A model named with a version, as in "motions/1.0", is the contract's path with one."""
    assert contract.call("predictions", "motions/1.0", {}).path == "predictions/motions/1.0"


@pytest.mark.parametrize("model", ["", "a/b/c", "../admin", "a/..", ".", "a?b", "a/", "a b"])
def test_a_model_cannot_leave_its_path(model: str) -> None:
    """A name that would change the path is refused before anything is sent."""
    with pytest.raises(ValueError, match="a model is"):
        contract.call("predictions", model, {})


@pytest.mark.parametrize("value", ["", "a\r\nX-Evil: 1", "äöü", " padded"])
def test_an_option_cannot_forge_a_header(value: str) -> None:
    """A value that no header can hold is refused, and the message names the option."""
    with pytest.raises(ValueError, match="option target"):
        contract.call("explanations", "motions", {"target": value})


def test_a_model_that_is_no_text_is_a_type_error() -> None:
    """A number for a model's name is refused with a sentence before anything is sent."""
    recorder = Recorder()
    with client(recorder) as staa, pytest.raises(TypeError, match="a model is"):
        staa.predict(b"x", 3)  # type: ignore[arg-type]  # what is tested
    assert not recorder.requests
