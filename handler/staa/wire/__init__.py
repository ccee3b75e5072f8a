"""The HTTP contract: request row -> Call, result -> bytes. The only owner of field names, see docs/openapi.yaml."""

from staa.wire.kserve import Call, answer, read
from staa.wire.replies import ENCODINGS, Answer, Model, Reply, card, failure, reply
from staa.wire.request import READERS, Request, parse

__all__ = [
    "ENCODINGS",
    "READERS",
    "Answer",
    "Call",
    "Model",
    "Reply",
    "Request",
    "answer",
    "card",
    "failure",
    "parse",
    "read",
    "reply",
]
