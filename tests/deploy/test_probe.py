"""The health check of the image and of the pods: probe.sh."""

import socket
import subprocess
import threading
from pathlib import Path

import pytest

PROBE = Path(__file__).resolve().parents[2] / "deploy" / "staa_serve" / "probe.sh"


def probe(port: int) -> int:
    """Return the exit code of the image's health check."""
    return subprocess.run([PROBE, "ready", str(port)], check=False, timeout=5).returncode


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 Service Unavailable", 1), (None, 124)])
def test_the_health_check_passes_with_200_only_and_is_bounded(status: str | None, code: int) -> None:
    """It is 0 where 200 is answered, else not, also where nothing is ever answered; it asks what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked: list[bytes] = []

        def answer() -> None:
            with listener.accept()[0] as connection:
                while not asked or not asked[0].endswith(b"\r\n\r\n"):
                    asked[:] = [b"".join(asked) + connection.recv(1000)]
                if status:
                    connection.sendall(f"HTTP/1.0 {status}\r\n\r\n".encode())
                else:
                    connection.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        assert probe(listener.getsockname()[1]) == code
        thread.join(5)
        assert asked == [b"GET /ready HTTP/1.0\r\n\r\n"]


def test_the_health_check_fails_where_nobody_listens() -> None:
    """A port that is closed is a failure at once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    assert probe(port) == 1
