"""Print the progress of this process line by line, and read what TorchServe writes to its log files in this run."""

import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FORMAT = "STAA_LOG_FORMAT"
"""The environment variable for the format of printed lines, "plain" or "json"; log4j2.xml reads it, too."""


class StartError(Exception):
    """Says that the server cannot start or go on, why, and what to do."""


def print_line(text: str, *, failed: bool = False) -> None:
    """Print one line of progress at once, in the form of the frontend's own lines; a failure goes to stderr.

    What is quoted of other logs may hold anything: but line feeds and tabs, what does not print is shown as "?".
    """
    text = "".join(sign if sign.isprintable() or sign in "\n\t" else "?" for sign in text)
    line = f"serve: {text}"
    if os.environ.get(FORMAT) == "json":
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level = "ERROR" if failed else "INFO"
        line = json.dumps({"time": now, "level": level, "logger": "serve", "request": "", "message": text})
    print(line, file=sys.stderr if failed else sys.stdout, flush=True)


@dataclass(frozen=True)
class Log:
    """Reads one of TorchServe's log files, from the position where this run begins."""

    path: Path
    start: int  # bytes

    @classmethod
    def at(cls, path: Path) -> "Log":
        """Return the log with its present end as the start of this run."""
        return cls(path, path.stat().st_size if path.is_file() else 0)

    def text(self) -> str:
        """Return what this run has written."""
        return self.path.read_bytes()[self.start :].decode(errors="replace") if self.path.is_file() else ""

    def tail(self, lines: int = 20) -> str:
        """Return the last lines, indented."""
        return "\n".join(f"  | {line}" for line in self.text().splitlines()[-lines:])

    def exceptions(self) -> str:
        """Return the last lines of Python's tracebacks, which name the errors; each one once, indented."""
        said = [line.split(" ", 2)[-1] for line in self.text().splitlines()]  # less time and thread
        first = next((i for i, line in enumerate(said) if line.startswith("Traceback ")), len(said))
        frames = (" ", "Traceback ", "During handling of", "The above exception", "Backend worker process died")
        ends = dict.fromkeys(line for line in said[first:] if line.strip() and not line.startswith(frames))
        return "\n".join(f"  | {line}" for line in ends)
