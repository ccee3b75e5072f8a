"""Answers on a terminal with colours."""

import io
import re

from rich.console import Console

from staa_client import Explanation
from staa_client.cli.output.terminal_picture import draw_on_terminal


def test_the_terminal_shows_map_and_curve(explanation: Explanation) -> None:
    """On a terminal: coloured half blocks where the model looked, bars for when, and the same words as elsewhere."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, color_system="truecolor", width=100)
    console.print(draw_on_terminal(explanation, console))
    drawn = text.getvalue()
    colours = re.findall(r"38;2;(\d+);(\d+);(\d+);48", drawn)
    assert len(set(colours)) > 50
    assert "▀" in drawn
    assert "█" in drawn
    assert "when   4.50 - 5.00 s" in drawn
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    assert max(map(len, plain.splitlines())) <= 100
