"""Explains many stored videos on Ray Data, without a server: ./scale.sh bulk SOURCE OUT."""

from scale.bulk.command import main

__all__ = ["main"]
