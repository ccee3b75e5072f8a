"""Chooses and decodes the frames of a video that a model needs, in display orientation and colours.

The server and its client share this decoder. It needs av, numpy and Pillow, and knows neither models nor HTTP.
"""

from staa_video.clip import LIMITS, UNLIMITED, Clip, Limits
from staa_video.decoder import decode
from staa_video.errors import StaaError

__all__ = ["LIMITS", "UNLIMITED", "Clip", "Limits", "StaaError", "decode"]
