"""The wheel: installed by itself it has all that it needs, loads fast, and types a user's script."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {"av", "pyarrow", "rich", "typer"}
SCRIPT = """
import asyncio
from pathlib import Path

import numpy as np

from staa_client import AsyncClient, BatchItem, Client, Explanation, Frames, Result, StaaError, Timeout

def labels(path: Path) -> list[str]:
    with Client("http://127.0.0.1:8080", token=lambda: "secret", timeout=Timeout(total=30)) as client:
        result: Result = client.predict(path, top_k=3, sample="auto", timeout=None)
        found: Explanation = client.explain(np.zeros((16, 64, 64, 3), np.uint8), method="staa_class", target=3)
        items: list[BatchItem] = list(client.batch([path, b"bytes"], mass=0.5, on_error="collect"))
        frames = Frames.of([np.zeros((64, 64, 3), np.uint8)], fps=10)
        client.explain(frames).save("x.html")
    heat = found.heatmap(second=1.5)
    print(heat.shape, [item.error for item in items], found.top(1)[0].region)
    return [one.label for one in result.predictions]

async def main() -> None:
    async with AsyncClient(token=Path("key_file.json")) as client:
        try:
            explanation = await client.explain("clip.mp4")
            async for item in client.batch(["a.mp4"], explain=False):
                print(item.source)
        except StaaError as error:
            print(error.status, error.code, error.message, error.request_id)
        else:
            print(explanation.faithfulness)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel of the client and what it depends on, from this one's."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    copy = folder / "source"
    subprocess.run(["cp", "-r", str(ROOT / "client"), str(copy)], check=True)
    subprocess.run([*build, str(copy)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    site = next((folder / "env" / "lib").glob("python*/site-packages"))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    here = Path(sysconfig.get_path("purelib"))
    for name in needed():
        for top in {file.parts[0] for file in importlib.metadata.files(name) or ()} - {".."}:
            if (here / top).exists() and not (site / top).exists():
                (site / top).symlink_to(here / top)
    return python


def needed() -> set[str]:
    """Everything that the wheel depends on, without its extras."""
    seen: set[str] = set()
    todo = ["staa-client"]
    while todo:
        for text in importlib.metadata.requires(todo.pop()) or []:
            one = Requirement(text)
            if one.name not in seen and (one.marker is None or one.marker.evaluate({"extra": ""})):
                seen.add(one.name)
                todo.append(one.name)
    return seen


def run(python: Path, *arguments: str) -> str:
    """What a command of that environment prints."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STAA"))}
    return subprocess.run(
        [str(python), *arguments], check=True, capture_output=True, text=True, env=alone, cwd=python.parent
    ).stdout


def test_it_runs_with_its_own_dependencies_alone(python: Path) -> None:
    """Labels, maps and pictures of maps work without the extras and without torch; the command says what it needs."""
    missing = EXTRAS | {"torch", "staa", "transformers"}
    check = f"import importlib.util as u; print([n for n in {sorted(missing)} if u.find_spec(n)])"
    assert run(python, "-c", check).strip() == "[]"
    for command in ([str(python.parent / "staa")], [str(python), "-m", "staa_client.cli"]):
        done = subprocess.run([*command, "--help"], check=False, capture_output=True, text=True, cwd=python.parent)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"staa: the command needs the package (rich|typer): .*client\[cli\].*\n", done.stderr)
    script = (
        "import numpy as np, staa_client as s, staa_client.pictures.sheet, staa_client.pictures.report\n"
        "try: s.video\n"
        "except AttributeError: pass\n"
        "from staa_client.video import frames_at\n"
        "try: frames_at(b'x', [0])\n"
        "except ImportError as error: print(error)\n"
    )
    assert "client[video]" in run(python, "-c", script)


def test_frames_in_memory_need_no_extra(python: Path) -> None:
    """Without the extra that chooses frames, all of those in memory are sent, with the segment: the server chooses."""
    script = (
        "import io, zipfile, httpx2, numpy as np, staa_client as s\n"
        "def answer(request):\n"
        "    images = len(zipfile.ZipFile(io.BytesIO(request.content)).namelist()) - 1\n"
        "    print(images, request.headers['x-staa-start'])\n"
        "    return httpx2.Response(415, json={'error': {'code': 'not_a_video', 'message': 'seen'}})\n"
        "client = s.Client(transport=httpx2.MockTransport(answer))\n"
        "try: client.predict(np.zeros((40, 64, 64, 3), np.uint8), start=0.5)\n"
        "except s.NotVideoError: pass\n"
    )
    assert run(python, "-c", script).split() == ["40", "0.5"]


def test_it_has_its_files(python: Path) -> None:
    """Every file of the package is in the wheel: the report's parts, the colours, and the marker of types."""
    script = "import json, pathlib, staa_client; home = pathlib.Path(staa_client.__file__).parent\n"
    script += "print(json.dumps([str(path.relative_to(home)) for path in home.rglob('*') if path.is_file()]))"
    installed = set(json.loads(run(python, "-c", script)))
    package = ROOT / "client" / "staa_client"
    files = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert {"py.typed", "pictures/colours.txt", "pictures/viewer/viewer.js"} <= files
    assert {name for name in files if "__pycache__" not in name} <= installed


def test_it_loads_little(python: Path) -> None:
    """`import staa_client` loads no pictures, no video, no event loop, and not what only the command needs."""
    heavy = {"PIL", "av", "pyarrow", "typer", "rich", "pydantic", "asyncio"}
    assert run(python, "-c", f"import staa_client, sys; print(sorted({heavy} & set(sys.modules)))").strip() == "[]"


def test_a_users_script_is_typed(tmp_path: Path) -> None:
    """`mypy --strict` finds nothing in a script that uses every part, and finds a wrong option."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", str(tmp_path / "c")]
    environment = os.environ | {"MYPYPATH": os.pathsep.join(str(ROOT / folder) for folder in ("client", "video"))}
    done = subprocess.run([*mypy, str(script)], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.startswith("Success"), done.stdout
    script.write_text(SCRIPT.replace('sample="auto"', 'sample="nobody"').replace("mass=0.5", 'mas="0.5"'))
    done = subprocess.run([*mypy, str(script)], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.count("error:") == 2
