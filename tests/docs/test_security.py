"""docs/security.md cites tests: each is there, and runs where the page says so."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
CITED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
MARKED = {"tests/deploy/test_image.py"}
"""Files whose tests run with -m deploy only; the page says so beside them."""


def test_it_cites_tests() -> None:
    """Nothing that looks like a citation is of another form, and there are many."""
    assert len(CITED) > 35
    assert len(re.findall(r"\btests/[\w/]+\.py", PAGE)) == len(re.findall(r"`tests/[\w/]+\.py::test_\w+`", PAGE))


@pytest.mark.parametrize(("file", "name"), CITED)
def test_a_cited_test_is_there(file: str, name: str) -> None:
    """The file has this function, and it says what it promises."""
    tree = ast.parse((ROOT / file).read_text())
    (found,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert ast.get_docstring(found)
    assert ("pytest.mark.deploy" in (ROOT / file).read_text()) == (file in MARKED)


def test_every_weakness_has_its_test() -> None:
    """No row of the three tables stands without a test that shows what it says."""
    rows = [
        line
        for heading in ("## Known weaknesses", "## Hostile videos", "| weakness of Ray")
        for line in PAGE.partition(heading)[2].partition("\n## ")[0].partition("\nWhat was tried")[0].splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| weakness", "| what |"))
    ]
    assert len(rows) > 18
    assert [line for line in rows if "`tests/" not in line] == []


def test_the_settings_that_it_names_are_set() -> None:
    """What the page says is switched off, config.properties switches off."""
    settings = (ROOT / "config.properties").read_text().splitlines()
    for line in ("enable_model_api=false", "allowed_urls=", "install_py_dep_per_model=false"):
        assert line in settings
    assert all(
        "//127.0.0.1:" in line for line in settings if re.match(r"(inference|management|metrics)_address=", line)
    )
