"""The stages of a bulk job without Ray, which only carries their rows: answers, errors, and what kills."""

import io
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from scale.bulk.sources import Source, list_sources
from scale.bulk.stages import ATTEMPTS, Attempts, Decoder, Model
from staa.serving import Incoming, Service
from staa_client import contract
from staa_client.batch.parquet import SCHEMA
from staa_client.batch.plan import Plan
from staa_client.batch.plan import run as run_batch
from staa_client.results.explanation import Answer
from staa_client.video.source import Video
from staa_video.frames_archive import clip_of
from staa_video.pool import Pool
from tests.made.stored import clip, work


@pytest.fixture(scope="module")
def model() -> Model:
    """The default model."""
    return Model(work(), Attempts())


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    """What decodes for it."""
    return Decoder(work(), Attempts())


def pickled(sources: list[Source]) -> pa.Table:
    """Return sources as a decoder is given them."""
    return pa.table({"source": [pickle.dumps(source) for source in sources]})


def rows(decoder: Decoder, model: Model, sources: list[Source]) -> dict[str, dict[str, Any]]:
    """Return the rows of sources by the name of their file."""
    table = model(decoder(pickled(sources)))
    assert table.schema == SCHEMA
    return {Path(row["source"]).name: row for row in table.to_pylist()}


def flat() -> bytes:
    """A clip of 16384x8 pixels: it decodes, and scaled up to the model's shortest edge it would be too large."""
    target = io.BytesIO()
    with av.open(target, "w", format="mov") as output:
        stream = output.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16384, 8, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((8, 16384, 3), np.uint8), format="rgb24")
        output.mux(stream.encode(frame.reformat(format="yuvj420p")))
        output.mux(stream.encode(None))
    return target.getvalue()


def write(folder: Path, contents: Mapping[str, bytes]) -> list[Source]:
    """Write files, and return them as sources."""
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return list_sources(str(folder))


def test_rows_are_those_of_the_client(model: Model, tmp_path: Path) -> None:
    """A bulk job has the rows, in the schema, that `staa batch` writes of a server's answers for the same files."""
    options = {"method": "staa_class", "top_k": "2", "explain_when": "label_in=0|1|2|3|4|5", "end": "0.5"}
    asked = work(options=options)
    sources = write(tmp_path, {"a.mp4": clip(0), "b.mp4": clip(9), "noise.mp4": b"noise"})
    mine = rows(Decoder(asked, Attempts()), model, sources)
    service = Service(
        model.explainer, asked.served.settings, name="motions", version=asked.served.version, decode=clip_of
    )

    def ask(video: Video) -> Answer:
        fields = {**options, "maps": "npz", "video": Path(str(video)).read_bytes()}
        (reply,) = service.answer([Incoming(fields, explain=True)])
        return contract.answer(reply.status, reply.headers, reply.body)

    output = tmp_path / "answers.parquet"
    plan = Plan.of([source.key.name for source in sources], "motions", True, {}, 1, "collect", output, None)
    assert len(list(run_batch(plan, ask))) == 3
    service.close()
    table = pq.read_table(output)
    assert table.schema == SCHEMA
    for row in table.to_pylist():
        same = mine[Path(row["source"]).name]
        for name, value in row.items():
            if isinstance(value, list):
                np.testing.assert_allclose(same[name], value, atol=1e-5)
            elif isinstance(value, float):
                assert same[name] == pytest.approx(value, abs=1e-4)
            elif name != "reply" or value is None:
                assert same[name] == value, name
    assert mine["a.mp4"]["joint"] or "not_explained" in mine["a.mp4"]["reply"]


def test_what_cannot_be_taken_is_a_row_with_its_error(decoder: Decoder, model: Model, tmp_path: Path) -> None:
    """Noise, an empty file, one that is gone and one too large to prepare are errors; the others have answers."""
    contents = {"a.mp4": clip(0), "empty.mp4": b"", "flat.mov": flat(), "gone.mp4": b"-", "noise.mp4": b"noise"}
    sources = write(tmp_path, contents | {"z.mp4": clip(3)})
    (tmp_path / "gone.mp4").unlink()
    found = rows(decoder, model, sources)
    assert {name: (row["error_code"], row["error_status"]) for name, row in found.items()} == {
        "a.mp4": (None, None),
        "empty.mp4": ("request_invalid", 400),
        "flat.mov": ("too_many_pixels", 413),
        "gone.mp4": ("FileNotFoundError", None),
        "noise.mp4": ("not_a_video", 415),
        "z.mp4": (None, None),
    }
    assert "16384" in found["flat.mov"]["error_message"]
    alone = rows(decoder, model, [source for source in sources if source.key.name.endswith("a.mp4")])["a.mp4"]
    np.testing.assert_allclose(found["a.mp4"]["joint"], alone["joint"], atol=1e-6)


def test_a_video_of_too_many_bytes_is_not_read_to_its_end(model: Model, tmp_path: Path) -> None:
    """One byte over the limit is enough to refuse it, in the words of the server."""
    asked = work()
    settings = asked.served.settings
    small = replace(settings, limits=replace(settings.limits, bytes=1000))
    asked = work(served=replace(asked.served, settings=small))
    (source,) = write(tmp_path, {"a.mp4": clip(0) + bytes(10**6)})
    assert len(source.read(1000)) == 1001
    row = rows(Decoder(asked, Attempts()), model, [source])["a.mp4"]
    assert (row["error_code"], row["error_status"]) == ("too_many_bytes", 413)
    assert "1000 bytes" in row["error_message"]


def test_labels_only(tmp_path: Path) -> None:
    """Where labels are asked for, a row has no map."""
    asked = work(explain=False, options={"top_k": "1"})
    sources = write(tmp_path, {"a.mp4": clip(0)})
    labels = Model(asked, Attempts())
    row = rows(Decoder(asked, Attempts()), labels, sources)["a.mp4"]
    assert (row["label"] is not None, row["joint"], row["error_code"]) == (True, None, None)


def test_a_video_that_kills_ffmpeg(model: Model, tmp_path: Path) -> None:
    """It ends the child process that has it, is written down as the server's error, and the next one is decoded."""
    sources = write(tmp_path, {"a.mp4": b"segfault", "b.mp4": clip(0)})
    with Pool(1, work().served.settings.limits, "tests.made.readers:read") as pool:
        found = rows(Decoder(work(), Attempts(), pool.decode), model, sources)
    assert found["a.mp4"]["error_code"] == "video_undecodable"
    assert found["b.mp4"]["error_code"] is None


def test_a_video_that_ends_its_processes_is_not_opened_again(tmp_path: Path) -> None:
    """What three decoders began and none ended is a row, and so is what three processes with the model did."""
    sources = write(tmp_path, {"a.mp4": clip(0), "b.mp4": clip(1), "c.mp4": clip(2)})
    attempts = Attempts()
    for _ in range(ATTEMPTS):
        attempts.begin([sources[0].key.identity, f"pass {sources[1].key.identity}"])
    attempts.begin([f"pass {sources[2].key.identity}"])
    found = rows(Decoder(work(), attempts), Model(work(), attempts), sources)
    codes = {name: (row["error_code"], row["error_status"]) for name, row in found.items()}
    assert codes == {"a.mp4": ("worker_died", 422), "b.mp4": ("worker_died", 422), "c.mp4": (None, None)}
    assert "3 times" in found["a.mp4"]["error_message"]


@pytest.mark.gpu
def test_a_model_without_gpus_leaves_the_gpu_alone(model: Model) -> None:
    """On a machine with a GPU the model of a job without GPUs is on the CPU."""
    assert torch.cuda.is_available()
    assert model.explainer.device.type == "cpu"
