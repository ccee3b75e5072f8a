"""What the two homes do differently, each thing by a name, with the reason; all else is the same.

The page docs/how-to/move-from-torchserve.md lists the same names. `test_differences.py` shows each at both homes.
"""

from collections.abc import Mapping
from typing import TypeVar

from tests.made.torchserve import Server

T = TypeVar("T")

DIFFERENCES: Mapping[str, str] = {
    "bodies_over_the_limit": "TorchServe's frontend refuses them with 413 and no word, and has no setting for it",
    "caching_headers": "TorchServe adds Cache-Control, Pragma and Expires to every reply; nobody caches one to POST",
    "errors_of_the_frontend": "TorchServe has a form of its own for models, versions and paths that there are not",
    "kserve_probes": "TorchServe knows KServe's routes for requests only; before it the front proxy has the others",
    "listing": "TorchServe lists its models by its management API, which the other home has not: Ray manages them",
    "malformed_forms": "TorchServe's frontend parses forms itself, and fails on some; it cannot be kept from it",
    "metrics_of_the_frontend": "TorchServe's own metrics, and its label Hostname, are of its frontend",
    "other_methods": "TorchServe takes any method for POST; the other home follows HTTP, as the front proxy does",
    "ping": "TorchServe's /ping says Healthy while workers are dead; the other home's is /ready, as SageMaker wants it",
    "ports": "TorchServe has a port each for requests, management, metrics and health, and Ray's proxy has one",
    "queries": "TorchServe drops a query without a word; the other home says so, as the front proxy does",
    "request_ids": "TorchServe names each request anew, and cannot be told not to",
    "server_header": "Ray's proxy names uvicorn in each reply, and has no setting for it; the front proxy drops it",
}
"""Name -> why."""


def at(home: Server, name: str, *, torchserve: T, ray: T) -> T:
    """Return the one of two values that holds at a home; the name is that of a difference which is listed."""
    if name not in DIFFERENCES:
        raise KeyError(name)
    return {"torchserve": torchserve, "ray": ray}[home.home]
