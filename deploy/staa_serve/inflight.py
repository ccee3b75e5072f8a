"""Count the connections of a TCP port that wait for an answer: a server must answer them before it stops.

TorchServe does not tell this number: its queue length leaves out the requests that a worker holds, that are still
uploaded, or whose answer is still sent. The kernel knows. A connection waits if the last bytes came from the client, or
if the client has not yet acknowledged all bytes of the answer. An idle keep-alive connection does not wait.
"""

import socket
import struct
from collections.abc import Iterator

import psutil

_NETLINK_SOCK_DIAG = 4  # socket(7): the protocol of AF_NETLINK that answers questions about sockets
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DONE, _ERROR = 3, 2
_ESTABLISHED = 1
_INFO = 2  # the attribute that carries struct tcp_info
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2: family, protocol, extensions, states, socket id
_MESSAGE = 72  # bytes of struct inet_diag_msg
_LAST_SENT, _LAST_RECEIVED, _BYTES_RECEIVED = 44, 52, 128  # offsets in struct tcp_info; the times are ms ago


def count_waiting(port: int) -> int:
    """Return the number of established connections to local `port` that wait for an answer.

    If the kernel does not tell the times of connections (not Linux, or a kernel without inet_diag), every established
    connection is counted.
    """
    try:
        return sum(_waits(*row) for row in _connections(port))
    except (OSError, AttributeError, struct.error):
        return sum(
            connection.status == psutil.CONN_ESTABLISHED
            for process in (psutil.Process(), *psutil.Process().children(recursive=True))
            for connection in process.net_connections(kind="tcp")
            if connection.laddr and connection.laddr.port == port
        )


def _waits(unread: int, unsent: int, info: bytes) -> bool:
    """Return whether a connection waits for an answer.

    It waits if the client has sent something since the server last did. A connection that received 500 bytes 2 s ago
    and sent its answer 1 s ago does not wait; after the next request it does.

    Args:
        unread: bytes that were received and that the server has not read yet.
        unsent: bytes of answers that were not sent or not acknowledged yet.
        info: struct tcp_info, which tells how long ago bytes were last sent and received.
    """
    (sent,) = struct.unpack_from("=I", info, _LAST_SENT)
    (received,) = struct.unpack_from("=I", info, _LAST_RECEIVED)
    (any_received,) = struct.unpack_from("=Q", info, _BYTES_RECEIVED)
    # The clock ticks every few ms. Within one tick the order is unknown: then the connection counts as waiting.
    return unread > 0 or unsent > 0 or (any_received > 0 and received <= sent)


def _connections(port: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield (bytes unread, bytes unsent or not acknowledged, struct tcp_info) of each connection to local `port`."""
    for family in (socket.AF_INET, socket.AF_INET6):
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 1 << _ESTABLISHED)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(2)
            header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
            kernel.sendall(header + request)
            for message in _messages(kernel):
                (local_port,) = struct.unpack_from("!H", message, 4)
                unread, unsent = struct.unpack_from("=II", message, 56)
                if local_port == port:
                    yield unread, unsent, _attribute(message[_MESSAGE:], _INFO)


def _messages(kernel: socket.socket) -> Iterator[bytes]:
    """Yield the payload of each message of the kernel's reply."""
    while True:
        data = kernel.recv(1 << 16)
        while data:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise OSError("the kernel does not answer questions about TCP sockets")
            yield data[_HEADER.size : length]
            data = data[(length + 3) & ~3 :]


def _attribute(data: bytes, wanted: int) -> bytes:
    """Return the value of one netlink attribute; raise OSError if it is missing."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if kind == wanted:
            return data[4:length]
        data = data[(length + 3) & ~3 :]
    raise OSError("the kernel does not tell the times of a connection")
