"""Programs that tests start: where they are, what a test says that lacks one, and ports for them."""

import contextlib
import os
import random
import shutil
import socket
import sys
from pathlib import Path

import pytest

LOWEST_PORT = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def program(name: str, install: str) -> str:
    """Return the path of a program, beside this Python or on the PATH; skip the test where there is none.

    `install` is the command that brings it. Where CI is set, tests/conftest.py makes a failure of the skip.
    """
    folders = [str(Path(sys.executable).parent), *os.get_exec_path(), "/usr/sbin"]
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is None:
        pytest.skip(f"there is no {name}: {install}")
    return path


def free_ports(count: int = 1) -> list[int]:
    """Return different ports of the loopback that nobody listens on, for servers that cannot be asked which they took.

    They lie below those that the kernel gives to connections, so that none is taken by one before its server starts,
    and are drawn by chance, so that tests in several processes hardly draw the same.
    """
    end = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768  # the first that connections get
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(LOWEST_PORT, max(end, LOWEST_PORT + 10_000))
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            if port not in ports:
                ports.append(port)
    return ports
