"""The front proxy before each home, as callers meet it: by the Python client, over TLS, with a key."""

import json

import numpy as np
import pytest

from staa_client import AuthError, Client, NotFoundError, NotVideoError
from tests.contract.description import follows, tensor
from tests.contract.recorded.bodies import document, form, text
from tests.contract.recorded.requests import FORM, JSON
from tests.deploy.proxies import AUTHORIZED, KEY, Proxy
from tests.made.torchserve import Server

LARGEST = 100_663_296
"""Bytes that the proxy and the server behind it take."""


def through(proxy: Proxy, key: str = KEY) -> Client:
    """Return a client that trusts the proxy's certificate."""
    return Client(proxy.url, key, verify=proxy.trust())


def test_the_client_by_tls(home: Server, proxy: Proxy, clip: bytes) -> None:
    """Labels and maps through the proxy are those of the server itself, for every encoding and way to send."""
    with through(proxy) as staa, Client(home.inference) as direct:
        labels, wanted = staa.predict(clip), direct.explain(clip)
        assert [one.label for one in labels.predictions] == [one.label for one in wanted.predictions]
        for maps in ("base64", "npz", "json"):
            found = staa.explain(clip, maps=maps)
            assert np.allclose(found.joint, wanted.joint, atol=1e-3)
    for method in ("PUT", "POST"):
        assert proxy.call(body=iter([clip[:1000], clip[1000:]]), method=method).status == 200, "in chunks"


def test_the_clients_errors(proxy: Proxy) -> None:
    """The client has the proxy's and the server's refusals as its errors, under the id that the proxy's log has."""
    with through(proxy, "wrong") as staa, pytest.raises(AuthError) as refused:
        staa.predict(b"noise")
    assert refused.value.code == "key_unknown"
    with through(proxy) as staa:
        with pytest.raises(NotVideoError) as noise:
            staa.predict(b"noise")
        with pytest.raises(NotFoundError, match="model_not_found: no model nope is served here; served here: motions"):
            staa.predict(b"noise", "nope")
    assert proxy.log(str(noise.value.request_id))["status"] == 415


def test_models_are_listed(client: Client, proxy: Proxy) -> None:
    """Through the proxy the client lists what it lists on the server's machine."""
    with through(proxy) as staa:
        (listed,), (known,) = staa.models(), client.models()
    told = (listed.name, listed.version, listed.ready, listed.batch)
    assert told == (known.name, known.version, known.ready, known.batch)


def test_no_caller_forges_the_route(proxy: Proxy, clip: bytes) -> None:
    """`Explain: True` on /predictions makes no map, and `Explain: False` on /explanations takes none away."""
    for path, header, explained in (("predictions", "True", False), ("explanations", "False", True)):
        reply = proxy.call(f"/{path}/motions", clip, AUTHORIZED | {"Explain": header, "explain": header})
        assert ("explanation" in json.loads(reply.body)) == explained


def test_health_and_metrics(proxy: Proxy) -> None:
    """Readiness, KServe's forms of it and the metrics are the server's."""
    for path in ("/ready", "/v2/health/ready", "/v2/health/live", "/v1/models/motions", "/ping"):
        assert proxy.call(path, None, method="GET").status == 200, path
    unknown = proxy.call("/v1/models/nobody", None, method="GET")
    assert (unknown.status, unknown.code) == (404, "model_not_found")
    assert b"staa_forwards_total" in proxy.inside("/metrics").body
    assert proxy.inside("/live").status == 200


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/predictions/nobody", 404, "model_not_found"),
        ("/predictions/motions/9.9", 404, "model_version_not_found"),
        ("/explanations/nobody/0.1.0", 404, "model_not_found"),
        ("/predictions", 404, "route_unknown"),
        ("/predictions/motions?top_k=3", 400, "query_refused"),
    ],
)
def test_errors_have_one_form(proxy: Proxy, clip: bytes, path: str, status: int, told: str) -> None:
    """Behind the proxy no difference between the homes is left: each refusal has the same code."""
    reply = proxy.call(path, clip)
    assert (reply.status, reply.code) == (status, told)


def test_good_forms_and_json(proxy: Proxy, clip: bytes) -> None:
    """Every good way to send a clip is answered with its labels: a form, JSON with parameters, a data URL, KServe's."""
    film = text(clip)
    url = f"data:video/mp4;base64,{film}"
    whole, utf8 = form(clip, top_k="1")(), {"Content-Type": "application/json; charset=utf-8"}
    sent: list[tuple[str, bytes, dict[str, str]]] = [
        ("/predictions/{model}", clip, {}),
        ("/predictions/{model}", clip, {"Content-Type": "Video/MP4"}),
        ("/predictions/{model}", whole, FORM),
        ("/predictions/{model}", b"preamble\r\n" + whole, FORM),
        ("/predictions/{model}", document({"video": film, "top_k": 1})(), JSON),
        ("/predictions/{model}", b"\xef\xbb\xbf" + document({"video": url})(), utf8),
        ("/v1/models/{model}:predict", document({"instances": [{"b64": film}] * 16})(), utf8),
        ("/v1/models/{model}:predict", document({"instances": [url]})(), JSON),
        ("/v2/models/{model}/infer", document({"inputs": [tensor(film)]})(), utf8),
        ("/v2/models/{model}/infer", document({"inputs": [tensor(url)]})(), JSON),
    ]
    for path, body, kind in sent:
        answer = proxy.call(path.replace("{model}", "motions"), body, AUTHORIZED | kind, patience=120)
        assert answer.status == 200, (path, kind, answer.body)
        follows(answer, path)


def test_a_body_at_the_limit(proxy: Proxy) -> None:
    """The server takes the largest body that the proxy takes, and what is a byte larger ends at the proxy."""
    largest = proxy.call(body=bytes(LARGEST), patience=120)
    assert largest.status in {413, 415}
    assert "max_request_size" not in largest.body.decode(), "it was the handler that looked at it"
    assert proxy.log(largest.headers["x-request-id"])["server_status"] == str(largest.status)
    assert proxy.call(body=bytes(LARGEST + 1), patience=120).code == "too_many_bytes"
