"""Labels and maps of a folder of clips, by a pool of models on Ray: `python examples/bulk_ray.py CLIPS OUT`.

For millions of stored clips, where a server's queue, HTTP and latency only cost. Wants Ray (tested with 2.60.0) and
pyarrow beside this project. OUT becomes a folder of Parquet files, one for every `--part` clips.

* Begun again with the same arguments it goes on: what stands in OUT is not computed again.
* A worker that dies is started again and does its part again; a part has one name, so nothing is there twice.
* A clip whose decoding kills its worker three times is written down as an error, and not opened again.
* A clip that cannot be taken is a row with `error_code` and `error_message`; the others are not touched by it.

By itself it starts a Ray of its own that listens on this machine only; `--address` joins a cluster whose machines see
CLIPS and OUT under the same paths.
"""

import argparse
import contextlib
import hashlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported: nothing is told to anybody
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # a pool without GPUs leaves CUDA_VISIBLE_DEVICES alone

import numpy as np

try:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq
    import ray.data
except ImportError as error:
    missing = str(error.name).partition(".")[0]
    sys.exit(f"bulk: {missing} is missing: pip install pyarrow 'ray[data]==2.60.0'")

ENDINGS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m4v", ".flv"}
ATTEMPTS = 3
ROOT = Path(__file__).resolve().parents[1]
FIELDS: list[tuple[str, pa.DataType]] = [
    ("source", pa.string()),  # the path below CLIPS
    ("label", pa.string()),
    ("class_id", pa.int32()),
    ("score", pa.float64()),
    ("error_code", pa.string()),
    ("error_message", pa.string()),
    ("shape", pa.list_(pa.int32())),  # t, h, w
    ("joint", pa.list_(pa.float32())),  # flat, in the order of `shape`; a distribution
    ("signed", pa.list_(pa.float32())),  # of a class map
    ("threshold", pa.float64()),
    ("box", pa.list_(pa.int32())),  # x0, y0, x1, y1 of the source frame, pixels
    ("steps", pa.list_(pa.float64())),  # start and end of each step, seconds, flat
]
SCHEMA = pa.schema(FIELDS)


class Pool:
    """One model in one process of the pool."""

    def __init__(self, work: dict[str, Any]) -> None:
        import torch  # noqa: PLC0415  # the driver needs neither torch nor a model

        from staa import Explainer, Options  # noqa: PLC0415  # the same

        torch.set_num_threads(work["threads"])
        self.clips, self.out, self.batch = Path(work["clips"]), Path(work["out"]), work["batch"]
        self.explainer = Explainer.load(work["weights"], device=work["device"])
        self.options = Options(method=work["method"])
        self.explainer.check(self.options)  # here, as it would be an error of every clip

    def __call__(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Write the Parquet file of each part; say how many clips are in it, and how many of them are errors."""
        counts = [self._write(json.loads(part)) for part in parts["part"]]
        return {"clips": np.array([clips for clips, _ in counts]), "errors": np.array([bad for _, bad in counts])}

    def _write(self, sources: list[str]) -> tuple[int, int]:
        target = self.out / f"{_digest(*sources)}.parquet"
        if not target.exists():  # else a worker that died later had finished it
            rows = [
                row for start in range(0, len(sources), self.batch) for row in self._rows(sources[start:][: self.batch])
            ]
            partial = target.with_suffix(f".{os.getpid()}.partial")
            pq.write_table(pa.Table.from_pylist(rows, SCHEMA), partial, compression="zstd")
            partial.replace(target)  # whole or not at all
        codes = pq.read_table(target, columns=["error_code"])["error_code"]
        return len(codes), len(codes) - codes.null_count

    def _rows(self, sources: list[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of one batch: one forward pass for all clips that can be decoded and prepared."""
        from staa import StaaError  # noqa: PLC0415  # as above

        good = []
        for source in sources:
            try:
                good.append((source, self._decode(source)))
            except (StaaError, OSError, KillerError) as error:
                code = error.code if isinstance(error, StaaError | KillerError) else "unreadable"
                yield {"source": source, "error_code": code, "error_message": str(error)}
        results = self._explained([clip for _, clip in good])
        for (source, _), result in zip(good, results, strict=True):
            if isinstance(result, StaaError):
                yield {"source": source, "error_code": result.code, "error_message": str(result)}
                continue
            best, shown = result.predictions[0], result.attribution
            row = {"source": source, "label": best.label, "class_id": best.class_id, "score": best.score}
            row |= {"threshold": result.threshold, "box": list(result.box), "steps": result.steps.ravel()}
            if shown is not None:
                signed = None if shown.signed is None else shown.signed.ravel()
                row |= {"shape": list(shown.joint.shape), "joint": shown.joint.ravel(), "signed": signed}
            yield row

    def _explained(self, clips: list[Any]) -> list[Any]:
        """Explain all clips in one pass; where one of them cannot be taken, each alone, with its error for that one."""
        from staa import StaaError  # noqa: PLC0415  # as above

        try:
            return list(self.explainer(clips, self.options))
        except StaaError as error:
            return [error] if len(clips) == 1 else [self._explained([clip])[0] for clip in clips]

    def _decode(self, source: str) -> Any:
        """Decode one clip, having marked that it is tried: what kills this process cannot be caught in it."""
        from staa import decode  # noqa: PLC0415  # as above

        opened = self.out / "opened" / _digest(source)
        tried = opened.stat().st_size if opened.exists() else 0
        if tried >= ATTEMPTS:
            msg = f"a worker died each of the {tried} times that it decoded this clip: it is not opened again"
            raise KillerError(msg)
        with opened.open("ab") as marks:
            marks.write(b".")
        try:
            return decode(self.clips / source, self.explainer.grid.frames)
        finally:
            opened.unlink(missing_ok=True)


class KillerError(Exception):
    """A clip whose decoding has ended too many workers."""

    code = "worker_died"


def main() -> int:
    """Explain what is not yet in OUT; return the exit code: 0 done, 2 OUT is of other work."""
    args = _arguments()
    work = {"weights": str(args.weights.resolve()), "method": args.method, "clips": str(args.clips.resolve())}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "opened").mkdir(exist_ok=True)
    note = args.out / "work.json"
    if not note.exists():
        note.write_text(json.dumps(work))
    if (before := json.loads(note.read_text())) != work:
        print(f"bulk: {args.out} was begun with {before}, this is {work}: name another folder", file=sys.stderr)
        return 2

    sources = sorted(
        path.relative_to(args.clips).as_posix()
        for path in args.clips.rglob("*")
        if path.suffix.lower() in ENDINGS and path.is_file()
    )
    done = finished(args.out)
    todo = [source for source in sources if source not in done]
    print(f"bulk: {len(sources)} clips, {len(sources) - len(todo)} of them done", flush=True)
    if not todo:
        return 0
    settings = work | {"out": str(args.out.resolve()), "batch": args.batch, "threads": args.threads}
    settings |= {"device": device(args.gpus)}
    with _cluster(args):
        _run(args, settings, todo)
    return 0


def device(gpus: float) -> str:
    """Return where a model of the pool runs: without a share of a GPU on the CPU, also where the machine has one."""
    return "auto" if gpus else "cpu"


def finished(out: Path) -> set[str]:
    """Return the sources that stand in the Parquet files of a folder."""
    files = sorted(map(str, out.glob("*.parquet")))
    return set(map(str, ds.dataset(files, SCHEMA).to_table(columns=["source"])["source"].to_pylist() if files else []))


def _run(args: argparse.Namespace, settings: dict[str, Any], todo: list[str]) -> None:
    """Give the pool its parts, and say how it goes on."""
    parts = [{"part": json.dumps(todo[start : start + args.part])} for start in range(0, len(todo), args.part)]
    counts = ray.data.from_items(parts, override_num_blocks=min(len(parts), 1000)).map_batches(
        Pool,
        fn_constructor_args=[settings],
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=args.workers),
        num_cpus=args.threads,
        num_gpus=args.gpus,
    )
    began, first, clips, errors, since = time.monotonic(), 0.0, 0, 0, 0
    for row in counts.iter_rows():
        clips, errors = clips + int(row["clips"]), errors + int(row["errors"])
        now = time.monotonic()
        if not first:  # models are loaded by now: the rate is counted from here
            first, since = now, clips
        rate = f"{(clips - since) / (now - first):.2f} clips/s" if clips > since else "the pool is up"
        print(f"bulk: {clips} of {len(todo)}, {errors} errors, {rate}", flush=True)
    print(f"bulk: done in {time.monotonic() - began:.1f} s, {len(parts)} files", flush=True)


@contextlib.contextmanager
def _cluster(args: argparse.Namespace) -> Iterator[None]:
    """Join the cluster that was named, or start one of this machine alone, which nobody else reaches."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    options: dict[str, Any] = {"address": args.address}
    if not args.address:
        cores = max(args.workers * args.threads, 1)
        options = {"address": "local", "num_cpus": cores, "num_gpus": math.ceil(args.workers * args.gpus)}
        options |= {"include_dashboard": False, "object_store_memory": 100 * 2**20, "_node_ip_address": "127.0.0.1"}
        options |= {"_temp_dir": str(args.temporary)} if args.temporary else {}
    # What the workers import: this checkout, wherever it lies.
    paths = [str(ROOT / "handler"), str(ROOT / "video"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environ = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(args.threads), "HF_HUB_OFFLINE": "1"}
    ray.init(**options, logging_level=logging.WARNING, log_to_driver=False, runtime_env={"env_vars": environ})
    try:
        yield
    finally:
        ray.shutdown()


def _digest(*sources: str) -> str:
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:32]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0].partition(":")[0])
    parser.add_argument("clips", type=Path, help="folder, with all folders in it")
    parser.add_argument("out", type=Path, help="folder of the Parquet files")
    parser.add_argument("--weights", type=Path, default=ROOT / "model_store" / "motions", help="folder of a checkpoint")
    parser.add_argument("--method", default="staa", help="of the map: staa, staa_class, rollout, paper (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="models in the pool (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="cores of each (%(default)s)")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each, 0.5 is two to one (%(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="clips in one forward pass (%(default)s)")
    parser.add_argument("--part", type=int, default=64, help="clips in one Parquet file (%(default)s)")
    parser.add_argument("--address", help="of a Ray cluster, e.g. auto; default: one of this machine alone")
    parser.add_argument("--temporary", type=Path, help="where a Ray of this machine keeps its files (/tmp/ray)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
