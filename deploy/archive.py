"""Build the archive of a model that TorchServe loads: what ./archive.sh runs.

The root of NAME.mar is the content of handler/, the folder weights/ and model-config.yaml, so that the server needs
neither this checkout nor a network. The archive appears under its name only once its handler was imported out of it
and takes the model's configuration.

Exit codes: 0 built, 1 cannot be built, 2 wrong arguments.
"""

import argparse
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "model_store"
TEMPLATE = STORE / "motions.yaml"
HANDLER = "staa_handler.py"
PACKED = ("*.json", "*.safetensors", "*.txt")  # of the weights: no pickle, no code, no other framework's files
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # what is safe in a URL and in a file name
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


class BuildError(Exception):
    """The archive cannot be built; the message says why, and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Build one archive; return the exit code."""
    parser = argparse.ArgumentParser(prog="archive.sh", description="Build the archive of a model for TorchServe.")
    parser.add_argument("name", metavar="NAME", help="name of the served model; its settings are model_store/NAME.yaml")
    parser.add_argument(
        "--weights", metavar="FOLDER_OR_HUB_ID", help="default: model_store/NAME/, else the yaml's hub id"
    )
    parser.add_argument("--output", type=Path, default=STORE, metavar="DIR", help="where NAME.mar goes (model_store)")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started and made is ended and removed
    try:
        with tempfile.TemporaryDirectory(prefix="staa-archive-") as scratch:
            build(args.name, args.weights, args.output, Path(scratch))
    except BuildError as error:
        print(f"archive: error: {error}", file=sys.stderr)
        return 1
    return 0


def build(name: str, weights: str | None, output: Path, scratch: Path) -> None:
    """Build output/name.mar, using an empty folder for what comes before it."""
    if not NAME.fullmatch(name):
        msg = f"{name!r} cannot name a model: use letters, digits, '.', '_' and '-', and begin with a letter or digit."
        raise BuildError(msg)
    settings = _settings(name)
    folder = _weights(weights, name, settings)
    stage = scratch / "stage"
    shutil.copytree(ROOT / "handler", stage, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", ".*"))
    (stage / "weights").mkdir()
    for file in _files(folder):
        shutil.copyfile(file, stage / "weights" / file.name)
    settings["handler"] |= {"weights": "weights"}
    version = str(settings.pop("version", None) or _version())
    (scratch / "model-config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))

    print(f"archive: packing {name} {version} (weights: {folder})", flush=True)
    packed = _pack(name, version, stage, scratch)
    print("archive: importing the handler out of the archive", flush=True)
    _check(packed, scratch / "check")
    output.mkdir(parents=True, exist_ok=True)
    target = output / f"{name}.mar"
    # A rename within one folder: whoever looks sees the old archive or the new one, never a part of it.
    partial = output / f".{name}.mar.{os.getpid()}"
    try:
        shutil.copyfile(packed, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    print(f"archive: built {target} ({target.stat().st_size / 1e6:.1f} MB)", flush=True)


def _settings(name: str) -> dict[str, Any]:
    """Return the settings of a model: its own yaml, or the default model's."""
    path = STORE / f"{name}.yaml"
    if not path.is_file():
        print(f"archive: there is no model_store/{name}.yaml; taking model_store/{TEMPLATE.name} as the template")
        path = TEMPLATE
    try:
        settings = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        msg = f"{path} cannot be read: {error}"
        raise BuildError(msg) from None
    if not isinstance(settings, dict) or not isinstance(settings.get("handler"), dict):
        msg = f"{path} has no block 'handler:'. Take model_store/{TEMPLATE.name} as an example."
        raise BuildError(msg)
    return settings


def _weights(asked: str | None, name: str, settings: dict[str, Any]) -> Path:
    """Return the folder with the weights; fetch it where they are named by a hub id."""
    source = asked or str(STORE / name)
    if Path(source).is_dir():
        return _checked(Path(source))
    if not asked:
        source = str(settings["handler"].get("weights"))
    match = HUB_ID.fullmatch(source)
    if not match:
        default = f"there is no folder model_store/{name}, and the yaml's handler.weights, {source!r},"
        msg = (
            f"{f'{asked} is no folder and' if asked else default} is no hub id (owner/name, or owner/name@revision). "
            f"Put config.json, model.safetensors and preprocessor_config.json into model_store/{name}, "
            f"or say where they are: ./archive.sh {name} --weights FOLDER_OR_HUB_ID"
        )
        raise BuildError(msg)
    return _checked(_fetch(match["repo"], match["revision"]))


def _fetch(repo: str, revision: str | None) -> Path:
    """Return the local copy of a checkpoint of the hub."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 slow to import, and mostly not needed
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    print(f"archive: fetching {repo}{f' at {revision}' if revision else ''} from the hub", flush=True)
    try:
        folder = snapshot_download(repo, revision=revision, allow_patterns=list(PACKED), ignore_patterns=["*/*"])
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        msg = f"{repo} cannot be fetched: {error}\nCheck the id, the network and, for a gated model, `hf auth login`."
        raise BuildError(msg) from None
    return Path(folder)


def _files(folder: Path) -> list[Path]:
    return sorted(file for pattern in PACKED for file in folder.glob(pattern) if file.is_file())


def _checked(folder: Path) -> Path:
    """Return a folder that holds what a checkpoint needs; else raise BuildError."""
    missing = [
        want for want in ("config.json", "*.safetensors", "*preprocessor_config.json") if not any(folder.glob(want))
    ]
    if missing:
        pickled = (
            " Only safetensors are served, a pickle can run code: convert the weights, or of a hub id name the revision"
            " of the hub's own conversion, NAME@refs/pr/N (docs/models.md)."
            if any(folder.glob("*.bin"))
            else ""
        )
        msg = f"{folder} is no checkpoint of a video model: it lacks {' and '.join(missing)}.{pickled}"
        msg = f"{msg} Give the folder that `save_pretrained` of the model and of its processor wrote."
        raise BuildError(msg)
    return folder


def _pack(name: str, version: str, stage: Path, scratch: Path) -> Path:
    """Return the .mar that torch-model-archiver makes of a staged folder and scratch/model-config.yaml."""
    # The archiver empties $TMPDIR/NAME, whoever it belongs to: it gets a TMPDIR of its own.
    temporary, out = scratch / "tmp", scratch / "out"
    temporary.mkdir()
    out.mkdir()
    handler = stage.rename(scratch / "extra") / HANDLER
    shutil.move(handler, scratch / HANDLER)  # it is added by itself, and must not be there twice
    command = [sys.executable, "-m", "model_archiver.model_packaging", "--model-name", name, "--version", version]
    command += ["--handler", str(scratch / HANDLER), "--extra-files", str(scratch / "extra")]
    command += ["--config-file", str(scratch / "model-config.yaml"), "--export-path", str(out)]
    done = subprocess.run(
        command, env=os.environ | {"TMPDIR": str(temporary)}, capture_output=True, text=True, check=False
    )
    packed = out / f"{name}.mar"
    if done.returncode or not packed.is_file():
        msg = f"torch-model-archiver failed:\n{done.stdout}{done.stderr}"
        raise BuildError(msg)
    return packed


def _version() -> str:
    try:
        return importlib.metadata.version("staa-serve")
    except importlib.metadata.PackageNotFoundError:
        msg = "this project is not installed in the environment that runs it. Run ./setup.sh"
        raise BuildError(msg) from None


# Runs with the unpacked archive and site-packages on the path and nothing else: -S leaves out the .pth files, by which
# the editable install of this checkout would be found and hide what the archive lacks.
_IMPORT = """
import json
import sys
from pathlib import Path
root, site = Path(sys.argv[1]), sys.argv[2]
sys.path[:0] = [str(root)]
sys.path.append(site)
import yaml
import staa
import staa_handler
from staa import families
from transformers import AutoConfig
from ts.utils.util import list_classes_from_module
for module in (staa_handler, staa):
    if not Path(module.__file__).is_relative_to(root):
        sys.exit(f"{module.__name__} was imported from {module.__file__} and not from the archive")
classes = [cls.__name__ for cls in list_classes_from_module(staa_handler)]
if len(classes) != 1:
    sys.exit(f"TorchServe wants exactly one class in staa_handler.py; it has {len(classes)}: {', '.join(classes)}")
try:
    staa.Settings.read(yaml.safe_load((root / "model-config.yaml").read_text())["handler"])
except staa.StaaError as error:
    sys.exit(f"the block 'handler:' of the model's yaml is wrong: {error}")
try:
    kind = json.loads((root / "weights" / "config.json").read_text()).get("model_type")
    family = families.family(kind)  # first: of a type that transformers does not know either, this says more
    family.grid(AutoConfig.from_pretrained(root / "weights", trust_remote_code=False))
except (staa.StaaError, OSError, ValueError, KeyError) as error:
    sys.exit(f"config.json of the weights is of no model that can be served: {error}")
"""


def _check(packed: Path, folder: Path) -> None:
    """Import the handler out of an archive the way a worker does, and show it the model; else raise BuildError."""
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    site = Path(str(importlib.metadata.distribution("torchserve").locate_file("")))
    command = [sys.executable, "-I", "-S", "-B", "-c", _IMPORT, str(folder.resolve()), str(site)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"no worker could load the archive:\n{done.stdout}{done.stderr}"
        raise BuildError(msg.rstrip())


if __name__ == "__main__":
    sys.exit(main())
