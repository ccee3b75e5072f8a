"""A decoded frame as it is meant to be seen: its colours, its shape, its orientation."""

from staa_video.picture.orientation import Image, Matrix, is_turned, matrix, upright
from staa_video.picture.scaler import Scaler
from staa_video.picture.shape import Crop, Shape

__all__ = ["Crop", "Image", "Matrix", "Scaler", "Shape", "is_turned", "matrix", "upright"]
