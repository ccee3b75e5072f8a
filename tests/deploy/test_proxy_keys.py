"""API keys: who gets in, who does not, and that a change of the keys file counts from the next request on."""

import datetime as dt
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import AUTHORIZED, CONFIGURATION, KEY, NAME, UNHURRIED, Proxy, bearer, entry
from tests.deploy.upstreams import Upstream

PAST, FUTURE = "until=2020-01-31T00:00:00Z", "until=2999-01-31T00:00:00Z"


@pytest.fixture(scope="module")
def running(upstream: Upstream) -> Iterator[Proxy]:
    """Return one proxy for all tests, without a limit on the rate."""
    with proxies.running(upstream.port, limits=UNHURRIED) as up:
        yield up


@pytest.fixture
def proxy(running: Proxy, upstream: Upstream) -> Proxy:
    """Return the proxy with the one key of the tests."""
    running.allow(entry(NAME, KEY))
    upstream.forget()
    return running


@pytest.mark.parametrize(
    "value",
    [
        *("", "Bearer", "Bearer ", "Bearer .*", "Bearer \xe4", f"Bearer {NAME}", f"Bearer {'x' * 1000}"),
        *(KEY, f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Bearer {KEY} {KEY}"),
        f"Bearer {entry(NAME, KEY).split()[1]}",
    ],
)
def test_wrong_keys(proxy: Proxy, upstream: Upstream, value: str) -> None:
    """Whatever is not a key of the file, its digest or the key's name too, is 401 and reaches nobody."""
    answer = proxy.call(headers={"Authorization": value})
    assert answer.status == 401
    assert answer.code == ("key_unknown" if value else "key_missing")
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert not upstream.heard


def test_all_routes_to_the_model_want_a_key(proxy: Proxy, upstream: Upstream) -> None:
    """Every route that costs the model anything, by POST and by PUT, answers 401 without a key."""
    for path in ("/predictions/m", "/explanations/m", "/v1/models/m:predict", "/v1/models/m:explain"):
        assert proxy.call(path, headers={}).code == "key_missing"
    for path in ("/v2/models/m/infer", "/v2/models/m/explain"):
        assert proxy.call(path, headers={}).code == "key_missing"
    for path in ("/predictions/m", "/explanations/m"):
        assert proxy.call(path, headers={}, method="PUT").code == "key_missing"
    assert not upstream.heard


def test_the_scheme_is_not_case_sensitive(proxy: Proxy) -> None:
    """RFC 9110: `bearer` is `Bearer`."""
    assert proxy.call(headers={"Authorization": f"bearer   {KEY}"}).status == 200


def test_rotation(proxy: Proxy) -> None:
    """A key that is added is taken at once, together with the old one; one that is taken away is refused at once."""
    assert proxy.call(headers=bearer("new-key")).status == 401
    proxy.allow("# both for a day", entry(NAME, KEY), "", f"\t{entry(NAME, 'new-key')}  ")
    assert proxy.call().status == proxy.call(headers=bearer("new-key")).status == 200
    proxy.allow(entry(NAME, "new-key"))
    assert (proxy.call().status, proxy.call(headers=bearer("new-key")).status) == (401, 200)


def test_time_and_models(proxy: Proxy) -> None:
    """A key ends when its line says so, and opens the models that its line names, on every route."""
    lines = entry("past", "past", PAST), entry("future", "future", FUTURE), entry("one", "one", "models=m,n", FUTURE)
    proxy.allow(*lines)
    assert proxy.call(headers=bearer("past")).code == "key_expired"
    assert proxy.call(headers=bearer("future")).status == 200
    assert proxy.call("/predictions/n/1.0", headers=bearer("one")).status == 200
    for path in ("/predictions/o", "/explanations/o/1", "/v1/models/o:predict", "/v2/models/mm/infer"):
        answer = proxy.call(path, headers=bearer("one"))
        assert (answer.status, answer.code) == (403, "model_forbidden")
    assert proxy.log(answer.headers["x-request-id"])["key"] == "one"


@pytest.mark.parametrize(
    "line",
    [
        entry(NAME, KEY).upper(),
        entry(NAME, KEY, "until=tomorrow"),
        entry(NAME, KEY, "until=2999-99-99T00:00:00Z"),
        entry(NAME, KEY, "untill=2999-01-31T00:00:00Z"),
        entry(NAME, KEY, "admin"),
        entry("na me", KEY),
        entry('"', KEY),
        entry(NAME, KEY)[:-1],
        f"{NAME} {KEY}",
        f"{NAME} ",
        KEY,
    ],
)
def test_a_line_that_is_wrong_opens_to_nobody(proxy: Proxy, line: str) -> None:
    """A line with a slip lets nobody in, leaves the others as they are, and is found by the tool and by who uses it."""
    before = len(proxy.errors())
    proxy.allow(f"# {entry(NAME, KEY)}", line, entry("other", "other-key"))
    assert proxy.call().status == 401
    assert proxy.call(headers=bearer("other-key")).status == 200
    assert ("line 2 of the keys file" in proxy.errors()[before:]) or entry(NAME, KEY).split()[1] not in line
    assert KEY not in proxy.errors()
    assert (tool("check", "--file", str(proxy.keys)).returncode == 1) == bool(line.strip())


def test_a_digest_elsewhere_in_a_line(proxy: Proxy) -> None:
    """A digest counts as the second word of a line alone, not as a model's name nor after a #."""
    digest = entry(NAME, KEY).split()[1]
    proxy.allow(entry("other", "other-key", f"models={digest}"), f"# {entry(NAME, KEY)}", f"#{NAME} {digest}")
    assert proxy.call().code == "key_unknown"
    assert proxy.call(f"/predictions/{digest}", headers=bearer("other-key")).status == 200


def test_without_keys_nobody_gets_in(proxy: Proxy, upstream: Upstream) -> None:
    """A keys file that is gone, is a folder or is empty lets nobody in; when it is back, so are its keys."""
    proxy.keys.unlink()
    answer = proxy.call()
    assert (answer.status, answer.code) == (500, "keys_unreadable")
    proxy.keys.mkdir()
    assert proxy.call().code == "keys_unreadable"
    proxy.keys.rmdir()
    proxy.keys.write_text("")
    assert proxy.call().code == "key_unknown"
    assert not upstream.heard
    proxy.allow(entry(NAME, KEY))
    assert proxy.call().status == 200


def test_thousands_of_keys(proxy: Proxy) -> None:
    """The last of ten thousand keys is found, and a wrong one refused, in well under a tenth of a second."""
    proxy.allow(*(entry(f"user-{number}", str(number)) for number in range(10_000)), entry(NAME, KEY))
    for headers, status in ((AUTHORIZED, 200), (bearer("wrong"), 401)):
        logged = [proxy.log(proxy.call(headers=headers).headers["x-request-id"]) for _ in range(3)]
        assert {line["status"] for line in logged} == {status}
        assert min(line["seconds"] for line in logged) < 0.1


def tool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the tool that makes keys."""
    command = [sys.executable, str(CONFIGURATION / "keys.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_the_tool_makes_keys_that_open(proxy: Proxy) -> None:
    """`keys.py new` appends the digest and prints the key alone, once; the key opens, and its options hold."""
    done = tool("new", "alice", "--file", str(proxy.keys), "--models", "m", "--days", "30")
    key = done.stdout.strip()
    assert done.returncode == 0, done.stderr
    assert len(key) > 40
    assert key not in proxy.keys.read_text()
    assert proxy.call("/predictions/m", headers=bearer(key)).status == 200
    assert proxy.call("/predictions/o", headers=bearer(key)).status == 403
    assert proxy.call().status == 200, "the other key is still there"
    day = (dt.datetime.now(dt.UTC) + dt.timedelta(days=30)).date().isoformat()
    assert f"until={day}T" in proxy.keys.read_text()
    assert tool("new", "alice", "--file", str(proxy.keys)).stdout.strip() != key


def test_no_key_is_lost_where_several_are_made_at_once(tmp_path: Path) -> None:
    """Of twelve calls at once each key that is handed out stands in the file, and nothing else is left beside it."""
    keys = tmp_path / "keys"
    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda number: tool("new", f"user-{number}", "--file", str(keys)), range(12)))
    digests = {hashlib.sha256(each.stdout.strip().encode()).hexdigest() for each in done}
    assert digests == {line.split()[1] for line in keys.read_text().splitlines()[1:]}
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_a_key_that_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A file that is no text is said to be none, on one line; no draft stays beside it."""
    keys = tmp_path / "keys"
    keys.write_bytes(b"\xff")
    done = tool("new", "alice", "--file", str(keys))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"keys: {keys} is no text. Is it the keys file?\n"
    assert tool("check", "--file", str(keys)).returncode == 1
    assert keys.read_bytes() == b"\xff"
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_a_link_to_the_keys_stays_one(tmp_path: Path) -> None:
    """A key is added to what a link points to: whoever reads the other name sees it, too."""
    keys, link = tmp_path / "keys", tmp_path / "link"
    link.symlink_to(keys)
    assert tool("new", "alice", "--file", str(link)).returncode == 0
    assert link.is_symlink()
    assert keys.read_text().count("alice ") == 1


def test_the_tool_checks_a_file(proxy: Proxy) -> None:
    """`keys.py check` fails on what the proxy would not take, names the line, and shows no digest."""
    assert tool("check", "--file", str(proxy.keys)).returncode == 0
    proxy.allow(entry(NAME, KEY), entry(NAME, KEY, "until=tomorrow"))
    done = tool("check", "--file", str(proxy.keys))
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert entry(NAME, KEY).split()[1] not in done.stderr + done.stdout
    assert tool("new", "bad name", "--file", str(proxy.keys)).returncode == 2
