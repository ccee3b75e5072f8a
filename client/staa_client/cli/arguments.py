"""Defines the options of the command; each subcommand names those that it takes."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from staa_client.cli.values import (
    COLORMAPS,
    ENCODINGS,
    LATENCIES,
    METHODS,
    WHERE,
    complete,
    complete_model,
    either,
)
from staa_client.transport.server import DEFAULT_URL

_VERSIONED = 'Its name, or "name/version"; without it motions, or the only one that is served.'
_VIDEOS = 'Files, folders, patterns such as "*.mp4", or URLs'
_METHODS = f"How the map is made: {either(METHODS)}, if the model has it (staa card)"
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
Model: TypeAlias = Annotated[
    str | None, typer.Option(envvar="STAA_MODEL", autocompletion=complete_model, help=_VERSIONED)
]
NamedModel: TypeAlias = Annotated[
    str | None, typer.Argument(envvar="STAA_MODEL", autocompletion=complete_model, help=_VERSIONED)
]
Recursive: TypeAlias = Annotated[
    bool, typer.Option("-r", "--recursive", help="Of a folder also the videos in the folders below it.")
]
Timeout: TypeAlias = Annotated[
    float | None, typer.Option(envvar="STAA_TIMEOUT", min=0.001, help="Seconds for one request, with all attempts.")
]
TopK: TypeAlias = Annotated[int | None, typer.Option(metavar="N", help="How many labels.")]
Start: TypeAlias = Annotated[float | None, typer.Option(metavar="SECONDS", help="Where the clip starts in the video.")]
End: TypeAlias = Annotated[float | None, typer.Option(metavar="SECONDS", help="Where it ends.")]
Method: TypeAlias = Annotated[
    list[str] | None, typer.Option(metavar="NAME", autocompletion=complete(METHODS), help=f"{_METHODS}.")
]
"""The method of a command that takes one, see `one_method`."""
Methods: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="NAME",
        autocompletion=complete(METHODS),
        help=f"{_METHODS}; several times: maps side by side.",
    ),
]
Target: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="CLASS", help="Number or label of the class that the map is for; asks for a class map."),
]
Targets: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="CLASS",
        help="Number or label of the class that a map is for; asks for a class map; several times: side by side.",
    ),
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
    str,
    typer.Option(
        "--sample",
        metavar="WHERE",
        autocompletion=complete(WHERE),
        help="server, client (send only the frames), or auto (above 4 MB).",
    ),
]
Maps: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="ENCODING",
        autocompletion=complete(ENCODINGS),
        help="How maps travel: base64 (float16, small), npz (float32) or json (5 digits).",
    ),
]
Alpha: TypeAlias = Annotated[float | None, typer.Option(min=0, max=1, help="How much the heat covers the frame.")]
Colormap: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", autocompletion=complete(COLORMAPS), help=f"Colours of the heat: {either(COLORMAPS)}."),
]
Focus: TypeAlias = Annotated[bool | None, typer.Option("--focus", help="Draw the focused map.")]
Labels: TypeAlias = Annotated[bool, typer.Option("--labels", help="Labels only, no maps.")]
Collected: TypeAlias = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="A .jsonl or .parquet that takes the answers."),
]
Report: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A folder that takes a report of each video, and a gallery of them (index.html)."),
]
Window: TypeAlias = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Length of each window (that of the model's clips).")
]
Stride: TypeAlias = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="From one window's start to the next (window / 4).")
]
Latency: TypeAlias = Annotated[
    str,
    typer.Option(metavar="WAY", autocompletion=complete(LATENCIES), help="drop (the newest window counts) or keep."),
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


def one_method(given: list[str] | None) -> str | None:
    """Return the method of a command that takes one; None if none is named.

    Raises:
        ValueError: several are named.
    """
    names = list(dict.fromkeys(given or ()))
    if len(names) > 1:
        raise ValueError(f"one --method is taken here, got {' and '.join(names)}: staa explain takes several")
    return names[0] if names else None
