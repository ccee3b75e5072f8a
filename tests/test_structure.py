"""What the layout promises: imports point down, files stay short, errors have codes of their own."""

import ast
from pathlib import Path

import staa.errors
from staa.errors import StaaError

ROOT = Path(__file__).parents[1]
LAYERS = [
    ["errors"],
    ["types"],
    ["sites"],
    [
        "sampling",
        "boxes",
        "room",
        "container",
        "video",
        "frames",
        "prepare",
        "capture",
        "attribution",
        "focus",
        "verify",
    ],
    ["settings", "wire", "traces"],
    ["row", "watch"],
    ["families"],
    ["explainer"],
    ["passes"],
    ["__init__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imported(path: Path) -> set[str]:
    """Modules that a file imports, dotted."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def test_imports_point_down() -> None:
    """A module of the core imports only modules of its own level or below."""
    core = ROOT / "handler" / "staa"
    checked = 0
    for path in core.rglob("*.py"):
        own = LEVEL[path.relative_to(core).parts[0].removesuffix(".py")]
        for name in imported(path):
            part = name.split(".")[1] if name.startswith("staa.") else None
            if part in LEVEL:
                checked += 1
                assert LEVEL[part] <= own, f"{path.name} imports {name}"
    assert checked > 20


def test_the_core_knows_neither_torchserve_nor_http() -> None:
    """The core imports neither `ts` nor an HTTP library, and the client neither torch nor the core."""
    for path in (ROOT / "handler" / "staa").rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & {"ts", "httpx", "httpx2", "requests", "http"}, path
    for path in (ROOT / "client" / "staa_client").rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & {"torch", "staa", "transformers"}, path


def test_files_are_short() -> None:
    """No Python file is longer than 300 lines."""
    folders = ["handler", "client", "training", "tests", "benchmarks", "deploy"]
    lengths = {path: len(path.read_text().splitlines()) for folder in folders for path in (ROOT / folder).rglob("*.py")}
    assert len(lengths) > 20
    assert not {path.name: lines for path, lines in lengths.items() if lines > 300}


def test_every_error_has_its_place_in_the_tree() -> None:
    """Each class has its own code, a status of the contract, and stands in the drawing at the top of the module."""
    classes = [each for each in vars(staa.errors).values() if isinstance(each, type) and issubclass(each, StaaError)]
    assert len({each.code for each in classes}) == len(classes)
    assert {each.status for each in classes} == {400, 413, 415, 422, 500, 503}
    drawing = staa.errors.__doc__ or ""
    for each in classes:
        assert each.__name__ in drawing
        assert each.code in drawing or each is staa.errors.TooLargeError
