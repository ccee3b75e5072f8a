"""Reads how a model is served from model_store/NAME.yaml, the file that the first home is configured by, too."""

import contextlib
import importlib.metadata
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import yaml

from staa.errors import LoadError
from staa.serving import Settings, wire
from staa.signature import Signature

STORE = Path(__file__).resolve().parents[1] / "model_store"


@dataclass(frozen=True)
class Served:
    """Hold the settings of one served model; it can be sent to another process."""

    name: str
    version: str
    settings: Settings
    """The block `handler`; `weights` is an absolute folder, or a hub id."""
    batch_size: int = 1
    """The most requests of one batch: `batchSize`."""
    batch_wait: float = 0.1
    """Seconds that a request waits for others: `maxBatchDelay`, which is in milliseconds."""
    replicas: tuple[int, int] = (1, 1)
    """The fewest and the most processes with the model: `minWorkers`, `maxWorkers`."""
    queue: int = 100
    """The most requests that wait: `jobQueueSize`."""
    patience: float = 120.0
    """Seconds after which a request is given up: `responseTimeout`."""

    @classmethod
    def read(cls, name: str, store: Path = STORE) -> Self:
        """Read the yaml of a model; its weights are the folder `store`/NAME, or else those that the yaml names.

        Raises:
            LoadError: there is no such yaml, or it is not right.
        """
        path = store / f"{name}.yaml"
        try:
            config = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise LoadError(f"the model {name} has no readable {path}: {error}") from error
        if not isinstance(config, Mapping) or not isinstance(config.get("handler"), Mapping):
            raise LoadError(f"{path} has no block 'handler:'; model_store/motions.yaml is an example")
        settings = Settings.read(config["handler"])
        folder = store / name if (store / name).is_dir() else store / settings.weights
        if folder.is_dir():
            settings = replace(settings, weights=str(folder.resolve()))
        least = _whole(path, config, "minWorkers", 1)
        return cls(
            name,
            str(config.get("version") or importlib.metadata.version("staa-serve")),
            settings,
            _whole(path, config, "batchSize", 1),
            _whole(path, config, "maxBatchDelay", 100) / 1000,
            (least, max(least, _whole(path, config, "maxWorkers", least))),
            _whole(path, config, "jobQueueSize", 100),
            _whole(path, config, "responseTimeout", 120),
        )

    @cached_property
    def signature(self) -> Signature:
        """Return what callers see of the model, read without its weights; raise LoadError if it cannot be read."""
        return Signature.read(self.settings.weights)

    @property
    def model(self) -> wire.Model:
        """Return the model as replies name it; raise LoadError if the settings do not fit it."""
        return wire.Model.of(self.name, self.version, self.signature, self.settings)

    @property
    def batch_seconds(self) -> float:
        """Return the seconds after which a batch begins nothing more, as in the first home."""
        return min(self.settings.batch_seconds, 0.75 * self.patience)


@contextlib.contextmanager
def ray_folder() -> Iterator[str]:
    """Yield a folder for all that Ray's processes write; remove it until it is gone, as some end later than Ray."""
    os.environ["TMPDIR"] = folder = tempfile.mkdtemp(prefix="staa-ray-")
    try:
        yield folder
    finally:
        until = time.monotonic() + 10
        while Path(folder).exists() and time.monotonic() < until:
            shutil.rmtree(folder, ignore_errors=True)


def _whole(path: Path, config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key, default)
    if type(value) is not int or value < 1:
        raise LoadError(f"{key} in {path} is {value!r}: expected a whole number, 1 or more")
    return value
