"""Forms: what is read of them, and the malformed ones, which are refused and harm nothing."""

import json
import re
import time

import pytest

from tests.contract.description import EXPLAIN, PREDICT, code
from tests.contract.differences import at
from tests.contract.recorded.bodies import form
from tests.contract.recorded.requests import FORM
from tests.deploy.proxies import AUTHORIZED, Proxy
from tests.made.forms import MALFORMED, NAMED
from tests.made.torchserve import Server

BEHIND_PROXY = "application/x-staa-form; boundary=frontier"
"""What the front proxy calls a form, which so is not parsed by TorchServe's frontend."""


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_form(proxy: Proxy, name: str) -> None:
    """Behind the proxy it is 400 `request_invalid`, in words that are not Java's or Python's, by POST and by PUT."""
    body, boundary = MALFORMED[name]
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    for method, about in (("POST", kind), ("PUT", kind), ("POST", {"Content-Type": "multipart/form-data"})):
        answer = proxy.call(body=body, headers=AUTHORIZED | about, method=method, patience=60)
        assert (answer.status, answer.code) == (400, "request_invalid")
        assert not re.search(rb"java|netty|Exception|Traceback|\x1b", answer.body)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_form_without_the_proxy(home: Server, name: str) -> None:
    """It is refused too, by TorchServe with whatever its own parser of forms makes of it, and the server goes on."""
    body, boundary = MALFORMED[name]
    reply = home.call(PREDICT, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert reply.status in at(home, "malformed_forms", torchserve={400, 403, 415, 422, 500}, ray={400}), reply.body
    if home.home == "ray":
        assert code(reply) == "request_invalid"


def test_good_forms(home: Server, clip: bytes) -> None:
    """A preamble, an option as a part, a name without quotes, no file name: each is read."""
    whole = form(clip, top_k="2")()
    bare = b"--frontier\r\nContent-Disposition: form-data; name=video\r\n\r\n" + clip + b"\r\n--frontier--\r\n"
    unnamed = b"--frontier\r\n" + NAMED + clip + b"\r\n--frontier--"
    for body, kind, count in (
        (whole, FORM["Content-Type"], 2),
        (b"preamble\r\n" + whole, BEHIND_PROXY, 2),
        (whole, 'Multipart/Form-Data; boundary="frontier"', 2),
        (bare, BEHIND_PROXY, 5),
        (unnamed, BEHIND_PROXY, 5),
    ):
        reply = home.call(PREDICT, body, {"Content-Type": kind})
        assert reply.status == 200, (body[:60], reply.body)
        assert len(json.loads(reply.body)["predictions"]) == count


def test_parts(home: Server, clip: bytes) -> None:
    """Thirty-two parts are read and one more is not; a part twice, an encoded one and an unknown one are refused."""
    kind = {"Content-Type": BEHIND_PROXY}
    many = {f"option_{number}": "1" for number in range(31)}
    names = home.call(EXPLAIN, form(clip, **many)(), kind)
    assert (names.status, code(names)) == (400, "option_invalid")
    parts = home.call(EXPLAIN, form(clip, **many, one_more="1")(), kind)
    assert (parts.status, code(parts)) == (400, "request_invalid")
    twice = form(clip, top_k="2")().removesuffix(b"--frontier--\r\n") + form(None, top_k="2")()
    assert code(home.call(EXPLAIN, twice, kind)) == "request_invalid"
    encoded = form(clip)().replace(b"Content-Type: video/mp4", b"Content-Transfer-Encoding: base64")
    assert code(home.call(EXPLAIN, encoded, kind)) == "request_invalid"


def test_a_form_of_many_small_parts_is_refused_at_once(home: Server) -> None:
    """It costs no more than it takes to be read."""
    one = b"--frontier\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n"
    began = time.monotonic()
    reply = home.call(PREDICT, one * 90_000 + b"--frontier--\r\n", {"Content-Type": BEHIND_PROXY})
    assert (reply.status, code(reply)) == (400, "request_invalid")
    assert time.monotonic() - began < 20


def test_urlencoded(home: Server) -> None:
    """What curl -d says of whatever it sends is 415, with advice."""
    reply = home.call(PREDICT, b'{"video": "AAAA"}', {"Content-Type": "application/x-www-form-urlencoded"})
    assert (reply.status, code(reply)) == (415, "unsupported_content_type")
    assert "curl -T" in json.loads(reply.body)["error"]["message"]
