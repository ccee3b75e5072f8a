"""Build the archive of a model that TorchServe loads: what ./archive.sh runs.

The root of NAME.mar is the content of handler/, staa_video, the folder weights/ and model-config.yaml, so that the
server needs neither this checkout nor a network. The archive gets its name only after its handler was imported from it
and has accepted the model's configuration.

Exit codes: 0 built, 1 cannot be built, 2 wrong arguments.
"""

import argparse
import importlib.metadata
import json
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

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "handler"))  # the rules for checkpoints are those of this checkout
from staa.checkpoint import files, source  # noqa: E402  # after the line above; neither loads torch

STORE = ROOT / "model_store"
TEMPLATE = STORE / "motions.yaml"
OF_ONE_MODEL = ("about", "license", "clip_seconds")
"""The keys of the template's block `handler` that are true of its own model only."""
HANDLER = "staa_handler.py"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # what is safe in a URL and in a file name


class BuildError(Exception):
    """Says that the archive cannot be built, for which reason, and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Build one archive; return the exit code."""
    parser = argparse.ArgumentParser(prog="archive.sh", description="Build the archive of a model for TorchServe.")
    parser.add_argument("name", metavar="NAME", help="name of the served model; its settings are model_store/NAME.yaml")
    text = "default: model_store/NAME/, else the yaml's hub id"
    parser.add_argument("--weights", metavar="FOLDER_OR_HUB_ID", help=text)
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
    """Build output/name.mar; `scratch` is an empty folder for temporary files."""
    if not NAME.fullmatch(name):
        msg = f"{name!r} cannot name a model: use letters, digits, '.', '_' and '-', and begin with a letter or digit."
        raise BuildError(msg)
    settings = _read_settings(name)
    folder = _find_weights(weights, name, settings)
    found = _require_checkpoint(folder)
    stage = scratch / "stage"
    leave_out = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", ".*")
    shutil.copytree(ROOT / "handler", stage, ignore=leave_out)
    shutil.copytree(ROOT / "video" / "staa_video", stage / "staa_video", ignore=leave_out)
    (stage / "weights").mkdir()
    for file, path in found.items():
        shutil.copyfile(path, stage / "weights" / file)
    (stage / "weights" / files.CONFIG).write_text(json.dumps(files.read_config(found), indent=2) + "\n")
    settings["handler"] |= {"weights": "weights"}
    version = str(settings.pop("version", None) or _project_version())
    (scratch / "model-config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))

    print(f"archive: packing {name} {version} (weights: {folder})", flush=True)
    packed = _pack(name, version, stage, scratch)
    print("archive: importing the handler out of the archive", flush=True)
    _check_archive(packed, scratch / "check")
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


def _read_settings(name: str) -> dict[str, Any]:
    """Return the settings of a model, from its own yaml or from that of the default model."""
    path = STORE / f"{name}.yaml"
    if not path.is_file():
        print(f"archive: there is no model_store/{name}.yaml; taking model_store/{TEMPLATE.name} as the template")
        path = TEMPLATE
    try:
        settings = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BuildError(f"{path} cannot be read: {error}") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("handler"), dict):
        raise BuildError(f"{path} has no block 'handler:'. Take model_store/{TEMPLATE.name} as an example.")
    if path == TEMPLATE and name != TEMPLATE.stem:
        for key in OF_ONE_MODEL:
            settings["handler"].pop(key, None)
    return settings


def _find_weights(asked: str | None, name: str, settings: dict[str, Any]) -> Path:
    """Return the folder with the weights; download it if they are named by a hub id."""
    weights = asked or str(STORE / name)
    if not asked and not Path(weights).is_dir():
        weights = str(settings["handler"].get("weights"))
    try:
        return source.locate(weights)
    except ValueError as error:
        none = f"there is no model {name}: there is no folder model_store/{name}, and its yaml names no other ({error})"
        raise BuildError(
            f"{error if asked else none}. Put config.json, model.safetensors and preprocessor_config.json into "
            f"model_store/{name}, or say where they are: ./archive.sh {name} --weights FOLDER_OR_HUB_ID"
        ) from None


def _require_checkpoint(folder: Path) -> dict[str, Path]:
    """Return the files of a checkpoint that are packed, by name; raise BuildError if it cannot be served."""
    try:
        return files.find(folder)
    except (ValueError, OSError) as error:
        msg = f"{error}."
        if any(folder.glob("*.bin")):
            msg += " Only safetensors are served, a pickle can run code: convert the weights, or of a hub id name the"
            msg += " revision of the hub's own conversion, NAME@refs/pr/N (docs/models.md)."
        msg += " Give the folder that `save_pretrained` of the model and of its processor wrote."
        raise BuildError(msg) from None


def _pack(name: str, version: str, stage: Path, scratch: Path) -> Path:
    """Make the .mar of a staged folder and scratch/model-config.yaml with torch-model-archiver; return its path."""
    # The archiver empties $TMPDIR/NAME, whoever it belongs to: it gets a TMPDIR of its own.
    temporary, out = scratch / "tmp", scratch / "out"
    temporary.mkdir()
    out.mkdir()
    handler = stage.rename(scratch / "extra") / HANDLER
    shutil.move(handler, scratch / HANDLER)  # it is added by itself, and must not be there twice
    command = [sys.executable, "-m", "model_archiver.model_packaging", "--model-name", name, "--version", version]
    command += ["--handler", str(scratch / HANDLER), "--extra-files", str(scratch / "extra")]
    command += ["--config-file", str(scratch / "model-config.yaml"), "--export-path", str(out)]
    environ = os.environ | {"TMPDIR": str(temporary)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    packed = out / f"{name}.mar"
    if done.returncode or not packed.is_file():
        raise BuildError(f"torch-model-archiver failed:\n{done.stdout}{done.stderr}")
    return packed


def _project_version() -> str:
    """Return the installed version of this project."""
    try:
        return importlib.metadata.version("staa-serve")
    except importlib.metadata.PackageNotFoundError:
        raise BuildError("this project is not installed in the environment that runs it. Run ./setup.sh") from None


# Runs with the unpacked archive and site-packages on the path and nothing else: -S leaves out the .pth files, by which
# the editable install of this checkout would be found and hide what the archive lacks.
_IMPORT = """
import sys
from pathlib import Path
root, site = Path(sys.argv[1]), sys.argv[2]
sys.path[:0] = [str(root)]
sys.path.append(site)
import yaml
import staa
import staa_handler
import staa_video
from staa.checkpoint import files, loader
from staa.serving import Settings
from ts.utils.util import list_classes_from_module
for module in (staa_handler, staa, staa_video):
    if not Path(module.__file__).is_relative_to(root):
        sys.exit(f"{module.__name__} was imported from {module.__file__} and not from the archive")
classes = [cls.__name__ for cls in list_classes_from_module(staa_handler)]
if len(classes) != 1:
    sys.exit(f"TorchServe wants exactly one class in staa_handler.py; it has {len(classes)}: {', '.join(classes)}")
try:
    Settings.read(yaml.safe_load((root / "model-config.yaml").read_text())["handler"])
except staa.StaaError as error:
    sys.exit(f"the block 'handler:' of the model's yaml is wrong: {error}")
try:
    loader.configuration(files.read_config(files.find(root / "weights")))
except loader.BROKEN as error:
    sys.exit(f"config.json of the weights is of no model that can be served: {error}")
"""


def _check_archive(packed: Path, folder: Path) -> None:
    """Import the handler from an archive as a worker does, and let it check the model; raise BuildError on failure."""
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    site = Path(str(importlib.metadata.distribution("torchserve").locate_file("")))
    command = [sys.executable, "-I", "-S", "-B", "-c", _IMPORT, str(folder.resolve()), str(site)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"no worker could load the archive:\n{done.stdout}{done.stderr}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
