"""Fetch archives into the model store, each checked by its SHA-256: what the init container runs.

usage: fetch.py ARCHIVES_TXT FOLDER. The standard library alone, since it runs in the server's image as it is. An
archive that is there already with its checksum is left alone. The environment's AUTHORIZATION goes with the first
request, never with a redirect to another host.

Exit codes: 0 all archives are there, 1 one cannot be had, 2 the list is wrong.
"""

import hashlib
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, NamedTuple

LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*\.mar) +(?P<sha256>[0-9a-f]{64}) +(?P<url>https://\S+)")
PATIENCE = 30  # seconds without a byte
CHUNK = 1 << 20  # bytes


class FetchError(Exception):
    """Says which archive cannot be had, or what is wrong in the list, why, and what to do."""


class Archive(NamedTuple):
    """Is one line of the list."""

    name: str
    sha256: str
    url: str


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Is a handler that follows to https only, and takes the authorization along only within one host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
            if new.scheme != "https":
                text = f"it redirects to {new.scheme}://{new.hostname}, expected https. Name the final address."
                raise FetchError(text)
            if old.netloc != new.netloc:
                following.remove_header("Authorization")
        return following


def main(argv: list[str]) -> int:
    """Fetch what a list names; return the exit code."""
    if len(argv) != 2:
        print("fetch: error: expected two arguments: ARCHIVES_TXT FOLDER", file=sys.stderr)
        return 2
    try:
        archives = parse_list(Path(argv[0]).read_text())
    except (OSError, FetchError) as error:
        print(f"fetch: error: {argv[0]}: {error}", file=sys.stderr)
        return 2
    for archive in archives:
        try:
            fetch(archive, Path(argv[1]), os.environ.get("AUTHORIZATION"))
        except (FetchError, OSError, HTTPException) as error:  # URLError is an OSError
            print(f"fetch: error: {archive.name}: {error}", file=sys.stderr)
            return 1
    return 0


def parse_list(text: str) -> list[Archive]:
    """Return the archives that a list names; raise FetchError for a line that is none, and for an empty list."""
    archives = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if not match:
            raise FetchError(f"line {number} is {line!r}; expected: NAME.mar SHA256_OF_64_DIGITS https://WHERE")
        archives.append(Archive(**match.groupdict()))
    if not archives:
        raise FetchError("it names no archive. Add one a line, or leave out the component fetch.")
    return archives


def fetch(archive: Archive, folder: Path, authorization: str | None) -> None:
    """Put one archive into a folder; it appears under its name only when it is whole and is the one meant."""
    target, partial = folder / archive.name, folder / f".{archive.name}.part"
    if target.is_file() and _sha256(target) == archive.sha256:
        print(f"fetch: {archive.name} is there", flush=True)
        return
    request = urllib.request.Request(archive.url)  # noqa: S310 LINE lets in https alone
    if authorization:
        request.add_header("Authorization", authorization)
    try:
        with (
            urllib.request.build_opener(_Redirect).open(request, timeout=PATIENCE) as reply,
            partial.open("wb") as file,
        ):
            while chunk := reply.read(CHUNK):
                file.write(chunk)
        digest = _sha256(partial)
        if digest != archive.sha256:
            message = f"its SHA-256 is {digest}, expected {archive.sha256}. Fetch it by hand and see who changed it."
            raise FetchError(message)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    print(f"fetch: fetched {archive.name} ({target.stat().st_size / 1e6:.1f} MB)", flush=True)


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
