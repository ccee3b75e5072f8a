"""The rows that the example for many stored clips makes; without Ray, which only carries them."""

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from staa.errors import OptionError
from tests.made.videos import encode, images

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bulk() -> Any:
    """The example as a module; where Ray is not installed, its name stands empty for it."""
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("ray") is None:
            for name in ("ray", "ray.data"):
                patch.setitem(sys.modules, name, ModuleType(name))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        spec = importlib.util.spec_from_file_location("bulk_ray", ROOT / "examples" / "bulk_ray.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


def work(folder: Path, **other: Any) -> dict[str, Any]:
    """What a process of the pool is given."""
    for name in ("clips", "out/opened"):
        (folder / name).mkdir(parents=True)
    weights = str(ROOT / "model_store" / "motions")
    paths = {"clips": str(folder / "clips"), "out": str(folder / "out"), "weights": weights}
    return {**paths, "batch": 4, "threads": 1, "method": "staa", "device": "cpu", **other}


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


def test_a_clip_that_cannot_be_prepared_is_a_row(bulk: Any, tmp_path: Path) -> None:
    """Of a batch with a clip that decodes but is too large to prepare, it is an error, the others have answers."""
    pool = bulk.Pool(work(tmp_path))
    names = ["a.mp4", "flat.mov", "noise.mp4", "z.mp4"]
    for name, data in zip(names, (encode(images(12)), flat(), b"noise", encode(images(20))), strict=True):
        (tmp_path / "clips" / name).write_bytes(data)
    counts = pool({"part": np.array([json.dumps(names)])})
    assert (counts["clips"].tolist(), counts["errors"].tolist()) == ([4], [2])
    (file,) = (tmp_path / "out").glob("*.parquet")
    rows = {row["source"]: row for row in pq.read_table(file).to_pylist()}
    assert {name: row["error_code"] for name, row in rows.items()} == {
        "a.mp4": None,
        "flat.mov": "too_many_pixels",
        "noise.mp4": "not_a_video",
        "z.mp4": None,
    }
    assert "16384" in rows["flat.mov"]["error_message"]
    assert not list((tmp_path / "out" / "opened").iterdir())
    alone = {row["source"]: row for row in pool._rows(["a.mp4"])}["a.mp4"]
    np.testing.assert_allclose(rows["a.mp4"]["joint"], alone["joint"], atol=1e-6)
    assert rows["a.mp4"]["label"] == alone["label"]


def test_a_method_that_the_model_lacks_ends_the_pool_at_once(bulk: Any, tmp_path: Path) -> None:
    """An option that no clip could be explained by is no error of every clip."""
    with pytest.raises(OptionError):
        bulk.Pool(work(tmp_path, method="none"))


@pytest.mark.parametrize("lacking", ["ray", "pyarrow"])
def test_without_ray_it_says_so_in_one_line(lacking: str) -> None:
    """Where a package is missing the example names it and how to get it, without a traceback."""
    hide = f"import sys, runpy; sys.modules[{lacking!r}] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    command = [sys.executable, "-c", hide, str(ROOT / "examples" / "bulk_ray.py"), "CLIPS", "OUT"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr == f"bulk: {lacking} is missing: pip install pyarrow 'ray[data]==2.60.0'\n"


def test_without_a_share_of_a_gpu_it_runs_on_the_cpu(bulk: Any) -> None:
    """`--gpus 0` leaves the GPUs of the machine alone; half a one uses it."""
    assert bulk.device(0) == "cpu"
    assert bulk.device(0.5) == "auto"


@pytest.mark.gpu
def test_a_pool_without_gpus_leaves_the_gpu_alone(bulk: Any, tmp_path: Path) -> None:
    """On a machine with a GPU the model of such a pool is on the CPU."""
    pool = bulk.Pool(work(tmp_path, device=bulk.device(0)))
    assert torch.cuda.is_available()
    assert next(pool.explainer.model.parameters()).device.type == "cpu"
