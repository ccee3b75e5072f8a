"""A Ray of two nodes on this machine: `python -m tests.made.ray_cluster FOLDER` runs it until its input ends."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

NODE: dict[str, Any] = {
    "num_cpus": 4,
    "node_ip_address": "127.0.0.1",
    "object_store_memory": 120 << 20,
    "include_log_monitor": False,
}


def main(folder: str) -> None:
    """Start both nodes, print their address and the process of the second one's raylet, and wait."""
    Path(tempfile.gettempdir(), "ray").mkdir(exist_ok=True)  # where Ray notes the address of such a cluster
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "temp_dir": folder, "include_dashboard": False})
    second = cluster.add_node(**NODE)
    (raylet,) = second.all_processes["raylet"]
    sys.stdout.write(json.dumps({"address": cluster.address, "raylet": raylet.process.pid}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1])
