"""The command `staa`: labels, where and when, on the terminal and into files.

Exit codes: 0 done, 1 the server said no, 2 wrong usage, 3 no server answered.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from staa_client._client import DEFAULT_URL, Client
from staa_client._errors import StaaError, TimedOutError, UnreachableError
from staa_client._save import check
from staa_client._types import Explanation, Result

Answer = Result | Explanation


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or with those of the process; gives the exit code."""
    options = _parser().parse_args(argv)
    try:
        for path in options.output:
            check(path)
        answer = _ask(options)
        _say(json.dumps(answer.to_dict()) if options.json else _table(answer))
        if isinstance(answer, Explanation):
            for path in options.output:
                answer.save(path)
                sys.stderr.write(f"wrote {path}\n")
    except (UnreachableError, TimedOutError) as error:
        return _failed(error, 3)
    except StaaError as error:
        return _failed(error, 1)
    except (OSError, ValueError) as error:
        return _failed(error, 2)
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("video", help='a video file, or "-" for standard input')
    common.add_argument("--model", default="motions", help='its name, or "name/version" (default: %(default)s)')
    common.add_argument(
        "--server", default=os.environ.get("STAA_SERVER", DEFAULT_URL), help="default: STAA_SERVER, or %(default)s"
    )
    common.add_argument("--token", default=os.environ.get("STAA_TOKEN"), help="default: STAA_TOKEN, or none")
    common.add_argument("--top-k", type=int, metavar="N", help="how many labels")
    common.add_argument("--start", type=float, metavar="SECONDS", help="where the clip starts in the video")
    common.add_argument("--end", type=float, metavar="SECONDS", help="where it ends")
    common.add_argument("--json", action="store_true", help="print JSON instead of a table")
    common.set_defaults(output=[])

    parser = argparse.ArgumentParser("staa", description="Labels of a video, and where and when the model looked.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("predict", parents=[common], help="print the labels")
    explain = commands.add_parser("explain", parents=[common], help="print the labels, when and where; draw the map")
    explain.add_argument("--method", help="how the map is made; the server says which it has")
    explain.add_argument("--target", metavar="CLASS", help="number or label of the class that a class map is for")
    explain.add_argument("--contrast", metavar="CLASS", help="class to tell it from: why the target and not this one")
    explain.add_argument("--mass", type=float, help="share of the attention that the focus keeps, 0 to 1")
    explain.add_argument("--verify", type=int, metavar="N", help="check the map with N points, 2 to 16, on its curves")
    explain.add_argument(
        "-o", "--output", type=Path, action="append", default=[], metavar="FILE", help="a .html, .png, .json or .npz"
    )
    return parser


def _ask(options: argparse.Namespace) -> Answer:
    video = sys.stdin.buffer if options.video == "-" else options.video
    segment = {"top_k": options.top_k, "start": options.start, "end": options.end}
    with Client(options.server, options.token or None) as client:
        if options.command == "predict":
            return client.predict(video, options.model, **segment)
        focus = {name: getattr(options, name) for name in ("method", "target", "contrast", "mass", "verify")}
        return client.explain(video, options.model, **segment, **focus)


def _table(answer: Answer) -> str:
    """The labels; for an explanation also the strongest seconds and the strongest region."""
    wide = max((len(guess.label) for guess in answer.predictions), default=0)
    lines = [f"{guess.label:<{wide}}  {guess.score:6.1%}" for guess in answer.predictions]
    if isinstance(answer, Explanation):
        against = "" if answer.contrast is None else f", against {answer.contrast}"
        lines.append("" if answer.target is None else f"\nwhat speaks for {answer.target}{against}:")
        for row, moment in enumerate(answer.top(3)):
            lines.append(f"{'' if row else 'when':<5}  {moment.start:.2f} - {moment.end:.2f} s  {moment.share:6.1%}")
        x0, y0, x1, y1 = answer.region()
        clip = answer.clip
        lines.append(f"where  x {x0} - {x1}, y {y0} - {y1} in pixels of {clip.width} x {clip.height}")
        if (checked := answer.faithfulness) is not None:
            lines.append(
                f"check  {checked.message} ({checked.verdict}; {checked.clips} clips, {checked.seconds:.2f} s)"
            )
    return "\n".join(lines)


def _say(text: str) -> None:
    """Print what came from outside: a label must not steer the terminal."""
    sys.stdout.write(_harmless(text) + "\n")


def _failed(error: Exception, code: int) -> int:
    sys.stderr.write("staa: " + _harmless(" ".join(str(error).split())) + "\n")
    return code


def _harmless(text: str) -> str:
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


if __name__ == "__main__":
    sys.exit(main())
