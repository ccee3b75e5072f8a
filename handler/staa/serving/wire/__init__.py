"""The HTTP contract: reads fields and headers into a Request, and writes results as bytes. See docs/openapi.yaml.

A request has one of three forms, and the reply has the same one: this project's own form with one video, or version 1
or 2 of KServe's protocol with several. No other package knows the names of fields.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from staa.serving.wire import kserve
from staa.serving.wire.body import fields_of
from staa.serving.wire.encodings import ENCODINGS, Reply
from staa.serving.wire.replies import Answer, Model, card, failure, reply
from staa.serving.wire.request import READERS, Request, VideoRequest, parse

__all__ = [
    "ENCODINGS",
    "READERS",
    "Answer",
    "Model",
    "Reply",
    "Request",
    "VideoRequest",
    "answer",
    "card",
    "failure",
    "parse",
    "read",
    "reply",
]


def read(fields: Mapping[str, Any], headers: Mapping[str, str], *, explain: bool) -> Request:
    """Read a request in any of the three forms.

    Args:
        fields: the fields of a form, by name; any other body is the field "body": its bytes, be it JSON or a form, or
            its parsed JSON.
        headers: the headers of the request.
        explain: whether the request came to a route for explanations.

    Raises:
        ContentTypeError: the body is of a type that is not read.
        RequestError: there is no video, there are too many, or a video cannot be read.
        OptionError: an option is unknown, or its value is not allowed.
    """
    fields = fields_of(fields, headers)
    body = fields.get("body")
    if isinstance(body, Mapping) and "instances" in body:
        return kserve.read_v1(body, headers, explain=explain)
    if isinstance(body, Mapping) and "inputs" in body:
        return kserve.read_v2(body, headers, explain=explain)
    return Request((parse(fields, headers, explain=explain),))


def answer(request: Request, model: Model, answers: Sequence[Answer]) -> Reply:
    """Write the answers to all videos of a request, in the form of the request."""
    match request.form:
        case "v1":
            return kserve.answer_v1(request, model, answers)
        case "v2":
            return kserve.answer_v2(request, model, answers)
        case "own":
            return reply(model, answers[0], request.videos[0].maps, request.videos[0].when)
