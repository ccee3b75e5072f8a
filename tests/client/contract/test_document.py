"""What a reply unpacks to is bounded before it is unpacked: little memory and little time, and a ReplyError."""

import io
import json
import subprocess
import sys
import textwrap
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from staa_client import ReplyError, contract
from staa_client.contract import document as bounds
from tests.client.conftest import document, encoded

BOMBS = """
    import base64, io, json, zipfile, zlib
    def npy(shape, data, descr="<f4"):
        head = str({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\\n"
        return b"\\x93NUMPY\\x01\\x00" + len(head).to_bytes(2, "little") + head + data
    def zipped(members, repeat=1):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members * repeat:
                archive.writestr(name, data)
        return buffer.getvalue()
    zeros = bytes(2 * 2**30 // 16)
    def large_array():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("joint.npy", "w", force_zip64=True) as file:
                file.write(npy((2**27,), b""))
                for _ in range(4):
                    file.write(zeros)
            archive.writestr("reply.npy", npy((2,), b"{}", "|u1"))
        return buffer.getvalue()
    def many_members():
        return zipped([(f"{n}.npy", b"") for n in range(5_000)])
    def many_values(): return b"[" + b"1," * 8_000_000 + b"1]"
    def many_lists(): return b"[" + b"[]," * 5_000_000 + b"1]"
    def many_texts(): return b"[" + b'"",' * 5_000_000 + b"1]"
    def many_objects(): return b'{"clip":[' + b'{"a":{}},' * 1_800_000 + b"{}]}"
    def deep(): return b"[" * 16_000_000
    def more_than_stated():
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = b"".join([*(packer.compress(zeros) for _ in range(8)), packer.flush()])
        body = zipped([("reply.npy", b"")])
        small, stated = body[body.index(b"reply.npy") + 9 :][:2], (1000).to_bytes(4, "little")
        length = len(data).to_bytes(4, "little")
        local, rest = body[:18] + length + stated + body[26:39], bytearray(body[41:])
        rest[20:28] = length + stated
        rest[-6:-2] = (len(local) + len(data)).to_bytes(4, "little")
        return local + data + bytes(rest)
    def long_and_many_texts():
        reply = json.loads(DOCUMENT)
        reply["explanation"]["temporal"] = ["a" * 2000] + [""] * 1_000_000
        return json.dumps(reply, separators=(",", ":")).encode()
    def long_text(): return b'{"model":"' + b"x" * 30_000_000 + b'"}'
"""
"""Functions that make small bodies that would take gigabytes."""


def read_apart(make: str, use: str) -> tuple[int, float]:
    """Let a process of its own make a body, and read it with 300 MB more at most.

    Return the length of the error's message, and the seconds of CPU.
    """
    code = (
        f"DOCUMENT = {json.dumps(document())!r}\n"
        + textwrap.dedent(BOMBS)
        + textwrap.dedent(
            f"""
        import resource, time, warnings
        warnings.simplefilter("error")
        from staa_client import ReplyError, contract
        body = {make}
        del zeros
        pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (pages + 300 * 2**20,) * 2)
        began = time.process_time()
        try:
            {use}
        except ReplyError as error:
            assert not isinstance(error.__cause__, MemoryError), error
            print(len(str(error)), time.process_time() - began)
        """
        )
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    length, seconds = done.stdout.split()
    return int(length), float(seconds)


@pytest.mark.parametrize(
    "make",
    [
        *("large_array", "more_than_stated", "many_members", "many_values", "many_lists", "many_texts"),
        *("long_and_many_texts", "many_objects", "deep", "long_text"),
    ],
)
def test_a_small_reply_that_would_fill_the_memory_is_refused(make: str) -> None:
    """Arrays of gigabytes, hundreds of thousands of members, millions of values, depth without end."""
    length, seconds = read_apart(f"{make}()", "contract.explanation(200, {}, body)")
    assert length < 1000
    assert seconds < 1


def test_the_bound_of_a_map_leaves_room_for_every_model() -> None:
    """64 steps of 64 x 64 cells with signs are read in each encoding; that is 16 times what any known model has."""
    reply = document()
    joint = np.random.default_rng(0).random((64, 64, 64)).astype(np.float32)
    joint /= joint.sum()
    fields = {"joint": joint.tolist(), "temporal": joint.sum((1, 2)).tolist(), "spatial": joint.sum(0).tolist()}
    reply["explanation"] |= fields | {"shape": [64, 64, 64], "steps": [[step, step + 1] for step in range(64)]}
    reply["explanation"]["threshold"] = 0.0
    for encoding in ("json", "base64", "npz"):
        assert contract.explanation(200, {}, encoded(reply, encoding)).joint.shape == (64, 64, 64)


def many(archive: zipfile.ZipFile, count: int) -> None:
    """Add so many members to an archive."""
    for number in range(count):
        archive.writestr(f"{number}.npy", b"")


def npz(change: Callable[[zipfile.ZipFile], Any], **arrays: Any) -> bytes:
    """The document as npz, with these arrays in place of its own, after a change."""
    fields = document()["explanation"]
    rest = {name: value for name, value in fields.items() if name not in {"temporal", "spatial", "joint"}}
    text = json.dumps(document() | {"explanation": rest}).encode()
    maps = {name: np.asarray(fields[name], np.float32) for name in ("temporal", "spatial", "joint")}
    buffer = io.BytesIO()
    np.savez(buffer, **{**maps, "reply": np.frombuffer(text, np.uint8), **arrays})
    with zipfile.ZipFile(buffer, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two members of one name
        change(archive)
    return buffer.getvalue()


def test_an_npz_as_numpy_writes_it_is_read() -> None:
    """The archive that the others change is one of the contract, in Fortran's order too."""
    whole = contract.explanation(200, {}, npz(lambda _: None))
    turned = contract.explanation(200, {}, npz(lambda _: None, joint=np.asfortranarray(whole.joint)))
    assert np.array_equal(whole.joint, turned.joint)


@pytest.mark.parametrize(
    "body",
    [
        npz(lambda archive: archive.writestr("joint.npy", b"")),
        npz(lambda archive: many(archive, 20)),
        npz(lambda archive: archive.writestr("x", b"y", zipfile.ZIP_BZIP2)),
        npz(lambda _: None, joint=np.array(["a"])),
        npz(lambda _: None, joint=np.array([1 + 2j])),
        npz(lambda _: None, joint=np.full((16, 12, 12), np.nan, np.float32)),
        npz(lambda _: None, joint=np.full((16, 12, 12), 2.0, np.float32)),
        npz(lambda _: None, joint=np.full((16, 12, 12), 1e300)),
        npz(lambda _: None, reply=np.frombuffer(b"[]", np.uint8)),
        npz(lambda _: None, reply=np.frombuffer(b'{"explanation": []}', np.uint8)),
    ],
)
def test_an_npz_of_another_form_is_refused(body: bytes) -> None:
    """Two arrays of one name, many, other compressions, types and values: a ReplyError."""
    with pytest.raises(ReplyError):
        contract.explanation(200, {}, body)


def test_json_has_numbers_only() -> None:
    """NaN and Infinity, which Python's JSON takes, are none."""
    for text in (b"[NaN]", b"[Infinity]", b"[-Infinity]"):
        with pytest.raises(ValueError, match="is no number"):
            bounds.read_json(text)
