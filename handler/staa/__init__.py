"""Labels of a video and where and when the model looked, from one forward pass.

STAA, Spatio-Temporal Attention Attribution: Z. Wang, Y. Liu, arXiv 2411.00630.
"""

from staa.errors import StaaError
from staa.explainer import Explainer
from staa.settings import Settings
from staa.types import Attribution, Clip, Grid, Options, Prediction, Result
from staa.video import Limits, decode

__all__ = [
    "Attribution",
    "Clip",
    "Explainer",
    "Grid",
    "Limits",
    "Options",
    "Prediction",
    "Result",
    "Settings",
    "StaaError",
    "decode",
]
