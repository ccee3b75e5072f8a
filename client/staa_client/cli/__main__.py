"""Runs the command `staa` as `python -m staa_client.cli`."""

from staa_client.cli import entry

entry()
