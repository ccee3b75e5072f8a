"""How far to trust a map is said on every picture of it: what the verdict is, and that there is none."""

import dataclasses
import html
import itertools
from pathlib import Path

import numpy as np
import pytest

from staa_client import ClipInfo, Explanation, contract
from staa_client.cli.output.terminal import describe
from staa_client.pictures import badge, sheet
from staa_client.pictures.badge import INKS, LIGHTS, NOT_CHECKED, Tone, badge_of
from staa_client.pictures.layer import Layer
from staa_client.pictures.movies import movie_page
from staa_client.pictures.movies.movie_page import MovieStrip
from staa_client.pictures.notebook import html_of
from staa_client.pictures.report import render_report
from staa_client.pictures.sheet import draw_sheet
from tests.client.conftest import checked, document, encoded
from tests.client.pictures.conftest import read_picture

VERDICTS: dict[str, tuple[str, Tone]] = {
    "faithful": ("checked and faithful", "good"),
    "no_better_than_centre": ("no better than the centre", "doubtful"),
    "no_better_than_random": ("distrust it", "bad"),
    "untestable": ("could not be checked", "unknown"),
    "of_tomorrow": ("of tomorrow", "unknown"),
}


def with_verdict(verdict: str) -> Explanation:
    """The reply of a server that found this when it checked the map."""
    reply = checked(document())
    reply["explanation"]["faithfulness"]["verdict"] = verdict
    return contract.explanation(200, {}, encoded(reply, "json"))


def luminance(colour: tuple[int, ...]) -> float:
    """The relative luminance of a colour in sRGB, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (level / 255 for level in colour)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The contrast ratio of two colours, 1 to 21, as WCAG 2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_verdict_is_shown_everywhere(verdict: str) -> None:
    """Its few words and its sentence are on the page and the terminal, and its colour is on the pictures."""
    explanation = with_verdict(verdict)
    words, tone = VERDICTS[verdict]
    shown = badge_of(explanation)
    assert (shown.words, shown.tone, shown.sentence) == (words, tone, "The label rests on it.")
    page = render_report(explanation, None)
    assert f'</h1><b class="badge {tone}">{words}</b></div>\n<p class="trust">The label rests on it.</p>' in page
    both = render_report([Layer(explanation), Layer(explanation)], None)
    assert both.count(f'</h2><b class="badge {tone}">{words}</b></div>\n  <p class="trust">The label rests on it.') == 2
    assert both.count('class="badge') == 2
    assert f"check  {words}. The label rests on it. ({verdict}; " in describe(explanation)
    assert f"{words[0].upper()}{words[1:]}: The label rests on it." in html_of(explanation)
    assert count(np.asarray(draw_sheet(Layer(explanation), None)), INKS[tone]) > 2000
    for width in (320, 640):
        assert count(np.asarray(MovieStrip(Layer(explanation), width).draw(0)), LIGHTS[tone]) > 20


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels have exactly this colour."""
    return int(np.all(picture == colour, axis=-1).sum())


def test_a_map_that_was_not_checked_is_grey(explanation: Explanation) -> None:
    """No check is told like a verdict."""
    assert badge_of(explanation) == badge.Badge("not checked", "unknown", NOT_CHECKED)
    page = render_report(explanation, None)
    assert f'<b class="badge unknown">not checked</b></div>\n<p class="trust">{NOT_CHECKED}</p>' in page
    assert f"Not checked: {NOT_CHECKED}" in html_of(explanation)


@pytest.mark.parametrize("end", ["png", "gif", "mp4", "html", "json"])
def test_a_check_is_seen_in_every_file(end: str, explanation: Explanation, tmp_path: Path) -> None:
    """Files of the same map with and without a check differ, in every format."""
    found = with_verdict("no_better_than_random").faithfulness
    both = explanation, dataclasses.replace(explanation, faithfulness=found)
    paths = [each.save(tmp_path / f"{number}.{end}") for number, each in enumerate(both)]
    if end in {"png", "gif"}:
        one, other = map(read_picture, paths)
        assert one.shape != other.shape or np.abs(one - other).max() > 100
    else:
        assert paths[0].read_bytes() != paths[1].read_bytes()


def test_what_was_done_to_the_clip_stands_by_the_curve(explanation: Explanation) -> None:
    """Notes of the server and repeated frames are on the page, the sheet and the strip of a movie."""
    clip = dataclasses.replace(
        explanation.clip, notes=("22 of 250 frames damaged",), frames=np.zeros_like(explanation.clip.frames)
    )
    noted = dataclasses.replace(explanation, clip=clip)
    words = f"1 frame, repeated {len(clip.frames)} times: 'when' says nothing · 22 of 250 frames damaged"
    assert Layer(noted).notes == words
    assert not Layer(explanation).notes
    assert f'<p class="notes">{html.escape(words)}</p>' in render_report(noted, None)
    assert draw_sheet(Layer(noted), None).height == draw_sheet(Layer(explanation), None).height + 2 * sheet.NOTE_HEIGHT
    assert MovieStrip(Layer(noted), 640).height > MovieStrip(Layer(explanation), 640).height


def test_what_the_model_is_good_for_stands_under_the_labels(explanation: Explanation) -> None:
    """The sentence of the operator is on page, sheet, strip of a movie and terminal, and in the notebook."""
    about = "Knows eight motions of generated shapes. Its answers about real footage mean nothing."
    told = dataclasses.replace(explanation, model=dataclasses.replace(explanation.model, about=about))
    assert f'</table><p class="about">{about}</p>' in render_report(told, None)
    labels = [guess.label for guess in told.predictions]
    lines = describe(told).splitlines()
    assert [line.split("  ")[0] for line in lines[: len(labels)]] == labels
    assert lines[len(labels)] == about
    assert about in html_of(told)
    sheets = [np.asarray(draw_sheet(Layer(each), None)) for each in (told, explanation)]
    changed = np.argwhere((sheets[0] != sheets[1]).any(-1))
    assert len(changed) > 500
    assert changed[:, 1].min() > 800  # in the column of the labels
    assert MovieStrip(Layer(told), 640).height > MovieStrip(Layer(explanation), 640).height


def test_repeated_frames_are_told_apart_from_all_different_ones(explanation: Explanation) -> None:
    """None is told where all frames differ, or where the clip has one only."""

    def repeats(numbers: list[int]) -> str:
        times = np.zeros(len(numbers))
        clip: ClipInfo = dataclasses.replace(explanation.clip, frames=np.array(numbers), times=times)
        return clip.repeats

    assert repeats([0, 1, 2, 3]) == repeats([0]) == ""
    assert repeats([0, 0]).startswith("1 frame, repeated 2 times")
    assert repeats([0, 0, 1, 1]).startswith("2 frames, repeated to make 4")


def test_badges_can_be_read() -> None:
    """Their letters have the contrast to their ground that WCAG asks of small text, and no two tones are alike."""
    for tone in INKS:
        assert contrast(INKS[tone], sheet.PAPER) >= 4.5
        assert contrast(LIGHTS[tone], movie_page.PAPER) >= 4.5
    for colours in (INKS, LIGHTS):
        for one, other in itertools.combinations(colours.values(), 2):
            assert np.abs(np.subtract(one, other)).max() > 40
