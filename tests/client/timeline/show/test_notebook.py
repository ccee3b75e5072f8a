"""What a notebook shows of a timeline: its spans as a table, and what a reader of them must know."""

import dataclasses
import json

from staa_client import Explanation, contract
from staa_client.timeline.show.notebook import MOST_ROWS
from tests.client.conftest import checked, document
from tests.client.pictures.conftest import Page
from tests.client.timeline.conftest import timeline


def test_a_notebook_shows_the_spans(explanation: Explanation) -> None:
    """Each span has its label, a bar at its time, seconds, score and verdict; the model's sentence and notes follow."""
    made = timeline(found=explanation)
    trusted = contract.explanation(200, {}, json.dumps(checked(document())).encode())
    spins = dataclasses.replace(made.spans[3], explanation=trusted)
    text = dataclasses.replace(made, spans=(*made.spans[:3], spins))._repr_html_()
    page = Page(text)
    assert [tag for tag, _ in page.elements].count("tr") == 4
    assert {"moves right", "3.25 - 8.50 s", "90.0%", "map: not checked", "nothing known"} <= set(page.texts)
    assert {"map: checked and faithful", "Knows eight motions only.", "a note"} <= set(page.texts)
    assert text.count("margin-left:") == 2
    assert "margin-left:16.25%;width:26.25%" in text


def test_no_text_of_a_timeline_is_markup() -> None:
    """Names, labels, reasons and notes are escaped, whatever they hold; of very many spans the first ones are shown."""
    nasty = "</td><script>alert(1)</script>\ud800"
    made = timeline()
    span = dataclasses.replace(made.spans[1], label=nasty, not_explained=nasty)
    model = dataclasses.replace(made.model, name=nasty, version=nasty, about=nasty)
    made = dataclasses.replace(made, name=nasty, model=model, notes=(nasty,), spans=(span,) * (MOST_ROWS + 7))
    page = Page(made._repr_html_())
    assert {tag for tag, _ in page.elements} == {"div", "table", "caption", "tbody", "tr", "th", "td", "span", "p"}
    assert [tag for tag, _ in page.elements].count("tr") == MOST_ROWS
    assert "7 more spans are not shown: save the timeline as .html or .json" in page.texts
    assert f"no map: {nasty[:-1]}?" in page.texts
