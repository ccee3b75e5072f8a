"""The configuration block: what is known is taken, what is not is an error at load."""

from typing import Any

import pytest

from staa import Limits, Options
from staa.errors import LoadError, OptionError
from staa.serving import Settings


def test_a_block_becomes_settings() -> None:
    """Known keys arrive, limits among them; the rest keeps its default."""
    settings = Settings.read({"weights": "weights", "device": "cpu", "audit": 0.01, "limits": {"duration": 20}})
    assert settings.weights == "weights"
    assert (settings.device, settings.audit) == ("cpu", 0.01)
    assert settings.limits == Limits(duration=20)


def test_what_is_known_of_the_model_is_on_one_line() -> None:
    """What YAML folds over lines is one line; the ends of a range are seconds, also where they are whole numbers."""
    settings = Settings.read({"weights": "w", "about": "Knows two\nthings. \n", "clip_seconds": [8, 12]})
    assert settings.about == "Knows two things."
    assert settings.clip_seconds == (8.0, 12.0)
    plain = Settings("w")
    assert (settings.license, plain.about, plain.clip_seconds) == (None, None, None)


def test_what_the_operator_does_not_allow_is_refused() -> None:
    """Methods and checks that cost much can be switched off; a method that nobody knows is the model's to refuse."""
    settings = Settings.read({"weights": "w", "methods": ["staa", "paper"], "verify": 4})
    settings.check(Options(method="paper", verify=4))
    settings.check(Options(method="magic"))
    with pytest.raises(OptionError, match="allows staa, paper"):
        settings.check(Options(method="rollout"))
    with pytest.raises(OptionError, match="at most 4"):
        settings.check(Options(verify=5))
    with pytest.raises(OptionError, match="leave it out"):
        Settings.read({"weights": "w", "verify": 0}).check(Options(verify=2))
    few = Settings.read({"weights": "w", "refine": 12})
    few.check(Options(method="staa_class", refine=12))
    with pytest.raises(OptionError, match="refine is 13: this server allows at most 12"):
        few.check(Options(method="staa_class", refine=13))
    for most in (0, 7):
        with pytest.raises(OptionError, match="leave it out"):
            Settings.read({"weights": "w", "refine": most}).check(Options(method="staa_class", refine=8))


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"weights": "w", "colour": 1}, "colour"),
        ({"weights": "w", "limits": {"cows": 1}}, "cows"),
        ({"weights": "w", "limits": {"bytes": "many"}}, "limits.bytes"),
        ({"weights": "w", "limits": 3}, "limits"),
        ({"weights": "w", "limits": {"bytes": 1.0e8}}, "limits.bytes is .*whole number"),
        ({"weights": "w", "limits": {"pixels": 2.5}}, "limits.pixels is .*whole number"),
        ({"weights": "w", "limits": {"frames": 1e3}}, "limits.frames is .*whole number"),
        ({"weights": "w", "limits": {"threads": 2.0}}, "limits.threads is .*whole number"),
        ({"weights": "w", "threads": -1}, "threads"),
        ({"weights": "w", "decoders": True}, "decoders"),
        ({"weights": "w", "stride": 0}, "stride"),
        ({"weights": "w", "verify": -1}, "verify"),
        ({"weights": "w", "verify": float("nan")}, "verify"),
        ({"weights": "w", "refine": -1}, "refine"),
        ({"weights": "w", "refine": "many"}, "refine"),
        ({"weights": "w", "threads": 2.5}, "threads"),
        ({"weights": "w", "verify_seconds": float("inf")}, "verify_seconds"),
        ({"weights": "w", "audit": 1.01}, "audit is .*share"),
        ({"weights": "w", "audit": -0.1}, "audit"),
        ({"weights": "w", "audit": True}, "audit"),
        ({"weights": "w", "audit": "1%"}, "audit"),
        ({"weights": "w", "label_threshold": 1.5}, "label_threshold is 1.5: expected a score, 0 to 1"),
        ({"weights": "w", "label_threshold": "half"}, "label_threshold is 'half'"),
        ({"weights": "w", "label_threshold": True}, "label_threshold is True"),
        ({"weights": "w", "limits": {"seconds": float("nan")}}, "limits.seconds"),
        ({"weights": "w", "methods": ["staa", ["rollout"]]}, "rollout"),
        ({"weights": "w", "methods": ["staa", "magic"]}, "magic"),
        ({"weights": "w", "methods": ["paper"]}, "staa among them"),
        ({"weights": "w", "methods": "staa"}, "a list"),
        ({"weights": "w", "about": 3}, "about is 3"),
        ({"weights": "w", "about": "  "}, "about is .*printable"),
        ({"weights": "w", "about": "a\x1b[2Jb"}, "about is .*printable"),
        ({"weights": "w", "license": "a" * 501}, "license is .*500"),
        ({"weights": "w", "clip_seconds": 8}, "clip_seconds is 8: expected two"),
        ({"weights": "w", "clip_seconds": [1, 2, 3]}, "clip_seconds is .*expected two"),
        ({"weights": "w", "clip_seconds": [8, "12"]}, "clip_seconds.longest is '12'"),
        ({"weights": "w", "clip_seconds": [0, 12]}, "clip_seconds is .*more than 0"),
        ({"weights": "w", "clip_seconds": [12, 8]}, "clip_seconds is .*no more than"),
        ({}, "weights"),
    ],
)
def test_a_mistake_is_named(block: dict[str, Any], named: str) -> None:
    """An unknown key or a wrong value is an error that names it."""
    with pytest.raises(LoadError, match=named):
        Settings.read(block)
