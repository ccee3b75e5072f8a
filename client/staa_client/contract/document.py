"""Turns the bytes of a reply, or of a saved result, into one document, within bounds that are checked before."""

import io
import json
import zipfile
from typing import Any, Final, NoReturn

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from staa_client.results.explanation import MAPS

MOST_BYTES: Final = 32 * 2**20
"""The most bytes of a reply, and of all arrays in an npz: twice 4 million cells in float32."""
MOST_JSON_BYTES: Final = 16 * 2**20
"""The most bytes of JSON: maps of half a million cells as nested lists, or of 3 million in base64."""
MOST_LINE_BYTES: Final = 2**31
"""The most bytes of a line in a file that this client itself wrote: the scores of all windows of a long video."""
_MOST_VALUES: Final = 1_500_000
_MOST_CONTAINERS: Final = 200_000
"""The most commas, and the most brackets and braces, in JSON: Python takes 20 to 90 bytes for each value."""
_MOST_MEMBERS: Final = 16
_DTYPES: Final = {"<f4", "<f2", "<f8", "|u1"}
_COMPRESSIONS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def read_document(body: bytes) -> dict[str, Any]:
    """Return the reply as one dict; the maps of an npz are put where json and base64 have them.

    Raises:
        ValueError, TypeError, LookupError, zipfile.BadZipFile, zlib.error, ...: it is neither, or is too large; see
            `reply.BROKEN`.
    """
    document = _read_npz(body) if body[:2] == b"PK" else read_json(body)
    if not isinstance(document, dict):
        raise TypeError(f"expected a JSON object, got {type(document).__name__}")
    return document


def read_json(text: bytes, most: int = MOST_JSON_BYTES) -> Any:
    """Return the data in JSON of at most so many bytes.

    Raises:
        ValueError: it is no JSON, too large, or has numbers that are none.
        RecursionError: it is too deep.
    """
    if len(text) > most:
        raise ValueError(f"more than {most} bytes of JSON")
    if text.count(b",") > _MOST_VALUES or text.count(b"[") + text.count(b"{") > _MOST_CONTAINERS:
        raise ValueError("more values than any reply has")
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _read_npz(body: bytes) -> dict[str, Any]:
    """Return the JSON data in the array `reply` of an npz, with the other arrays in its `explanation`."""
    if len(body) > MOST_BYTES or body.count(b"PK\x01\x02") > 2 * _MOST_MEMBERS:  # of each entry of its directory
        raise ValueError("an archive that is larger than any reply")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(entries) > _MOST_MEMBERS or len(set(names)) != len(names):
            raise ValueError("too many arrays, or two of one name")
        if not {entry.compress_type for entry in entries} <= _COMPRESSIONS:
            raise ValueError("a compression that no .npz has")
        if sum(entry.file_size for entry in entries) > MOST_BYTES:
            raise ValueError(f"arrays of more than {MOST_BYTES} bytes")
        document = read_json(_member(archive, "reply").tobytes())
        maps = {name: _member(archive, name) for name in MAPS if f"{name}.npy" in names}
    document["explanation"] |= maps
    return document  # type: ignore[no-any-return]  # the caller looks at it


def _member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Return an array of an npz; no more of it is unpacked than the size that was checked."""
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as file:
        return _array(file.read(entry.file_size))


def _array(data: bytes) -> NDArray[Any]:
    """Return the array in the bytes of an .npy, whose stated shape must be that of its bytes."""
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"an array of version {version}")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read_header(stream)
    if dtype.str not in _DTYPES:
        raise ValueError(f"an array of {dtype.str}")
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if is_fortran else "C")
