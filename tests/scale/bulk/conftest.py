"""A Ray for the tests of bulk jobs, which is started once."""

import secrets
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def bulk_ray() -> Iterator[None]:
    """Start a Ray of this machine alone, in a folder whose name is short enough for its sockets."""
    import ray

    from scale.bulk.run import _start

    with pytest.MonkeyPatch.context() as env, tempfile.TemporaryDirectory(prefix="ray-") as folder:
        env.setenv("RAY_USAGE_STATS_ENABLED", "0")
        env.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        env.setenv("RAY_AUTH_MODE", "token")  # so that it is as before in the end; Ray itself sets it when it starts,
        env.delenv("RAY_AUTH_MODE")  # and heeds it only where it was set before Ray was imported
        options = {"num_cpus": 4, "include_dashboard": False, "object_store_memory": 150 << 20, "log_to_driver": False}
        _start({"address": "local", "_node_ip_address": "127.0.0.1", "_temp_dir": folder} | options)
        try:
            yield
        finally:
            ray.shutdown()
