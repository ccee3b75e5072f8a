"""The workers of a model, as TorchServe's management API knows them.

It is the only place that tells: /ping says healthy while workers load, are dead, or do not exist.
"""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from properties import reach

PATIENCE = 15  # seconds for an answer: on a GPU TorchServe runs nvidia-smi for it


@dataclass(frozen=True)
class Workers:
    """How many workers a model has; none where the management API does not answer."""

    ready: int
    """Those whose status is READY: the model is loaded, and the process lives."""
    total: int

    @property
    def all_ready(self) -> bool:
        """Whether there are workers and each of them is READY."""
        return self.ready == self.total > 0


def ask(management: str, name: str) -> Workers:
    """Return the workers of one model."""
    address = urlsplit(reach(management))
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE)
    try:
        connection.request("GET", f"/models/{name}")
        reply = connection.getresponse()
        workers = json.loads(reply.read())[0]["workers"] if reply.status == http.HTTPStatus.OK else []
    except (OSError, http.client.HTTPException, ValueError):
        workers = []  # not listening yet, or it has died in the middle of its answer
    finally:
        connection.close()
    return Workers(sum(worker["status"] == "READY" for worker in workers), len(workers))
