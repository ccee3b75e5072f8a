"""A video from a URL of the user, fetched by the client: the server opens no address that a request names."""

import httpx2

from staa_client._address import shown
from staa_client._errors import SourceError
from staa_client._source import Link
from staa_client._timeout import Deadline

MOST = 512 * 2**20
"""Bytes that are fetched at most."""


def fetched(link: Link, deadline: Deadline) -> bytes:
    """The bytes behind a link; redirects are followed, and no token is sent.

    Raises:
        SourceError: it cannot be fetched, is empty, or has more than MOST bytes.
    """
    try:
        with (
            httpx2.Client(follow_redirects=True, timeout=deadline.http()) as http,
            http.stream("GET", link.url) as response,
        ):
            if response.status_code != 200:
                raise _failed(link, f"the address answers {response.status_code}", response.status_code)
            data = bytearray()
            for chunk in response.iter_bytes():
                deadline.check()
                data += chunk
                if len(data) > MOST:
                    raise _failed(link, f"it has more than {MOST} bytes")
    except httpx2.InvalidURL:
        # Its text, and so a trace, would quote the part of a password that was taken for a port.
        raise _failed(
            link, 'it is no address; write "/", "?", "#" and "@" of a password as %2F, %3F, %23, %40'
        ) from None
    except httpx2.HTTPError as reason:
        raise _failed(link, str(reason) or type(reason).__name__) from reason
    if not data:
        raise _failed(link, "nothing came")
    return bytes(data)


def _failed(link: Link, why: str, status: int | None = None) -> SourceError:
    msg = f"the video at {shown(link.url)} cannot be fetched ({why}); try the address in a browser, or send a file"
    return SourceError(msg, code="source_unreachable", status=status)
