"""The image, built and run for real with hardened flags: pytest -m deploy -s tests/deploy/test_image.py.

It needs docker or podman, and takes minutes. BUILD_FLAGS are more options for the build; IMAGE is one that is built
already, to be tested as it is. image.sh says which others there are.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy.container import Container, Engine
from tests.made.videos import encode, images
from tests.made.waiting import until

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 1.5e9  # bytes of the image for CPUs
LONGEST = 60  # seconds to be ready; on an idle machine it is a few
MEMORY = 1.0e9  # bytes of all processes together, after a few requests

pytestmark = pytest.mark.deploy

# Prints, of every file of the image: what raises rights, compiles, packs, was left by an installation, can be written.
_SCAN = """
import json, os, stat
found = {"raises rights": [], "compiles or installs": [], "left over": [], "secret": [], "writable": []}
tools = {"cc", "gcc", "g++", "c++", "ld", "as", "make", "cmake", "protoc", "javac", "pip3", "curl", "wget"}
def walk(folder):
    for entry in os.scandir(folder):
        path, mode = entry.path, entry.stat(follow_symlinks=False).st_mode
        if path in ("/proc", "/sys", "/dev", "/tmp", "/run", "/var/tmp") or stat.S_ISLNK(mode):
            continue
        if mode & 0o6000 and stat.S_ISREG(mode):
            found["raises rights"].append(path)
        if entry.name in tools and mode & 0o111 and stat.S_ISREG(mode) or entry.name == "pip":
            found["compiles or installs"].append(path)
        if path.startswith(("/var/lib/apt/lists/", "/var/cache/apt/", "/root/.cache")) or entry.name == ".git":
            found["left over"].append(path)
        if entry.name in ("pip.conf", ".netrc", "credentials") or entry.name.endswith((".key", ".p12")):
            found["secret"].append(path)
        if os.access(path, os.W_OK) or entry.stat(follow_symlinks=False).st_uid == os.getuid():
            found["writable"].append(path)
        if entry.is_dir(follow_symlinks=False) and os.access(path, os.R_OK | os.X_OK):
            walk(path)
walk("/")
print(json.dumps({what: paths for what, paths in found.items() if paths}))
"""

# Prints how many requests the server has to finish.
_WAITING = (
    "import sys; sys.path[:0] = ['/app/deploy']; from staa_serve import inflight; print(inflight.count_waiting(8080))"
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Return an engine that has the image, freshly built unless IMAGE names one; print its size."""
    try:
        engine = Engine.there(os.environ.get("IMAGE", "staa-serve:test"))
    except LookupError as error:
        pytest.skip(str(error))
    if "IMAGE" not in os.environ:
        began = time.monotonic()
        done = engine.script("build", *os.environ.get("BUILD_FLAGS", "").split())
        assert done.returncode == 0, (done.stdout + done.stderr).decode()[-8000:]
        print(f"\nimage: built in {time.monotonic() - began:.0f} s")
    return engine


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Return a clip of two seconds."""
    return encode(images(60, height=240, width=320))


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[Container]:
    """Return a container that serves the default model; print how long its start took."""
    began = time.monotonic()
    with engine.run() as container:
        container.wait_ready()
        print(f"image: ready {time.monotonic() - began:.1f} s after the command to run")
        assert time.monotonic() - began < LONGEST
        yield container


def test_the_image_says_what_it_is_and_runs_as_nobody(engine: Engine) -> None:
    """A number as user, tini first, a health check that ends, labels, no secrets in the settings, a bounded size."""
    image = engine.inspect("image", engine.image)
    config = image["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["tini", "--", "/app/serve.sh"]
    assert config["Cmd"] == ["motions"]
    assert config["WorkingDir"] == "/app"
    check = config.get("Healthcheck") or image["Healthcheck"]  # docker's place, and podman's
    assert check["Test"] == ["CMD", "/app/deploy/staa_serve/probe.sh", "live"]
    assert check["Timeout"] == 3_000_000_000
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert {"title", "description", "licenses", "version", "revision", "created", "base.name"} <= set(labels)
    assert not any(label in {"", "unknown"} for label in labels.values())
    assert not [each for each in config["Env"] if each.startswith(("PIP_", "SSL_", "REQUESTS_", "HTTP", "http"))]
    assert not config.get("ExposedPorts")
    assert not config.get("Volumes")
    print(f"\nimage: {image['Size'] / 1e6:.0f} MB")
    assert image["Size"] < LARGEST


def test_the_history_of_the_image_holds_no_secret(engine: Engine) -> None:
    """Neither certificates nor addresses that the build was given are in the commands of its layers."""
    history = engine("history", "--no-trunc", "--format", "{{.CreatedBy}}", engine.image).stdout.decode()
    assert "tini" in history
    assert "ca.crt" not in history
    assert "BEGIN CERTIFICATE" not in history


def test_the_image_holds_nothing_that_an_intruder_would_like(server: Container) -> None:
    """No file raises rights, compiles or installs, was left over, is a secret, or can be written by the user."""
    assert json.loads(server.exec("python", "-c", _SCAN)) == {}
    for command in ("touch /app/x", "touch /etc/x", "touch /home/x", "chmod +w /app"):
        assert server.engine("exec", server.name, *command.split(), ok=False).returncode != 0
    server.exec("touch", "/tmp/x")  # noqa: S108 in the container
    status = dict(line.split(":\t", 1) for line in server.exec("cat", "/proc/1/status").splitlines() if ":\t" in line)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split() == ["10001"] * 4


def test_the_image_holds_what_runs_and_no_build_tool(server: Container) -> None:
    """Of deploy/ there is the package that serve.sh runs, and nothing that builds archives or images."""
    assert server.exec("ls", "/app/deploy").split() == ["staa_serve"]


def test_the_bill_of_materials_is_the_pins(server: Container) -> None:
    """What is listed, and so installed, is the locked requirements, each in its version, and nothing else."""
    bill = json.loads(server.exec("cat", "/app/sbom.cdx.json"))
    lines = (ROOT / "deploy" / "image" / "requirements" / "cpu.txt").read_text().splitlines()
    pins = {line.removesuffix(" \\").lower().replace("_", "-") for line in lines if "==" in line}
    listed = {f"{each['name']}=={each['version']}".lower().replace("_", "-") for each in bill["components"]}
    assert listed == pins


def test_it_predicts_and_explains(server: Container, clip: bytes) -> None:
    """A clip gets labels, and labels with a map, from a server that has no network and cannot write but to /tmp."""
    (status, said), *_ = server.ask(8080, "/predictions/motions", clip)
    assert status == 200, said
    assert len(json.loads(said)["predictions"]) == 5
    (status, said), *_ = server.ask(8080, "/explanations/motions", clip)
    assert status == 200, said
    assert sum(json.loads(said)["explanation"]["temporal"]) == pytest.approx(1, abs=1e-3)


def test_it_shows_metrics_and_health_on_the_loopback_only(server: Container, clip: bytes) -> None:
    """Requests are counted, /ready and /live are 200, the health check passes, and no port faces a network."""
    server.ask(8080, "/predictions/motions", clip)
    (status, metrics), *_ = server.ask(8082, "/metrics")
    assert status == 200
    assert 'ts_inference_requests_total{model_name="motions"' in metrics
    assert json.loads(server.ask(8083, "/ready")[0][1])["ready"] is True
    server.exec("/app/deploy/staa_serve/probe.sh", "live")
    listening = "import psutil; print(*{c.laddr.ip for c in psutil.net_connections('tcp') if c.status == 'LISTEN'})"
    addresses = server.exec("python", "-c", listening).split()
    assert addresses
    assert set(addresses) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_the_health_check_of_the_image_passes(server: Container) -> None:
    """The engine finds the container healthy."""
    if "podman" in server.engine.command[-1]:  # without systemd nobody runs it but the one who asks
        assert server.engine("healthcheck", "run", server.name).returncode == 0
    until(lambda: server.engine.inspect("container", server.name)["State"]["Health"]["Status"] == "healthy")


def test_its_memory_is_bounded(server: Container, clip: bytes) -> None:
    """After requests, twice as many at once as a batch holds, all processes together stay well below the limit."""
    answers = server.ask(8080, "/explanations/motions", clip, times=8)
    assert [status for status, _ in answers] == [200] * 8
    shares = "import psutil; print(sum(p.memory_full_info().pss for p in psutil.process_iter()))"
    used = int(server.exec("python", "-c", shares))
    print(f"\nimage: {used / 1e6:.0f} MB of memory in all processes")
    assert used < MEMORY


def test_a_killed_worker_comes_back(server: Container, clip: bytes) -> None:
    """After kill -9 of the worker /ready is 503 until TorchServe has started it again, and /live stays 200."""
    (worker,) = server.pids("model_service_worker.py")
    server.signal(worker, signal.SIGKILL)
    until(lambda: server.ask(8083, "/ready")[0][0] == 503)
    server.exec("/app/deploy/staa_serve/probe.sh", "live")
    print(f"\nimage: ready again after {server.wait_ready():.1f} s")
    assert server.pids("model_service_worker.py") != [worker]
    assert server.ask(8080, "/predictions/motions", clip)[0][0] == 200


def test_sigterm_answers_what_is_in_flight(engine: Engine, clip: bytes) -> None:
    """At a stop all requests that were sent get their answers, and the exit code is 0."""
    with engine.run("--quiet", "1", "motions") as container, ThreadPoolExecutor() as pool:
        container.wait_ready()
        (worker,) = container.pids("model_service_worker.py")
        container.signal(worker, signal.SIGSTOP)  # so that none is answered before the stop, however fast it is
        requests = pool.submit(container.ask, 8080, "/explanations/motions", clip, 24)
        try:
            until(lambda: container.exec("python", "-c", _WAITING).strip() == "24")
            engine("kill", "--signal", "TERM", container.name)
            until(lambda: "24 request(s) in flight" in container.log())
        finally:
            container.signal(worker, signal.SIGCONT)
        answers = requests.result()
        assert container.wait() == 0
        print(f"\nimage: {sum(status == 200 for status, _ in answers)} of 24 answered at SIGTERM")
        assert [status for status, _ in answers] == [200] * 24, answers


def test_any_failure_is_an_exit_code(engine: Engine) -> None:
    """A model that is not there and a frontend that is killed end with 1, a wrong argument with 2."""
    with engine.run("nobody") as container:
        assert container.wait() == 1
        assert "there is no /app/model_store/nobody.mar" in container.log()
    with engine.run("--port", "http") as container:
        assert container.wait() == 2
    with engine.run() as container:
        container.wait_ready()
        (java,) = container.pids("org.pytorch.serve.ModelServer")
        container.signal(java, signal.SIGKILL)
        assert container.wait() == 1
        assert "TorchServe ended by itself, exit code -9" in container.log()


def test_archives_are_served_from_a_volume(engine: Engine, clip: bytes) -> None:
    """What an init container put into a volume is served from /models, read-only."""
    volume = "staa-test-models"
    engine("volume", "create", volume)
    try:
        copy = ("--user", "0", "--entrypoint", "cp", "--volume", f"{volume}:/models", engine.image)
        engine("run", "--rm", "--network", "none", *copy, "/app/model_store/motions.mar", "/models/mine.mar")
        with engine.run("--store", "/models", "mine", flags=f"--volume {volume}:/models:ro") as container:
            container.wait_ready()
            assert container.ask(8080, "/predictions/mine", clip)[0][0] == 200
    finally:
        engine("volume", "rm", "--force", volume)
