"""Defines the options of the command; each subcommand names those that it takes."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from staa_client.transport.server import DEFAULT_URL

_VERSIONED = 'Its name, or "name/version".'
_VIDEOS = 'Files, patterns such as "*.mp4", or URLs'
Videos: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="VIDEO...", help=f'{_VIDEOS}; or "-" alone for the input.')
]
Files: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="VIDEO...", help=f'{_VIDEOS}. Not "-": the input is no name to go on from.')
]
Server: TypeAlias = Annotated[str, typer.Option(envvar="STAA_SERVER", help=f"Address, such as {DEFAULT_URL}.")]
Token: TypeAlias = Annotated[str | None, typer.Option(envvar="STAA_TOKEN", help="Where the server wants one.")]
TokenFile: TypeAlias = Annotated[
    Path | None, typer.Option(envvar="STAA_TOKEN_FILE", help="TorchServe's key_file.json, or a file with the token.")
]
Authority: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", envvar="STAA_CACERT", help="PEM file of who signs the server's certificate (https)."),
]
Management: TypeAlias = Annotated[
    str | None, typer.Option(envvar="STAA_MANAGEMENT", help="TorchServe's management address; on this machine found.")
]
Model: TypeAlias = Annotated[str, typer.Option(envvar="STAA_MODEL", help=_VERSIONED)]
NamedModel: TypeAlias = Annotated[str, typer.Argument(envvar="STAA_MODEL", help=_VERSIONED)]
Timeout: TypeAlias = Annotated[
    float | None, typer.Option(envvar="STAA_TIMEOUT", min=0.001, help="Seconds for one request, with all attempts.")
]
TopK: TypeAlias = Annotated[int | None, typer.Option(metavar="N", help="How many labels.")]
Start: TypeAlias = Annotated[float | None, typer.Option(metavar="SECONDS", help="Where the clip starts in the video.")]
End: TypeAlias = Annotated[float | None, typer.Option(metavar="SECONDS", help="Where it ends.")]
Method: TypeAlias = Annotated[str | None, typer.Option(help="How the map is made; the server says which it has.")]
Target: TypeAlias = Annotated[
    str | None, typer.Option(metavar="CLASS", help="Number or label of the class that a class map is for.")
]
Contrast: TypeAlias = Annotated[
    str | None, typer.Option(metavar="CLASS", help="Class to tell it from: why the target and not this one.")
]
Mass: TypeAlias = Annotated[float | None, typer.Option(help="Share of the attention that the focus keeps, 0 to 1.")]
Verify: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", help="Check the map with N points, 2 to 16, on its curves.")
]
Refine: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="N", help="Choose the best of several class maps, by a test with N clips, 8 to 32."),
]
ExplainWhen: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE",
        help="Map only where a rule holds: score_below=0.6, margin_below=0.2, 'label_in=LABEL|LABEL'; repeatable.",
    ),
]
Store: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", envvar="STAA_STORE", help="File that takes a line for each explanation, see replay."),
]
Sampled: TypeAlias = Annotated[
    str, typer.Option("--sample", metavar="WHERE", help="server, client (send only the frames), or auto (above 4 MB).")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, one line an answer.")]
Concurrency: TypeAlias = Annotated[int, typer.Option(min=1, metavar="N", help="Requests under way at a time.")]
Verbose: TypeAlias = Annotated[bool, typer.Option("-v", "--verbose", help="Show the trace of an error.")]
Output: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="A .html, .png, .gif, .mp4, .json, .npz or .parquet; {name} stands for the video's name.",
    ),
]
