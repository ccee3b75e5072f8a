"""Memory adds up: the worst of what limits.conf lets in, at once, within the limit of the pod (minutes)."""

import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np
import psutil
import pytest
import yaml

from tests.deploy import proxies
from tests.deploy.proxies import KEY, NAME, ROOT, UNHURRIED, Proxy, bearer, entry
from tests.made.torchserve import Server, start

CONTROLLER = Path("/sys/fs/cgroup/memory")  # of version 1, which can be limited without a systemd
LARGE, SMALL = 66_000_000, 4_900_000  # bytes
ROUNDS = 2


def limit() -> int:
    """Return the bytes of memory that the pod's server has."""
    deployment = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "base" / "deployment.yaml").read_text())
    (server,) = [each for each in deployment["spec"]["template"]["spec"]["containers"] if each["name"] == "server"]
    return int(server["resources"]["limits"]["memory"].removesuffix("Gi")) << 30


def largest_clip() -> bytes:
    """Return H.264 of the largest pictures that are taken, 16 of which each next one may need, in few bytes."""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"largest-{os.getpid()}.mp4"  # noqa: S108
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 4096, 2304, "yuv420p"
        stream.options = {"preset": "ultrafast", "x264-params": "ref=16:bframes=3:scenecut=0:keyint=250"}
        for number in range(32):
            picture = np.full((2304, 4096, 3), 40, np.uint8)
            picture[:, number * 100 : number * 100 + 400] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.unlink()
    return data


def padded(clip: bytes, size: int) -> bytes:
    """Return an MP4 with a box that is skipped, so that it has this size."""
    room = size - len(clip)
    return clip + room.to_bytes(4, "big") + b"free" + bytes(room - 8)


class Group:
    """What limits and measures the memory of a server: a cgroup, where this machine gives one."""

    def __init__(self, size: int) -> None:
        self.size, self.most = size, 0
        self.folder = CONTROLLER / f"staa-{os.getpid()}"
        self.limited = os.access(CONTROLLER, os.W_OK)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Let what is started in the block be in the group."""
        if not self.limited:
            yield
            return
        self.folder.mkdir()
        (self.folder / "memory.limit_in_bytes").write_text(str(self.size))
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            (CONTROLLER / "cgroup.procs").write_text(str(os.getpid()))

    def look(self, server: Server) -> None:
        """Take note of how much is in use: of no use to others, so without the cache of files."""
        if self.limited:
            stat = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
            now = int(stat["total_rss"]) + int(stat.get("total_shmem", 0))
        else:
            now = 0
            for process in psutil.Process(server.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    now += process.memory_info().rss
        self.most = max(self.most, now)

    def killed(self) -> int:
        """Return how many processes the system has ended for want of memory."""
        if not self.limited:
            return 0
        lines = dict(line.split() for line in (self.folder / "memory.oom_control").read_text().splitlines())
        return int(lines["oom_kill"])

    def close(self) -> None:
        """Remove the group, once its processes are gone."""
        if self.limited:
            self.folder.rmdir()


def worker(server: Server) -> set[int]:
    """Return the processes of Java and of the model's worker."""
    family = psutil.Process(server.process.pid).children(recursive=True)
    return {each.pid for each in family if any("java" in word or "model_service" in word for word in each.cmdline())}


def attack(proxy: Proxy, server: Server, group: Group, clip: bytes) -> list[tuple[int, str]]:
    """Send all that is let in at once, four large clips and 36 other bodies; return status and code of each."""
    text = b'{"video":"' + base64.b64encode(padded(clip, SMALL * 3 // 4 - 99)) + b'"}'
    others = [
        (padded(clip, SMALL), {}),
        (text, {"Content-Type": "application/json"}),
        (b'{"video":[' + b"[[]]," * (SMALL // 5) + b"[]]}", {"Content-Type": "application/json"}),
        (os.urandom(SMALL), {}),
        (b"--b\r\n" * (SMALL // 5), {"Content-Type": "multipart/form-data; boundary=b"}),
        (os.urandom(SMALL), {}),
    ]
    large = padded(clip, LARGE)
    asked: list[tuple[bytes, dict[str, str], str]] = [(large, {}, key) for key in (KEY, KEY, KEY, "second")]
    asked += [(body, kind, f"small-{number}") for number in range(6) for body, kind in others]

    def send(body: bytes, kind: dict[str, str], key: str) -> tuple[int, str]:
        reply = proxy.call(body=body, headers=bearer(key) | kind, patience=300)
        return reply.status, "" if reply.status == 200 else reply.code

    with ThreadPoolExecutor(len(asked)) as pool:
        sent = [pool.submit(send, *each) for each in asked]
        while not all(each.done() for each in sent):
            group.look(server)
            time.sleep(0.05)
    return [each.result() for each in sent]


@pytest.mark.deploy
def test_the_worst_that_is_let_in_fits_into_the_pod(tmp_path: Path) -> None:
    """Nothing is killed, nobody is told 500, 502 or 507, and the next caller is answered by the same worker."""
    build = [str(ROOT / "archive.sh"), "motions", "--output", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, timeout=600)
    clip, group = largest_clip(), Group(limit())
    with contextlib.ExitStack() as stack:
        stack.callback(group.close)
        with group():
            server = stack.enter_context(start(tmp_path, "motions"))
        ports = [urlsplit(url).port or 0 for url in (server.inference, server.health)]
        proxy = stack.enter_context(
            proxies.running(
                ports[0],
                health=ports[1],
                limits=UNHURRIED | {"proxy_read_timeout": "300s", "client_body_timeout": "300s"},
            )
        )
        proxy.allow(entry(NAME, KEY), *(entry(name, name) for name in ("second", *(f"small-{n}" for n in range(6)))))
        before, seen = worker(server), []
        for _ in range(ROUNDS):
            seen += attack(proxy, server, group, clip)
        found = {"most": group.most, "limit": group.size, "by a cgroup": group.limited, "killed": group.killed()}
        counts = {f"{status} {code}": seen.count((status, code)) for status, code in sorted(set(seen))}
        sys.stdout.write(f"{json.dumps(found)}\n{json.dumps(counts)}\n")
        assert group.killed() == 0
        assert worker(server) == before
        assert {status for status, _ in seen} <= {200, 400, 413, 415, 429, 503}
        assert seen.count((200, "")) >= 4 * ROUNDS
        assert group.most < 0.95 * group.size
        assert proxy.call(body=clip, patience=120).status == 200
