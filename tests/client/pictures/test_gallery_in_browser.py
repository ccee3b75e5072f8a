"""The gallery in a real browser: its videos are sorted by mouse and keyboard, and it loads nothing."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from staa_client import Explanation, Prediction
from staa_client.pictures.badge import INKS, Badge, Tone
from staa_client.pictures.gallery import Tile, render_gallery, thumbnail_of

VIDEOS: list[tuple[str, float | None, Tone | None]] = [
    ("a.mp4", 0.5, "good"), ("b.mp4", 0.9, "bad"), ("c.mp4", None, None), ("d.mp4", 0.1, "unknown"),
    ("e.mp4", 0.9, "doubtful"), ("f.mp4", 0.7, None),
]  # fmt: skip
"""Name, score and verdict; the third has no answer, the last one no map."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_videos_are_sorted(browser: Browser, explanation: Explanation, tmp_path: Path, scheme: str) -> None:
    """As given, by score and by verdict, both ways; what has no answer, or no verdict, is last both ways."""
    assert {tone for _, _, tone in VIDEOS if tone} == set(INKS)
    picture = thumbnail_of(explanation, explanation.source)
    tiles = [
        Tile(
            name,
            () if score is None else (Prediction(0, "moves down", score),),
            None if tone is None else Badge(tone, tone, "what it means"),
            "x.html",
            picture,
            "no answer came" if score is None else "",
        )
        for name, score, tone in VIDEOS
    ]
    (tmp_path / "index.html").write_text(render_gallery(tiles, "clips"), "utf-8")
    (tmp_path / "x.html").write_text("<title>a report</title>")
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1000, "height": 900})  # type: ignore[arg-type]
    page = context.new_page()
    said, asked = list[str](), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "index.html").absolute().as_uri())

    def order() -> str:
        return "".join(name[0] for name in page.locator("#tiles h2").all_inner_texts())

    assert order() == "abcdef"
    for value, expected in (
        ("score-down", "befadc"),
        ("score-up", "dafbec"),
        ("verdict-up", "bedafc"),
        ("verdict-down", "adebfc"),
        ("given", "abcdef"),
    ):
        page.locator("#order").select_option(value)
        assert order() == expected, value
    page.locator("#order").focus()
    page.keyboard.press("ArrowDown")
    assert order() == "befadc"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path / f"{scheme}.png")
    page.locator("a").first.click()
    expect(page).to_have_title("a report")
    context.close()
    assert said == []
    assert all(url.startswith(("file:", "data:")) for url in asked)
