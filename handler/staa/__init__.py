"""Labels a video and shows where and when the model looked, from one forward pass.

STAA, Spatio-Temporal Attention Attribution: Z. Wang, Y. Liu, arXiv 2411.00630.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from staa.errors import StaaError
    from staa.explainer import Explainer
    from staa.types import Attribution, Grid, Options, Prediction, Result
    from staa_video import Clip, Limits, decode

__all__ = [
    "Attribution",
    "Clip",
    "Explainer",
    "Grid",
    "Limits",
    "Options",
    "Prediction",
    "Result",
    "StaaError",
    "decode",
]
_MODULES = {
    "Explainer": "staa.explainer",
    "StaaError": "staa.errors",
    **dict.fromkeys(("Clip", "Limits", "decode"), "staa_video"),
}
"""Name -> its module, if that is not `staa.types`."""


def __getattr__(name: str) -> Any:
    """Import a name when it is used: `staa.checkpoint.files` is also used where torch must not be loaded."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES.get(name, "staa.types")), name)
