"""What TorchServe wrote in one run."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Log:
    """One of TorchServe's log files, from where this run begins in it."""

    path: Path
    start: int  # bytes

    @classmethod
    def at(cls, path: Path) -> "Log":
        """Return the log as it stands now: what is written later is this run's."""
        return cls(path, path.stat().st_size if path.is_file() else 0)

    def text(self) -> str:
        """Return what this run has written."""
        return self.path.read_bytes()[self.start :].decode(errors="replace") if self.path.is_file() else ""

    def tail(self, lines: int = 20) -> str:
        """Return the last lines, indented."""
        return "\n".join(f"  | {line}" for line in self.text().splitlines()[-lines:])

    def exceptions(self) -> str:
        """Return what Python's tracebacks end with, each once, indented: the lines that say why."""
        said = [line.split(" ", 2)[-1] for line in self.text().splitlines()]  # less time and thread
        first = next((i for i, line in enumerate(said) if line.startswith("Traceback ")), len(said))
        frames = (" ", "Traceback ", "During handling of", "The above exception", "Backend worker process died")
        ends = dict.fromkeys(line for line in said[first:] if line.strip() and not line.startswith(frames))
        return "\n".join(f"  | {line}" for line in ends)
