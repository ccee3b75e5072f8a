"""KServe's inference protocols: a request holds several videos, and the reply has the form of the request.

Version 1 is `{"instances": [{"b64": "..."}]}`, version 2 `{"inputs": [{"datatype": "BYTES", "data": ["..."]}]}`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from staa.errors import OptionError, RequestError
from staa.serving.wire.encodings import Reply, add_base64, add_lists, rounded, to_json
from staa.serving.wire.replies import Answer, Model, document, not_explained
from staa.serving.wire.request import Form, Request, parse

MAX_VIDEOS = 16
"""The most videos in one request, since they share its time limit."""
MAX_ID_CHARACTERS = 256
"""The most characters of the id that a client may give its request; the reply repeats it."""
_NO_MAPS = "maps has no meaning in version 2, whose maps are tensors: leave it out"
_ENCODINGS = {"json": add_lists, "base64": add_base64}


def read_v1(body: Mapping[str, Any], headers: Mapping[str, str], *, explain: bool) -> Request:
    """Read a request of version 1: each instance is `{"b64": "..."}` or base64 text.

    Options of one video are in its instance, options for all videos are next to `instances`, or in `parameters`, which
    is where Vertex has them.
    """
    common = {name: value for name, value in body.items() if name not in {"instances", "parameters"}}
    common |= _parameters(body)
    instances = _list("instances", body["instances"])
    return _request("v1", [_instance(instance, common) for instance in instances], headers, explain=explain)


def _instance(instance: object, common: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of one instance, as they would be in a request of this project's own form."""
    if not isinstance(instance, Mapping):
        return {**common, "video": instance}
    fields = dict(instance)
    video = fields.pop("video", None)
    video = fields.pop("b64", None) if video is None else video.get("b64") if isinstance(video, Mapping) else video
    return {**common, **fields, "video": video}


def read_v2(body: Mapping[str, Any], headers: Mapping[str, str], *, explain: bool) -> Request:
    """Read a request of version 2: the videos are base64 text in one BYTES tensor.

    Options are `parameters` of the request or of the tensor.
    """
    tensors = [tensor for tensor in _list("inputs", body["inputs"]) if isinstance(tensor, Mapping)]
    if len(tensors) != 1 or tensors[0].get("datatype") != "BYTES":
        raise RequestError('"inputs" must be one tensor of datatype BYTES, whose data are videos in base64')
    (tensor,) = tensors
    data = _list("data", tensor.get("data"))
    shape = tensor.get("shape", [len(data)])
    if shape not in ([len(data)], [len(data), 1], [1, len(data)]):
        told = str(shape)[:60] if isinstance(shape, list) else "no list"
        msg = f"the shape of the input is {told}, its data are {len(data)}: expected [{len(data)}]"
        raise RequestError(msg)
    options = _parameters(body) | _parameters(tensor)
    options.pop("content_type", None)  # how other servers are told that it is base64
    if options.get("maps") is not None:
        raise OptionError(_NO_MAPS)
    name = body.get("id")
    if name is not None and not (isinstance(name, str | int) and len(str(name)) <= MAX_ID_CHARACTERS):
        msg = f'"id" must be text of at most {MAX_ID_CHARACTERS} characters: the reply repeats it'
        raise RequestError(msg)
    fields = [{**options, "video": video} for video in data]
    return _request("v2", fields, headers, explain=explain, name=None if name is None else str(name))


def _parameters(holder: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in `parameters`; raise RequestError if they are no object."""
    parameters = holder.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise RequestError('"parameters" must be an object of options')
    return dict(parameters or {})


def _list(name: str, values: object) -> list[Any]:
    """Return a list of videos; raise RequestError if the value is none."""
    if not isinstance(values, list) or not values:
        msg = f'"{name}" must be a list with at least one entry'
        raise RequestError(msg)
    if len(values) > MAX_VIDEOS:
        msg = f'"{name}" has {len(values)} entries, at most {MAX_VIDEOS} are taken: send several requests'
        raise RequestError(msg)
    return values


def _request(
    form: Form,
    videos: Sequence[Mapping[str, Any]],
    headers: Mapping[str, str],
    *,
    explain: bool,
    name: str | None = None,
) -> Request:
    """Read the fields of every video; an error says which video it concerns."""
    request = Request((), form, name)
    read = []
    for index, fields in enumerate(videos):
        about = request.name_of(index)
        try:
            video = parse({"body": fields}, headers, explain=explain)
        except RequestError as error:
            raise type(error)(about + str(error)) from error
        if video.describe or (video.maps == "npz" and form == "v1"):
            msg = f"{about}describe and maps=npz have no place in KServe's forms: ask for them by themselves"
            raise OptionError(msg)
        if form == "v2" and video.maps != "json":
            raise OptionError(_NO_MAPS)
        read.append(video)
    return Request(tuple(read), form, name)


def answer_v1(request: Request, model: Model, answers: Sequence[Answer]) -> Reply:
    """Write a reply of version 1: lists `predictions` and, for :explain, `explanations`, one item for each instance.

    The explanation of an instance that its rules leave out says so in place of its maps.
    """
    bodies = []
    for video, answer in zip(request.videos, answers, strict=True):
        body, arrays = document(model, answer)
        if answer.result.threshold is not None:
            body = _ENCODINGS[video.maps](body, arrays, answer.result.threshold)
        bodies.append(body)
    if not request.videos[0].options.explain:
        return to_json({"predictions": bodies})
    explanations = [
        body.pop("explanation", None) or not_explained(answer, video.when)
        for body, video, answer in zip(bodies, request.videos, answers, strict=True)
    ]
    return to_json({"predictions": bodies, "explanations": explanations})


def answer_v2(request: Request, model: Model, answers: Sequence[Answer]) -> Reply:
    """Write a reply of version 2: tensors of labels, scores and maps, and the rest as JSON.

    The first dimension of every tensor is the video. Where a video may have several labels there is a tensor `present`.
    With rules there is a tensor `explained`; the maps of videos that they leave out are 0 everywhere, and there are no
    maps if they leave out all.
    """
    documents = [document(model, answer) for answer in answers]
    for (body, _), video, answer in zip(documents, request.videos, answers, strict=True):
        body.update(not_explained(answer, video.when))
    guesses = [answer.result.predictions for answer in answers]
    count = len(answers)
    shape = [count, len(guesses[0])]
    outputs = [
        _tensor("label", "BYTES", shape, [guess.label for video in guesses for guess in video]),
        _tensor("class_id", "INT64", shape, [guess.class_id for video in guesses for guess in video]),
        _tensor("score", "FP32", shape, [rounded(guess.score) for video in guesses for guess in video]),
    ]
    if model.label_threshold is not None:
        outputs.append(
            _tensor("present", "BOOL", shape, [model.is_present(guess) for video in guesses for guess in video])
        )
    options = request.videos[0].options  # of all of them
    if options.explain and not request.videos[0].when.always:
        outputs.append(_tensor("explained", "BOOL", [count], [bool(arrays) for _, arrays in documents]))
    maps = next((arrays for _, arrays in documents if arrays), {})
    for name, first in maps.items():
        stacked = np.stack([arrays.get(name, np.zeros_like(first)) for _, arrays in documents])
        numbers = [rounded(value) for value in stacked.ravel().tolist()]
        outputs.append(_tensor(name, "FP32", list(stacked.shape), numbers))
    if maps:
        found = [answer.result.threshold for answer in answers]
        thresholds = [rounded(1 if threshold is None else threshold) for threshold in found]  # 1: no cell of a map of 0
        outputs.append(_tensor("threshold", "FP32", [count], thresholds))
    rest = [json.dumps(body, separators=(",", ":"), allow_nan=False) for body, _ in documents]
    outputs.append(_tensor("reply", "BYTES", [count], rest))
    head = {"model_name": model.name, "model_version": model.version}
    head |= {} if request.id is None else {"id": request.id}
    return to_json(head | {"outputs": outputs})


def _tensor(name: str, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": list(data)}
