"""Takes the video of a caller, and samples its frames."""

from staa_client.video.frames import Frame, Frames
from staa_client.video.pictures_of import frames_at, sampled

__all__ = ["Frame", "Frames", "frames_at", "sampled"]
