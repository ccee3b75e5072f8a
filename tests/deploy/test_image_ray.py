"""The image with Ray, built and run for real with hardened flags: pytest -m deploy -s tests/deploy/test_image_ray.py.

As test_image.py; IMAGE_RAY is one that is built already.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.container import Container, Engine
from tests.made.videos import moving_disc
from tests.made.waiting import until

LARGEST = 2.5e9  # bytes of the image for CPUs
LONGEST = 300  # seconds to be ready; on an idle machine fewer than 30
PORT = 8080

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Return an engine that has the image, freshly built unless IMAGE_RAY names one."""
    try:
        engine = Engine.there(os.environ.get("IMAGE_RAY", "staa-ray:test"))
    except LookupError as error:
        pytest.skip(str(error))
    if "IMAGE_RAY" not in os.environ:
        done = engine.script("build", "--target", "ray", *os.environ.get("BUILD_FLAGS", "").split())
        assert done.returncode == 0, (done.stdout + done.stderr).decode()[-8000:]
    return engine


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[Container]:
    """Return a container that serves the default model by Ray; print how long its start took."""
    began = time.monotonic()
    with engine.run(flags="--shm-size 1g --memory 6g --pids-limit 4096") as container:
        until(lambda: container.ask(PORT, "/ready")[0][0] == 200, LONGEST, every=2)
        print(f"\nimage with Ray: ready after {time.monotonic() - began:.0f} s")  # noqa: T201
        yield container


def test_it_is_bounded_and_runs_as_nobody(engine: Engine) -> None:
    """A number as user, tini first, a health check, a bounded size."""
    image = engine.inspect("image", engine.image)
    config = image["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["tini", "--", "python", "-m", "scale"]
    assert image["Size"] < LARGEST


def test_it_answers(server: Container) -> None:
    """A clip gets labels with a map; the model is listed, and nothing can be written but to /tmp."""
    (status, said), *_ = server.ask(PORT, "/explanations/motions", moving_disc())
    assert status == 200, said
    assert sum(json.loads(said)["explanation"]["temporal"]) == pytest.approx(1, abs=1e-3)
    ((status, said),) = server.ask(PORT, "/models")
    assert json.loads(said)["models"][0]["ready"] is True, status
    server.exec("/app/probe.sh", "live", str(PORT))
    assert server.engine("exec", server.name, "touch", "/app/x", ok=False).returncode != 0


def test_the_bill_of_materials_is_the_pins(server: Container) -> None:
    """What is listed, and so installed, is the locked requirements, each in its version, and nothing else."""
    lock = Path(__file__).resolve().parents[2] / "deploy" / "image" / "requirements" / "ray-cpu.txt"
    pins = {
        line.removesuffix(" \\").lower().replace("_", "-") for line in lock.read_text().splitlines() if "==" in line
    }
    bill = json.loads(server.exec("cat", "/app/sbom.cdx.json"))
    listed = {f"{each['name']}=={each['version']}".lower().replace("_", "-") for each in bill["components"]}
    assert listed == pins


def test_it_stops_when_asked(server: Container) -> None:
    """At a stop it ends by itself, with exit code 0."""
    server.engine("stop", "--time", "60", server.name)
    assert server.wait() == 0
