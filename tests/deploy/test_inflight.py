"""Which connections wait for an answer, as the kernel tells it."""

import socket
import time

from staa_serve.inflight import count_waiting


def test_waiting_counts_connections_that_lack_an_answer() -> None:
    """A connection waits from the first byte of a request to the last byte of its answer, and not before or after."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as server:
            counts = [count_waiting(port)]
            for sender, reader in ((client, server), (server, client), (client, server)):
                time.sleep(0.05)  # the kernel's clock ticks every few ms
                sender.sendall(b"bytes")
                counts.append(count_waiting(port))
                reader.recv(100)
                counts.append(count_waiting(port))
    assert counts == [0, 1, 1, 0, 0, 1, 1]
