"""Every request that is recorded, by a name: routes, forms, options, encodings and refusals of the contract."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.contract.recorded import digest
from tests.contract.recorded.bodies import archive, clip, document, form, large, long, many, other, png, sound, text
from tests.made import videos
from tests.made.torchserve import call

PREDICT, EXPLAIN = "/predictions/motions", "/explanations/motions"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=frontier"}
FRAMES = {"Content-Type": "application/x-staa-frames"}
LIMIT = 67_108_864
"""Bytes of a video that the default model takes."""


@dataclass(frozen=True)
class Request:
    """One HTTP request."""

    path: str
    body: Callable[[], bytes] = bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    port: str = "inference"


def ask(request: Request, addresses: Mapping[str, str]) -> dict[str, Any]:
    """Send a request, and return what is kept of the reply."""
    reply = call(f"{addresses[request.port]}{request.path}", request.body(), request.headers, request.method)
    return digest.reply(reply.status, reply.headers, reply.body)


def headers(**options: object) -> dict[str, str]:
    """Return options as headers."""
    return {f"X-Staa-{name.replace('_', '-').title()}": str(value) for name, value in options.items()}


def requests(version: str) -> dict[str, Request]:
    """Return every request by its name; `version` is that of the model."""
    kinds = (_labels, _maps, _forms, _bad_options, _bad_videos, _kserve_1, _kserve_2)
    found = {name: request for kind in kinds for name, request in kind()}
    return found | dict(_routes(version))


def _labels() -> Iterator[tuple[str, Request]]:
    yield "labels", Request(PREDICT, clip)
    yield "labels: PUT", Request(PREDICT, clip, method="PUT")
    for top in (1, 8):
        yield f"labels: top_k {top}", Request(PREDICT, clip, headers(top_k=top))
    yield "labels: a segment", Request(PREDICT, clip, headers(start=0.4, end=1.2))
    yield (
        "labels: options of maps",
        Request(PREDICT, clip, headers(method="staa_class", target=2, maps="npz", verify=4)),
    )
    for kind in ("video/mp4", "text/plain", "application/octet-stream", "nonsense"):
        yield f"labels: sent as {kind}", Request(PREDICT, clip, {"Content-Type": kind})
    sorts: dict[str, dict[str, Any]] = {
        "Matroska": {"container": "matroska"},
        "WebM, VP8": {"container": "webm", "codec": "libvpx", "options": {"deadline": "good", "cpu-used": "1"}},
        "AVI, MPEG-4": {"container": "avi", "codec": "mpeg4"},
        "MPEG transport stream": {"container": "mpegts"},
        "turned by 90 degrees": {"degrees": 90},
        "with sound": {"sound": "aac"},
    }
    for name, how in sorts.items():
        yield f"labels: {name}", Request(PREDICT, functools.partial(other, **how))


def _maps() -> Iterator[tuple[str, Request]]:
    for maps in ("json", "base64", "npz"):
        yield f"maps: {maps}", Request(EXPLAIN, clip, headers(maps=maps))
        yield f"maps: {maps} of a class", Request(EXPLAIN, clip, headers(maps=maps, method="staa_class"))
    yield "maps: PUT", Request(EXPLAIN, clip, method="PUT")
    for method in ("rollout", "paper"):
        yield f"maps: {method}", Request(EXPLAIN, clip, headers(method=method))
    ways: dict[str, dict[str, object]] = {
        "target by label": {"target": "moves up"},
        "target by number": {"target": 2},
        "target and contrast": {"target": "moves up", "contrast": 3},
        "contrast alone": {"contrast": "blinks"},
        "verified": {"verify": 2, "target": 1},
        "chosen": {"refine": 16, "target": 5},
        "chosen and verified": {"refine": 8, "verify": 2, "target": 5, "contrast": 3},
    }
    for name, options in ways.items():
        yield f"maps: {name}", Request(EXPLAIN, clip, headers(method="staa_class", **options))
    yield "maps: verified", Request(EXPLAIN, clip, headers(verify=4, maps="base64"))
    yield "maps: not verified", Request(EXPLAIN, clip, headers(verify=0))
    for mass in (0, 0.5, 1):
        yield f"maps: mass {mass}", Request(EXPLAIN, clip, headers(mass=mass))
    left_out = {"explain_when": "score_below=0.01;label_in=spins"}
    yield "maps: a rule that leaves it out", Request(EXPLAIN, clip, headers(maps="npz", verify=2, **left_out))
    yield "maps: a rule that names it", Request(EXPLAIN, clip, headers(explain_when="score_below=1.0"))
    yield "labels: a rule", Request(PREDICT, clip, headers(**left_out))
    yield "maps: a segment", Request(EXPLAIN, clip, headers(start=0.4, end=1.2))


def _forms() -> Iterator[tuple[str, Request]]:
    options = {"top_k": "3", "method": "staa_class", "target": "moves up", "contrast": "3", "mass": "0.5"}
    options |= {"start": "0.2", "end": "1.4", "maps": "base64", "verify": "2"}
    yield "form", Request(EXPLAIN, form(clip(), **options), FORM)
    yield "form: a header too", Request(EXPLAIN, form(clip(), top_k="2"), FORM | headers(maps="npz"))
    yield "form: frames", Request(EXPLAIN, form(archive()), FORM)
    yield "form: describe", Request(EXPLAIN, form(None, describe="true"), FORM)
    yield "form: no video", Request(EXPLAIN, form(None, top_k="2"), FORM)
    yield "form: unknown field", Request(EXPLAIN, form(clip(), wut="2"), FORM)
    yield "form: two values", Request(EXPLAIN, form(clip(), top_k="2"), FORM | headers(top_k=3))
    numbers = {"top_k": 3, "target": 2, "contrast": 3, "mass": 0.5, "start": 0.2, "end": 1.4, "verify": 2}
    yield "JSON", Request(EXPLAIN, document({"video": text(clip()), **options, **numbers}), JSON)
    yield "JSON: labels", Request(PREDICT, document({"video": text(clip()), "top_k": 2.0}), JSON)
    yield "JSON: frames", Request(EXPLAIN, document({"video": text(archive())}), JSON)
    yield "JSON: describe", Request(PREDICT, document({"describe": True}), JSON)
    yield (
        "JSON: the same twice",
        Request(PREDICT, document({"video": text(clip()), "top_k": 2}), JSON | headers(top_k=2)),
    )
    yield "JSON: two values", Request(PREDICT, document({"video": text(clip()), "top_k": 2}), JSON | headers(top_k=3))
    bad: dict[str, Any] = {
        "no video": {"top_k": 2},
        "describe false": {"describe": False},
        "a number": {"video": 7},
        "null": {"video": None},
        "empty": {"video": ""},
        "no base64": {"video": "%%%"},
        "no video in it": {"video": text(b"noise")},
        "unknown key": {"video": text(clip()), "wut": 1},
        "a list": {"video": text(clip()), "top_k": [1]},
        "a group": {"video": text(clip()), "target": {"a": 1}},
        "text for a number": {"video": text(clip()), "mass": "much"},
        "half a class": {"video": text(clip()), "top_k": 1.5},
    }
    for name, content in bad.items():
        yield f"JSON: {name}", Request(EXPLAIN, document(content), JSON)
    for name, body in {"broken": b"{", "an array": b"[]", "no body": b""}.items():
        yield f"JSON: {name}", Request(EXPLAIN, functools.partial(bytes, body), JSON)
    yield "frames", Request(EXPLAIN, archive, FRAMES)
    yield "frames: under another type", Request(PREDICT, archive)
    yield "frames: more of them, a segment", Request(PREDICT, lambda: archive(30), FRAMES | headers(start=0.5, end=2.5))
    yield "describe", Request(PREDICT, headers=headers(describe="true"))
    yield "describe: with a video and options", Request(EXPLAIN, clip, headers(describe="true", top_k=3))


def _bad_options() -> Iterator[tuple[str, Request]]:
    bad: dict[str, tuple[object, ...]] = {
        "top_k": (0, 9, "x", "-1", "1.5"),
        "method": ("magic", ""),
        "mass": (7, -0.1, "x", "nan"),
        "verify": (1, 17, "x", -2),
        "refine": (7, 8, 33, "x"),
        "explain_when": ("never", "score_below=2", "margin_below=x", "label_in=move up", "label_in=8", "always;"),
        "maps": ("xml",),
        "describe": ("perhaps",),
        "start": (-1, "x", "inf"),
        "end": (0, "0:02"),
        "target": (2, "moves up"),
        "contrast": (1,),
        "wut": (1,),
    }
    for name, values in bad.items():
        for value in values:
            yield f"bad option: {name} {value!r}", Request(EXPLAIN, clip, headers(**{name: value}))
    classes: tuple[dict[str, object], ...] = (
        {"target": 8},
        {"target": "moves sideways"},
        {"contrast": "nobody"},
        {"target": 2, "contrast": 2},
        {"target": 2, "contrast": "moves up"},
        {"target": "x" * 201},
    )
    for options in classes:
        told = " ".join(f"{name} {str(value)[:20]}" for name, value in options.items())
        yield f"bad class: {told}", Request(EXPLAIN, clip, headers(method="staa_class", **options))
    yield "bad segment: turned round", Request(EXPLAIN, clip, headers(start=1.2, end=0.4))
    yield "bad segment: behind the end", Request(EXPLAIN, clip, headers(start=100))
    yield "bad option: of maps, for labels", Request(PREDICT, clip, headers(method="magic"))


def _bad_videos() -> Iterator[tuple[str, Request]]:
    bad: dict[str, Callable[[], bytes]] = {
        "empty": bytes,
        "noise": lambda: np.random.default_rng(0).bytes(20_000),
        "a picture": png,
        "text": lambda: b"this is no video at all\n" * 99,
        "sound": sound,
        "sound in mp4": videos.music,
        "cut": lambda: clip()[:2000],
        "cut late": lambda: clip()[:-600],
        "too many bytes": lambda: bytes(LIMIT + 1),
        "too many bytes for TorchServe": lambda: bytes(110_000_000),
        "too many pixels": large,
        "too many frames": many,
        "too long": long,
    }
    for name, body in bad.items():
        yield f"bad video: {name}", Request(EXPLAIN, body)
    whole = archive()
    frames: dict[str, Callable[[], bytes]] = {
        "cut": lambda: whole[: len(whole) // 2],
        "without clip.json": lambda: whole.replace(b"clip.json", b"menu.json"),
        "fewer than said": lambda: archive(16, {"frames": list(range(17)), "times": [i / 10 for i in range(17)]}),
        "without rate": lambda: archive(16, {"fps": 0}),
        "out of order": lambda: archive(16, {"frames": [0, 2, 1, *range(3, 16)]}),
        "behind the end": lambda: archive(16, {"duration": 0.5}),
        "one key more": lambda: archive(16, {"wut": 1}),
        "too many pixels": lambda: archive(16, {"width": 70_000}),
    }
    for name, body in frames.items():
        yield f"bad frames: {name}", Request(PREDICT, body, FRAMES)
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    yield "bad video: urlencoded", Request(PREDICT, lambda: b'{"video":"AAAA"}', urlencoded)


def _kserve_1() -> Iterator[tuple[str, Request]]:
    film, film2 = text(clip()), text(other())
    v1 = "/v1/models/motions:"
    good: dict[str, dict[str, Any]] = {
        "two": {"instances": [{"b64": film}, {"b64": film2, "top_k": 1}]},
        "bare": {"instances": [film]},
        "as a video": {"instances": [{"video": film}, {"video": {"b64": film2}}], "top_k": 2},
        "of a class": {"instances": [{"b64": film, "method": "staa_class", "target": 2}], "maps": "base64"},
        "by rules": {"instances": [film, {"b64": film2, "explain_when": "always"}], "explain_when": "score_below=0"},
    }
    for verb in ("predict", "explain"):
        for name, content in good.items():
            yield f"KServe 1 {verb}: {name}", Request(f"{v1}{verb}", document(content), JSON)
    yield "KServe 1 explain: this project's own form", Request(f"{v1}explain", document({"video": film}), JSON)
    yield "KServe 1 predict: a raw body", Request(f"{v1}predict", clip)
    bad: dict[str, dict[str, Any]] = {
        "none": {"instances": []},
        "no list": {"instances": film},
        "too many": {"instances": [film] * 17},
        "an empty one": {"instances": [film, ""]},
        "a bad one": {"instances": [film, text(b"noise")]},
        "a bad option": {"instances": [{"b64": film, "top_k": 99}]},
        "npz": {"instances": [film], "maps": "npz"},
        "describe": {"instances": [film], "describe": True},
    }
    for name, content in bad.items():
        yield f"KServe 1 bad: {name}", Request(f"{v1}explain", document(content), JSON)


def _kserve_2() -> Iterator[tuple[str, Request]]:
    film, film2 = text(clip()), text(other())
    v2 = "/v2/models/motions/"

    def tensor(data: Any, **more: Any) -> dict[str, Any]:
        return {"name": "video", "shape": [len(data)], "datatype": "BYTES", "data": data, **more}

    good: dict[str, dict[str, Any]] = {
        "one": {"inputs": [tensor([film])]},
        "two, with an id": {"id": "x1", "inputs": [tensor([film, film2], shape=[2, 1])], "parameters": {"top_k": 2}},
        "of a class": {"inputs": [tensor([film], parameters={"method": "staa_class", "content_type": "base64"})]},
        "by a rule": {"inputs": [tensor([film, film2])], "parameters": {"explain_when": "margin_below=0"}},
    }
    for verb in ("infer", "explain"):
        for name, content in good.items():
            yield f"KServe 2 {verb}: {name}", Request(f"{v2}{verb}", document(content), JSON)
    bad: dict[str, dict[str, Any]] = {
        "none": {"inputs": []},
        "two tensors": {"inputs": [tensor([film])] * 2},
        "of numbers": {"inputs": [tensor([film], datatype="FP32")]},
        "another shape": {"inputs": [tensor([film], shape=[2])]},
        "no data": {"inputs": [tensor([])]},
        "an empty one": {"inputs": [tensor([""])]},
        "a bad one": {"inputs": [tensor([film, text(b"noise")])]},
        "a long id": {"id": "x" * 257, "inputs": [tensor([film])]},
        "options that are no object": {"inputs": [tensor([film])], "parameters": [1]},
        "maps": {"inputs": [tensor([film])], "parameters": {"maps": "base64"}},
        "describe": {"inputs": [tensor([film])], "parameters": {"describe": True}},
    }
    for name, content in bad.items():
        yield f"KServe 2 bad: {name}", Request(f"{v2}explain", document(content), JSON)


def _routes(version: str) -> Iterator[tuple[str, Request]]:
    for path in (PREDICT, EXPLAIN):
        yield f"route: {path}/VERSION", Request(f"{path}/{version}", clip)
        yield f"route: {path}/VERSION, another", Request(f"{path}/9.9", clip)
        for method in ("GET", "DELETE"):
            yield f"route: {method} {path}", Request(path, method=method)
    for path in ("/predictions/nobody", "/explanations/nobody", "/predictions", "/nothing/motions"):
        yield f"route: {path}", Request(path, clip)
    for path in ("/v1/models/nobody:predict", "/v2/models/nobody/infer", "/v1/models/motions:dance"):
        yield f"route: {path}", Request(path, document({"instances": [text(clip())]}), JSON)
    yield "route: GET /ping", Request("/ping", method="GET")
    for path in ("/ready", "/live", "/nothing"):
        yield f"health: GET {path}", Request(path, method="GET", port="health")
    for path in ("/models", "/models/motions", f"/models/motions/{version}", "/models/nobody", "/models/motions/9.9"):
        shown = path.replace(version, "VERSION")
        yield f"management: GET {shown}", Request(path, method="GET", port="management")
    yield "metrics", Request("/metrics", method="GET", port="metrics")


TOGETHER = (
    "labels",
    "maps: npz",
    "bad video: noise",
    "maps: base64 of a class",
    "labels: top_k 1",
    "bad option: mass 7",
    "maps: rollout",
    "frames",
    "JSON: labels",
    "form",
    "describe",
    "KServe 1 explain: two",
    "labels: turned by 90 degrees",
    "maps: a segment",
    "bad segment: behind the end",
    "KServe 2 infer: two, with an id",
)
"""Requests that are also sent at the same time: a mixed batch."""
