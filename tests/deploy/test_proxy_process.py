"""The proxy as a process: its user, its files, its certificates, and how it stops."""

import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.deploy import proxies
from tests.deploy.proxies import Proxy
from tests.deploy.upstreams import Heard, Upstream, good, listening
from tests.made.waiting import until


@pytest.fixture(scope="module")
def proxy(upstream: Upstream) -> Iterator[Proxy]:
    """Return a proxy as shipped."""
    with proxies.running(upstream.port) as up:
        yield up


def test_it_is_an_ordinary_user_and_writes_only_to_tmp(proxy: Proxy) -> None:
    """No process of it is root, and no file outside of /tmp is open for writing but the log that is handed in."""
    assert proxy.call(body=b"x" * 3_000_000).status == 200
    master = psutil.Process(proxy.process.pid)
    family = [master, *master.children()]
    assert len(family) == 3
    for process in family:
        assert 0 not in process.uids()
        writable = [file.path for file in process.open_files() if file.mode != "r"]
        assert [path for path in writable if not Path(path).is_relative_to(proxy.folder / "tmp")] == [
            str(proxy.folder / "error.log")
        ]
    outside = [path.name for path in proxy.folder.iterdir()]
    assert sorted(outside) == ["error.log", "etc", "tmp"]


@pytest.mark.parametrize(("version", "spoken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls(proxy: Proxy, version: str, *, spoken: bool) -> None:
    """TLS 1.2 and 1.3 are spoken, with forward secrecy; nothing older is."""
    context = proxy.trust()
    context.set_ciphers("ALL:@SECLEVEL=0")  # what this side would speak
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
        if not spoken:
            with pytest.raises(ssl.SSLError, match=r"ALERT|alert"):
                context.wrap_socket(connection, server_hostname="127.0.0.1")
            return
        with context.wrap_socket(connection, server_hostname="127.0.0.1") as secured:
            assert secured.cipher()[0].startswith(("ECDHE-", "TLS_"))  # type: ignore[index]


def test_a_renewed_certificate(proxy: Proxy) -> None:
    """The next connection after the files were replaced has the new certificate, without a reload."""

    def serial() -> str:
        certificate = ssl.get_server_certificate(("127.0.0.1", proxy.port), timeout=5)
        return ssl.PEM_cert_to_DER_cert(certificate).hex()

    before = serial()
    proxies.certify(proxy.folder / "etc" / "tls")
    assert serial() != before
    assert proxy.call().status == 200


def workers(proxy: Proxy) -> set[int]:
    """Return the processes of nginx that answer."""
    return {child.pid for child in psutil.Process(proxy.process.pid).children()}


def refused(proxy: Proxy) -> bool:
    """Return whether nobody listens any more."""
    try:
        proxy.connect(tls=False).close()
    except ConnectionError:
        return True
    return False


def test_reload_and_stop_finish_what_is_in_flight() -> None:
    """A reload drops no request; SIGQUIT, the image's stop signal, answers what is in flight; exit code 0."""
    stopping = threading.Event()

    def slow(heard: Heard) -> bytes:
        assert stopping.wait(60)
        return good(heard)

    with listening(slow) as upstream, proxies.running(upstream.port) as proxy, ThreadPoolExecutor(2) as pool:
        first = pool.submit(proxy.call)
        until(lambda: len(upstream.heard) == 1)
        before = workers(proxy)
        proxy.process.send_signal(signal.SIGHUP)
        until(lambda: workers(proxy) - before)
        second = pool.submit(proxy.call)
        until(lambda: len(upstream.heard) == 2)
        proxy.process.send_signal(signal.SIGQUIT)
        until(lambda: refused(proxy))
        stopping.set()
        assert first.result().status == second.result().status == 200
        assert proxy.process.wait(10) == 0
