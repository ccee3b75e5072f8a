"""Does one call to a server: its steps and attempts, its deadline, and its token."""

from staa_client.transport.deadline import Timeout
from staa_client.transport.options import Options, WatchOptions
from staa_client.transport.status import Served

__all__ = ["Options", "Served", "Timeout", "WatchOptions"]
