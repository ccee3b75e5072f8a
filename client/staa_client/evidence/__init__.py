"""Keeps what was answered about which video as lines of a file, and asks again later to compare."""

from staa_client.evidence.replay import Replay, ReplayCheck

__all__ = ["Replay", "ReplayCheck"]
