"""The command `staa`; needs the extra `cli`."""

import sys
from typing import TYPE_CHECKING

from staa_client import _late

if TYPE_CHECKING:
    from staa_client.cli.app import main

__all__ = ["entry", "main"]


def entry() -> None:
    """Run the command with the arguments of the process and end the process; exit code 2 without the extra."""
    try:
        run = _late.load("main")
    except ModuleNotFoundError as reason:
        if reason.name not in {"typer", "rich"}:
            raise
        sys.stderr.write(
            f'staa: the command needs the package {reason.name}: pip install "./client[cli]" from a checkout\n'
        )
        sys.exit(2)
    sys.exit(run())


def __getattr__(name: str) -> object:
    return _late.attribute(__name__, __all__, name)
