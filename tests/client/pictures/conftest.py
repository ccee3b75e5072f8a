"""What tests of pictures share: a page as a parser sees it, and a page in a real browser."""

import dataclasses
import html.parser
import json
import shutil
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as OpenPage

from staa_client import Explanation

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("quic", "background-networking", "component-update", "sync", "gpu")
ARGUMENTS = ["--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{part}" for part in QUIET)]
PIXELS = """view => {
  const copy = new OffscreenCanvas(view.width, view.height).getContext("2d", {willReadFrequently: true});
  copy.drawImage(view, 0, 0);
  return Array.from(copy.getImageData(0, 0, view.width, view.height).data.filter((_, i) => i % 97 < 3));
}"""
SETTLED = """viewer.stills.images.every(image => image.complete) && (!viewer.smooth || viewer.pictures.settled)"""


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
    """One browser for all tests of a file."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@dataclasses.dataclass
class Tab:
    """An open report, and what it said and asked for."""

    page: OpenPage
    said: list[str]
    asked: list[str]

    def settle(self) -> None:
        """Wait until the picture of the moment is there; while a page plays it never may be."""
        end = time.monotonic() + 20
        while not self.page.evaluate(SETTLED):
            assert time.monotonic() < end, "the picture of the moment did not come"
            self.page.wait_for_timeout(20)

    def pixels(self, index: int = 0, *, plays: bool = False) -> Any:  # a list of bytes
        """Every 97th pixel of a map's picture; of a page that `plays`, as it is at this moment."""
        if not plays:
            self.settle()
        return self.page.locator(".view").nth(index).evaluate(PIXELS)

    @property
    def now(self) -> str:
        """The moment that is shown."""
        return self.page.locator("#now").inner_text()

    def set(self, name: str, value: float) -> None:
        """Move a slider."""
        self.page.locator(f"#{name}").fill(str(value))


@pytest.fixture
def tab(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """An empty tab; options of the browser's context are the parameters of the test, if it has any."""
    context = browser.new_context(**getattr(request, "param", {}))
    page = context.new_page()
    opened = Tab(page, [], [])
    page.on("console", lambda message: opened.said.append(message.text))
    page.on("pageerror", lambda error: opened.said.append(str(error)))
    page.on("dialog", lambda dialog: opened.said.append(dialog.message))
    page.on("request", lambda asked: opened.asked.append(asked.url))
    yield opened
    context.close()
    assert opened.said == []
    assert len(opened.asked) >= 1
    assert all(url.startswith(("file:", "data:", "blob:")) for url in opened.asked)


def shown(tab: Tab, path: Path) -> Tab:
    """The report in the tab, with its frames drawn."""
    tab.page.goto(path.absolute().as_uri())
    tab.settle()
    return tab


@pytest.fixture
def report(tab: Tab, explanation: Explanation, tmp_path: Path) -> Tab:
    """The report of one map in a tab."""
    return shown(tab, explanation.save(tmp_path / "x.html"))
