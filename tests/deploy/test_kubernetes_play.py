"""The rendered Deployment, played by podman: hardened as it stands, asked, killed in parts, stopped.

Needs the images localhost/staa-serve:test and localhost/staa-proxy:test in the store of the podman (5 or newer) that
ENGINE names. What podman does not do is done here: readiness probes, the hook before a stop, SIGTERM to both at once.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import Object, compose, of, pods, text
from tests.made import videos

IMAGES = ("localhost/staa-serve:test", "localhost/staa-proxy:test")
KEY = secrets.token_hex(16)
# POD's containers have no curl: Python of the server's asks, in the network that all of the pod share.
ASK = """
import http.client, ssl, sys
port, method, path, key = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
if port == 8443:
    link = http.client.HTTPSConnection("127.0.0.1", port, timeout=160, context=ssl._create_unverified_context())
else:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
head = {"Authorization": f"Bearer {key}"} if key else {}
link.request(method, path, sys.stdin.buffer.read() if method == "POST" else None, head)
reply = link.getresponse()
print(reply.status, reply.read().decode())
"""
# The kubelet's GET by what the image has; podman's own wants curl there.
GET = (
    "exec 3<>/dev/tcp/127.0.0.1/9180 && printf 'GET {} HTTP/1.0\\r\\n\\r\\n' >&3"
    " && read -r _ code _ <&3 && [[ $code == 200 ]]"
)


@dataclass(frozen=True)
class Pod:
    """A pod that podman plays."""

    engine: tuple[str, ...]

    def podman(self, *arguments: str, stdin: bytes = b"", ok: bool = True) -> str:
        """Run podman; return what it prints."""
        done = subprocess.run([*self.engine, *arguments], input=stdin, capture_output=True, timeout=300, check=False)
        assert not (ok and done.returncode), f"{arguments}: {done.stderr.decode()}"
        return done.stdout.decode()

    def exec(self, container: str, *command: str, stdin: bytes = b"", ok: bool = True) -> str:
        """Run a command in a container."""
        return self.podman("exec", "-i", f"staa-pod-{container}", *command, stdin=stdin, ok=ok)

    def ask(self, port: int, path: str, body: bytes = b"", key: str = KEY) -> tuple[int, str]:
        """Return status and body of an answer, (0, "") where there is none."""
        command = ["timeout", "170", "python3", "-c", ASK, str(port), "POST" if body else "GET", path, key]
        status, _, said = self.exec("server", *command, stdin=body, ok=False).partition(" ")
        return int(status or 0), said

    def ready(self) -> bool:
        """Return whether the way through the pod is ready."""
        return self.ask(9180, "/ready", key="")[0] == 200

    def started(self, container: str) -> str:
        """Return when a container was started last."""
        return self.podman("inspect", f"staa-pod-{container}", "--format", "{{.State.StartedAt}}").strip()

    def kill(self, word: str) -> None:
        """Kill every process of the server whose command line has a word."""
        loop = (
            "for each in /proc/[0-9]*; do "
            '[[ $each != /proc/$$ ]] && grep -qa -- "$1" $each/cmdline && kill -9 ${each#/proc/}; '
            "done 2>/dev/null; :"  # not itself, whose command line has the word, too
        )
        self.exec("server", "bash", "-c", f"[[ $1 ]] && {loop}", "kill", word, ok=False)


def wait(what: Callable[[], bool], patience: float = 180) -> float:
    """Wait until something is so; return the seconds that it took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < patience, f"not so after {patience} s"
        time.sleep(0.3)
    return time.monotonic() - began


def secret(name: str, data: dict[str, bytes]) -> Object:
    """Return a Secret, which no overlay makes."""
    coded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": coded}


def manifest(folder: Path) -> tuple[str, Object]:
    """Return what is played, and the pod's template: the rendered overlay with the images under test and Secrets."""
    names = ("registry.example.com/staa-serve", "registry.example.com/staa-proxy")
    lines = [f"  - {{name: {a}, newName: {b.split(':')[0]}, newTag: test}}" for a, b in zip(names, IMAGES, strict=True)]
    rendered = text(compose(folder, [], "\n".join(["images:", *lines])))
    objects = list(yaml.safe_load_all(rendered))
    ((_, pod),) = pods(objects)
    proxy = of(objects, "Deployment")["staa"]["spec"]["template"]["spec"]["containers"][1]
    for kind in ("startupProbe", "livenessProbe"):
        path = proxy[kind].pop("httpGet")["path"]
        proxy[kind]["exec"] = {"command": ["timeout", "2", "bash", "-c", GET.format(path)]}
    key, certificate = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=staa"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    objects.append(secret("staa-tls", {"tls.crt": certificate.read_bytes(), "tls.key": key.read_bytes()}))
    objects.append(secret("staa-keys", {"keys": f"test {hashlib.sha256(KEY.encode()).hexdigest()}\n".encode()}))
    return yaml.safe_dump_all(objects), pod


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pod, dict[str, Any]]]:
    """Play the pod; wait until it is ready."""
    engine = Pod(tuple(shlex.split(os.environ.get("ENGINE", "podman"))))
    try:
        for image in IMAGES:
            engine.podman("image", "exists", image)
    except (AssertionError, OSError) as error:
        reason = f"podman 5 (named by ENGINE) with the images {' and '.join(IMAGES)} is needed: {error}"
        pytest.skip(reason)
    content, pod = manifest(tmp_path_factory.mktemp("pod"))
    try:
        engine.podman("kube", "play", "--network", "none", "-", stdin=content.encode())
        took = wait(engine.ready)
        print(f"\nready {took:.1f} s after it was played")  # noqa: T201 the figure
        yield engine, pod
    except BaseException as error:
        for name in ("server", "proxy"):
            with contextlib.suppress(Exception):
                error.add_note(f"{name} said, at last:\n{engine.podman('logs', '--tail', '40', f'staa-pod-{name}')}")
        raise
    finally:
        engine.podman("kube", "down", "-", stdin=content.encode(), ok=False)


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Return a small video."""
    return videos.encode(videos.images(20))


@pytest.mark.deploy
def test_it_answers(played: tuple[Pod, dict[str, Any]], clip: bytes) -> None:
    """Labels and maps come over TLS with a key, not without; metrics come on the open port."""
    pod, _ = played
    status, said = pod.ask(8443, "/predictions/motions", clip)
    assert (status, "predictions" in json.loads(said)) == (200, True)
    status, said = pod.ask(8443, "/explanations/motions", clip)
    assert (status, "explanation" in json.loads(said)) == (200, True)
    status, said = pod.ask(8443, "/predictions/motions", clip, key="")
    assert (status, json.loads(said)["error"]["code"]) == (401, "key_missing")
    status, said = pod.ask(9180, "/metrics", key="")
    assert status == 200
    assert "ts_inference_requests_total" in said


@pytest.mark.deploy
def test_it_is_hardened(played: tuple[Pod, dict[str, Any]]) -> None:
    """No user is root, no root file system can be written, and the memory is limited as the manifest says."""
    pod, template = played
    for each in template["spec"]["containers"]:
        name = each["name"]
        assert pod.exec(name, "bash", "-c", "echo $UID").strip() == "10001"
        assert (
            pod.exec(name, "bash", "-c", "echo x 2>/dev/null > /app/x || echo x 2>/dev/null > /x || echo no").strip()
            == "no"
        )
        assert "NoNewPrivs:\t1" in pod.exec(name, "bash", "-c", "cat /proc/self/status")
        assert "CapBnd:\t0000000000000000" in pod.exec(name, "bash", "-c", "cat /proc/self/status")
        limit = int(pod.podman("inspect", f"staa-pod-{name}", "--format", "{{.HostConfig.Memory}}"))
        wanted = each["resources"]["limits"]["memory"]
        assert limit == int(wanted[:-2]) << {"Gi": 30, "Mi": 20}[wanted[-2:]]


@pytest.mark.deploy
def test_a_killed_worker_comes_back(played: tuple[Pod, dict[str, Any]], clip: bytes) -> None:
    """Without its worker the pod is not ready; TorchServe starts another, and no container is restarted."""
    pod, _ = played
    before = pod.started("server")
    pod.kill("model_service_worker")
    wait(lambda: not pod.ready(), 30)
    wait(pod.ready)
    assert pod.ask(8443, "/predictions/motions", clip)[0] == 200
    assert pod.started("server") == before


@pytest.mark.deploy
def test_a_killed_server_comes_back(played: tuple[Pod, dict[str, Any]], clip: bytes) -> None:
    """When the frontend dies the server's container is started again; the proxy stays, and says 503 meanwhile."""
    pod, _ = played
    before, proxy = pod.started("server"), pod.started("proxy")
    pod.kill("org.pytorch.serve.ModelServer")
    wait(lambda: pod.started("server") != before, 120)
    wait(pod.ready)
    assert pod.ask(8443, "/predictions/motions", clip)[0] == 200
    assert pod.started("proxy") == proxy


@pytest.mark.deploy
def test_it_stops_without_losing_a_request(played: tuple[Pod, dict[str, Any]], clip: bytes) -> None:
    """The hook of the proxy and SIGTERM to the server at the same time: what is in flight is answered by both."""
    pod, template = played
    hook = template["spec"]["containers"][1]["lifecycle"]["preStop"]["exec"]["command"]
    before = pod.started("proxy")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(pod.ask, 8443, "/explanations/motions", clip) for _ in range(6)]
        time.sleep(1)
        proxy = pool.submit(pod.exec, "proxy", *hook, ok=False)
        pod.podman("kill", "--signal", "TERM", "staa-pod-server")
        wait(lambda: not pod.ready(), 10)
        assert [each.result()[0] for each in asked] == [200] * 6
        proxy.result()
    assert pod.podman("wait", "staa-pod-server").strip() == "0"
    wait(
        lambda: pod.started("proxy") != before, 30
    )  # it ended; podman, which knows nothing of the hook, starts it again
