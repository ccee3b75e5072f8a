"""Hold a bill of materials against OSV's advisories, offline: what is known to be vulnerable of what is shipped.

    curl -O https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip      where there is a network
    docker run --rm --entrypoint cat staa-serve /app/sbom.cdx.json > sbom.cdx.json
    .venv/bin/python deploy/audit.py sbom.cdx.json --advisories all.zip [--accept ID ...]

The advisories' form is https://ossf.github.io/osv-schema. Exit codes: 0 nothing known, 1 something is, 2 cannot tell.
"""

import argparse
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ECOSYSTEM = "PyPI"
Advisory = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """A package that an advisory speaks of, in a version that it names."""

    package: str
    version: str
    ids: tuple[str, ...]
    """The advisory's own first, then the others by which it is known (CVE, GHSA)."""
    fixed: tuple[str, ...]
    """Versions that mend it; none where there are none yet."""
    summary: str


def main() -> int:
    """Print what is found; return the exit code."""
    parser = argparse.ArgumentParser(prog="audit.py", description="Known vulnerabilities of a bill, offline.")
    parser.add_argument("bill", type=Path, help="CycloneDX, as deploy/sbom.py prints it")
    parser.add_argument(
        "--advisories", type=Path, required=True, help="OSV's all.zip of PyPI, or a folder of its files"
    )
    parser.add_argument("--accept", nargs="+", default=[], metavar="ID", help="advisories that were looked at")
    args = parser.parse_args()
    try:
        packages = [(each["name"], each["version"]) for each in json.loads(args.bill.read_text())["components"]]
        known = by_package(read(args.advisories))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        print(f"audit: cannot tell: {error!r}. Is it a bill, and are those OSV's advisories?", file=sys.stderr)
        return 2
    if not packages or not known:
        print(f"audit: cannot tell: {len(packages)} packages, advisories of {len(known)} others", file=sys.stderr)
        return 2
    found = list(audit(packages, known))
    news = [each for each in found if not set(each.ids) & set(args.accept)]
    for each in news:
        mended = f"fixed in {', '.join(each.fixed)}" if each.fixed else "no version mends it"
        print(f"{each.package} {each.version}: {', '.join(each.ids)}: {each.summary} ({mended})")
    accepted = len(found) - len(news)
    print(f"audit: {len(packages)} packages, {len(news)} findings, {accepted} accepted", file=sys.stderr)
    return 1 if news else 0


def read(path: Path) -> Iterator[Advisory]:
    """Yield the advisories of a zip file or a folder."""
    if path.is_dir():
        for file in sorted(path.glob("*.json")):
            yield json.loads(file.read_bytes())
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                yield json.loads(archive.read(name))


def by_package(advisories: Iterable[Advisory]) -> Mapping[str, list[Advisory]]:
    """Return the advisories that hold, by the normal form of the names of packages that they speak of."""
    found: dict[str, list[Advisory]] = defaultdict(list)
    for advisory in advisories:
        if not advisory.get("withdrawn"):
            for name in {each["package"]["name"] for each in _affected(advisory)}:
                found[canonicalize_name(name)].append(advisory)
    return found


def audit(packages: Iterable[tuple[str, str]], known: Mapping[str, list[Advisory]]) -> Iterator[Finding]:
    """Yield what the advisories say of packages: (name, version)."""
    for name, version in packages:
        for advisory in known.get(canonicalize_name(name), ()):
            entries = [each for each in _affected(advisory) if _is(each, name) and covers(each, version)]
            if entries:
                ids = (advisory["id"], *advisory.get("aliases", ()))
                summary = advisory.get("summary") or advisory.get("details", "").partition("\n")[0]
                fixed = {event["fixed"] for each in entries for event in _events(each) if "fixed" in event}
                yield Finding(name, version, ids, tuple(sorted(fixed)), summary)


def covers(affected: Mapping[str, Any], version: str) -> bool:
    """Return whether an entry of `affected` means a version: it lists it, or a range holds it.

    A build's own mark does not count: 2.13.0+cpu is 2.13.0. A version that cannot be read is taken to be meant.
    """
    try:
        wanted = Version(Version(version).public)
        if any(_equal(each, wanted) for each in affected.get("versions", ())):
            return True
        return any(_within(each["events"], wanted) for each in _ranges(affected))
    except InvalidVersion:
        return True


def _within(events: Iterable[Mapping[str, str]], version: Version) -> bool:
    """Return whether a version lies in a range: after what introduced it, before what fixed it."""
    pairs = [pair for event in events for pair in event.items()]
    inside = not any(kind == "introduced" for kind, _ in pairs)
    for kind, text in sorted(pairs, key=lambda pair: _order(pair[1])):
        if kind == "introduced" and _order(text) <= version:
            inside = True
        elif (kind == "fixed" and _order(text) <= version) or (kind == "last_affected" and _order(text) < version):
            inside = False
    return inside


def _order(text: str) -> Version:
    return Version("0.dev0" if text == "0" else text)


def _equal(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False


def _affected(advisory: Advisory) -> list[Mapping[str, Any]]:
    entries = advisory.get("affected", ())
    return [each for each in entries if each.get("package", {}).get("ecosystem", "").partition(":")[0] == ECOSYSTEM]


def _is(affected: Mapping[str, Any], name: str) -> bool:
    return canonicalize_name(affected["package"]["name"]) == canonicalize_name(name)


def _ranges(affected: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the ranges of versions; those of commits say nothing of a package."""
    return [each for each in affected.get("ranges", ()) if each["type"] in ("ECOSYSTEM", "SEMVER")]


def _events(affected: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    for each in _ranges(affected):
        yield from each["events"]


if __name__ == "__main__":
    sys.exit(main())
