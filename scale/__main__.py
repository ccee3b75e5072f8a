"""The command ./scale.sh: serve models on Ray in the foreground, or explain stored videos: ./scale.sh bulk SOURCE OUT.

At Ctrl-C or SIGTERM new requests are refused, those under way are answered for at most --drain seconds, and all that
was started ends. A second signal stops at once.

Exit codes: 0 stopped as asked, 1 could not start, or died, 2 wrong arguments.
"""

import argparse
import contextlib
import logging
import math
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a process without GPUs leaves CUDA_VISIBLE_DEVICES alone
    "RAY_worker_niceness": "0",  # not the last of all on this machine, as Ray has it
    "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS": "1",  # pixels are shared by the processes of a machine
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "scale.edge.middlewares",
}
if "RAY_AUTH_MODE" not in os.environ:  # no other user of this machine may run code here; and no file keeps the token
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
if not any(word.startswith("--address") for word in sys.argv):
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray keeps to the loopback; else it takes all addresses

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from scale.app import Arguments, app
from scale.served import STORE, ray_folder
from staa.errors import LoadError

NAME = "staa"
"""The name of the application in Ray Serve."""
OBJECT_STORE = 400 << 20
"""Bytes of shared memory for what waits between the stages."""
ATTEMPTS = 3
"""How often Ray is started before that counts as failed."""


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    if argv[:1] == ["bulk"]:
        from scale import bulk  # noqa: PLC0415  # it needs pyarrow, which serving does not

        return bulk.main(argv[1:])
    args = _arguments(argv)
    try:
        return _serve(args)
    except KeyboardInterrupt:
        return 0
    except (LoadError, RuntimeError) as error:
        print(f"scale: error: {error}", file=sys.stderr, flush=True)
        return 1


def _serve(args: argparse.Namespace) -> int:
    began, stopping = time.monotonic(), threading.Event()
    application = app(Arguments(models=args.names, store=args.store, decoders=args.decoders, gpus=args.gpus))
    _print(f"starting {', '.join(args.names)} on Ray {ray.__version__}")
    with _cluster(args):
        _on_signals(stopping, may_wait=False)  # Ray takes them when it starts
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        serve.start(http_options={"host": args.host, "port": args.port}, logging_config={"enable_access_log": False})
        door = serve.run(application, name=NAME)
        _on_signals(stopping, may_wait=True)
        _print(f"inference  http://{args.host}:{args.port}")
        _print(f"ready after {time.monotonic() - began:.1f} s: {', '.join(args.names)}")
        while not stopping.wait(5):
            serve.status()  # raises an error if Ray is gone
        with contextlib.suppress(KeyboardInterrupt):
            _drain(door, args.drain)
        _print("stopping")
        serve.delete(NAME)
    _print("stopped")
    return 0


def _on_signals(stopping: threading.Event, *, may_wait: bool) -> None:
    """Let the first signal ask to stop, if that may wait; any other one interrupts."""

    def stop(*_: object) -> None:
        if stopping.is_set() or not may_wait:
            raise KeyboardInterrupt
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _drain(door: "DeploymentHandle[Any]", seconds: float) -> None:
    """Let the requests under way be answered, at most for some seconds."""
    until = time.monotonic() + seconds
    while (left := door.drain.remote().result()) and time.monotonic() < until:
        _print(f"waiting for {left} requests")
        time.sleep(0.2)


@contextlib.contextmanager
def _cluster(args: argparse.Namespace) -> Iterator[None]:
    """Join the cluster that was named, or start a Ray of this machine alone, which nobody else reaches."""
    options: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
    with contextlib.ExitStack() as stack:
        if not args.address:
            options |= {
                "num_cpus": max(len(args.names) * (1 + max(args.decoders)) + 2, os.cpu_count() or 1),
                "num_gpus": math.ceil(args.gpus * len(args.names)) or None,
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": stack.enter_context(ray_folder()),
            }
        stack.callback(ray.shutdown)
        _start(args.address or "local", options)
        yield


def _start(address: str, options: Mapping[str, Any]) -> None:
    for left in reversed(range(ATTEMPTS)):
        try:
            ray.init(address, **options)
        except Exception as error:  # Ray raises whatever it likes, also where a busy machine is slow for half a minute
            if not left:
                raise RuntimeError(f"Ray did not start, or could not be joined: {error}") from error
            ray.shutdown()
        else:
            return


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scale.sh", description="Serve models on Ray, in the foreground.")
    parser.add_argument("names", nargs="*", metavar="NAME", default=["motions"], help="models to serve (motions)")
    parser.add_argument("--port", type=int, default=8080, metavar="P", help="of all routes (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="the address to listen on (%(default)s)")
    parser.add_argument("--address", help="of a Ray cluster, e.g. auto; default: a Ray of this machine alone")
    parser.add_argument("--store", type=Path, default=STORE, metavar="DIR", help="where NAME.yaml and NAME/ lie")
    text = "processes that decode for each model, or the fewest and the most: 1:3 (1)"
    parser.add_argument("--decoders", type=_range, default=(1, 1), metavar="N[:M]", help=text)
    parser.add_argument("--gpus", type=float, default=0, metavar="G", help="of each process with a model (%(default)s)")
    text = "wait so many seconds for requests under way (%(default)s)"
    parser.add_argument("--drain", type=float, default=30, metavar="S", help=text)
    return parser.parse_args(argv)


def _range(text: str) -> tuple[int, int]:
    """Return the two numbers of an option such as 1:3."""
    least, _, most = text.partition(":")
    if not (least.isdecimal() and (most or least).isdecimal() and 1 <= int(least) <= int(most or least)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: expected such as 2, or 1:3")
    return int(least), int(most or least)


def _print(line: str) -> None:
    print(f"scale: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
