"""Holds a server behind the front proxy against docs/openapi.yaml, by what schemathesis makes of the page.

Requests that follow the description are answered well, all others are refused, and every reply is as described. What
differs must be one of EXCEPTIONS, each of which is said in words in the description.
"""

import base64
import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from tests.contract.recorded.bodies import clip
from tests.deploy.proxies import AUTHORIZED, Proxy

SPEC = Path(__file__).parents[2] / "docs" / "openapi.yaml"


@dataclass(frozen=True)
class Difference:
    """A difference between description and server that stays."""

    check: str
    """Of schemathesis."""
    told: str
    """What is found in the reply, that is its status, a space, its body, or in what the check says of it."""
    reason: str


EXCEPTIONS = (
    Difference("positive_data_acceptance", "^400 .* is given twice", "no schema holds a header against the body"),
    Difference("positive_data_acceptance", "^400 .*the request holds no video", "describe may stand in a header"),
    Difference("positive_data_acceptance", "^400 .*target and contrast are both", "no schema compares two values"),
    Difference("positive_data_acceptance", "^400 .*expected start before end", "no schema compares two values"),
    Difference("positive_data_acceptance", "^422 .*is not before the end of the video", "it depends on the video"),
    Difference("positive_data_acceptance", "^400 .*is not for a class", "the card says which methods are"),
    Difference(
        "positive_data_acceptance", "^400 .*expected a number from 0 to \\d+ or a label", "it depends on the model"
    ),
    Difference("positive_data_acceptance", "^400 .*the classes of this model", "it depends on the model"),
    Difference("positive_data_acceptance", "^400 .*the shape of the input is", "no schema counts another list"),
    Difference("negative_data_rejection", '^200 .*"input":{"frames"', "the card is given whatever video comes along"),
    Difference(
        "negative_data_rejection", "component: positive test case", "a real video is bytes, and no `string` to it"
    ),
    Difference("unsupported_method", "^(200|400|413|415|422) ", "PUT, which curl -T sends, is POST"),
)


def settings(proxy: Proxy, examples: int, seconds: int | None) -> SchemathesisConfig:
    """Return what schemathesis is to do: with a limit in seconds, random requests go on until then."""
    limit = {} if seconds is None else {"max-time": seconds}
    return SchemathesisConfig.from_dict(
        {
            "base-url": proxy.url,
            "tls-verify": str(proxy.folder / "etc" / "tls" / "tls.crt"),
            "headers": dict(AUTHORIZED),
            "request-timeout": 120.0,
            "continue-on-failure": True,
            "seed": 1,
            "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
            "phases": {"stateful": {"enabled": False}},
            "warnings": False,
            **limit,
        }
    )


def differences(
    proxy: Proxy, examples: int, seconds: int | None = None, only: list[str] | None = None
) -> tuple[list[str], int]:
    """Ask as the description says, and as it does not; return what differs, and the number of good answers."""
    whole = schemathesis.openapi.from_path(SPEC, config=settings(proxy, examples, seconds))
    schema = whole.include(operation_id=only) if only else whole
    lines: list[str] = []
    good = 0
    schemathesis.hook(before_call)
    try:
        for event in from_schema(schema).execute():
            match event:
                case events.ScenarioFinished():
                    replies = (each.response for each in event.recorder.interactions.values())
                    good += sum(reply is not None and reply.status_code == 200 for reply in replies)
                    lines += _unexcused(event)
                case events.NonFatalError() | events.FatalError():
                    lines.append(repr(event))
    finally:
        schemathesis.hooks.unregister(before_call)
    return lines, good


def _unexcused(event: events.ScenarioFinished) -> Iterator[str]:
    """Yield the failed checks of a scenario that no exception names."""
    for case, checks in event.recorder.checks.items():
        reply = event.recorder.find_response(case_id=case)
        told = "" if reply is None else f"{reply.status_code} {(reply.content or b'').decode(errors='replace')}"
        for check in checks:
            failure = "" if check.failure_info is None else " ".join(str(check.failure_info.failure).split())
            excused = any(check.name == one.check and re.search(one.told, f"{told}\n{failure}") for one in EXCEPTIONS)
            if check.failure_info is not None and not excused:
                yield f"{event.label}: {failure}; got {told[:300]}; sent {check.failure_info.code_sample[:600]}"


def before_call(_context: Any, case: Any, **_: Any) -> None:
    """Put a real video and the real model into a request as described: no schema says what those are."""
    if case.meta is None or case.meta.generation.mode.value != "positive":
        return
    if "version" in case.path_parameters:
        case.path_parameters["version"] = "0.1.0"
    case.path_parameters["model"] = "motions"
    if "X-Staa-Verify" in case.headers:
        case.headers["X-Staa-Verify"] = "2"
    if "X-Staa-Refine" in case.headers:
        case.headers["X-Staa-Refine"] = "8"
    film: Any = clip() if case.media_type == "multipart/form-data" else base64.b64encode(clip()).decode()
    if isinstance(case.body, Mapping):
        case.body = filmed(copy.deepcopy(dict(case.body)), film)
    elif isinstance(case.body, str | bytes) and case.body:
        case.body = clip()


def filmed(body: Any, film: Any) -> Any:
    """Return a body in one of the forms of requests with this video in place of each, two at most, and cheap checks."""
    if isinstance(body, list):
        return [film if isinstance(each, str) else filmed(each, film) for each in body[:2]]
    changed = dict(body)
    if changed.get("verify"):
        changed["verify"] = 2
    if changed.get("refine"):
        changed["refine"] = 8
    for name in ("video", "b64"):
        if name in changed:
            changed[name] = filmed(changed[name], film) if isinstance(changed[name], Mapping) else film
    for name in ("instances", "inputs", "data"):
        if isinstance(changed.get(name), list):
            changed[name] = filmed(changed[name], film)
    if isinstance(changed.get("parameters"), Mapping):
        changed["parameters"] = filmed(changed["parameters"], film)
    return changed
