"""What was recorded: reading it, telling what differs, and writing it so that people can read it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
FILES = {"requests": FOLDER / "requests.json", "commands": FOLDER / "commands.json"}
RAY = FOLDER / "ray.json"
"""By kind and name the records that differ at the home on Ray, each with the name of the difference."""
DIFFERENCE = "difference"
"""Key of that name, one of tests.contract.differences."""
CACHING = {"cache-control", "expires", "pragma"}
"""Headers that TorchServe adds, as the difference `caching_headers` says."""
SAME = "as"
"""Key of a record that is the same as another one, which it names."""
WHY = "why"
"""Key of a record that was written later than the others: what was meant to change."""
NUMBER = re.compile(r"(\d+\.\d+)")


def read(kind: str) -> dict[str, dict[str, Any]]:
    """Return every record of a kind by its name."""
    records: dict[str, dict[str, Any]] = json.loads(FILES[kind].read_text())
    return {name: records[record[SAME]] if SAME in record else record for name, record in records.items()}


def read_at_ray(kind: str) -> dict[str, dict[str, Any]]:
    """Return every record of a kind as it is at the home on Ray."""
    records = {name: dict(record) for name, record in read(kind).items()}
    for record in records.values():
        if "headers" in record:
            record["headers"] = sorted({*record["headers"], "server"} - CACHING)  # the difference `server_header`
    differing: dict[str, dict[str, Any]] = json.loads(RAY.read_text())[kind]
    unknown = differing.keys() - records.keys()
    if unknown:
        raise KeyError(", ".join(sorted(unknown)))
    return records | differing


def write(kind: str, records: Mapping[str, dict[str, Any]]) -> None:
    """Write the records of a kind, each that is like one before it as its name alone."""
    first: dict[str, str] = {}
    shown = {}
    for name, record in records.items():
        same = first.setdefault(json.dumps(record), name)
        shown[name] = record if same == name else {SAME: same}
    FILES[kind].write_text(f"{text(shown)}\n")


def write_at_ray(kind: str, records: Mapping[str, dict[str, Any]]) -> None:
    """Add records of a kind to those that differ at the home on Ray."""
    differing = json.loads(RAY.read_text())
    RAY.write_text(f"{text({**differing, kind: {**differing[kind], **records}})}\n")


def differences(recorded: Any, now: Any, where: str = "") -> list[str]:
    """Return a line for each thing that is not as it was recorded; fractions may differ by 2 percent."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return [line for key in dict.fromkeys([*recorded, *now]) for line in _of_key(recorded, now, where, key)]
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        pairs = enumerate(zip(recorded, now, strict=True))
        return [line for i, (was, shown) in pairs for line in differences(was, shown, f"{where}[{i}]")]
    return [] if _near(recorded, now) else [f"{where}: was {recorded!r:.600}, is {now!r:.600}"]


def _of_key(recorded: dict[str, Any], now: dict[str, Any], where: str, key: str) -> list[str]:
    place = f"{where}.{key}" if where else key
    if key in {WHY, DIFFERENCE}:
        return []
    if key not in now:
        return [f"{place}: is gone, was {recorded[key]!r:.600}"]
    if key not in recorded:
        return [f"{place}: is new, {now[key]!r:.600}"]
    return differences(recorded[key], now[key], place)


def _near(recorded: Any, now: Any) -> bool:
    if isinstance(recorded, float) and isinstance(now, float):
        return abs(recorded - now) <= 0.02 * abs(recorded) + 2e-5
    if isinstance(recorded, str) and isinstance(now, str) and recorded != now:
        parts, others = NUMBER.split(recorded), NUMBER.split(now)
        numbers = zip(parts[1::2], others[1::2], strict=False)
        return parts[::2] == others[::2] and all(_near(float(was), float(shown)) for was, shown in numbers)
    return type(recorded) is type(now) and bool(recorded == now)


def text(value: Any, indent: str = "") -> str:
    """Return JSON with each part that fits into a line on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= 118 or not isinstance(value, dict | list):
        return line
    deeper = f"{indent}  "
    if isinstance(value, dict):
        names = (json.dumps(key, ensure_ascii=False) for key in value)
        parts = [f"{deeper}{name}: {text(part, deeper)}" for name, part in zip(names, value.values(), strict=True)]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(f"{deeper}{text(part, deeper)}" for part in value) + f"\n{indent}]"
