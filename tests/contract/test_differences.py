"""Each difference that is listed is there at both homes, and the page for who moves lists the same ones."""

import contextlib
import http.client
import json
import re
import sys
from urllib.parse import urlsplit

from tests.conftest import ROOT
from tests.contract.description import PREDICT, check
from tests.contract.differences import DIFFERENCES, at
from tests.contract.recorded import recording
from tests.made.forms import MALFORMED
from tests.made.torchserve import Server, call

PAGE = ROOT / "docs" / "how-to" / "move-from-torchserve.md"


def test_every_difference_is_shown_here() -> None:
    """There is a test of its name for each, which asks both homes."""
    shown = {name.removeprefix("test_") for name in vars(sys.modules[__name__]) if name.startswith("test_")}
    assert shown - {"every_difference_is_shown_here", "the_page_lists_the_same"} == set(DIFFERENCES)


def test_the_page_lists_the_same() -> None:
    """Under "What differs" it has a row for each name, in backticks, and none for anything else."""
    rows = PAGE.read_text().partition("## What differs\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)) == sorted(DIFFERENCES)


def test_bodies_over_the_limit(home: Server) -> None:
    """The refusal of a body over the limit has no word at TorchServe, and the contract's form at the other home."""
    reply = home.call(PREDICT, bytes(100_663_297))
    assert reply.status == 413
    assert at(home, "bodies_over_the_limit", torchserve=not reply.body, ray=b"too_many_bytes" in reply.body)


def test_caching_headers(home: Server) -> None:
    """TorchServe has three headers against caches on every reply."""
    found = {"cache-control", "pragma", "expires"} & set(home.call(PREDICT, b"noise").headers)
    assert len(found) == at(home, "caching_headers", torchserve=3, ray=0)


def test_errors_of_the_frontend(home: Server) -> None:
    """A model that there is not is told in TorchServe's form, or in the contract's."""
    reply = home.call("/predictions/nobody")
    assert reply.status == 404
    check(json.loads(reply.body), at(home, "errors_of_the_frontend", torchserve="TorchServeError", ray="Error"))


def test_kserve_probes(home: Server) -> None:
    """KServe's probes are at the front proxy before TorchServe, and at the other home itself."""
    for path in ("/v2/health/ready", "/v2/health/live", "/v1/models/motions"):
        status = call(f"{home.inference}{path}", method="GET").status
        assert (status == 200) == at(home, "kserve_probes", torchserve=False, ray=True), (path, status)


def test_listing(home: Server) -> None:
    """The models are listed by the management API, or at the address of requests."""
    reply = call(f"{home.inference}/models", method="GET")
    assert (reply.status == 200) == at(home, "listing", torchserve=False, ray=True)
    assert bool(home.management) == at(home, "listing", torchserve=True, ray=False)


def test_malformed_forms(home: Server) -> None:
    """TorchServe's own parser fails on some forms of which the handler's says what is wrong."""
    statuses = {
        home.call(PREDICT, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}).status
        for body, boundary in (MALFORMED[name] for name in ("no name", "no disposition", "nothing", "an end alone"))
    }
    assert (statuses == {400}) == at(home, "malformed_forms", torchserve=False, ray=True), statuses


def test_metrics_of_the_frontend(home: Server) -> None:
    """TorchServe has metrics of its own beside this project's, and names the host in all of them."""
    page = call(f"{home.metrics}/metrics", method="GET").body.decode()
    ours, theirs = (
        {line.replace("Hostname, ", "") for line in read("requests")["metrics"]["body"] if line.startswith("staa_")}
        for read in (recording.read_at_ray, recording.read)
    )
    assert ours - theirs == {"staa_requests_total{ModelName, Status}"}
    assert theirs <= ours
    assert "staa_answers_total{" in page
    assert ("PredictionTime{" in page) == at(home, "metrics_of_the_frontend", torchserve=True, ray=False)
    assert ('Hostname="' in page) == at(home, "metrics_of_the_frontend", torchserve=True, ray=False)


def test_other_methods(home: Server) -> None:
    """GET asks TorchServe for the card, and is refused at the other home."""
    reply = home.call(PREDICT, b"", {"X-Staa-Describe": "true"}, "GET")
    assert reply.status == at(home, "other_methods", torchserve=200, ray=405)


def test_ping(home: Server) -> None:
    """A ping is answered with what TorchServe says of itself, or with what /ready says of the models."""
    told = json.loads(call(f"{home.inference}/ping", method="GET").body)
    ready = json.loads(call(f"{home.health}/ready", method="GET").body)
    assert told == at(home, "ping", torchserve={"status": "Healthy"}, ray=ready)


def test_ports(home: Server) -> None:
    """TorchServe has a port each for requests, management, metrics and health; the other home has one."""
    addresses = {home.inference, home.management, home.metrics, home.health} - {""}
    assert len(addresses) == at(home, "ports", torchserve=4, ray=1)


def test_queries(home: Server, clip: bytes) -> None:
    """An option in the address has no effect, or is refused with where it belongs."""
    parts = urlsplit(home.inference)
    with contextlib.closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
        connection.request("POST", f"{PREDICT}?top_k=1", clip)
        reply = connection.getresponse()
        body = json.loads(reply.read())
    assert reply.status == at(home, "queries", torchserve=200, ray=400)
    assert at(
        home, "queries", torchserve=len(body.get("predictions", ())), ray=body.get("error", {}).get("code")
    ) == at(home, "queries", torchserve=5, ray="query_refused")


def test_request_ids(home: Server) -> None:
    """The id of a reply is TorchServe's own, or the caller's."""
    reply = home.call(PREDICT, b"noise", {"X-Request-Id": "callers-own.1"})
    assert (reply.headers["x-request-id"] == "callers-own.1") == at(home, "request_ids", torchserve=False, ray=True)


def test_server_header(home: Server) -> None:
    """Ray's proxy says which library it is, TorchServe does not."""
    assert ("server" in home.call(PREDICT, b"noise").headers) == at(home, "server_header", torchserve=False, ray=True)
