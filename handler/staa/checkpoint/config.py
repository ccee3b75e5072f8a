"""Keeps of a checkpoint's config.json what is read, and refuses values that no real model has.

transformers acts on keys of this file: `_attn_implementation` fetches code, `auto_map` names code,
`quantization_config` chooses other loaders, `num_labels` makes so many names. What is not in KEYS is dropped.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

MOST_BYTES = 4 * 2**20
"""The most bytes of a config.json: 20,000 labels of 50 characters, twice, take half of it."""
MOST_LABELS = 50_000
MOST_LABEL_CHARACTERS = 200
UNNAMED = 2
"""The classes that transformers gives a model whose configuration names none; it writes no names for these two."""
_MOST_INTEGER = 1_000_000
_MOST_LAYERS = 1000
_MOST_TEXT = 100
_COUNTS = {
    "attention_heads", "num_attention_heads", "num_channels", "in_chans", "num_frames", "frames_per_clip",
    "num_hidden_layers", "num_pooler_layers", "num_auxiliary_layers", "num_spatial_layers", "num_temporal_layers",
    "pred_num_attention_heads", "pred_num_hidden_layers", "pred_num_mask_tokens", "decoder_num_attention_heads",
    "decoder_num_hidden_layers",
}  # fmt: skip
"""Keys whose numbers are small in every model."""
KEYS = _COUNTS | {
    "apply_l2norm", "attention_type", "attn_logit_softcapping", "crop_size", "decoder_hidden_size",
    "decoder_intermediate_size", "hidden_act", "hidden_size", "image_size", "intermediate_size", "layer_norm_eps",
    "mlp_ratio", "model_type", "norm_pix_loss", "patch_size", "pooler_act", "pooler_output_size", "pred_hidden_size",
    "pred_mlp_ratio", "pred_zero_init_mask_tokens", "qkv_bias", "qv_bias", "tubelet_size", "use_mean_pooling",
}  # fmt: skip
"""The keys of all families that are read, beside the kind of problem and the names of the classes."""
TRAINING_KEYS = {
    "attention_dropout", "attention_probs_dropout_prob", "drop_path_rate", "hidden_dropout_prob", "initializer_range",
}  # fmt: skip
"""Keys that mean something in training alone; transformers refuses some values that its older releases wrote there."""
PROBLEMS = ("single_label_classification", "multi_label_classification")
"""The kinds of problem, as transformers names them: one class is right, or any number of classes are."""
_CLASS = re.compile("0|[1-9][0-9]{0,5}")
_JOINERS = {"\u200c", "\u200d"}
"""The two invisible characters that words of some scripts need."""


def clean(document: Any, name: str) -> dict[str, Any]:  # whatever JSON holds
    """Return the keys that are read, with plain values, and `problem_type`, `id2label` and `label2id` if they are told.

    Raises:
        ValueError: a value is not plain, or is out of all proportion; the message begins with `name`.
    """
    if not isinstance(document, dict):
        raise ValueError(f"{name} is no JSON object")  # noqa: TRY004  # a fault of the file, as every other
    kept = {key: value for key, value in document.items() if key in KEYS}
    for key, value in kept.items():
        for part in value if isinstance(value, list) and len(value) <= 3 else [value]:
            if not _is_plain(key, part):
                raise ValueError(f"{name} has {key} = {str(part)[:40]!r}: expected a plain value of a usual size")
    if (problem := _problem_type(document, name)) is not None:
        kept["problem_type"] = problem
    labels = _labels(document, name)
    if labels is None:
        return kept
    id2label = {str(number): label for number, label in enumerate(labels)}
    return kept | {"id2label": id2label, "label2id": {label: number for number, label in enumerate(labels)}}


def check_classes(facts: Mapping[str, Any], rows: int) -> None:
    """Raise ValueError if a cleaned configuration does not have one label for each of the `rows` of the head."""
    if "id2label" not in facts:
        if rows != UNNAMED:
            msg = (
                f"config.json names no classes, the head of the weights has {rows} rows: give it num_labels or id2label"
            )
            raise ValueError(msg)
    elif (named := len(facts["id2label"])) != rows:
        raise ValueError(f"config.json names {named} classes, the head of the weights has {rows} rows: they must agree")


def is_harmless(text: str) -> bool:
    """Return whether a text has no control, line break, bidirectional mark or other invisible character in it."""
    return all(sign in _JOINERS or unicodedata.category(sign) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for sign in text)


def _is_plain(key: str, value: object) -> bool:
    match value:
        case bool() | None:
            return True
        case int():
            return -_MOST_INTEGER <= value <= (_MOST_LAYERS if key in _COUNTS else _MOST_INTEGER)
        case float():
            return math.isfinite(value) and abs(value) <= _MOST_INTEGER
        case str():
            return len(value) <= _MOST_TEXT and value.isascii() and value.isprintable()
    return False


def _problem_type(document: Mapping[str, Any], name: str) -> str | None:
    """Return one of PROBLEMS; None if the file names none, which means the first of them."""
    problem = document.get("problem_type")
    if problem == "regression":
        raise ValueError(f"{name} has problem_type = 'regression': its outputs are no classes, use a classifier")
    if problem is not None and problem not in PROBLEMS:
        raise ValueError(f"{name} has problem_type = {str(problem)[:40]!r}: expected one of {', '.join(PROBLEMS)}")
    return problem


def _labels(document: Mapping[str, Any], name: str) -> list[str] | None:
    """Return the label of each class in their order; None if the file names none.

    A class between others that has no label, or a blank one, is called as transformers calls it, `LABEL_3`.
    """
    given, count = document.get("id2label"), document.get("num_labels")
    if count is not None and (type(count) is not int or not 1 <= count <= MOST_LABELS):
        raise ValueError(f"{name} has num_labels = {str(count)[:40]}: expected 1 to {MOST_LABELS}")
    if given is None:
        return None if count is None else [f"LABEL_{number}" for number in range(count)]
    if not isinstance(given, dict) or not 1 <= len(given) <= MOST_LABELS:
        raise ValueError(f"{name} has an id2label that is no object of 1 to {MOST_LABELS} labels")
    if strange := [key for key in given if not _CLASS.fullmatch(key) or int(key) >= MOST_LABELS]:
        msg = f"{name} has {strange[0][:40]!r} in id2label: expected the number of a class below {MOST_LABELS}"
        raise ValueError(msg)
    count = max(count or 0, *(int(key) + 1 for key in given))
    found = [given.get(str(number)) for number in range(count)]
    labels: list[Any] = [f"LABEL_{number}" if _is_blank(label) else label for number, label in enumerate(found)]
    for number, label in enumerate(labels):
        if not isinstance(label, str):
            raise ValueError(f"{name} has no label in words for class {number} of {count}")  # noqa: TRY004
        if len(label) > MOST_LABEL_CHARACTERS or not is_harmless(label):
            msg = f"label {number} in {name} is {label[:60]!r}: expected at most {MOST_LABEL_CHARACTERS} characters,"
            raise ValueError(f"{msg} none of them a control character or a line break")
    return labels


def _is_blank(label: object) -> bool:
    return label is None or (isinstance(label, str) and not label.strip())
