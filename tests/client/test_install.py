"""The wheel: installed by itself it has all that it needs, loads fast, and types a user's script."""

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {"av", "pyarrow"}
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
    """Labels, maps, pictures of maps and the command work without the extras, and without torch."""
    missing = EXTRAS | {"torch", "staa", "transformers"}
    check = f"import importlib.util as u; print([n for n in {sorted(missing)} if u.find_spec(n)])"
    assert run(python, "-c", check).strip() == "[]"
    assert "explain" in run(python, "-m", "staa_client.cli", "--help")
    script = (
        "import numpy as np, staa_client as s, staa_client.render, staa_client.report\n"
        "try: s.video\n"
        "except AttributeError: pass\n"
        "from staa_client.video import frames_at\n"
        "try: frames_at(b'x', [0])\n"
        "except ImportError as error: print(error)\n"
    )
    assert "client[video]" in run(python, "-c", script)


def test_it_has_its_files(python: Path) -> None:
    """The report's parts and the marker of types are in the wheel."""
    listing = run(python, "-c", "import staa_client, os; print(os.listdir(os.path.dirname(staa_client.__file__)))")
    sources = {path.name for path in (ROOT / "client" / "staa_client").iterdir() if path.is_file()}
    assert {name for name in sources if not name.endswith(".pyc")} <= set(
        listing.strip("[]\n").replace("'", "").split(", ")
    )


def test_it_loads_little(python: Path) -> None:
    """`import staa_client` loads no pictures, no video, no event loop, and not what only the command needs."""
    heavy = {"PIL", "av", "pyarrow", "typer", "rich", "pydantic", "asyncio"}
    assert run(python, "-c", f"import staa_client, sys; print(sorted({heavy} & set(sys.modules)))").strip() == "[]"


def test_a_users_script_is_typed(tmp_path: Path) -> None:
    """`mypy --strict` finds nothing in a script that uses every part, and finds a wrong option."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", str(tmp_path / "c")]
    environment = os.environ | {"MYPYPATH": str(ROOT / "client")}
    done = subprocess.run([*mypy, str(script)], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.startswith("Success"), done.stdout
    script.write_text(SCRIPT.replace('sample="auto"', 'sample="nobody"').replace("mass=0.5", 'mas="0.5"'))
    done = subprocess.run([*mypy, str(script)], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.count("error:") == 2
