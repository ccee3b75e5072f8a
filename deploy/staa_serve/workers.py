"""Ask TorchServe's management API for the workers of a model.

No other address tells their state: /ping says healthy even while workers load, are dead, or do not exist.
"""

import json
import urllib.request
from dataclasses import dataclass, field, replace
from http.client import HTTPException

from staa_serve.properties import reach

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the environment reaches it
PATIENCE = 15  # seconds for an answer: on a GPU TorchServe runs nvidia-smi for it


@dataclass(frozen=True)
class Workers:
    """Holds how many workers a model has; none if the management API does not answer."""

    ready: int
    """How many workers are READY: the model is loaded, and the process lives."""
    total: int
    version: str = ""
    """The version of the model that is asked without one; empty if it is not known."""
    batch: int = 0
    """The most requests in one forward pass."""
    waiting: int = field(default=0, compare=False)
    """How many requests wait, as of the last answer."""

    def or_known(self, known: "Workers") -> "Workers":
        """Return the same, with version and batch as they were known if the answer did not say them."""
        return replace(self, version=self.version or known.version, batch=self.batch or known.batch)

    @property
    def all_ready(self) -> bool:
        """Return whether there are workers and each of them is READY."""
        return self.ready == self.total > 0


def ask(management: str, name: str) -> Workers:
    """Return the workers of one model; none if there is no answer, or no valid one."""
    try:
        with _OPENER.open(f"{reach(management)}/models/{name}", timeout=PATIENCE) as reply:
            return count(json.load(reply))
    except (OSError, HTTPException, ValueError, RecursionError):
        return Workers(0, 0)  # not listening yet, or it has died in the middle of its answer


def count(document: object) -> Workers:
    """Count the workers in a model's description: `[{"workers": [{"status": "READY"}]}]` gives 1 ready of 1."""
    match document:
        case [{"workers": list(workers), **about}, *_]:
            ready = sum(isinstance(worker, dict) and worker.get("status") == "READY" for worker in workers)
            queue = about.get("jobQueueStatus")
            waiting = queue.get("pendingRequests") if isinstance(queue, dict) else 0
            version = about.get("modelVersion")
            return Workers(
                ready,
                len(workers),
                version if isinstance(version, str) else "",
                _whole(about.get("batchSize")),
                _whole(waiting),
            )
    return Workers(0, 0)


def _whole(number: object) -> int:
    """Return a whole number from 0; 0 for anything else."""
    return number if type(number) is int and number >= 0 else 0
