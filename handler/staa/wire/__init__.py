"""The HTTP contract: request row -> Request, result -> bytes. The only owner of field names, see docs/openapi.yaml."""

from staa.wire.replies import ENCODINGS, Model, Reply, card, failure, reply
from staa.wire.request import READERS, Request, parse

__all__ = ["ENCODINGS", "READERS", "Model", "Reply", "Request", "card", "failure", "parse", "reply"]
