"""Downloads a video from a URL that the caller gave, since the server opens no URL."""

import httpx2

from staa_client.errors import SourceError
from staa_client.transport.body import ACCEPTED, Body
from staa_client.transport.deadline import Deadline
from staa_client.transport.network import UNUSABLE, keep_to_deadline, until
from staa_client.video.source import Link, shown

MOST_VIDEO_BYTES = 512 * 2**20
"""The most bytes of a download: a larger file is hardly a clip, and would fill the memory."""


def fetch(link: Link, deadline: Deadline, most: int = MOST_VIDEO_BYTES) -> bytes:
    """Download a link, follow redirects, and return the bytes; no token is sent.

    Raises:
        SourceError: the video cannot be downloaded, is empty, or has more than `most` bytes.
    """
    try:
        with (
            until(deadline),
            keep_to_deadline(httpx2.Client(follow_redirects=True, timeout=deadline.http())) as http,
            http.stream("GET", link.url, headers=ACCEPTED) as response,
        ):
            if response.status_code != 200:
                raise _failed(link, f"the address answers {response.status_code}", response.status_code)
            body = Body(response, most)
            for chunk in body.chunks():
                deadline.check()
                body.add(chunk)
            data = body.whole()
    except httpx2.InvalidURL:
        # Its text, and so a trace, would quote the part of a password that was taken for a port.
        raise _failed(
            link, 'it is no address; write "/", "?", "#" and "@" of a password as %2F, %3F, %23, %40'
        ) from None
    except (httpx2.HTTPError, ValueError, *UNUSABLE) as reason:  # a BodyError, or a redirect without a host
        raise _failed(link, str(reason) or type(reason).__name__) from reason
    if not data:
        raise _failed(link, "nothing came")
    return data


def _failed(link: Link, why: str, status: int | None = None) -> SourceError:
    msg = f"the video at {shown(link.url)} cannot be fetched ({why}); try the address in a browser, or send a file"
    return SourceError(msg, code="source_unreachable", status=status)
