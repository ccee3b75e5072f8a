"""What a user's program may lean on is as it was before the client was laid out in packages."""

import ast
import difflib
from pathlib import Path

import staa_client
from tests.client.public_names import lines

FOLDER = Path(__file__).parent


def test_every_public_name_and_signature_is_as_recorded() -> None:
    """Parameters, defaults, types and parents are those of `public_names.txt`; what is not is said line by line."""
    recorded = (FOLDER / "public_names.txt").read_text().splitlines()
    changes = [line for line in difflib.ndiff(recorded, list(lines())) if not line.startswith("  ")]
    assert not changes, "\n".join(
        ["- as recorded, + as it is (tests/client/public_names.py says how to record):", *changes]
    )


def test_a_program_uses_every_public_name() -> None:
    """The program that mypy holds against the client leaves no public name out."""
    tree = ast.parse((FOLDER / "every_public_name.py").read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(staa_client.__all__) <= used


def test_the_package_lists_its_public_names() -> None:
    """`dir` has every public name, those that are loaded late too, and nothing that the package imports for itself."""
    assert set(staa_client.__all__) <= set(dir(staa_client))
    assert not {"Any", "importlib", "TYPE_CHECKING"} & set(dir(staa_client))
