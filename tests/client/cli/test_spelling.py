"""Options in messages: on the command line as they are typed, in Python as its arguments."""

from pathlib import Path

import pytest

from staa_client import Client
from staa_client.cli import main
from staa_client.cli.spelling import as_typed


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("top_k is 9: expected 1 to 8", "--top-k is 9: expected 1 to 8"),
        ("422 option_invalid: end is 1.0, start is 2.0: expected start before end",
         "422 option_invalid: --end is 1.0, --start is 2.0: expected start before end"),
        ("a colormap is one of heat, got 'mud'", "--colormap is one of heat, got 'mud'"),
        ("mass, method are about maps: leave them out", "--mass, --method are about maps: leave them out"),
        ('let the client choose the frames (sample="client")', "let the client choose the frames (--sample client)"),
        ("give options as arguments (top_k=3)", "give options by their names (--top-k 3)"),
        ("Nobody has tested it; the option verify does it.", "Nobody has tested it; the option --verify does it."),
        ("as the options start and end alone still send all", "as the options --start and --end alone still send all"),
        ("got low=0.4 and high=0.3", "got --low 0.4 and --high 0.3"),
        ("shortest is a positive number of seconds, got 0", "--shortest is a positive number of seconds, got 0"),
        ("explain_when is 'bogus': the server has always", "--explain-when is 'bogus': the server has always"),
        ("give management_url, or ask ready(model)", "give --management ADDRESS, or ask staa ready MODEL"),
    ],
)  # fmt: skip
def test_options_are_spelled_as_they_are_typed(said: str, typed: str) -> None:
    """What is said of an option names it with its hyphens."""
    assert as_typed(said) == typed


@pytest.mark.parametrize(
    "said",
    ["the target is not reached", "clip.start is a file", "my-target is a label", "the model pays attention", "--mass"],
)
def test_words_of_every_day_stay(said: str) -> None:
    """A word that is an option's name elsewhere is left as it is."""
    assert as_typed(said) == said


def test_each_caller_is_told_in_its_own_spelling(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same mistake is said with `top_k` in Python and with `--top-k` on the command line, never with both."""
    address = "http://127.0.0.1:8080/?top_k=3"
    with pytest.raises(ValueError, match=r"top_k=3") as caught:
        Client(address)
    assert "--top-k" not in str(caught.value)
    assert main(["predict", str(path), "--server", address]) == 2
    told = capsys.readouterr().err
    assert "--top-k 3" in told
    assert "top_k" not in told
