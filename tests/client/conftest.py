"""What a server of the contract would say of the video `clip`, in each encoding."""

import base64
import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from staa_client import ClassName, Client, Explanation
from tests.made.videos import STEPS, disc_at

CELLS = 12
Server = Callable[[httpx2.Request], httpx2.Response]


def maps(box: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """A joint map (16, 12, 12) on the disc, strongest in the middle of the clip, over a floor."""
    x0, y0, x1, y1 = box
    x = x0 + (np.arange(CELLS) + 0.5) * (x1 - x0) / CELLS
    y = y0 + (np.arange(CELLS) + 0.5) * (y1 - y0) / CELLS
    joint = np.empty((STEPS, CELLS, CELLS))
    for step in range(STEPS):
        at = disc_at(step + 0.5)
        blob = np.exp(-((x[None] - at[0]) ** 2 + (y[:, None] - at[1]) ** 2) / (2 * 22.0**2))
        joint[step] = 0.006 + blob * (0.15 + np.exp(-((step - 9) ** 2) / 8))
    return np.asarray(joint / joint.sum(), np.float32)


def document(
    width: int = 320, height: int = 240, box: tuple[int, int, int, int] = (40, 0, 280, 240), label: str = "moves down"
) -> dict[str, Any]:
    """The server's reply to /explanations with `maps="json"`, as Python data."""
    joint = maps(box)
    frames = [2 + 4 * step for step in range(STEPS)]
    labels = [label, "moves right", "grows", "moves up", "spins"]
    scores = [0.9312, 0.0411, 0.0163, 0.0071, 0.0043]
    ordered = np.sort(joint, axis=None)[::-1]
    threshold = ordered[np.searchsorted(np.cumsum(ordered), 0.7)]

    def short(values: NDArray[np.float32]) -> Any:  # nested lists
        return json.loads(json.dumps(values.tolist()), parse_float=lambda text: float(f"{float(text):.5g}"))

    return {
        "model": {"name": "motions", "version": "1.0", "family": "timesformer", "classes": 8},
        "predictions": [
            {"class_id": i, "label": name, "score": score}
            for i, (name, score) in enumerate(zip(labels, scores, strict=True))
        ],
        "clip": {
            "width": width,
            "height": height,
            "fps": 8.0,
            "duration": 8.0,
            "frames": frames,
            "times": [frame / 8 for frame in frames],
            "box": list(box),
        },
        "explanation": {
            "method": "staa",
            "method_version": "1",
            "target": None,
            "contrast": None,
            "shape": list(joint.shape),
            "steps": [[step / 2, (step + 1) / 2] for step in range(STEPS)],
            "temporal": short(joint.sum((1, 2))),
            "spatial": short(joint.sum(0)),
            "joint": short(joint),
            "threshold": float(f"{threshold:.5g}"),
        },
    }


def several_labels(reply: dict[str, Any], threshold: float = 0.04) -> dict[str, Any]:
    """The reply of a server whose model gives a video several labels, or none."""
    listed = [guess | {"present": guess["score"] >= threshold} for guess in reply["predictions"]]
    return reply | {"predictions": listed}


def card() -> dict[str, Any]:
    """What the server says of its model."""
    return {
        "model": {"name": "motions", "version": "1.0", "family": "timesformer", "classes": 8},
        "labels": ["moves down", "moves right", "grows", "moves up", "spins", "shrinks", "stays", "blinks"],
        "problem_type": "single_label_classification",
        "license": "Apache-2.0",
        "clip_seconds": [1.5, 2.5],
        "input": {
            "frames": 16,
            "height": 96,
            "width": 96,
            "resize": 96,
            "interpolation": "bilinear",
            "steps": [STEPS, CELLS, CELLS],
        },
        "methods": {"staa": {"version": "1", "classes": False}, "staa_class": {"version": "2", "classes": True}},
        "verify": 16,
        "refine": 32,
        "explain_when": ["always", "score_below"],
        "limits": {"bytes": 67108864, "pixels": 9437184, "duration": 600.0, "frames": 20000, "seconds": 30.0},
    }


def checked(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply of a server that was asked to verify its map."""
    found = {
        "verdict": "faithful",
        "message": "the label rests on it",
        "target": {"class_id": 0, "label": "moves down"},
        "contrast": None,
        "probability": 0.9312,
        "blurred": 0.125,
        "deletion": {"map": 0.2, "random": 0.5, "centre": 0.4},
        "insertion": {"map": 0.9, "random": 0.45, "centre": 0.6},
        "cost": {"clips": 34, "seconds": 0.75},
    }
    return reply | {"explanation": reply["explanation"] | {"faithfulness": found}}


def refined(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply of a server that was asked to choose its map."""
    found = {
        "chosen": "direct",
        "message": "this map was chosen by a test: of what was written directly",
        "runner_up": "class",
        "lead": 0.0312,
        "cost": {"clips": 16, "seconds": 0.5},
    }
    return reply | {"explanation": reply["explanation"] | {"refinement": found}}


def flat(explanation: Explanation) -> Explanation:
    """The same with an even share in every cell, as of a model that looks everywhere alike."""
    joint = np.full_like(explanation.joint, 1 / explanation.joint.size)
    return dataclasses.replace(explanation, joint=joint, temporal=joint.sum((1, 2)), spatial=joint.sum(0))


def class_map(explanation: Explanation) -> Explanation:
    """The same as a map for "moves down" against "moves right", with what speaks for either."""
    sizes = explanation.joint - 0.7 * np.roll(explanation.joint, 5, 2)
    signed = np.asarray(sizes / np.abs(sizes).sum(), np.float32)
    joint = np.maximum(signed, 0) / np.maximum(signed, 0).sum()
    ordered = np.sort(joint, axis=None)[::-1]
    return dataclasses.replace(
        explanation,
        method="staa_class",
        target=ClassName(0, "moves down"),
        contrast=ClassName(1, "moves right"),
        signed=signed,
        joint=joint,
        temporal=joint.sum((1, 2)),
        spatial=joint.sum(0),
        threshold=float(ordered[np.searchsorted(np.cumsum(ordered), 0.7)]),
    )


def fewer(explanation: Explanation) -> Explanation:
    """The same video explained by another model, which takes 8 frames, in steps of 1 s."""
    joint = explanation.joint.reshape(8, 2, 12, 12).sum(1)
    numbers = np.arange(8) * 8 + 7
    return dataclasses.replace(
        explanation,
        model=dataclasses.replace(explanation.model, name="second"),
        clip=dataclasses.replace(explanation.clip, frames=numbers, times=numbers / 8),
        seconds=np.array([[step, step + 1.0] for step in range(8)]),
        joint=joint,
        temporal=joint.sum((1, 2)),
    )


def encoded(reply: dict[str, Any], encoding: str) -> bytes:
    """The reply's body with its maps as json, base64 or npz."""
    names = ("temporal", "spatial", "joint")
    fields = reply["explanation"]
    if encoding == "base64":
        halves = {name: np.asarray(fields[name], "<f2") for name in names}
        packed = {
            name: {"dtype": "<f2", "shape": list(half.shape), "data": base64.b64encode(half.tobytes()).decode()}
            for name, half in halves.items()
        }
        return json.dumps(reply | {"explanation": fields | packed}).encode()
    if encoding == "npz":
        rest = reply | {"explanation": {name: value for name, value in fields.items() if name not in names}}
        buffer = io.BytesIO()
        temporal, spatial, joint = (np.asarray(fields[name], np.float32) for name in names)
        text = np.frombuffer(json.dumps(rest).encode(), np.uint8)
        np.savez(buffer, temporal=temporal, spatial=spatial, joint=joint, reply=text)
        return buffer.getvalue()
    return json.dumps(reply).encode()


def left_out(reply: dict[str, Any], rules: str) -> dict[str, str] | None:
    """Why a reply has no map by rules, of which this server follows always and score_below; None if it has one."""
    best, limit = (reply["predictions"] or [{"score": 0.0}])[0]["score"], 0.0
    for name, _, value in (rule.partition("=") for rule in rules.split(";")):
        if name == "always":
            return None
        limit = max(limit, float(value)) if name == "score_below" else limit
    if best < limit:
        return None
    return {"rule": rules, "message": f"the best label has {best:.3g}, the rule explains below {limit:g}"}


def server(reply: dict[str, Any] | None = None, told: dict[str, Any] | None = None) -> Server:
    """A server of the contract: labels on /predictions, maps as asked for on /explanations, and cards (`told`)."""
    whole = reply or document()

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.headers.get("content-type") == "application/json" and json.loads(request.read()).get("describe"):
            return httpx2.Response(200, json=told or card())
        if request.url.path.startswith("/explanations/"):
            why_not = left_out(whole, request.headers.get("x-staa-explain-when", "always"))
            if why_not is None:
                return httpx2.Response(200, content=encoded(whole, request.headers.get("x-staa-maps", "json")))
            labels = {name: value for name, value in whole.items() if name != "explanation"}
            return httpx2.Response(200, json=labels | {"not_explained": why_not})
        labels = {name: value for name, value in whole.items() if name != "explanation"}
        return httpx2.Response(200, content=json.dumps(labels).encode())

    return answer


@pytest.fixture
def explanation(clip: bytes) -> Explanation:
    """The landscape video explained, with its bytes as the source."""
    with Client(transport=httpx2.MockTransport(server())) as client:
        return client.explain(clip, maps="npz")
