"""Which files of a checkpoint are taken, and where links may lead."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staa import Explainer
from staa.checkpoint import files
from staa.checkpoint.source import locate
from staa.errors import LoadError

MOTIONS = Path(__file__).resolve().parents[2] / "model_store" / "motions"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the default model's checkpoint."""
    return Path(shutil.copytree(MOTIONS, tmp_path / "weights"))


def test_only_named_files_are_taken(folder: Path) -> None:
    """Vocabularies, notes, code, adapters and files with odd names are left where they are, whatever they link to."""
    for name in (
        "vocab.txt",
        "added_tokens.json",
        "adapter_config.json",
        "modeling.py",
        "config.json\n",
        "x.safetensors",
    ):
        (folder / name).symlink_to("/etc/passwd")
    assert set(files.find(folder)) == {"config.json", "model.safetensors", "preprocessor_config.json"}


def test_the_layout_of_the_hubs_cache_works(folder: Path, tmp_path: Path) -> None:
    """Snapshots link into the blobs of their own repository, in steps too, and the folder itself may be a link."""
    repository = tmp_path / "models--x--y"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(repository / "blobs" / f"{number}")
        (repository / "blobs" / f"link{number}").symlink_to(f"{number}")
        (snapshot / path.name).symlink_to(f"../../blobs/link{number}")
    (tmp_path / "short").symlink_to(snapshot)
    for each in (snapshot, tmp_path / "short"):
        assert files.find(each)["config.json"].parent == repository / "blobs"
    assert Explainer.load(tmp_path / "short", device="cpu").family == "timesformer"


def to_a_secret(path: Path) -> None:
    """Link to a file outside."""
    path.symlink_to("/etc/passwd")


def to_a_neighbour(path: Path) -> None:
    """Link to a folder whose name begins as this one's does."""
    other = path.parent.with_name(path.parent.name + "-other")
    other.mkdir()
    (other / "file").write_text("{}")
    path.symlink_to(other / "file")


def in_a_chain(path: Path) -> None:
    """Link to a link of the folder that leads outside."""
    (path.parent / "step").symlink_to("/etc/passwd")
    path.symlink_to("step")


def in_a_circle(path: Path) -> None:
    """Link to itself."""
    path.symlink_to(path.name)


def to_a_folder(path: Path) -> None:
    """Link to a folder of the checkpoint."""
    (path.parent / "inner").mkdir()
    path.symlink_to("inner")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json", files.INDEX])
@pytest.mark.parametrize(
    "make",
    [
        to_a_secret,
        to_a_neighbour,
        in_a_chain,
        in_a_circle,
        to_a_folder,
        lambda path: path.symlink_to("nothing"),
        lambda path: path.symlink_to("/dev/zero"),
        os.mkfifo,
        os.mkdir,
    ],
    ids=["outside", "neighbour", "chain", "circle", "folder link", "dangling", "device", "pipe", "folder"],
)
def test_what_is_no_file_of_the_checkpoint_is_refused(make: Callable[[Path], None], name: str, folder: Path) -> None:
    """A link out of the folder, to nothing, to a folder or a device, and a pipe: refused with the file's name."""
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    with pytest.raises(ValueError, match=f"{name} is (a link|no regular file)"):
        files.find(folder)
    with pytest.raises(LoadError, match=name):
        Explainer.load(folder, device="cpu")


@pytest.mark.parametrize(
    "shard", ["../../secret.safetensors", "/etc/passwd", "config.json", "model-00002-of-00002.safetensors"]
)
def test_an_index_names_files_of_the_checkpoint_alone(shard: str, folder: Path) -> None:
    """The index of a divided checkpoint cannot lead to other files."""
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / files.INDEX).write_text(json.dumps({"weight_map": {"classifier.weight": shard}}))
    with pytest.raises(ValueError, match="is no file of this checkpoint"):
        files.find(folder)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"", b"[]", b"3", b'{"a":' * 50_000, b" " * 5_000_000, b"\xff\xfe{}"]
)
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_strange_json_is_refused(content: bytes, name: str, folder: Path) -> None:
    """A configuration that is too large, too deep or no object is refused at load, in words."""
    (folder / name).write_bytes(content)
    with pytest.raises(LoadError, match="cannot be loaded"):
        Explainer.load(folder, device="cpu")


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 8, (10).to_bytes(8, "little") + b'{"a": [1]}'])
def test_strange_weights_are_refused(content: bytes, folder: Path) -> None:
    """Weights that are no safetensors are a LoadError."""
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(LoadError):
        Explainer.load(folder, device="cpu")


def test_a_path_is_not_looked_for_on_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that does not exist is told at once where the folder above it does; so is a file, and no name at all."""
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    for name, words in {
        "weights/nope": "no folder weights/nope",
        "weights/config.json": "is a file",
        "a/b/c": "no hub id",
    }.items():
        with pytest.raises(LoadError, match=words):
            Explainer.load(name, device="cpu")
        with pytest.raises(ValueError, match=words):
            locate(name)


def test_an_adapter_beside_the_weights_is_not_followed(folder: Path) -> None:
    """The library would load what adapter_config.json names, from the hub; here it is not seen."""
    facts: dict[str, Any] = {"base_model_name_or_path": "someone/else", "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(facts))
    assert Explainer.load(folder, device="cpu").family == "timesformer"
