"""KServe's inference protocols on their routes: several videos in a request, answered in the form of the request.

Version 1 is `{"instances": [{"b64": "..."}]}`, version 2 `{"inputs": [{"datatype": "BYTES", "data": ["..."]}]}`. Any
other body is this project's own form, with one video.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from staa.errors import OptionError, RequestError
from staa.wire.replies import Answer, Model, Reply, digits, document, json_of, reply, with_halves, with_lists
from staa.wire.request import Request, parse

MOST = 16
"""Videos in one request: they share its time."""
LONGEST_ID = 256
"""Characters of what a client calls its request, which the reply repeats."""
_NO_MAPS = "maps has no meaning in version 2, whose maps are tensors: leave it out"
_ENCODINGS = {"json": with_lists, "base64": with_halves}


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request."""

    requests: tuple[Request, ...]
    """One for each video."""
    form: str = "own"
    """A key of ANSWERS."""
    number: str | None = None
    """What the client calls the request, version 2."""

    def name(self, part: int) -> str:
        """What the client calls one of several videos; empty where there is one."""
        return {"v1": f"instances[{part}]: ", "v2": f"data[{part}]: "}.get(self.form, "")


def read(row: Mapping[str, Any], headers: Mapping[str, Any], *, explain: bool) -> Call:
    """Read one row as TorchServe hands it over, in any of the three forms.

    Raises:
        RequestError: there is no video in it, too many, or what should be one cannot be read.
        OptionError: an option is unknown, or its value is not allowed.
    """
    body = row.get("body")
    if isinstance(body, Mapping) and "instances" in body:
        return _read_v1(body, headers, explain=explain)
    if isinstance(body, Mapping) and "inputs" in body:
        return _read_v2(body, headers, explain=explain)
    return Call((parse(row, headers, explain=explain),))


def _read_v1(body: Mapping[str, Any], headers: Mapping[str, Any], *, explain: bool) -> Call:
    """Videos as `{"b64": "..."}` or bare text; options beside them, or for all of them beside `instances`."""
    common = {name: value for name, value in body.items() if name != "instances"}
    instances = _several("instances", body["instances"])
    return _call("v1", [_instance(one, common) for one in instances], headers, explain=explain)


def _instance(instance: object, common: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(instance, Mapping):
        return {**common, "video": instance}
    own = dict(instance)
    video = own.pop("video", None)
    video = own.pop("b64", None) if video is None else video.get("b64") if isinstance(video, Mapping) else video
    return {**common, **own, "video": video}


def _read_v2(body: Mapping[str, Any], headers: Mapping[str, Any], *, explain: bool) -> Call:
    """Videos as base64 in the data of one BYTES tensor; options under `parameters` of the request or of the tensor."""
    tensors = [one for one in _several("inputs", body["inputs"]) if isinstance(one, Mapping)]
    if len(tensors) != 1 or tensors[0].get("datatype") != "BYTES":
        raise RequestError('"inputs" must be one tensor of datatype BYTES, whose data are videos in base64')
    (tensor,) = tensors
    data = _several("data", tensor.get("data"))
    shape = tensor.get("shape", [len(data)])
    if shape not in ([len(data)], [len(data), 1], [1, len(data)]):
        msg = f"the shape of the input is {str(shape)[:60]}, its data are {len(data)}: expected [{len(data)}]"
        raise RequestError(msg)
    options: dict[str, Any] = {}
    for given in (body.get("parameters"), tensor.get("parameters")):
        if given is not None and not isinstance(given, Mapping):
            raise RequestError('"parameters" must be an object of options')
        options |= given or {}
    options.pop("content_type", None)  # how other servers are told that it is base64
    if options.get("maps") is not None:
        raise OptionError(_NO_MAPS)
    number = body.get("id")
    if number is not None and not (isinstance(number, str | int) and len(str(number)) <= LONGEST_ID):
        msg = f'"id" must be text of at most {LONGEST_ID} characters: the reply repeats it'
        raise RequestError(msg)
    fields = [{**options, "video": video} for video in data]
    return _call("v2", fields, headers, explain=explain, number=None if number is None else str(number))


def _several(name: str, values: object) -> list[Any]:
    if not isinstance(values, list) or not values:
        msg = f'"{name}" must be a list with at least one entry'
        raise RequestError(msg)
    if len(values) > MOST:
        msg = f'"{name}" has {len(values)} entries, at most {MOST} are taken: send several requests'
        raise RequestError(msg)
    return values


def _call(
    form: str,
    rows: Sequence[Mapping[str, Any]],
    headers: Mapping[str, Any],
    *,
    explain: bool,
    number: str | None = None,
) -> Call:
    call = Call((), form, number)
    requests = []
    for part, fields in enumerate(rows):
        try:
            request = parse({"body": fields}, headers, explain=explain)
        except RequestError as error:
            raise type(error)(call.name(part) + str(error)) from error
        if request.describe or (request.maps == "npz" and form == "v1"):
            msg = f"{call.name(part)}describe and maps=npz have no place in KServe's forms: ask for them by themselves"
            raise OptionError(msg)
        if form == "v2" and request.maps != "json":
            raise OptionError(_NO_MAPS)
        requests.append(request)
    return Call(tuple(requests), form, number)


def answer(call: Call, model: Model, answers: Sequence[Answer]) -> Reply:
    """The reply to a call, in its form."""
    return ANSWERS[call.form](call, model, answers)


def _own(call: Call, model: Model, answers: Sequence[Answer]) -> Reply:
    return reply(model, answers[0], call.requests[0].maps)


def _v1(call: Call, model: Model, answers: Sequence[Answer]) -> Reply:
    """`predictions`, and on :explain `explanations`, each a list in the order of the instances."""
    bodies = []
    for request, one in zip(call.requests, answers, strict=True):
        body, arrays = document(model, one)
        if one.result.threshold is not None:
            body = _ENCODINGS[request.maps](body, arrays, one.result.threshold)
        bodies.append(body)
    if not call.requests[0].options.explain:
        return json_of({"predictions": bodies})
    explanations = [body.pop("explanation") for body in bodies]
    return json_of({"predictions": bodies, "explanations": explanations})


def _v2(call: Call, model: Model, answers: Sequence[Answer]) -> Reply:
    """Tensors, the first edge of each the videos: labels and scores, the maps, and the rest of the replies as JSON."""
    found = [document(model, one) for one in answers]
    guesses = [one.result.predictions for one in answers]
    count = len(answers)
    outputs = [
        _output("label", "BYTES", [count, len(guesses[0])], [one.label for row in guesses for one in row]),
        _output("class_id", "INT64", [count, len(guesses[0])], [one.class_id for row in guesses for one in row]),
        _output("score", "FP32", [count, len(guesses[0])], [digits(one.score) for row in guesses for one in row]),
    ]
    for name in found[0][1]:
        stacked = np.stack([arrays[name] for _, arrays in found])
        outputs.append(
            _output(name, "FP32", list(stacked.shape), [digits(value) for value in stacked.ravel().tolist()])
        )
    thresholds = [one.result.threshold for one in answers]
    if found[0][1]:
        outputs.append(_output("threshold", "FP32", [count], [digits(cut or 0) for cut in thresholds]))
    rest = [json.dumps(body, separators=(",", ":"), allow_nan=False) for body, _ in found]
    outputs.append(_output("reply", "BYTES", [count], rest))
    head = {"model_name": model.name, "model_version": model.version} | (
        {} if call.number is None else {"id": call.number}
    )
    return json_of(head | {"outputs": outputs})


def _output(name: str, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": list(data)}


ANSWERS: dict[str, Callable[[Call, Model, Sequence[Answer]], Reply]] = {"own": _own, "v1": _v1, "v2": _v2}
"""Form of a request -> function: call, model and answers in, reply out."""
