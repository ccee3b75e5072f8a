"""The command `staa`: labels, where and when, on the terminal and into files.

Exit codes: 0 done, 1 the server said no to something, 2 wrong usage, 3 no server or worker answered, 130 interrupted.
An option that is not given is taken from the environment, then ~/.config/staa/config.toml, then the defaults.
"""

import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from staa_client.batch.journal import OtherRequestError
from staa_client.cli import arguments as arg
from staa_client.cli import commands
from staa_client.cli.connection import connect, read_settings, told_warnings
from staa_client.cli.examples import examples
from staa_client.cli.named_files import OutputFiles, videos_of
from staa_client.cli.output.report_folder import ReportFolder
from staa_client.cli.output.terminal import printable, printable_line
from staa_client.cli.replay import replay
from staa_client.cli.spelling import as_typed
from staa_client.cli.timeline import timeline
from staa_client.errors import SourceError, StaaError, StreamError, TimedOutError, UnreachableError
from staa_client.transport.options import RuledOptions
from staa_client.transport.server import DEFAULT_URL

app = typer.Typer(
    help="Labels of a video, and where and when the model looked.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or with those of the process, and return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    verbose = any(argument in {"-v", "--verbose"} for argument in arguments)
    try:
        code: object = app(arguments or ["--help"], prog_name="staa", standalone_mode=False)
        code = code if arguments else 2  # no command is a mistake, of which the help is the cure
    except (UnreachableError, TimedOutError) as error:
        return _report_error(error, 3, verbose)
    except (SourceError, StreamError) as error:  # a video that is not there, as a file that is not
        return _report_error(error, 2, verbose)
    except StaaError as error:
        return _report_error(error, 1, verbose)
    except (typer.TyperException, OSError, ValueError, TypeError, ImportError) as error:
        return _report_error(error, 2, verbose)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        is_kept = any(each.endswith((".jsonl", ".parquet")) for each in arguments)
        goes_on = "batch" in arguments or ("timeline" in arguments and is_kept)
        hint = "; call it again to go on" if goes_on else ""
        sys.stderr.write(f"staa: interrupted{hint}\n")
    return code if isinstance(code, int) else 0


def _report_error(error: Exception, code: int, verbose: bool) -> int:
    """Print an error on one line, with what to do, and return the exit code."""
    if verbose:
        sys.stderr.write(printable("".join(traceback.format_exception(error))))
    text = error.format_message() if isinstance(error, typer.TyperException) else str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"  # without "[Errno 2]"
    sys.stderr.write("staa: " + printable_line(as_typed(" ".join(text.split()))) + "\n")
    return code


def _print_version(wanted: bool) -> None:
    """Print the version, and end the command, if that is wanted."""
    if wanted:
        sys.stdout.write(f"staa {version('staa-client')}\n")
        raise typer.Exit


@app.callback()
def configure(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="A file with defaults; also STAA_CONFIG.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Labels of a video, and where and when the model looked."""
    with told_warnings():
        values = read_settings(config)
    commands_with_settings = ("predict", "explain", "batch", "watch", "timeline", "models", "ready", "card", "replay")
    context.default_map = {command: {**values, "name": values.get("model")} for command in commands_with_settings}


@app.command(epilog=examples("predict"))
def predict(
    context: typer.Context,
    videos: arg.Videos,
    *,
    model: arg.Model = None,
    server: arg.Server = DEFAULT_URL,
    token: arg.Token = None,
    token_file: arg.TokenFile = None,
    cacert: arg.Authority = None,
    timeout: arg.Timeout = None,
    top_k: arg.TopK = None,
    start: arg.Start = None,
    end: arg.End = None,
    sample: arg.Sampled = "server",
    recursive: arg.Recursive = False,
    concurrency: arg.Concurrency = 4,
    json: arg.Json = False,
    verbose: arg.Verbose = False,  # noqa: ARG001  # main looks for it, as an error has no context
) -> int:
    """Print the labels."""
    options = _options(top_k=top_k, start=start, end=end, sample=sample)
    files = videos_of(videos, alone=True, recursive=recursive)
    with connect(context, server, token, token_file, cacert, timeout) as client:
        return commands.answer(client, files, model, options, explain=False, json=json, concurrency=concurrency)


@app.command(epilog=examples("explain"))
def explain(
    context: typer.Context,
    videos: arg.Videos,
    *,
    model: arg.Model = None,
    server: arg.Server = DEFAULT_URL,
    token: arg.Token = None,
    token_file: arg.TokenFile = None,
    cacert: arg.Authority = None,
    timeout: arg.Timeout = None,
    store: arg.Store = None,
    top_k: arg.TopK = None,
    start: arg.Start = None,
    end: arg.End = None,
    method: arg.Methods = None,
    target: arg.Targets = None,
    contrast: arg.Contrast = None,
    mass: arg.Mass = None,
    verify: arg.Verify = None,
    refine: arg.Refine = None,
    explain_when: arg.ExplainWhen = None,
    maps: arg.Maps = "base64",
    sample: arg.Sampled = "server",
    recursive: arg.Recursive = False,
    concurrency: arg.Concurrency = 4,
    output: arg.Output = None,
    alpha: arg.Alpha = None,
    colormap: arg.Colormap = None,
    focus: arg.Focus = None,
    json: arg.Json = False,
    verbose: arg.Verbose = False,  # noqa: ARG001  # main looks for it, as an error has no context
) -> int:
    """Print the labels, when and where; draw the map, on the terminal or into files."""
    options = _options(top_k=top_k, start=start, end=end, sample=sample, contrast=contrast)
    options |= _options(mass=mass, verify=verify, refine=refine, explain_when=explain_when or None, maps=maps)
    files = videos_of(videos, alone=True, recursive=recursive)
    look = {"alpha": alpha, "focus": focus, "colormap": colormap}
    look_given = {name: value for name, value in look.items() if value is not None}
    outputs = OutputFiles(tuple(output or ()), look_given)
    with connect(context, server, token, token_file, cacert, timeout, store=store) as client:
        return commands.answer(
            client,
            files,
            model,
            options,
            explain=True,
            json=json,
            concurrency=concurrency,
            outputs=outputs,
            methods=tuple(dict.fromkeys(method or ())),
            targets=tuple(dict.fromkeys(target or ())),
        )


@app.command(epilog=examples("batch"))
def batch(
    context: typer.Context,
    videos: arg.Files,
    *,
    output: arg.Collected = None,
    report: arg.Report = None,
    labels: arg.Labels = False,
    model: arg.Model = None,
    server: arg.Server = DEFAULT_URL,
    token: arg.Token = None,
    token_file: arg.TokenFile = None,
    cacert: arg.Authority = None,
    timeout: arg.Timeout = None,
    store: arg.Store = None,
    top_k: arg.TopK = None,
    method: arg.Method = None,
    target: arg.Target = None,
    contrast: arg.Contrast = None,
    mass: arg.Mass = None,
    verify: arg.Verify = None,
    refine: arg.Refine = None,
    explain_when: arg.ExplainWhen = None,
    maps: arg.Maps = "base64",
    sample: arg.Sampled = "server",
    recursive: arg.Recursive = False,
    concurrency: arg.Concurrency = 4,
    verbose: arg.Verbose = False,  # noqa: ARG001  # main looks for it, as an error has no context
) -> int:
    """Ask for many videos into one file; called again, it goes on where it was interrupted."""
    options = _options(top_k=top_k, sample=sample, method=arg.one_method(method), target=target)
    options |= _options(contrast=contrast, mass=mass, verify=verify, refine=refine, explain_when=explain_when or None)
    options |= _options(maps=None if labels else maps)
    files = videos_of(videos, recursive=recursive)
    gallery = None if report is None else ReportFolder(report)
    book = output if gallery is None or output is not None else gallery.answers
    if book is None:
        raise ValueError("the answers need a place: name a file by -o answers.jsonl, or a folder by --report DIR")
    with connect(context, server, token, token_file, cacert, timeout, store=store) as client:
        try:
            return commands.collect(
                client, files, model, options, book, explain=not labels, concurrency=concurrency, gallery=gallery
            )
        except OtherRequestError as reason:
            if book is output:
                raise
            raise ValueError(f"{report} is the report of another request: name another folder by --report") from reason


@app.command(epilog=examples("watch"))
def watch(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="A camera's number, a URL (rtsp, http, tcp, udp, ...) or a file.")],
    *,
    window: arg.Window = None,
    stride: arg.Stride = None,
    latency: arg.Latency = "drop",
    smooth: Annotated[int, typer.Option(metavar="N", min=1, help="Windows whose scores are averaged.")] = 3,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N windows.")] = None,
    labels: arg.Labels = False,
    model: arg.Model = None,
    server: arg.Server = DEFAULT_URL,
    token: arg.Token = None,
    token_file: arg.TokenFile = None,
    cacert: arg.Authority = None,
    timeout: arg.Timeout = None,
    store: arg.Store = None,
    method: arg.Method = None,
    target: arg.Target = None,
    verify: arg.Verify = None,
    explain_when: arg.ExplainWhen = None,
    json: arg.Json = False,
    verbose: arg.Verbose = False,  # noqa: ARG001  # main looks for it, as an error has no context
) -> int:
    """Watch a camera, a stream or a file, a line a window."""
    options = _options(method=arg.one_method(method), target=target, verify=verify, explain_when=explain_when or None)
    with (
        connect(context, server, token, token_file, cacert, timeout, store=store) as client,
        client.watch(
            int(source) if source.isdecimal() else source,
            model,
            window=window,
            stride=stride,
            latency=_latency(latency),
            explain=not labels,
            smooth=smooth,
            **options,
        ) as sights,
    ):
        return commands.follow(sights, count, json=json)


app.command(epilog=examples("timeline"))(timeline)


def _latency(latency: str) -> Literal["drop", "keep"]:
    """Return the latency after a check.

    Raises:
        ValueError: it is neither "drop" nor "keep".
    """
    match latency:
        case "drop" | "keep":
            return latency
    raise ValueError(f"latency is {latency!r}: expected drop or keep")


@app.command(epilog=examples("models"))
def models(
    context: typer.Context,
    *,
    server: arg.Server = DEFAULT_URL,
    management: arg.Management = None,
    token: arg.Token = None,
    token_file: arg.TokenFile = None,
    cacert: arg.Authority = None,
    timeout: arg.Timeout = None,
    json: arg.Json = False,
    verbose: arg.Verbose = False,  # noqa: ARG001  # main looks for it, as an error has no context
) -> int:
    """List what is served, with its workers."""
    with connect(context, server, token, token_file, cacert, timeout, management) as client:
        return commands.list_models(client, json=json)


@app.command(epilog=examples("ready"))
def ready(
    context: typer.Context,
    name: arg.NamedModel = None,
    *,
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for it.")] = 0,
    server: arg.Server = DEFAULT_URL,
    token: arg.Token = None,
    token_file: arg.TokenFile = None,
    cacert: arg.Authority = None,
    verbose: arg.Verbose = False,  # noqa: ARG001  # main looks for it, as an error has no context
) -> int:
    """Whether a model answers: exit code 0; 3 where it does not in time, 1 where it is not served."""
    with connect(context, server, token, token_file, cacert) as client:
        return commands.check_ready(client, name, wait)


@app.command(epilog=examples("card"))
def card(
    context: typer.Context,
    name: arg.NamedModel = None,
    *,
    server: arg.Server = DEFAULT_URL,
    token: arg.Token = None,
    token_file: arg.TokenFile = None,
    cacert: arg.Authority = None,
    timeout: arg.Timeout = None,
    json: arg.Json = False,
    verbose: arg.Verbose = False,  # noqa: ARG001  # main looks for it, as an error has no context
) -> int:
    """Print what a model says of itself: its labels, its methods, its input and its limits."""
    with connect(context, server, token, token_file, cacert, timeout) as client:
        return commands.show_card(client, name, json=json)


app.command(epilog=examples("replay"))(replay)


def _options(**given: Any) -> RuledOptions:
    """Return the options that were given, without those that are None."""
    options: RuledOptions = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    return options
