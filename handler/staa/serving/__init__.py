"""Serves requests: takes a batch of them and returns their replies, inside TorchServe or any other server."""

from staa.serving.audit import Audit
from staa.serving.decoding import Decoding
from staa.serving.job import Job
from staa.serving.scheduler import Scheduler
from staa.serving.service import Incoming, Outgoing, Service, accept, in_turn, load_explainer, warm, word
from staa.serving.settings import Settings
from staa.serving.telemetry import Telemetry, spans_to

__all__ = [
    "Audit",
    "Decoding",
    "Incoming",
    "Job",
    "Outgoing",
    "Scheduler",
    "Service",
    "Settings",
    "Telemetry",
    "accept",
    "in_turn",
    "load_explainer",
    "spans_to",
    "warm",
    "word",
]
