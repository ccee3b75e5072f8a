"""Start TorchServe, wait until every model is ready, and stop it without losing a request: what ./serve.sh runs.

The frontend runs in a process group of its own, so that a Ctrl-C of the terminal reaches only this process, which lets
what is in flight finish first, and so that every worker can be found at the end.

Exit codes: 0 stopped as asked, 1 could not start or died, 2 wrong arguments.
"""

import argparse
import contextlib
import http.client
import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from guard import guard
from inflight import waiting
from java import NoJavaError, find_java
from log import Log

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
ADDRESSES = {"inference": "inference_address", "management": "management_address", "metrics": "metrics_address"}
SOCKET_PATH_LIMIT = 107  # bytes of a UNIX socket's path (sun_path), less its end
LAST_PORT = 65535
# What the frontend logs when a worker cannot load its model (it then tries again for minutes), or has no archive.
LOAD_FAILED = re.compile(r"(Load model failed: |Retry worker: |Failed to load model: ).*")


class StartError(Exception):
    """The server cannot start; the message says why, and what to do."""


class Stop:
    """Counts the signals that ask to stop."""

    def __init__(self) -> None:
        self.asked = 0
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked += 1


def main() -> int:
    """Serve until a signal; return the exit code."""
    args = _arguments()
    stop = Stop()
    try:
        with tempfile.TemporaryDirectory(prefix="staa-serve-") as scratch:
            return _serve(args, Path(scratch), stop)
    except (StartError, NoJavaError) as error:
        say(f"error: {error}", sys.stderr)
        return 1


def say(text: str, stream: object = None) -> None:
    """Print one line of progress at once."""
    print(f"serve: {text}", file=stream or sys.stdout, flush=True)  # type: ignore[arg-type]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="serve.sh", description="Serve models with TorchServe, in the foreground.")
    parser.add_argument("names", nargs="*", metavar="NAME", default=["motions"], help="models to serve (motions)")
    for kind, key in ADDRESSES.items():
        option = "--port" if kind == "inference" else f"--{kind}-port"
        parser.add_argument(option, dest=kind, type=_port, metavar="P", help=f"instead of the port of {key}")
    parser.add_argument("--store", type=Path, default=ROOT / "model_store", metavar="DIR", help="where NAME.mar lie")
    parser.add_argument("--config", type=Path, default=ROOT / "config.properties", metavar="FILE", help="settings")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs here (else they go at the end)")
    parser.add_argument("--drain", type=float, default=30, metavar="S", help="longest wait for requests at a stop (30)")
    parser.add_argument("--startup", type=float, default=300, metavar="S", help="longest wait for the models (300)")
    return parser.parse_args()


def _port(text: str) -> int:
    """Return the port that an option names."""
    if not text.isdecimal() or int(text) > LAST_PORT:
        msg = f"{text!r} is no port: expected a number from 0 (as configured) to {LAST_PORT}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _serve(args: argparse.Namespace, scratch: Path, stop: Stop) -> int:
    logs = args.logs.resolve() if args.logs else scratch / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    config = _read_config(args.config)
    urls = {kind: _address(config, key, getattr(args, kind)) for kind, key in ADDRESSES.items()}
    _check(args, urls, scratch)
    config |= {key: urls[kind] for kind, key in ADDRESSES.items()}
    config["model_store"] = str(args.store.resolve())
    config["load_models"] = ",".join(f"{name}={name}.mar" for name in args.names)
    if "metrics_config" in config:
        config["metrics_config"] = str((args.config.resolve().parent / config["metrics_config"]).resolve())
    (scratch / "config.properties").write_text("".join(f"{key}={value}\n" for key, value in config.items()))

    worker, server = Log.at(logs / "model_log.log"), Log.at(logs / "ts_log.log")
    say(f"starting {', '.join(args.names)} (logs: {logs})")
    began = time.monotonic()
    with _frontend(find_java(os.environ), config, scratch, logs) as frontend:
        deadline = began + args.startup
        while not stop.asked and not _ready(args.names, urls["management"], worker, server):
            _check_alive(frontend, server)
            if time.monotonic() > deadline:
                last = worker.tail() or server.tail()
                msg = f"not ready within {args.startup:g} s (longer: --startup S). Its last lines:\n{last}"
                raise StartError(msg)
            time.sleep(0.2)
        if not stop.asked:
            for kind, url in urls.items():
                say(f"{kind:<10} {_reach(url)}")
            say(f"ready after {time.monotonic() - began:.1f} s: {', '.join(args.names)}")
        while not stop.asked:
            _check_alive(frontend, server)
            time.sleep(0.2)
        _drain(urlsplit(urls["inference"]).port or 0, args.drain, stop)
        say("stopping")
    say("stopped")
    return 0


def _read_config(path: Path) -> dict[str, str]:
    """Return the settings of a config.properties."""
    if not path.is_file():
        msg = f"there is no {path}. Name the settings by --config FILE."
        raise StartError(msg)
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _address(config: dict[str, str], key: str, port: int | None) -> str:
    """Return a listening address such as http://127.0.0.1:8080, with another port where one is asked for."""
    if key not in config:
        msg = f"config.properties does not set {key}. Set it, e.g. {key}=http://127.0.0.1:8080"
        raise StartError(msg)
    url = urlsplit(config[key])
    return f"{url.scheme}://{url.hostname}:{port or url.port}"


def _reach(url: str) -> str:
    """Return the address by which this machine reaches a listening address."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:")


def _check(args: argparse.Namespace, urls: dict[str, str], scratch: Path) -> None:
    """Refuse what TorchServe would only fail at later, and less clearly."""
    for name in args.names:
        if not (args.store / f"{name}.mar").is_file():
            msg = f"there is no {args.store / name}.mar. Build it: ./archive.sh {name} --output {args.store}"
            raise StartError(msg)
    for kind, url in urls.items():
        address = urlsplit(url)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address.hostname, address.port))
            except OSError as error:
                option = "--port" if kind == "inference" else f"--{kind}-port"
                reason = f"cannot listen on {url} for {kind}: {error.strerror}. Choose another port: {option} P"
                raise StartError(reason) from None
    if len(bytes(scratch)) + len("/.ts.sock.99999") > SOCKET_PATH_LIMIT:
        msg = f"the path of the temporary folder {scratch} is too long for a socket. Set TMPDIR to a shorter one."
        raise StartError(msg)


@contextlib.contextmanager
def _frontend(java: str, config: dict[str, str], scratch: Path, logs: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run TorchServe's Java frontend; at the end stop it, its workers, and whatever they started."""
    site = Path(str(importlib.metadata.distribution("torchserve").locate_file("")))
    command = [java, f"-Dmodel_server_home={site}", f"-Djava.io.tmpdir={scratch}"]
    command += [f"-Dlog4j.configurationFile=file://{DEPLOY / 'log4j2.xml'}", *config.get("vmargs", "").split()]
    command += ["-cp", f"{site}/ts/frontend/*", "org.pytorch.serve.ModelServer", "--python", sys.executable]
    command += ["-f", "config.properties", "-s", config["model_store"], "-ncs"]
    # The archives hold all that the models need: nothing is asked of the hub, and no progress bar goes to the log.
    environ = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | os.environ
    environ |= {"TMPDIR": str(scratch), "TEMP": str(scratch)}
    environ |= {"LOG_LOCATION": str(logs), "METRICS_LOCATION": str(logs)}
    # Its log comes by stderr. By stdout come notes that help nobody (no nvidia-smi, a slow reflection), and Java's last
    # words: they are kept, and shown if it ends by itself.
    with (logs / "frontend.out").open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=scratch,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=sys.stdout,
            start_new_session=True,
        )
    with guard(process.pid):
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            _end_group(process)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of the frontend's process group, and collect it where it became our child (as process 1)."""
    for _ in range(50):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of ended processes
            break
        process.poll()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-process.pid, os.WNOHANG)
        time.sleep(0.1)
    process.wait()


def _check_alive(frontend: "subprocess.Popen[bytes]", server: Log) -> None:
    """Raise StartError if the frontend has ended."""
    if frontend.poll() is not None:
        said = Log(server.path.with_name("frontend.out"), 0).tail()
        msg = f"TorchServe ended by itself, exit code {frontend.returncode}:\n{server.tail()}\n{said}"
        raise StartError(msg)


def _ready(names: list[str], management: str, worker: Log, server: Log) -> bool:
    """Return whether every worker of every model is READY; raises StartError once one cannot become so."""
    if failed := LOAD_FAILED.search(server.text()):
        for _ in range(10):  # the worker's last words are on their way into its log
            time.sleep(0.5)
            if worker.exceptions():
                break
        silent = (
            f"  | {failed[0]}\n  | The system may have ended it, e.g. for want of memory. To keep its log: --logs DIR"
        )
        msg = f"a model cannot be loaded. Its worker said:\n{worker.exceptions() or worker.tail() or silent}"
        raise StartError(msg)
    return all(_workers_ready(management, name) for name in names)


def _workers_ready(management: str, name: str) -> bool:
    address = urlsplit(_reach(management))
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("GET", f"/models/{name}")
        reply = connection.getresponse()
        workers = json.loads(reply.read())[0]["workers"] if reply.status == http.HTTPStatus.OK else []
    except (OSError, http.client.HTTPException):
        return False  # not listening yet
    finally:
        connection.close()
    return bool(workers) and all(worker["status"] == "READY" for worker in workers)


def _drain(port: int, limit: float, stop: Stop) -> None:
    """Wait until no request is in flight, at most `limit` seconds, or until a second signal asks to stop now.

    The port stays open meanwhile: a request that arrives before the others are answered is answered too.
    """
    deadline = time.monotonic() + limit
    quiet = 0
    count = waiting(port)
    if count:
        say(f"waiting up to {limit:g} s for {count} request(s) in flight (a second signal stops at once)")
    while quiet < 3 and stop.asked < 2:  # a request may be between accept and the first byte: look three times
        if time.monotonic() > deadline:
            say(f"{count} request(s) not finished after {limit:g} s are cut off (longer: --drain S)", sys.stderr)
            return
        time.sleep(0.1)
        count = waiting(port)
        quiet = 0 if count else quiet + 1


if __name__ == "__main__":
    sys.exit(main())
