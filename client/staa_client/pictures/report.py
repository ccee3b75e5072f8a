"""Writes the report: one HTML file that plays the video under its maps, loads nothing and opens offline."""

import dataclasses
import html
from collections.abc import Sequence
from typing import Final

import numpy as np

from staa_client.pictures.badge import Badge
from staa_client.pictures.clip_frames import clip_frames, shared_clip
from staa_client.pictures.colours import BALANCE, HEAT
from staa_client.pictures.html_page import Assets, script_json
from staa_client.pictures.layer import Layer, absence_words, layers_of, percent, score_words
from staa_client.pictures.viewer.clip_copy import ClipCopy, copy_of
from staa_client.pictures.viewer.page_data import COLOURMAPS, page_data
from staa_client.pictures.viewer.tracks import Track, tracks_of
from staa_client.results.explanation import Explanation
from staa_client.results.result import Prediction
from staa_client.results.save_job import SaveJob
from staa_client.video.frames import Frame

SCRIPTS: Final = ("words.js", "pictures.js", "map_view.js", "curve.js", "player.js", "viewer.js")
"""The files of the page's script, in their order."""
_ASSETS: Final = Assets("staa_client.pictures.viewer")
SPEEDS: Final = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4)
"""The speeds that can be chosen; 1 is the source's own."""


def write(job: SaveJob) -> None:
    """Write the report of a job.

    Raises:
        ValueError: the source is not the video that was explained.
        OSError: the file cannot be written, or the source not be read.
    """
    clip = shared_clip(job.explanations)
    frames, note = clip_frames(dataclasses.replace(job.explanation, clip=clip), job.source)
    copy, only = (None, "") if frames is None else copy_of(clip, job.source)
    job.target.write_text(render_report(layers_of(job), frames, note or only, copy), "utf-8")


def render_report(
    shown: Explanation | Sequence[Layer],
    frames: Sequence[Frame] | None,
    note: str = "",
    copy: ClipCopy | None = None,
    tracks: Sequence[Track] = (),
) -> str:
    """Return the report as HTML text: the maps of one clip, side by side, that play together.

    Args:
        shown: An explanation, or layers of the same video; the controls start with the look of the first layer.
        frames: The frames that the models saw, each (H, W, 3); None shows the maps on a plain ground.
        note: Why there are no frames, or no copy.
        copy: The copy of the video that is played; None shows `frames`.
        tracks: The rows of labels under the curve; empty shows the labels of the models, for the whole clip.
    """
    layers = [Layer(shown)] if isinstance(shown, Explanation) else shown
    explanation, look = layers[0].explanation, layers[0].look
    alike = all(layer.explanation.predictions == explanation.predictions for layer in layers)
    title, beside = _heading(layers) if alike else (explanation.name, "")
    data = page_data(layers, frames, copy)
    own_frames = any(each["seen"] is not None for each in data["maps"])
    return _ASSETS.fill(
        "page.html",
        {
            "title": html.escape(title),
            "score": html.escape(beside),
            **_badge_html(None if layers[1:] else layers[0].badge),
            "lead": html.escape(_lead(layers, copy)),
            "note": f'<p class="note" role="note">{html.escape(note)}</p>' if note else "",
            "style": _ASSETS.read("viewer.css"),
            "layout": "several" if layers[1:] else "one",
            "number": str(len(layers)),
            "maps": "\n".join(
                _map_html(layer, index, each["title"], layer.badge if layers[1:] else None, own_frames)
                for index, (layer, each) in enumerate(zip(layers, data["maps"], strict=True))
            ),
            "controlled": "all maps" if layers[1:] else "the map",
            "alpha": f"{look.alpha * 100:g}",
            "focused": str(look.focus).lower(),
            "speeds": "\n".join(_option_html(f"{speed:g}", f"{speed:g} x", speed == 1) for speed in SPEEDS),
            "colours": "\n".join(_colour_html(name, layers) for name in COLOURMAPS),
            "silent": "" if copy is not None and copy.has_sound else " hidden",
            "tracks": _tracks_html(tracks or tracks_of(layers)),
            "labels": "\n".join(_labels_html(layer, named=not alike) for layer in (layers[:1] if alike else layers)),
            "facts": _facts_html(_clip_facts(explanation) | ({} if own_frames else _frame_facts(explanation))),
            "data": script_json(data),
            **_ASSETS.script(SCRIPTS),
        },
    )


def _heading(layers: Sequence[Layer]) -> tuple[str, str]:
    """Return the title and the text next to it; if the maps explain several classes, the best label and its score."""
    if len({layer.heading for layer in layers}) == 1:
        return layers[0].heading
    return Layer(dataclasses.replace(layers[0].explanation, target=None, contrast=None)).heading


def _lead(layers: Sequence[Layer], copy: ClipCopy | None) -> str:
    """Return the sentence at the top, which says what the page shows, and how to use it."""
    explanation = layers[0].explanation
    name = "the video" if explanation.name == "video" else explanation.name
    models = list(
        dict.fromkeys(f"{layer.explanation.model.name} {layer.explanation.model.version}" for layer in layers)
    )
    model = models[0] if len(models) == 1 else f"{len(models)} models"
    if layers[1:]:
        what = f"{len(layers)} maps of {name} by {model}, at the same moment"
    elif layers[0].subject == "attention":
        what = f"The colours show where and when {model} looked in {name}"
    else:
        what = f"The colours show where and when {model} found evidence in {name}"
    seen = [str(len(set(layer.explanation.clip.frames.tolist()))) for layer in layers]
    same = all(np.array_equal(layer.explanation.clip.frames, explanation.clip.frames) for layer in layers)
    saw = f"The model saw {seen[0]}" if same else f"The maps are of {' and '.join(seen)}"
    of = "frames" if copy is None else f"of {len(copy.seconds)} frames"
    peak = ", red: the peak" if any(layer.explanation.peak is not None for layer in layers) else ""
    key = f" (dashed: even share{peak})" if layers[1:] else ""
    return f"{what}. {saw} {of}: the ticks under the curve{key}. Point at a cell for its value."


def _map_html(layer: Layer, index: int, title: str, badge: Badge | None, own_frames: bool) -> str:
    """Return the HTML of a map: canvases, legend, facts and table; its index makes the ids unique.

    With `own_frames` the frames that its model saw are among the facts.
    """
    explanation, (low, high) = layer.explanation, layer.scale_ends
    return _ASSETS.fill(
        "map.html",
        {
            "n": str(index),
            "title": html.escape(title),
            "subject": html.escape(layer.subject),
            "measure": _measure(layer),
            **_badge_html(badge),
            "balance": html.escape(layer.balance),
            "notes": html.escape(layer.notes),
            "low": html.escape(low),
            "high": html.escape(high),
            "peak": "" if explanation.peak is None else "; red: the peak",
            "facts": _facts_html(_map_facts(layer) | (_frame_facts(explanation) if own_frames else {})),
            "steps": "\n".join(_step_html(explanation, step) for step in range(len(explanation.temporal))),
        },
    )


def _badge_html(badge: Badge | None) -> dict[str, str]:
    """Return a verdict as its badge and its sentence; both are empty where it stands elsewhere."""
    if badge is None:
        return {"badge": "", "sentence": ""}
    words, sentence = html.escape(badge.words), html.escape(badge.sentence)
    return {"badge": f'<b class="badge {badge.tone}">{words}</b>', "sentence": sentence}


def _clip_facts(explanation: Explanation) -> dict[str, str]:
    """Return the facts of the clip: name -> text."""
    clip = explanation.clip
    size = f"{clip.width} x {clip.height} pixels"
    return {"Video": f"{explanation.name}, {size}, {clip.duration:.2f} s, {clip.fps:.4g} frames/s"}


def _frame_facts(explanation: Explanation) -> dict[str, str]:
    """Return which frames the model saw: name -> text."""
    clip = explanation.clip
    return {
        "Frames": f"{len(clip.frames)} of the video, from {clip.times[0]:.2f} to {clip.times[-1]:.2f} s: "
        + ", ".join(str(index) for index in clip.frames.tolist()),
    }


def _map_facts(layer: Layer) -> dict[str, str]:
    """Return the facts of a map, its method and options: name -> text."""
    explanation, (share, cells) = layer.explanation, layer.kept_words
    (t, h, w), (x0, y0, x1, y1) = explanation.joint.shape, explanation.box
    model, choice = explanation.model, explanation.refinement
    return {
        "Model": f"{model.name} {model.version} ({model.family}, {model.classes} classes)",
        "Method": f"{explanation.method}, version {explanation.method_version}",
        **({} if explanation.target is None else {"Target": str(explanation.target)}),
        **({} if explanation.contrast is None else {"Contrast": str(explanation.contrast)}),
        "Map": f"{t} steps of {h} x {w} cells over pixels ({x0}, {y0}) to ({x1}, {y1})",
        **({"Colours": f"end at {layer.top_words}"} if layer.has_signs else {}),
        "Threshold": f"the dynamic one keeps {percent(share)} of the {_measure(layer)}, in {cells}",
        **({} if choice is None else {"Choice": str(choice)}),
    }


def _measure(layer: Layer) -> str:
    """Return what the shares of a map are of, without its class: "attention" or "evidence"."""
    return layer.subject.partition(" ")[0]


def _option_html(value: str, text: str, chosen: bool) -> str:
    """Return one choice of a menu."""
    return f'<option value="{value}"{" selected" if chosen else ""}>{text}</option>'


def _colour_html(name: str, layers: Sequence[Layer]) -> str:
    """Return one choice of the menu of colours; for maps with signs the first of them is the diverging scale."""
    signed = {layer.explanation.signed is not None for layer in layers}
    text = {frozenset({True}): BALANCE, frozenset({False}): HEAT}.get(frozenset(signed), f"{HEAT}, {BALANCE}")
    chosen = layers[0].look.colormap in ({HEAT, BALANCE} if name == HEAT else {name})
    return _option_html(name, text if name == HEAT else name, chosen)


def _tracks_html(tracks: Sequence[Track]) -> str:
    """Return the rows of labels over time."""
    models = {track.model for track in tracks}
    return "\n".join(_track_html(track, f" ({track.model})" if len(models) > 1 else "") for track in tracks)


def _track_html(track: Track, of: str) -> str:
    """Return the row of a label; the script places its spans on the time axis of the curve."""
    words = ", ".join(f"{percent(span.score)}, {span.start:.2f}-{span.end:.2f} s" for span in track.spans)
    spans = "".join(
        f'<i data-start="{span.start:.4f}" data-end="{span.end:.4f}" style="--score:{span.score:.4f}">'
        f"<b>{_share_html(span.score)}</b></i>"
        for span in track.spans
    )
    name = html.escape(f"{track.label}{of}")
    return (
        f'<div class="track"><span>{name}</span>'
        f'<div class="lane" role="img" aria-label="{name}: {html.escape(words)}">{spans}</div></div>'
    )


def _facts_html(facts: dict[str, str]) -> str:
    """Return facts as the terms and descriptions of an HTML list."""
    return "\n".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts.items())


def _step_html(explanation: Explanation, step: int) -> str:
    """Return a row of the curve's table: seconds, share and strongest region of a step."""
    (start, end), (x0, y0, x1, y1) = explanation.seconds[step], explanation.region(step)
    middle = f"#t={(start + end) / 2:.3f}".rstrip("0").rstrip(".")
    return (
        f'<tr><th scope="row"><a href="{middle}">{start:.2f}-{end:.2f}</a></th>'
        f"<td>{_share_html(explanation.temporal[step])}</td><td>({x0}, {y0}) to ({x1}, {y1})</td></tr>"
    )


def _labels_html(layer: Layer, *, named: bool) -> str:
    """Return the table of labels and what the model is good for; `named` adds its name above the table."""
    model = layer.explanation.model
    caption = f"<caption>{html.escape(f'{model.name} {model.version}')}</caption>" if named else ""
    predictions = layer.explanation.predictions
    rows = "\n".join(map(_label_html, predictions))
    texts = filter(None, (absence_words(predictions), model.about))
    below = "".join(f'<p class="about">{html.escape(text)}</p>' for text in texts)
    return f'<table class="labels">{caption}<tbody>\n{rows}\n</tbody></table>{below}'


def _label_html(guess: Prediction) -> str:
    """Return a row of the table of labels: the label, its bar and its score."""
    bar = f'<td class="bar" aria-hidden="true"><i style="width:{guess.score * 100:.2f}%"></i></td>'
    return f'<tr><th scope="row">{html.escape(guess.label)}</th>{bar}<td>{html.escape(score_words(guess))}</td></tr>'


def _share_html(share: float) -> str:
    """Return a share, 0 to 1, as HTML; its text may have a "<", which is escaped."""
    return html.escape(percent(float(share)))
