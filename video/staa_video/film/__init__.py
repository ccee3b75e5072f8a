"""A video whose frames have numbers and times, read from its packets."""

from staa_video.film.video import Video

__all__ = ["Video"]
