"""Collects the body of a reply as it comes; what is compressed is unpacked within a bound."""

import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

import httpx2

ACCEPTED: Final = {"Accept-Encoding": "gzip"}
"""The header that says which compression is read: one whose output can be bounded while it comes."""
_GZIP: Final = 16 + zlib.MAX_WBITS


class BodyError(ValueError):
    """Says that a body is too large, or compressed in another way than was asked for."""


class Body:
    """Collects at most `most` bytes of a response, however small they were packed.

    A response that a transport for tests made of bytes is unpacked already.

    Raises:
        BodyError: the headers already say that it is too large, or compressed otherwise.
    """

    def __init__(self, response: httpx2.Response, most: int) -> None:
        self._most, self._data, self._response = most, bytearray(), response
        self._came = 0
        self._is_there = response.is_stream_consumed
        headers: Mapping[str, str] = {} if self._is_there else response.headers
        encoding = headers.get("content-encoding", "identity").strip().lower() or "identity"
        if encoding not in {"identity", "gzip", "x-gzip"}:
            raise BodyError(f"it is compressed as {encoding!r:.40}, which was not asked for")
        self._unpacker = None if encoding == "identity" else zlib.decompressobj(_GZIP)
        length = headers.get("content-length", "")
        if len(length) < 20 and length.isdecimal() and int(length) > most:
            raise self._too_large()

    def chunks(self) -> Iterator[bytes]:
        """Return the chunks of the response as they come."""
        return self._response.iter_bytes() if self._is_there else self._response.iter_raw()

    def chunks_async(self) -> AsyncIterator[bytes]:
        """Return the chunks of the response as they come, in an event loop."""
        return self._response.aiter_bytes() if self._is_there else self._response.aiter_raw()

    def add(self, chunk: bytes) -> None:
        """Add the next bytes as they came.

        Raises:
            BodyError: the body is too large, or damaged.
        """
        self._came += len(chunk)
        if self._came > self._most:
            raise self._too_large()
        if self._unpacker is not None:
            goes_on = self._unpacker.eof and bool(chunk)  # zlib would keep all that comes then
            try:
                chunk = self._unpacker.decompress(chunk, self._most + 1 - len(self._data))
            except zlib.error as reason:
                raise BodyError(f"it cannot be unpacked ({reason})") from reason
            if goes_on or self._unpacker.unused_data:
                raise BodyError("it goes on after its end")
        if len(self._data) + len(chunk) > self._most:
            raise self._too_large()
        self._data += chunk

    def whole(self) -> bytes:
        """Return the body after its last chunk.

        Raises:
            BodyError: it was cut off while compressed.
        """
        if self._unpacker is not None and self._data and not self._unpacker.eof:
            raise BodyError("it was cut off")
        return bytes(self._data)

    def _too_large(self) -> BodyError:
        return BodyError(f"it has more than {self._most} bytes")
