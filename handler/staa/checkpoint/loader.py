"""Loads a model and its preprocessing from a folder or the hub: safetensors only, and no code from a checkpoint."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForVideoClassification, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from staa import families
from staa.checkpoint import files
from staa.checkpoint.source import locate
from staa.errors import LoadError
from staa.recipe import Recipe

MOST_TOKENS = 100_000
"""The most tokens of a clip; the largest published model has 18,432."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BROKEN = (
    LoadError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, ImportError,
    StrictDataclassError, SafetensorError,
)  # fmt: skip
"""The errors of transformers for a checkpoint that cannot be loaded, and ours."""


def load(weights: str | Path, device: str = "auto", dtype: str = "auto") -> tuple[nn.Module, Recipe]:
    """Load a checkpoint onto a device, and read its preprocessing.

    Args:
        weights: folder, or hub id such as "facebook/timesformer-base-finetuned-k400".
        device: "auto" (cuda if there is a GPU, otherwise cpu) or a torch device.
        dtype: "auto" (bfloat16 on a GPU that supports it, otherwise float32), "float32", "bfloat16" or "float16".

    Raises:
        LoadError: the checkpoint cannot be read, has no classification head, or its family is not known.
    """
    chosen = _device(device)
    if dtype not in (*DTYPES, "auto"):
        raise LoadError(f"dtype is {dtype!r}: expected one of auto, {', '.join(DTYPES)}")
    fast = chosen.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    precision = DTYPES.get(dtype, torch.bfloat16 if fast else torch.float32)
    staged = ""
    try:
        found = files.find(locate(weights))
        config, recipe = _read_description(found)
        with _staged(found) as folder:
            staged = str(folder)
            model, report = AutoModelForVideoClassification.from_pretrained(
                folder,
                config=config,
                dtype=precision,
                attn_implementation="eager",  # the explainer sets its own
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
    except LoadError:
        raise
    except BROKEN as error:
        raise _unreadable(weights, str(error).replace(staged, str(weights)) if staged else str(error)) from error
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:4])
        msg = f"{weights} lacks the weights {missing}: use a checkpoint that was fine-tuned for video classification"
        raise LoadError(msg)
    return model.to(chosen), recipe


def describe(weights: str | Path) -> tuple[PreTrainedConfig, Recipe]:
    """Read the configuration and the preprocessing of a checkpoint, and none of its weights.

    Args:
        weights: a folder or a hub id, as for `load`.

    Raises:
        LoadError: they cannot be read, or the family is not known.
    """
    try:
        return _read_description(files.find(locate(weights)))
    except LoadError:
        raise
    except BROKEN as error:
        raise _unreadable(weights, str(error)) from error


def _read_description(found: dict[str, Path]) -> tuple[PreTrainedConfig, Recipe]:
    recipe = next(found[name] for name in files.RECIPE_FILES if name in found)
    return configuration(files.read_config(found)), Recipe.read(files.read_json(recipe))


def _unreadable(weights: str | Path, why: str) -> LoadError:
    wanted = f"config.json, *.safetensors and {files.RECIPE_FILES[0]}"
    return LoadError(f"{weights} cannot be loaded: {why}. Expected a folder or a hub id with {wanted}")


def configuration(facts: dict[str, Any]) -> PreTrainedConfig:
    """Return the configuration of a model of a known family from what `files.read_config` returned.

    Raises:
        LoadError: the family is not known, or the configuration is not supported.
    """
    kind = facts.get("model_type")
    family = families.family(kind)  # type: ignore[arg-type]  # whatever the file says, the error shows it
    config: PreTrainedConfig = CONFIG_MAPPING[str(kind)].from_dict(facts)
    grid = family.grid(config)
    if (tokens := grid.t * grid.h * grid.w) > MOST_TOKENS:
        raise LoadError(f"its clips have {tokens} tokens, more than {MOST_TOKENS}: is config.json that of the weights?")
    return config


@contextmanager
def _staged(found: dict[str, Path]) -> Iterator[Path]:
    """Give a folder in which transformers finds the weights and nothing else, such as an adapter that names others."""
    with tempfile.TemporaryDirectory(prefix="staa-weights-") as name:
        folder = Path(name)
        for file, path in found.items():
            if file.endswith((".safetensors", files.INDEX)):
                (folder / file).symlink_to(path)
        (folder / files.CONFIG).write_text(json.dumps(files.read_config(found)))
        yield folder


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise LoadError(f"device is {name!r}: expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise LoadError(f"device is {name!r}, but torch sees no GPU: use device auto or cpu")
    return device
