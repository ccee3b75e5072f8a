"""What is read of config.properties, and what is refused before TorchServe starts."""

import socket
from pathlib import Path

import pytest

from staa_serve.log import StartError
from staa_serve.properties import check_free, exposure, get_address, read_settings


def test_settings_are_read(tmp_path: Path) -> None:
    """Comments, blanks and lines without a value are passed over; a value may hold an equals sign."""
    file = tmp_path / "config.properties"
    file.write_text("# a comment=1\n\nmetrics_mode = prometheus\nvmargs=-Xmx1g -Dx=y\nnothing\nallowed_urls=\n")
    assert read_settings(file) == {"metrics_mode": "prometheus", "vmargs": "-Xmx1g -Dx=y", "allowed_urls": ""}
    with pytest.raises(StartError, match="--config FILE"):
        read_settings(tmp_path / "none")


def test_an_address_takes_the_port_that_is_asked_for() -> None:
    """An option's port goes before the file's, 0 is none, and an address that is missing is said to be."""
    config = {"inference_address": "http://127.0.0.1:8080"}
    assert get_address(config, "inference_address", None) == "http://127.0.0.1:8080"
    assert get_address(config, "inference_address", 0) == "http://127.0.0.1:8080"
    assert get_address(config, "inference_address", 9) == "http://127.0.0.1:9"
    with pytest.raises(StartError, match="does not set metrics_address"):
        get_address(config, "metrics_address", 9)


def test_a_port_that_is_taken_is_named_with_its_option() -> None:
    """The message names the address, and by which option another is chosen; a port that is free is let through."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for kind, option in (("inference", "--port"), ("metrics", "--metrics-port")):
            with pytest.raises(StartError, match=rf"cannot listen on {url} for {kind}: .* {option} P"):
                check_free({kind: url})
    check_free({"inference": url})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost"])
def test_ports_of_this_machine(host: str) -> None:
    """Of ports that others cannot reach it is said that they are for this machine."""
    said = exposure({"inference": f"http://{host}:8080"})
    assert "this machine alone" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "[::]", "example.com"])  # noqa: S104
def test_ports_that_others_reach(host: str) -> None:
    """Of ports that others may reach it is said which, what that means, and what to do."""
    said = exposure({"inference": f"http://{host}:8080", "management": "http://127.0.0.1:8081"})
    assert said.startswith("WARNING")
    assert f"http://{host}:8080" in said
    assert "8081" not in said
    assert "config.properties" in said
