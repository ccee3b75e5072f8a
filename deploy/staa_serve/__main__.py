"""Start TorchServe, say when it is ready, and stop it without losing a request: what ./serve.sh runs.

Probes and the front proxy ask GET /ready, /live and /models on the health port. At SIGTERM, /ready answers 503 at
once, so that load balancers send new requests to other servers. For --quiet seconds all requests are served as
before. Then the requests in flight, also those in a proxy on this machine (--front), are answered, for at most
--drain seconds. A second signal stops at once.

Exit codes: 0 stopped as asked, 1 could not start, died, or lost a model for good, 2 wrong arguments.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from staa_serve import frontend, health, log, properties, scratch
from staa_serve.java import NoJavaError, find_java
from staa_serve.log import Log, StartError, print_line
from staa_serve.server import Server, Stop

ROOT = Path(__file__).resolve().parents[2]
SOCKET_PATH_LIMIT = 107  # bytes of a UNIX socket's path (sun_path), less its end
LAST_PORT = 65535


def main() -> int:
    """Serve until a signal; return the exit code."""
    args = arguments(sys.argv[1:])
    os.environ[log.FORMAT] = args.log_format
    stop = Stop()
    try:
        with scratch.make_folder() as folder:
            return _serve(args, folder, stop)
    except (StartError, NoJavaError) as error:
        print_line(f"error: {error}", failed=True)
        return 1


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options and models of a command line; a wrong one ends the process with exit code 2."""
    parser = argparse.ArgumentParser(prog="serve.sh", description="Serve models with TorchServe, in the foreground.")
    parser.add_argument("names", nargs="*", metavar="NAME", default=["motions"], help="models to serve (motions)")
    for kind, key in (*properties.ADDRESSES.items(), ("health", properties.HEALTH[0])):
        option, text = properties.port_option(kind), f"instead of the port of {key}"
        parser.add_argument(option, dest=kind, type=_port, metavar="P", help=text)
    parser.add_argument("--store", type=Path, default=ROOT / "model_store", metavar="DIR", help="where NAME.mar lie")
    parser.add_argument("--config", type=Path, default=ROOT / "config.properties", metavar="FILE", help="settings")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs here (else they go at the end)")
    parser.add_argument("--quiet", type=_seconds, default=0, metavar="S", help="serve on so long after a signal (0)")
    parser.add_argument("--drain", type=_seconds, default=30, metavar="S", help="then wait so long for requests (30)")
    text = "wait for requests on this port of a proxy, too: it may still be taking them in"
    parser.add_argument("--front", type=_port, default=0, metavar="P", help=text)
    parser.add_argument("--startup", type=_seconds, default=300, metavar="S", help="longest wait for the models (300)")
    formats, text = ("plain", "json"), "of what is printed: plain lines, or a JSON object a line (plain)"
    default = os.environ.get(log.FORMAT, formats[0])
    parser.add_argument("--log-format", choices=formats, default=default, help=text)
    text = "end with a failure when a model has had no worker for so long (300)"
    parser.add_argument("--lost", type=_seconds, default=300, metavar="S", help=text)
    return parser.parse_args(argv)


def _port(text: str) -> int:
    """Return the port in the text of an option."""
    if not text.isdecimal() or int(text) > LAST_PORT:
        msg = f"{text!r} is no port: expected a number from 0 (as configured) to {LAST_PORT}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _seconds(text: str) -> float:
    """Return the seconds in the text of an option."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        msg = f"{text!r} is no time: expected seconds, 0 or more"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _serve(args: argparse.Namespace, folder: Path, stop: Stop) -> int:
    """Start the server with these arguments, watch it and stop it; return the exit code, or raise StartError."""
    logs = args.logs.resolve() if args.logs else folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    config = properties.read_settings(args.config)
    key, default = properties.HEALTH
    probed = properties.get_address({key: config.pop(key, default)}, key, args.health)
    urls = {
        kind: properties.get_address(config, key, getattr(args, kind)) for kind, key in properties.ADDRESSES.items()
    }
    _check(args, urls | {"health": probed}, folder)
    config |= {key: urls[kind] for kind, key in properties.ADDRESSES.items()}
    config["model_store"] = str(args.store.resolve())
    config["load_models"] = ",".join(f"{name}={name}.mar" for name in args.names)
    if "metrics_config" in config:
        config["metrics_config"] = str((args.config.resolve().parent / config["metrics_config"]).resolve())
    (folder / "config.properties").write_text("".join(f"{key}={value}\n" for key, value in config.items()))

    said, worker_said = Log.at(logs / "ts_log.log"), Log.at(logs / "model_log.log")
    print_line(f"starting {', '.join(args.names)} (logs: {logs})")
    began = time.monotonic()
    with frontend.run(find_java(os.environ), config, folder, logs) as process:
        known = health.Health(args.names, alive=lambda: process.poll() is None, stopping=lambda: stop.asked > 0)
        server = Server(process, urls, known, stop, said=said, worker_said=worker_said)
        with health.serve(known, probed), server.polling():
            if server.wait_ready(args.startup):
                for kind, url in (urls | {"health": probed}).items():
                    print_line(f"{kind:<10} {properties.reach(url)}")
                print_line(properties.exposure(urls))
                print_line(f"ready after {time.monotonic() - began:.1f} s: {', '.join(args.names)}")
                server.supervise(args.lost)
                server.keep_serving(args.quiet)
            server.drain(args.drain, args.front)
            print_line("stopping")
    print_line("stopped")
    return 0


def _check(args: argparse.Namespace, urls: dict[str, str], folder: Path) -> None:
    """Raise StartError for wrong arguments that TorchServe would report later and less clearly."""
    for name in args.names:
        if not (args.store / f"{name}.mar").is_file():
            msg = f"there is no {args.store / name}.mar. Build it: ./archive.sh {name} --output {args.store}"
            raise StartError(msg)
    properties.check_free(urls)
    if len(bytes(folder)) + len("/.ts.sock.99999") > SOCKET_PATH_LIMIT:
        msg = f"the path of the temporary folder {folder} is too long for a socket. Set TMPDIR to a shorter one."
        raise StartError(msg)


if __name__ == "__main__":
    sys.exit(main())
