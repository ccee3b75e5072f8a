"""What is read of a checkpoint's config.json, and what is refused."""

import dataclasses
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import CONFIG_MAPPING, PreTrainedConfig

from staa import Explainer, families
from staa.checkpoint import config
from staa.errors import LoadError
from tests.made import models

ROOT = Path(__file__).resolve().parents[2]
MOTIONS = ROOT / "model_store" / "motions"


def facts(**changes: Any) -> dict[str, Any]:
    """The default model's configuration with these changes."""
    read: dict[str, Any] = json.loads((MOTIONS / "config.json").read_text())
    return read | changes


def test_all_that_the_families_have_is_read() -> None:
    """Each field of a family's configuration but those for training is kept, and none that all configurations have."""
    everywhere = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    for family in families.FAMILIES:
        own = {field.name for field in dataclasses.fields(CONFIG_MAPPING[family])} - everywhere
        assert len(own) > 10
        assert own <= config.KEYS | config.TRAINING_KEYS
    assert not config.KEYS & (everywhere | config.TRAINING_KEYS)


def test_what_is_not_read_is_dropped() -> None:
    """Nothing that transformers acts on is left: code, kernels, other loaders, other types of numbers."""
    hostile = {
        "_attn_implementation": "kernels-community/evil",
        "_attn_implementation_internal": "kernels-community/evil",
        "attn_implementation": "kernels-community/evil",
        "_name_or_path": "/etc/passwd",
        "auto_map": {"AutoConfig": "modeling_evil.Evil"},
        "quantization_config": {"quant_method": "gptq"},
        "torch_dtype": "os.system",
        "dtype": "float8_e4m3fn",
        "use_kernels": True,
        "device_map": "disk",
        "sub_configs": {},
        "label2id": {"x": 99},
        "transformers_version": "99",
        "experts_implementation": "evil/evil",
        "a new one": [1],
    }
    kept = config.clean(facts(**hostile), "config.json")
    assert not set(hostile) - {"label2id"} & set(kept)
    assert kept["label2id"]["moves left"] == 0
    assert config.clean(kept, "config.json") == kept


@pytest.mark.parametrize(
    "changes",
    [
        {"_attn_implementation": "kernels-community/evil"},
        {"_attn_implementation": "flash_attention_2"},
        {"attn_implementation": "kernels-community/evil", "auto_map": {"AutoConfig": "evil.Evil"}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        {"torch_dtype": "float16", "dtype": "no type"},
    ],
)
def test_a_hostile_configuration_loads_as_if_it_were_not(changes: dict[str, Any], tmp_path: Path) -> None:
    """Loaded straight from a folder, no key fetches code or chooses another loader."""
    models.save(models.timesformer(), tmp_path)
    read = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(read | changes))
    loaded = Explainer.load(tmp_path, device="cpu", dtype="float32")
    assert loaded.dtype.itemsize == 4


LABELS = {str(number): f"class {number}" for number in range(8)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_labels": 30_000_000}, "num_labels"),
        ({"num_labels": 9}, "must agree"),
        ({"id2label": None}, "names no classes, the head of the weights has 8 rows: give it num_labels"),
        ({"num_labels": True}, "num_labels"),
        ({"id2label": {str(number): "x" for number in range(60_000)}}, "50000 labels"),
        ({"id2label": LABELS | {"8": "one more"}}, "8 rows"),
        ({"id2label": {"0": "x", "8": "y"}}, "8 rows"),
        ({"id2label": {"0": "x", "4": "y"}}, "8 rows"),
        *(
            ({"id2label": {key: "x"}}, f"'{key[:40]}' in id2label")
            for key in ("-1", "one", "01", "", "1.0", "50000", "\u0663", "9" * 5000)
        ),
        ({"id2label": []}, "id2label"),
        *(
            ({"id2label": LABELS | {"3": bad}}, "label 3")
            for bad in (
                "a\nb",
                "a\rb",
                "\x1b[2Ka",
                "a\x00",
                "a\x85b",
                "a\u2028b",
                "a\u2029b",
                "\u202egnp.exe",
                "a\u2066b",
                "\ud800",
                "\ufeffa",
                "x" * 201,
                "[METRICS]\n",
            )
        ),
        ({"id2label": LABELS | {"3": 5}}, "class 3"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"hidden_size": 10**12}, "hidden_size"),
        ({"hidden_size": -1}, "cannot be loaded|known families"),
        ({"hidden_size": "many"}, "cannot be loaded|known families"),
        ({"hidden_size": 65}, "cannot be loaded|known families"),
        ({"image_size": 192}, "cannot be loaded|known families"),
        ({"patch_size": 0}, "cannot be loaded|known families"),
        ({"patch_size": [1] * 9}, "patch_size"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps"),
        ({"hidden_act": {"a": 1}}, "hidden_act"),
        ({"hidden_act": "os.system"}, "cannot be loaded|known families"),
        ({"model_type": ["timesformer"]}, "cannot be loaded|known families"),
        ({"model_type": None}, "cannot be loaded|known families"),
    ],
)
def test_a_configuration_out_of_proportion_is_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Labels that no terminal should show, more classes than the head has, and absurd sizes: a LoadError in words."""
    for path in MOTIONS.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(facts(**changes)))
    with pytest.raises(LoadError, match=words):
        Explainer.load(tmp_path, device="cpu")


@pytest.mark.parametrize(
    "label", ["naïve café", "走る", "नमस्ते", "می\u200cروم", "👨\u200d👩\u200d👧", "x" * 200, "a\u00a0b"]
)
def test_words_of_any_script_are_labels(label: str) -> None:
    """Letters, emoji and the joiners of some scripts are taken."""
    assert config.clean(facts(id2label={"0": label}), "config.json")["id2label"] == {"0": label}


def test_thirty_million_labels_are_refused_at_once(tmp_path: Path) -> None:
    """archive.py refuses a configuration of hundreds of megabytes and one that asks for as many."""
    for path in MOTIONS.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, str(ROOT / "deploy" / "image" / "archive.py"), "motions"]
    command += ["--weights", str(tmp_path), "--output", str(tmp_path / "out")]
    with (tmp_path / "config.json").open("w") as file:
        file.write('{"id2label": {' + ",".join(f'"{number}":"x"' for number in range(1_000_000)) + "}")
        file.truncate(600_000_000)
    for _ in range(2):
        began = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (300 * 2**20, 300 * 2**20)),
        )  # fmt: skip
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began[1]
        assert done.returncode == 1, done.stderr
        assert re.search("more than|num_labels", done.stderr)
        assert used < 2
        (tmp_path / "config.json").write_text(json.dumps(facts(num_labels=30_000_000)))


def test_no_lock_holds_what_fetches_code() -> None:
    """The package `kernels`, by which transformers runs code from the hub, is installed nowhere."""
    locks = [ROOT / "requirements.txt", ROOT / "requirements-dev.txt", *(ROOT / "deploy").rglob("requirements/*")]
    assert len(locks) > 5
    for lock in locks:
        assert not re.search(r"^(kernels|peft|bitsandbytes|optimum)\b", lock.read_text(), re.MULTILINE), lock
