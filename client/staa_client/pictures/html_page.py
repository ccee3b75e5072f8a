"""Puts together HTML files that load nothing: a template, its style, its one script, and data for the script."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any


class Assets:
    """Reads the templates, styles and scripts that lie in a package."""

    def __init__(self, package: str) -> None:
        self._folder = files(package)

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return self._folder.joinpath(name).read_text("utf-8")

    def fill(self, name: str, values: Mapping[str, str]) -> str:
        """Return a template with its {{names}} replaced in one pass, so that names inside of values are not replaced.

        Half of a surrogate pair, as of a file's name, becomes a question mark: the text can be written as UTF-8.
        """
        text = re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], self.read(name))
        return text.encode("utf-8", "replace").decode()

    def script(self, names: Sequence[str]) -> dict[str, str]:
        """Return scripts as one, and the hash by which the page's policy lets it run and no other."""
        text = "\n" + "\n".join(map(self.read, names))
        digest = hashlib.sha256(text.encode()).digest()
        return {"script": text, "script_hash": "sha256-" + base64.b64encode(digest).decode()}


def script_json(data: Any) -> str:
    """Return JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(data)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def jpeg_address(jpeg: bytes) -> str:
    """Return the address under which an `img` shows a JPEG that lies in the page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
