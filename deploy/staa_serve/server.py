"""Supervise a TorchServe: wait until it is ready, watch it while it serves, and let it finish when it must stop."""

import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from staa_serve import frontend, workers
from staa_serve.health import Health
from staa_serve.inflight import count_waiting
from staa_serve.log import Log, StartError, print_line

# What the frontend logs when a worker cannot load its model (it then tries again for minutes), or has no archive.
LOAD_FAILED = re.compile(r"(Load model failed: |Retry worker: |Failed to load model: ).*")
TICK = 0.2  # seconds between two looks at what is known


class Stop:
    """Counts in `asked` the signals SIGTERM, SIGINT and SIGHUP, which ask this process to stop.

    A signal that was ignored when this process started, as SIGHUP is under nohup, is still ignored and not counted.
    """

    def __init__(self) -> None:
        self.asked = 0
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(name) is not signal.SIG_IGN:
                signal.signal(name, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked += 1


@dataclass(eq=False)
class Server:
    """Supervises a running TorchServe."""

    process: frontend.Process
    urls: dict[str, str]
    """Kind of address -> the URL where the server listens."""
    health: Health
    stop: Stop
    said: Log
    """The frontend's log."""
    worker_said: Log
    """The workers' log."""
    _poll: Future[None] = field(default_factory=Future, init=False)

    def poll_workers(self) -> float:
        """Ask for the workers of every model, and return the seconds to wait before the next poll."""
        began = time.monotonic()
        management = self.urls["management"]
        self.health.workers = {
            name: workers.ask(management, name).or_known(known) for name, known in self.health.workers.items()
        }
        # On a GPU TorchServe runs nvidia-smi for the answer: where that takes long, it is asked less often.
        return max(1.0 if self._all_ready() else TICK, 9 * (time.monotonic() - began))

    @contextlib.contextmanager
    def polling(self) -> Iterator[None]:
        """Poll the workers in a thread during the block, so that a slow answer does not delay the stop at a signal."""
        done = threading.Event()

        def poll() -> None:
            while not done.wait(self.poll_workers()):
                pass

        thread = ThreadPoolExecutor(1, "workers")
        self._poll = thread.submit(poll)
        try:
            yield
        finally:
            done.set()
            thread.shutdown(wait=False)  # an answer that is long in coming ends with TorchServe at the latest

    def wait_ready(self, limit: float) -> bool:
        """Wait until every worker of every model is READY; return False if a signal asks to stop before that.

        Raises:
            StartError: after `limit` seconds, or once a model cannot be loaded.
        """
        deadline = time.monotonic() + limit
        while not self.stop.asked:
            self._check_loading()
            self._check_alive()
            if self._all_ready():
                return True
            if time.monotonic() > deadline:
                last = self.worker_said.tail() or self.said.tail()
                raise StartError(f"not ready within {limit:g} s (longer: --startup S). Its last lines:\n{last}")
            time.sleep(TICK)
        return False

    def supervise(self, limit: float) -> None:
        """Watch the server until a signal asks to stop.

        TorchServe restarts a dead worker, but gives up after some minutes. So if a model has no worker for `limit`
        seconds, this process ends with a StartError, and systemd or Kubernetes can start a new one.
        """
        lost_at = time.monotonic()
        while not self.stop.asked:
            self._check_alive()
            lost = [name for name, known in self.health.workers.items() if not known.ready]
            if not lost:
                lost_at = time.monotonic()
            elif time.monotonic() - lost_at > limit:
                said = self.worker_said.exceptions() or self.worker_said.tail() or self.said.tail()
                msg = f"{', '.join(lost)}: no READY worker for {limit:g} s (longer: --lost S). It said:\n{said}"
                raise StartError(msg)
            time.sleep(TICK)

    def keep_serving(self, seconds: float) -> None:
        """Go on serving for some seconds, until load balancers have noticed that this server is no longer ready."""
        deadline = time.monotonic() + seconds
        if seconds:
            print_line(f"no longer ready; serving on for {seconds:g} s (a second signal stops at once)")
        while self.stop.asked < 2 and time.monotonic() < deadline:
            self._check_alive()
            time.sleep(0.1)

    def drain(self, limit: float, front: int) -> None:
        """Wait until no request is in flight, but at most `limit` seconds, and only until a second signal.

        The port stays open meanwhile, so a request that arrives before the others are answered is answered, too.

        Args:
            limit: the most seconds to wait.
            front: the port of a proxy on this machine, 0 if there is none. A proxy that first reads a whole upload
                holds requests that TorchServe has not seen yet, so the connections to its port are counted as well.
        """
        ports = [urlsplit(self.urls["inference"]).port or 0, *([front] if front else [])]
        deadline = time.monotonic() + limit
        idle = 0
        count = max(map(count_waiting, ports))
        if count:
            print_line(f"waiting up to {limit:g} s for {count} request(s) in flight (a second signal stops at once)")
        while idle < 3 and self.stop.asked < 2:  # a request may be between accept and the first byte: look three times
            self._check_alive()
            if time.monotonic() > deadline:
                cut = f"{count} request(s) not finished after {limit:g} s are cut off (longer: --drain S)"
                print_line(cut, failed=True)
                return
            time.sleep(0.1)
            count = max(map(count_waiting, ports))
            idle = 0 if count else idle + 1

    def _all_ready(self) -> bool:
        """Return whether every worker of every model is READY."""
        return all(known.all_ready for known in self.health.workers.values())

    def _check_alive(self) -> None:
        """Raise StartError if the frontend has ended, or the error that ended the polling of its workers."""
        frontend.check_alive(self.process, self.said)
        if self._poll.done():
            self._poll.result()

    def _check_loading(self) -> None:
        """Raise StartError once a model cannot be loaded."""
        if failed := LOAD_FAILED.search(self.said.text()):
            for _ in range(10):  # the worker's last words are on their way into its log
                time.sleep(0.5)
                if self.worker_said.exceptions():
                    break
            silent = f"  | {failed[0]}\n  | The system may have ended it, e.g. for want of memory."
            silent += " To keep its log: --logs DIR"
            said = self.worker_said.exceptions() or self.worker_said.tail() or silent
            raise StartError(f"a model cannot be loaded. Its worker said:\n{said}")
