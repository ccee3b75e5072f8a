"""Start TorchServe, say when it is ready, and stop it without losing a request: what ./serve.sh runs.

GET /ready and GET /live on the health port tell probes and the front proxy. At SIGTERM /ready turns 503 at once, so
that whoever spreads requests sends the next ones elsewhere; those that come for --quiet seconds are served as before;
then what is in flight, also in a proxy beside it (--front), is answered, for at most --drain seconds. A second signal
stops at once.

Exit codes: 0 stopped as asked, 1 could not start, died, or lost a model for good, 2 wrong arguments.
"""

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import frontend
import health
import properties
import workers
from errors import StartError
from inflight import waiting
from java import NoJavaError, find_java
from log import Log

ROOT = Path(__file__).resolve().parents[1]
SOCKET_PATH_LIMIT = 107  # bytes of a UNIX socket's path (sun_path), less its end
LAST_PORT = 65535
# What the frontend logs when a worker cannot load its model (it then tries again for minutes), or has no archive.
LOAD_FAILED = re.compile(r"(Load model failed: |Retry worker: |Failed to load model: ).*")


class Stop:
    """Counts the signals that ask to stop."""

    def __init__(self) -> None:
        self.asked = 0
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked += 1


@dataclass
class Server:
    """A TorchServe that runs, and what is known of it."""

    process: frontend.Process
    urls: dict[str, str]  # kind of address -> where it listens
    health: health.Health
    said: Log  # by the frontend
    worker_said: Log
    stop: Stop

    def look(self) -> float:
        """Ask for every model's workers, and return the seconds to let pass before the next look."""
        frontend.check_alive(self.process, self.said)
        began = time.monotonic()
        self.health.workers = {name: workers.ask(self.urls["management"], name) for name in self.health.workers}
        # On a GPU TorchServe runs nvidia-smi for the answer: where that takes long, it is asked less often.
        return max(1.0, 9 * (time.monotonic() - began))


def main() -> int:
    """Serve until a signal; return the exit code."""
    args = _arguments()
    os.environ[frontend.LOG_FORMAT] = args.log_format
    stop = Stop()
    try:
        with tempfile.TemporaryDirectory(prefix="staa-serve-") as scratch:
            return _serve(args, Path(scratch), stop)
    except (StartError, NoJavaError) as error:
        say(f"error: {error}", sys.stderr)
        return 1


def say(text: str, stream: object = None) -> None:
    """Print one line of progress at once, in the form of the frontend's own lines."""
    line = f"serve: {text}"
    if os.environ.get(frontend.LOG_FORMAT) == "json":
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level = "ERROR" if stream is sys.stderr else "INFO"
        line = json.dumps({"time": now, "level": level, "logger": "serve", "request": "", "message": text})
    print(line, file=stream or sys.stdout, flush=True)  # type: ignore[arg-type]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="serve.sh", description="Serve models with TorchServe, in the foreground.")
    parser.add_argument("names", nargs="*", metavar="NAME", default=["motions"], help="models to serve (motions)")
    for kind, key in (*properties.ADDRESSES.items(), ("health", properties.HEALTH[0])):
        text = f"instead of the port of {key}"
        parser.add_argument(properties.option(kind), dest=kind, type=_port, metavar="P", help=text)
    parser.add_argument("--store", type=Path, default=ROOT / "model_store", metavar="DIR", help="where NAME.mar lie")
    parser.add_argument("--config", type=Path, default=ROOT / "config.properties", metavar="FILE", help="settings")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs here (else they go at the end)")
    parser.add_argument("--quiet", type=_seconds, default=0, metavar="S", help="serve on so long after a signal (0)")
    parser.add_argument("--drain", type=_seconds, default=30, metavar="S", help="then wait so long for requests (30)")
    text = "wait for requests on this port of a proxy, too: it may still be taking them in"
    parser.add_argument("--front", type=_port, default=0, metavar="P", help=text)
    parser.add_argument("--startup", type=_seconds, default=300, metavar="S", help="longest wait for the models (300)")
    formats, text = ("plain", "json"), "of what is printed: plain lines, or a JSON object a line (plain)"
    default = os.environ.get(frontend.LOG_FORMAT, formats[0])
    parser.add_argument("--log-format", choices=formats, default=default, help=text)
    text = "end with a failure when a model has had no worker for so long (300)"
    parser.add_argument("--lost", type=_seconds, default=300, metavar="S", help=text)
    return parser.parse_args()


def _port(text: str) -> int:
    """Return the port that an option names."""
    if not text.isdecimal() or int(text) > LAST_PORT:
        msg = f"{text!r} is no port: expected a number from 0 (as configured) to {LAST_PORT}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _seconds(text: str) -> float:
    """Return the time that an option names, in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        msg = f"{text!r} is no time: expected seconds, 0 or more"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _serve(args: argparse.Namespace, scratch: Path, stop: Stop) -> int:
    logs = args.logs.resolve() if args.logs else scratch / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    config = properties.read(args.config)
    key, default = properties.HEALTH
    probed = properties.address({key: config.pop(key, default)}, key, args.health)
    urls = {kind: properties.address(config, key, getattr(args, kind)) for kind, key in properties.ADDRESSES.items()}
    _check(args, urls | {"health": probed}, scratch)
    config |= {key: urls[kind] for kind, key in properties.ADDRESSES.items()}
    config["model_store"] = str(args.store.resolve())
    config["load_models"] = ",".join(f"{name}={name}.mar" for name in args.names)
    if "metrics_config" in config:
        config["metrics_config"] = str((args.config.resolve().parent / config["metrics_config"]).resolve())
    (scratch / "config.properties").write_text("".join(f"{key}={value}\n" for key, value in config.items()))

    said, worker_said = Log.at(logs / "ts_log.log"), Log.at(logs / "model_log.log")
    say(f"starting {', '.join(args.names)} (logs: {logs})")
    began = time.monotonic()
    with frontend.run(find_java(os.environ), config, scratch, logs) as process:
        known = health.Health(args.names, alive=lambda: process.poll() is None, stopping=lambda: stop.asked > 0)
        server = Server(process, urls, known, said, worker_said, stop)
        with health.serve(known, probed):
            if _wait_ready(server, args.startup):
                for kind, url in (urls | {"health": probed}).items():
                    say(f"{kind:<10} {properties.reach(url)}")
                say(f"ready after {time.monotonic() - began:.1f} s: {', '.join(args.names)}")
                _watch(server, args.lost)
                _serve_on(server, args.quiet)
            _drain(server, args.drain, args.front)
            say("stopping")
    say("stopped")
    return 0


def _check(args: argparse.Namespace, urls: dict[str, str], scratch: Path) -> None:
    """Refuse what TorchServe would only fail at later, and less clearly."""
    for name in args.names:
        if not (args.store / f"{name}.mar").is_file():
            msg = f"there is no {args.store / name}.mar. Build it: ./archive.sh {name} --output {args.store}"
            raise StartError(msg)
    properties.check_free(urls)
    if len(bytes(scratch)) + len("/.ts.sock.99999") > SOCKET_PATH_LIMIT:
        msg = f"the path of the temporary folder {scratch} is too long for a socket. Set TMPDIR to a shorter one."
        raise StartError(msg)


def _wait_ready(server: Server, limit: float) -> bool:
    """Wait until every worker of every model is READY; return False if asked to stop before."""
    deadline = time.monotonic() + limit
    while not server.stop.asked:
        _check_loading(server)
        pause = server.look()
        if all(each.all_ready for each in server.health.workers.values()):
            return True
        if time.monotonic() > deadline:
            last = server.worker_said.tail() or server.said.tail()
            msg = f"not ready within {limit:g} s (longer: --startup S). Its last lines:\n{last}"
            raise StartError(msg)
        time.sleep(max(0.2, pause - 1))
    return False


def _check_loading(server: Server) -> None:
    """Raise StartError once a model cannot be loaded."""
    if failed := LOAD_FAILED.search(server.said.text()):
        for _ in range(10):  # the worker's last words are on their way into its log
            time.sleep(0.5)
            if server.worker_said.exceptions():
                break
        silent = (
            f"  | {failed[0]}\n  | The system may have ended it, e.g. for want of memory. To keep its log: --logs DIR"
        )
        said = server.worker_said.exceptions() or server.worker_said.tail() or silent
        msg = f"a model cannot be loaded. Its worker said:\n{said}"
        raise StartError(msg)


def _watch(server: Server, limit: float) -> None:
    """Look after the server until asked to stop.

    TorchServe starts a worker that died again, and gives up after some minutes: a model that stays without one for
    `limit` seconds is an end, so that whoever started this process can start a fresh one.
    """
    look_at, lost_at = 0.0, time.monotonic()
    while not server.stop.asked:
        frontend.check_alive(server.process, server.said)
        if time.monotonic() >= look_at:
            look_at = time.monotonic() + server.look()
            lost = [name for name, each in server.health.workers.items() if not each.ready]
            if not lost:
                lost_at = time.monotonic()
            elif time.monotonic() - lost_at > limit:
                said = server.worker_said.exceptions() or server.worker_said.tail() or server.said.tail()
                msg = f"{', '.join(lost)}: no READY worker for {limit:g} s (longer: --lost S). It said:\n{said}"
                raise StartError(msg)
        time.sleep(0.2)


def _serve_on(server: Server, seconds: float) -> None:
    """Serve as before for a while: whoever sends requests here learns of the stop only after it."""
    deadline = time.monotonic() + seconds
    if seconds:
        say(f"no longer ready; serving on for {seconds:g} s (a second signal stops at once)")
    while server.stop.asked < 2 and time.monotonic() < deadline:
        frontend.check_alive(server.process, server.said)
        time.sleep(0.1)


def _drain(server: Server, limit: float, front: int) -> None:
    """Wait until no request is in flight, at most `limit` seconds, or until a second signal asks to stop now.

    The port stays open meanwhile: a request that arrives before the others are answered is answered too. One that a
    proxy holds until its last byte is here is known by the proxy's port, `front`, alone.
    """
    ports = [urlsplit(server.urls["inference"]).port or 0, *([front] if front else [])]
    deadline = time.monotonic() + limit
    idle = 0
    count = max(map(waiting, ports))
    if count:
        say(f"waiting up to {limit:g} s for {count} request(s) in flight (a second signal stops at once)")
    while idle < 3 and server.stop.asked < 2:  # a request may be between accept and the first byte: look three times
        frontend.check_alive(server.process, server.said)
        if time.monotonic() > deadline:
            say(f"{count} request(s) not finished after {limit:g} s are cut off (longer: --drain S)", sys.stderr)
            return
        time.sleep(0.1)
        count = max(map(waiting, ports))
        idle = 0 if count else idle + 1


if __name__ == "__main__":
    sys.exit(main())
