"""The client of a command: options, the environment, the file of settings, and which of them counts."""

from pathlib import Path

import pytest

from staa_client import InsecureWarning
from staa_client.cli import main
from staa_client.cli.connection import read_settings
from tests.client.socket_servers import FakeServer


def test_settings_come_in_order(
    url: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option wins over the environment, that over the file, that over the default."""
    config = tmp_path / "config.toml"
    config.write_text(f'server = "{url}"\nmodel = "from-file"\ntoken = "file"\n')
    monkeypatch.setenv("STAA_CONFIG", str(config))
    monkeypatch.setenv("STAA_TOKEN", "environment")
    video = str(folder / "a.mp4")
    assert main(["predict", video]) == 0
    assert main(["predict", video, "--model", "from-option", "--token", "option"]) == 0
    first, second = FakeServer.seen[-2:]
    assert (first[0], first[1]["authorization"]) == ("/predictions/from-file", "Bearer environment")
    assert (second[0], second[1]["authorization"]) == ("/predictions/from-option", "Bearer option")
    monkeypatch.delenv("STAA_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "staa").mkdir()
    (tmp_path / "staa" / "config.toml").write_text(f'server = "{url}"\n')
    assert main(["predict", video]) == 0
    assert main(["--config", str(config), "predict", video]) == 0
    assert FakeServer.seen[-1][0] == "/predictions/from-file"
    capsys.readouterr()


def test_the_nearest_token_counts(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token and a file with one are one setting: option, environment, settings; both at one place are refused."""
    config, key = folder / "config.toml", folder / "key"
    key.write_text("from-file")
    monkeypatch.setenv("STAA_CONFIG", str(config))
    ask = ["predict", str(folder / "a.mp4"), "--server", url]
    file, both = f'token_file = "{key}"\n', f'token = "settings"\ntoken_file = "{key}"\n'

    def sent(settings: str, environment: dict[str, str], *options: str) -> str:
        config.write_text(settings)
        with monkeypatch.context() as inside:
            for name, value in environment.items():
                inside.setenv(name, value)
            code = main([*ask, *options])
        said = capsys.readouterr().err
        return said if code else FakeServer.seen[-1][1]["authorization"].removeprefix("Bearer ")

    assert sent('token = "settings"', {"STAA_TOKEN": "environment"}, "--token-file", str(key)) == "from-file"
    assert sent('token = "settings"', {"STAA_TOKEN_FILE": str(key)}) == "from-file"
    assert sent(file, {"STAA_TOKEN": "environment"}) == "environment"
    assert sent(both, {"STAA_TOKEN": "environment", "STAA_TOKEN_FILE": str(key)}, "--token", "option") == "option"
    assert sent(both, {"STAA_TOKEN": "environment"}) == "environment"
    assert sent(file, {}) == "from-file"
    assert "--token and --token-file give both" in sent("", {}, "--token", "a", "--token-file", str(key))
    assert "STAA_TOKEN and STAA_TOKEN_FILE give" in sent("", {"STAA_TOKEN": "a", "STAA_TOKEN_FILE": str(key)})
    assert "in the settings give both" in sent(both, {})


@pytest.mark.parametrize("text", ["server", 'sever = "x"', "timeout = true", 'timeout = "long"', "server = 3", "\xff"])
def test_a_wrong_file_of_settings_is_said(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No TOML, an unknown key or a wrong value: exit code 2 and one line with the file's name."""
    config = tmp_path / "config.toml"
    config.write_bytes(text.encode("latin-1"))
    assert main(["--config", str(config), "ready"]) == 2
    said = capsys.readouterr().err
    assert str(config) in said
    assert said.count("\n") == 1
    with pytest.raises(ValueError, match=str(config)):
        read_settings(config)


@pytest.mark.parametrize("value", ["123456", "[123456]", "1979-05-27"])
def test_a_token_in_a_file_is_never_printed(value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A token without quotes is refused by its kind, not by its value, with the trace too."""
    config = tmp_path / "config.toml"
    config.write_text(f"token = {value}\n")
    for more in ([], ["-v"]):
        assert main(["--config", str(config), "ready", *more]) == 2
        said = capsys.readouterr().err
        assert "token in " in said
        assert "expected text in quotes" in said
        assert not any(part in said.replace(str(config), "") for part in ("123456", "1979"))


@pytest.mark.parametrize("key", ["server", "management"])
def test_a_password_in_a_file_that_others_can_read_is_warned_of(key: str, tmp_path: Path) -> None:
    """The password of an address is a secret as a token is; an address without one is none."""
    config = tmp_path / "config.toml"
    config.write_text(f'{key} = "https://host"\n')
    config.chmod(0o644)
    read_settings(config)
    config.write_text(f'{key} = "https://user:hush@host"\n')
    with pytest.warns(InsecureWarning, match="holds a password, and others can read it") as caught:
        read_settings(config)
    assert len(caught) == 1
    assert "hush" not in str(caught[0].message)
    config.chmod(0o600)
    read_settings(config)


def test_every_command_knows_where_models_are_listed(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The management address of environment or settings tells what is served instead of an unknown name."""
    asked = ["predict", str(folder / "a.mp4"), "--model", "nosuch", "--server", url]
    said = "no model nosuch is served here; served here: a/1.0, b/1.0, c/1.0\n"
    config = folder / "config.toml"
    config.write_text(f'management = "{url}"\n')
    assert main(["--config", str(config), *asked]) == 1
    assert capsys.readouterr().err.endswith(said)
    monkeypatch.setenv("STAA_MANAGEMENT", url)
    assert main(asked) == 1
    assert capsys.readouterr().err.endswith(said)
