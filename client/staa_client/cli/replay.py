"""The command `staa replay`: asks again what a line of a store says, and compares."""

import json as js
import sys
from typing import Annotated

import typer

from staa_client.cli import arguments as arg
from staa_client.cli.connection import connect
from staa_client.cli.output.terminal import printable, printable_line
from staa_client.evidence.replay import TOLERANCE
from staa_client.transport.server import DEFAULT_URL


def replay(
    context: typer.Context,
    line: Annotated[
        str, typer.Argument(metavar="LINE", help="FILE:NUMBER of a line in a store, from 1; or FILE:REQUEST_ID.")
    ],
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The video that was explained: a file or a URL.")],
    *,
    tolerance: Annotated[
        float, typer.Option(min=0, help="How far scores may be apart, and the cosine of the maps from 1.")
    ] = TOLERANCE,
    server: arg.Server = DEFAULT_URL,
    token: arg.Token = None,
    token_file: arg.TokenFile = None,
    cacert: arg.Authority = None,
    timeout: arg.Timeout = None,
    json: arg.Json = False,
    verbose: arg.Verbose = False,  # noqa: ARG001  # main looks for it, as an error has no context
) -> int:
    """Ask again by a line of a store: exit code 0 if video, model, labels and map are the same, 1 if not."""
    with connect(context, server, token, token_file, cacert, timeout) as client:
        found = client.replay(line, video, tolerance=tolerance)
    if json:
        checks = {check.name: {"then": check.then, "now": check.now, "same": check.same} for check in found.checks}
        head = {"same": found.same, "time": found.time, "request_id": found.request_id}
        sys.stdout.write(js.dumps(head | {"checks": checks}) + "\n")
    else:
        title = f"explained {found.time}" + (f", request {found.request_id}" if found.request_id else "")
        sys.stdout.write(printable_line(title) + "\n" + printable(str(found)) + "\n")
    return int(not found.same)
