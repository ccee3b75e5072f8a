"""VideoPrism: blocks over the patches of each frame, then over the frames of each patch, then one learned query.

The token order within the spatial blocks is (B*T, P), within the temporal ones (B*P, T), and for the query step, row,
column. The attention logits of the blocks have a soft cap, those of the query have none.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from torch import Tensor, nn
from transformers import PreTrainedModel

from staa import capture
from staa.errors import LoadError
from staa.families import pair
from staa.sites import Layout, Site, head_factors
from staa.types import Grid

INPUT_NAME = "pixel_values_videos"
OPTIMISATIONS: Mapping[str, Callable[[Any], None]] = {}


def grid(config: Any) -> Grid:
    """Return the token grid, with one token for each patch and frame; raise LoadError if transformers cannot run it."""
    if config.tubelet_size[0] != 1:
        raise LoadError(f"tubelet_size is {config.tubelet_size}: transformers' VideoPrism takes tubelets of one frame")
    return Grid.of((config.num_frames, *size(config)), tuple(config.tubelet_size))


def size(config: Any) -> tuple[int, int]:
    """Return (height, width) of frames in pixels."""
    return pair(config.image_size)


def route(model: PreTrainedModel) -> None:
    """Let the attention go through `capture.attend`, and return logits (B, K), where transformers has (B, 1, K)."""
    capture.route(model)
    classifier = cast("nn.Linear", model.get_submodule("classifier"))
    classifier.forward = partial(_classify, classifier)  # type: ignore[method-assign]


def _classify(classifier: nn.Linear, pooled: Tensor) -> Tensor:
    """Return the logits (B, K) of the pooled query (B, 1, width)."""
    return nn.Linear.forward(classifier, pooled.squeeze(1))


def sites(model: nn.Module, grid: Grid, _stride: int) -> list[Site]:
    """Return the attentions of the spatial blocks, of the temporal blocks, and of the learned query."""
    config: Any = model.config
    frames, patches = Layout(grid, grid.t), Layout(grid, grid.h * grid.w, patch_major=True)
    spatial, temporal = (
        [block.get_submodule("attention") for block in model.get_submodule(f"vision_model.{name}_layers").children()]
        for name in ("spatial", "temporal")
    )
    head: Any = model.get_submodule("head")
    softcap = config.attn_logit_softcapping
    return [
        *(Site(module, frames, "deep", softcap=softcap) for module in spatial),
        *(Site(module, patches, "pool", softcap=softcap) for module in temporal),
        Site(
            head,
            Layout(grid),
            "query",
            output=head.o_proj,
            factors=head_factors(head.o_proj, config.num_attention_heads),
        ),
    ]


def directions(model: nn.Module) -> Tensor:
    """Return the directions of the classes (K, width) in the pooled query; the norm's factor is its weight plus 1."""
    classifier, norm = (model.get_submodule(name) for name in ("classifier", "head_layernorm"))
    scaled = cast("nn.Linear", classifier).weight.float() * (cast("nn.LayerNorm", norm).weight.float() + 1)
    return scaled - scaled.mean(-1, keepdim=True)
