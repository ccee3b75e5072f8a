"""What tests of pictures share: a page as a browser sees it, and a browser."""

import html.parser
import json
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("quic", "background-networking", "component-update", "sync", "gpu")
ARGUMENTS = ["--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{part}" for part in QUIET)]


class Page(html.parser.HTMLParser):
    """What a browser would see: elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.append(data)

    @cached_property
    def data(self) -> dict[str, Any]:
        """The embedded numbers and frames."""
        scripts = [tag for tag, _ in self.elements if tag == "script"]
        assert scripts == ["script", "script"]
        data: dict[str, Any] = next(json.loads(text) for text in self.texts if text.startswith('{"width"'))
        return data


def read_picture(path: Path) -> NDArray[np.int64]:
    """Return a saved picture: (H, W, 3), 0 to 255."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.int64)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of the file."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()
