"""What the layout promises: imports point down, files stay short, errors have codes of their own."""

import ast
import re
from collections import Counter
from pathlib import Path

import staa.errors
from staa.errors import StaaError

ROOT = Path(__file__).parents[1]
LAYERS = [
    ["errors"],
    ["types"],
    ["sites"],
    ["recipe"],
    ["prepare", "capture", "attribution", "focus", "verify", "refine"],
    ["families"],
    ["checkpoint", "signature"],
    ["explainer"],
    ["__init__"],
    ["serving"],
]
SERVING_LAYERS = [
    ["settings", "stopwatch", "rules"],
    ["wire"],
    ["job"],
    ["decoding", "scheduler", "telemetry"],
    ["audit"],
    ["service"],
    ["__init__"],
]
WIRE_LAYERS = [["encodings", "form"], ["body"], ["request", "replies"], ["kserve"], ["__init__"]]
BULK_LAYERS = [["sources", "progress"], ["stages", "answers"], ["run"], ["command"], ["__init__"]]
VIDEO_LAYERS = [
    ["errors", "clip"],
    ["mp4", "header", "codecs", "sampling", "picture", "webp"],
    ["container"],
    ["plan"],
    ["film"],
    ["decoder", "live"],
    ["frames_archive"],
    ["pool"],
    ["__init__"],
]


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, dotted."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def climbing(folder: Path, package: str, layers: list[list[str]]) -> tuple[list[str], int]:
    """Return the imports of a package that lead from a room of it to one above, and how many within it there are."""
    level = {name: level for level, names in enumerate(layers) for name in names}
    wrong, checked = [], 0
    for path in folder.rglob("*.py"):
        room = path.relative_to(folder).parts[0].removesuffix(".py")
        for name in imported(path):
            target = name.removeprefix(f"{package}.").split(".")[0] if name.startswith(f"{package}.") else None
            if target in level:
                checked += 1
                wrong += [f"{path.name} imports {name}"] if level[target] > level[room] else []
    return wrong, checked


def test_imports_point_down() -> None:
    """A room of the core, of its serving, of the wire or of bulk work imports only rooms of its own level or below."""
    core = ROOT / "handler" / "staa"
    for folder, package, layers in (
        (core, "staa", LAYERS),
        (core / "serving", "staa.serving", SERVING_LAYERS),
        (core / "serving" / "wire", "staa.serving.wire", WIRE_LAYERS),
        (ROOT / "scale" / "bulk", "scale.bulk", BULK_LAYERS),
    ):
        rooms = {path.stem if path.is_file() else path.name for path in folder.iterdir()} - {"__pycache__", "py"}
        assert rooms == {name for names in layers for name in names}
        wrong, checked = climbing(folder, package, layers)
        assert not wrong
        assert checked > 4


def test_imports_of_staa_video_point_down() -> None:
    """A module of staa_video imports only modules of its own level or below, and nothing of server, client or HTTP."""
    banned = {"torch", "transformers", "staa", "staa_client", "ts", "httpx", "httpx2", "requests", "http", "urllib"}
    folder = ROOT / "video" / "staa_video"
    for path in folder.rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & banned, path
    wrong, checked = climbing(folder, "staa_video", VIDEO_LAYERS)
    assert not wrong
    assert checked > 10


def test_the_core_knows_neither_torchserve_nor_http() -> None:
    """The core imports neither `ts` nor an HTTP library, and the client neither torch nor the core."""
    for path in (ROOT / "handler" / "staa").rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & {"ts", "httpx", "httpx2", "requests", "http"}, path
    for path in (ROOT / "client" / "staa_client").rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & {"torch", "staa", "transformers"}, path


def modules(folder: Path) -> dict[Path, int]:
    """The modules of a folder and of those in it, with their lines; faces and what starts a package are none."""
    names = {"__init__.py", "__main__.py", "_late.py"}
    return {path: len(path.read_text().splitlines()) for path in folder.rglob("*.py") if path.name not in names}


def test_files_are_neither_long_nor_short() -> None:
    """A Python file has 400 lines at most, and one of the product 35 at least; a stopwatch alone needs fewer."""
    product = [ROOT / folder for folder in ("handler", "client/staa_client", "video/staa_video", "deploy")]
    others = [ROOT / folder for folder in ("tests", "benchmarks", "training", "examples")]
    lengths = {path: lines for folder in product + others for path, lines in modules(folder).items()}
    assert len(lengths) > 150
    assert not {str(path): lines for path, lines in lengths.items() if lines > 400}
    short = {path: lines for folder in product for path, lines in modules(folder).items() if lines < 35}
    assert not {str(path): lines for path, lines in short.items() if path.name != "stopwatch.py"}


def test_folders_have_few_rooms() -> None:
    """No folder of the product holds more than twelve modules."""
    folders = [
        ROOT / folder for folder in ("handler", "client/staa_client", "video/staa_video", "deploy", "benchmarks")
    ]
    rooms = Counter(path.parent for folder in folders for path in modules(folder))
    assert len(rooms) > 15
    assert not {str(folder): count for folder, count in rooms.items() if count > 12}


def test_the_page_for_contributors_has_the_same_lists() -> None:
    """CONTRIBUTING.md draws each package's layers as they are held here."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    listed = {
        "video/staa_video": VIDEO_LAYERS,
        "handler/staa": LAYERS,
        "handler/staa/serving": SERVING_LAYERS,
        "handler/staa/serving/wire": WIRE_LAYERS,
        "scale/bulk": BULK_LAYERS,
    }
    for folder, layers in listed.items():
        found = re.search(rf"^    {folder} +(\S.*(?:\n     .*)*)$", page, re.MULTILINE)
        assert found, folder
        drawn = [[name.strip() for name in part.split(",")] for part in " ".join(found[1].split()).split(" <- ")]
        assert drawn == [names for names in layers if names != ["__init__"]], folder


def test_every_error_has_its_place_in_the_tree() -> None:
    """Each class has its own code, a status of the contract, and stands in the drawing at the top of the module."""
    classes = [each for each in vars(staa.errors).values() if isinstance(each, type) and issubclass(each, StaaError)]
    assert len({each.code for each in classes}) == len(classes)
    assert {each.status for each in classes} == {400, 413, 415, 422, 500, 503}
    drawing = staa.errors.__doc__ or ""
    for each in classes:
        assert each.__name__ in drawing
        assert each.code in drawing or each is staa.errors.TooLargeError
