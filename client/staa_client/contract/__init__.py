"""Translates by the HTTP contract: options to requests, and replies to results or errors. It sends nothing itself."""

from staa_client.contract.reply import answer, card, explanation, management, of_document, result
from staa_client.contract.request import DESCRIBE, Call, call

__all__ = ["DESCRIBE", "Call", "answer", "call", "card", "explanation", "management", "of_document", "result"]
