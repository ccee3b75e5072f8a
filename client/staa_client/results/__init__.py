"""Holds the results of a server, about a video or a model, as frozen types."""

from staa_client.results.card import Card, MethodCard
from staa_client.results.explanation import Answer, Explanation, Moment
from staa_client.results.result import (
    Areas,
    ClassName,
    ClipInfo,
    Faithfulness,
    Model,
    NotExplained,
    Prediction,
    Refinement,
    Result,
)

__all__ = [
    "Answer",
    "Areas",
    "Card",
    "ClassName",
    "ClipInfo",
    "Explanation",
    "Faithfulness",
    "MethodCard",
    "Model",
    "Moment",
    "NotExplained",
    "Prediction",
    "Refinement",
    "Result",
]
