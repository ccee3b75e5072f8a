"""Runs the two stages of a bulk job as a stream on Ray Data: while models answer, decoders decode what comes next.

Memory is bounded by Ray's object store, whatever the number of videos: decoders wait where models are behind.
"""

import contextlib
import logging
import math
import os
import pickle
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
import ray.data

from scale.bulk.sources import Source
from scale.bulk.stages import Attempts, Decoder, Model, SharedAttempts, Work
from scale.served import ray_folder
from staa_client.batch.parquet import key_text

MOST_IN_A_TASK = 32
"""The most videos that a decoder is given at once, which it decodes again if it dies."""
STARTS = 3
"""How often Ray is started before that counts as failed."""
LEAST_STORE_BYTES = 200 << 20
"""The least size of the object store of a Ray of this machine alone."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Say on how many processes a job runs."""

    decoders: int
    models: int
    gpus: float
    """The GPUs of each model; 0.5 is two to one."""


@contextlib.contextmanager
def cluster(address: str | None, pool: Pool, work: Work) -> Iterator[None]:
    """Join the Ray that was named or that this process has already, or start one that nobody else reaches.

    Raises:
        RuntimeError: Ray does not start, or cannot be joined.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = max(work.batch * _pixel_bytes(work), 1 << 16)
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it warns that there are no progress bars
    with contextlib.ExitStack() as stack:
        if not ray.is_initialized():
            options: dict[str, Any] = {"address": address}
            if not address:
                options = _own_ray(pool, work, stack.enter_context(ray_folder()))
            os.environ["TQDM_DISABLE"] = "1"  # no bars of what loads weights
            _start(options)
            stack.callback(ray.shutdown)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ray would end this process without its last file
        yield


def _own_ray(pool: Pool, work: Work, folder: str) -> dict[str, Any]:
    """Return the options of a Ray that listens on this machine only, and writes into a folder."""
    in_flight = (pool.decoders + pool.models) * work.batch * _pixel_bytes(work)
    return {
        "address": "local",
        "num_cpus": pool.decoders + pool.models * work.threads,
        "num_gpus": math.ceil(pool.models * pool.gpus),
        "include_dashboard": False,
        "object_store_memory": max(LEAST_STORE_BYTES, 8 * in_flight),
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": folder,
    }


def _start(options: Mapping[str, Any]) -> None:
    for left in reversed(range(STARTS)):
        try:
            ray.init(**options, logging_level=logging.WARNING)
        except Exception as error:  # Ray raises whatever it likes, also where a busy machine is slow for half a minute
            ray.shutdown()
            if not left:
                raise RuntimeError(f"Ray did not start, or could not be joined: {error}") from error
        else:
            return


def rows(work: Work, pool: Pool, sources: Sequence[Source]) -> Iterator[pa.Table]:
    """Yield the rows of all sources as they come, one for each.

    Raises:
        RuntimeError: a stage cannot run.
    """
    attempts = SharedAttempts(ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts).remote())
    waiting = {key_text(source.key.identity): source for source in sources}
    while waiting:
        before = len(waiting)
        for table in _stream(work, pool, attempts, list(waiting.values())):
            # A task that died after some of its blocks had been taken may come with other blocks the second time.
            is_new = [waiting.pop(str(key), None) is not None for key in table["key"].to_pylist()]
            yield table.filter(pa.array(is_new, pa.bool_()))
        if len(waiting) == before:
            raise RuntimeError(f"Ray gave no answer for {before} videos; its log says why")


def _stream(work: Work, pool: Pool, attempts: Attempts, sources: Sequence[Source]) -> Iterator[pa.Table]:
    size = min(MOST_IN_A_TASK, math.ceil(len(sources) / (4 * pool.decoders)))
    parts = [sources[start : start + size] for start in range(0, len(sources), size)]
    tasks: list[pa.Table | bytes] = [pa.table({"source": [pickle.dumps(source) for source in part]}) for part in parts]
    stream = (
        ray.data.from_arrow(tasks)
        .map_batches(
            Decoder,
            fn_constructor_args=[work, attempts],
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=pool.decoders),
            num_cpus=1,
        )
        .map_batches(
            Model,
            fn_constructor_args=[work, attempts],
            batch_size=work.batch,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=pool.models),
            num_cpus=work.threads,
            num_gpus=pool.gpus,
        )
    )
    batches: Iterable[Any] = stream.iter_batches(batch_size=None, batch_format="pyarrow")
    yield from batches


def _pixel_bytes(work: Work) -> int:
    """Return the size of a clip's pixels between the stages."""
    signature = work.served.signature
    return 4 * signature.grid.frames * 3 * math.prod(signature.recipe.shape or ())
