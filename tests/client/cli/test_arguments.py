"""The options of the command."""

import pytest

from staa_client.cli import main


def test_no_method_is_offered_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The help leaves methods to the server: none is named."""
    assert main(["explain", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "How the map is made; the server says which it has" in words
    assert not any(name in words for name in ("staa_class", "rollout", "paper"))
