"""How a model is served, read from the yaml of the first home."""

import contextlib
import os
import pickle
import threading
import time
from pathlib import Path

import pytest
import yaml

from scale.app import Arguments, app
from scale.served import STORE, Served, ray_folder
from staa.errors import LoadError


def test_the_default_model() -> None:
    """Its keys are read, its weights are the folder beside it, and its signature needs no weights."""
    served = Served.read("motions")
    config = yaml.safe_load((STORE / "motions.yaml").read_text())
    assert (served.batch_size, served.batch_wait) == (config["batchSize"], config["maxBatchDelay"] / 1000)
    assert (served.queue, served.patience) == (config["jobQueueSize"], config["responseTimeout"])
    assert served.settings.weights == str(STORE / "motions")
    assert served.model.labels[0] == "moves left"
    assert pickle.loads(pickle.dumps(served)) == served  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no block 'handler:'"),
        ("handler: {weights: a, colour: red}", "unknown keys colour"),
        ("handler: {weights: a}\nbatchSize: many", "batchSize in .* is 'many'"),
        ("handler: {weights: a}\njobQueueSize: 0", "jobQueueSize in .* is 0"),
        ("handler: [", "no readable"),
        (None, "no readable"),
    ],
)
def test_a_wrong_yaml_is_refused_in_words(tmp_path: Path, text: str | None, why: str) -> None:
    """Before any process starts."""
    if text is not None:
        (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(LoadError, match=why):
        Served.read("m", tmp_path)


def test_a_checkpoint_that_cannot_be_read_is_refused_before_any_process_starts(tmp_path: Path) -> None:
    """The application reads the description of each model when it is built."""
    (tmp_path / "m.yaml").write_text("handler: {weights: weights}")
    (tmp_path / "m").mkdir()
    with pytest.raises(LoadError, match="cannot be loaded"):
        app(Arguments(models=["m"], store=tmp_path))


def test_nothing_is_left_of_ray_where_its_processes_end_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that still writes into Ray's folder when Ray has ended does not keep it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def write_on(folder: Path) -> None:
        for number in range(200):
            with contextlib.suppress(OSError):
                (folder / f"{number}.log").write_text("ended")
            time.sleep(0.002)

    with ray_folder() as name:
        folder = Path(name)
        assert os.environ["TMPDIR"] == name
        assert folder.parent == tmp_path
        writer = threading.Thread(target=write_on, args=(folder,))
        writer.start()
    writer.join()
    assert not list(tmp_path.iterdir())
