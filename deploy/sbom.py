"""Print a software bill of materials of the environment that runs this: CycloneDX 1.6, in JSON.

    .venv/bin/python deploy/sbom.py 0.1.0 > sbom.cdx.json

It lists what is installed, not what was asked for. It holds no time and no random number: of the same environment it
is the same bytes.
"""

import hashlib
import importlib.metadata
import json
import sys
import uuid
from collections.abc import Iterable
from importlib.metadata import Distribution
from typing import Any
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

LONGEST_LICENSE = 60  # characters; beyond them the field holds the licence's text, and no name


def main(argv: list[str]) -> int:
    """Print the bill of the application in the version that is given; return the exit code."""
    if len(argv) != 1:
        print("usage: sbom.py VERSION    (of the application)", file=sys.stderr)
        return 2
    print(json.dumps(bill(argv[0], importlib.metadata.distributions()), indent=1))
    return 0


def bill(version: str, distributions: Iterable[Distribution]) -> dict[str, Any]:
    """Return the bill of an application that these distributions are installed for."""
    found = {canonicalize_name(each.name): each for each in distributions}
    refs = {name: f"pkg:pypi/{name}@{quote(found[name].version)}" for name in sorted(found)}
    root = {"type": "application", "bom-ref": "staa-serve", "name": "staa-serve", "version": version}
    graph = [{"ref": root["bom-ref"], "dependsOn": list(refs.values())}]
    for name, each in sorted(found.items()):
        graph.append({"ref": refs[name], "dependsOn": [refs[need] for need in needs(each) if need in refs]})
    components = [component(each, refs[name]) for name, each in sorted(found.items())]
    digest = hashlib.sha256(json.dumps([root, components, graph]).encode()).digest()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": graph,
    }


def component(distribution: Distribution, ref: str) -> dict[str, Any]:
    """Return the entry of one installed package."""
    entry = {"type": "library", "bom-ref": ref, "name": distribution.name, "version": distribution.version, "purl": ref}
    said = distribution.metadata
    if expression := said.get_all("License-Expression", []):
        return entry | {"licenses": [{"expression": expression[0]}]}
    names = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier", []) if line.startswith("License :: ")]
    stated = "".join(said.get_all("License", [])).strip()
    if not names and stated and len(stated) <= LONGEST_LICENSE:
        names = [stated]
    return entry | ({"licenses": [{"license": {"name": name}} for name in names]} if names else {})


def needs(distribution: Distribution) -> list[NormalizedName]:
    """Return the names of what a package needs here, without its extras."""
    wanted = (Requirement(text) for text in distribution.requires or ())
    here = {"extra": ""}
    return sorted({canonicalize_name(each.name) for each in wanted if not each.marker or each.marker.evaluate(here)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
