"""What the layout of the client promises: no circle, imports that lead down, and names that are loaded late."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import staa_client
from staa_client import _late

PACKAGE = Path(staa_client.__file__).parent
EXTRAS = {"PIL", "av", "pyarrow", "staa_video", "typer", "rich", "tkinter"}
"""Packages that an extra of the client installs: they alone are imported inside of functions."""
MAY_IMPORT = {
    "errors": set[str](),
    "_late": set[str](),
    "video": {"errors", "_late"},
    "results": {"errors", "_late", "video"},
    "contract": {"errors", "_late", "video", "results"},
    "transport": {"errors", "_late", "video", "results", "contract"},
    "batch": {"errors", "_late", "video", "results", "contract"},
    "watch": {"errors", "_late", "video", "results", "transport"},  # of transport only what options are
    "evidence": {"errors", "_late", "video", "results", "contract", "transport", "batch"},  # of batch only its lock
    "pictures": {"errors", "_late", "video", "results"},
    "timeline": {"errors", "_late", "video", "results", "contract", "transport", "batch", "pictures"},
    "files": {"errors", "_late", "video", "results", "contract", "pictures"},
    "client": {
        "errors",
        "_late",
        "video",
        "results",
        "contract",
        "transport",
        "batch",
        "watch",
        "evidence",
        "timeline",
    },
}
MAY_IMPORT["async_client"] = MAY_IMPORT["client"] | {"client"}
MAY_IMPORT["cli"] = MAY_IMPORT["__init__"] = (
    MAY_IMPORT["files"] | MAY_IMPORT["async_client"] | {"files", "async_client"}
)
"""Room at the top -> those that it may import, beside itself."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the client by its dotted name; a package by that of its face."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("staa_client", *path.relative_to(PACKAGE).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Each import of a file, also inside of functions: the module, the name or "", and whether it is inside of one."""
    tree = ast.parse(path.read_text())
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            yield from ((node.module or "", alias.name, id(node) in inside) for alias in node.names)


def ours(path: Path) -> set[str]:
    """The modules of the client that a file imports."""
    targets = set()
    for module, name, _ in imports(path):
        whole = f"{module}.{name}"
        target = whole if whole in modules() else module
        if target in modules():
            targets.add(target)
    return targets


def room(module: str) -> str:
    """The file or folder at the top that a module stands in."""
    return module.split(".")[1] if "." in module else "__init__"


def test_no_circle_of_imports() -> None:
    """No module imports itself over others, also not inside of a function."""
    graph = {name: ours(path) - {name} for name, path in modules().items()}
    assert sum(map(len, graph.values())) > 100
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as reason:
        pytest.fail(f"a circle: {' -> '.join(reason.args[1])}")


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_lead_down(name: str) -> None:
    """A room imports those that the list names, of packages their face or a module, and never a private name."""
    for module, imported, _ in imports(modules()[name]):
        if module.split(".")[0] != "staa_client":
            continue
        whole = f"{module}.{imported}"
        target = whole if whole in modules() else module
        assert room(target) == room(name) or room(target) in MAY_IMPORT[room(name)], f"{name} imports {target}"
        if room(target) != room(name):
            private = [part for part in whole.split(".")[1:] if part.startswith("_") and part != "_late"]
            assert not private, f"{name} imports {whole}"
        only = {("watch", "transport"): "transport.options", ("evidence", "batch"): "batch.lock"}
        if (between := (room(name), room(target))) in only:
            assert target == f"staa_client.{only[between]}", f"{name} imports {target}"


def test_the_page_for_contributors_has_the_same_list() -> None:
    """CONTRIBUTING.md says who may import whom as it is held here."""
    page = (PACKAGE.parents[1] / "CONTRIBUTING.md").read_text().partition("Who may import whom")[2]
    rows = dict(re.findall(r"^    (\w+) +(errors, .*)$", page, re.MULTILINE))
    listed = {name: {part.strip().split(" ")[0] for part in text.split(",")} for name, text in rows.items()}
    assert listed == {name: rooms for name, rooms in MAY_IMPORT.items() if name in listed}
    assert set(MAY_IMPORT) - set(listed) == {"errors", "_late", "async_client", "cli", "__init__"}


def test_nothing_is_imported_inside_of_functions_but_extras() -> None:
    """What leads up stands in the table of late names, and what is optional alone is imported where it is used."""
    for name, path in modules().items():
        for module, _, inside in imports(path):
            if inside:
                assert module.split(".")[0] in EXTRAS, f"{name} imports {module} inside of a function"


@pytest.mark.parametrize("name", sorted(_late.TABLE))
def test_late_names_can_be_loaded(name: str) -> None:
    """Every row of the table names a module that has the name, and that module is one of the client's."""
    assert _late.TABLE[name] in modules()
    assert _late.load(name) is getattr(importlib.import_module(_late.TABLE[name]), name)


def test_one_module_knows_the_decoder() -> None:
    """`video.pictures_of` alone imports staa_video and names the extra; movies and copies of clips need PyAV."""
    doors = {
        package: {
            name for name, path in modules().items() for module, *_ in imports(path) if module.split(".")[0] == package
        }
        for package in ("staa_video", "av")
    }
    assert doors["staa_video"] == {"staa_client.video.pictures_of"}
    writers = {"pictures.movies.h264", "pictures.movies.movie", "pictures.viewer.clip_copy", "timeline.show.movie"}
    assert doors["av"] == {"staa_client.video.pictures_of", *(f"staa_client.{name}" for name in writers)}
    assert [name for name, path in modules().items() if "client[video]" in path.read_text()] == [*doors["staa_video"]]
