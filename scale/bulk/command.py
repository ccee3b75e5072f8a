"""The command ./scale.sh bulk SOURCE OUT: labels and maps of many stored videos, as Parquet, without a server.

SOURCE is a folder with all folders in it, a text file of paths and URLs, or "-" for such lines from the input; OUT is
a folder. Both can be URLs: s3://bucket/clips, or of any other storage that fsspec knows.

Begun again with the same arguments it goes on: what has its row in OUT is not computed again, unless the video has
changed since. A process that dies is started again and its videos are done again, none twice. A video that ends its
process three times, or cannot be taken, is a row with error_code and error_message.

Exit codes: 0 every video has its row, 1 the job broke off, 2 wrong arguments or OUT is of other work, 130 stopped.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from scale.bulk import run
from scale.bulk.answers import Answers
from scale.bulk.progress import Progress, say
from scale.bulk.sources import list_sources
from scale.bulk.stages import Work
from scale.served import STORE, Served
from staa.errors import StaaError
from staa.serving import wire
from staa_client.batch.plan import Plan
from staa_client.transport.options import Options, options_for_labels, with_class_method

OPTIONS = [name for name in wire.READERS if name not in {"maps", "describe"}]
"""The options of a request that concern its answer."""


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    args = _arguments(argv)
    pool = run.Pool(args.decoders, args.models, args.gpus)
    try:
        work = _work(args)
        sources = list_sources(args.source)
        answers = Answers(args.out, work.request, args.part)
    except (StaaError, ValueError, OSError) as error:
        return _failed(error, 2)
    with answers:
        try:
            todo = answers.missing(sources)
        except (ValueError, OSError) as error:
            return _failed(error, 2)
        say(f"{len(sources)} videos, {len(sources) - len(todo)} of them done before")
        progress = Progress(len(todo))
        try:
            if todo:
                with run.cluster(args.address, pool, work):
                    for rows in run.rows(work, pool, todo):
                        progress.add(rows)
                        answers.add(rows)
        except KeyboardInterrupt:
            say(f"stopped after {progress.summary()}; the same command goes on")
            return 130
        except (RuntimeError, OSError) as error:  # those of Ray, too
            say(f"broke off after {progress.summary()}; the same command goes on")
            return _failed(error, 1)
    say(f"done: {progress.summary()}")
    return 0


def _work(args: argparse.Namespace) -> Work:
    """Return what is asked, after all checks of the options that a server makes before it decodes.

    Raises:
        StaaError: an option is unknown, not allowed or not possible, or there is no such model.
        ValueError: options of a map are given where none is asked for.
    """
    served = Served.read(args.model, args.store)
    texts = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    options = {name: wire.READERS[name](name, text) for name, text in texts.items()}
    options |= {name: text for name, text in texts.items() if name == "explain_when"}  # rules stay as they are written
    options = {**(options_for_labels(cast("Options", options)) if args.labels else with_class_method(options))}
    request = Plan.of([], args.model, not args.labels, options, 1, "collect", None, None).request
    texts = {name: str(value) for name, value in options.items()}
    threads = args.threads or served.settings.threads or 1
    work = Work(served, not args.labels, texts, request, args.batch or served.batch_size, threads)
    job = work.accept(b"-", "")
    if job.error is not None or job.request is None:
        raise job.error or RuntimeError("a request that was read has no error")
    served.settings.check(job.request.options)
    served.signature.check(job.request.options)
    job.request.when.check(served.signature.labels)
    return work


def _failed(error: Exception, code: int) -> int:
    print(f"scale: bulk: error: {error}", file=sys.stderr, flush=True)
    return code


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("scale.sh bulk", description=about, epilog=more, formatter_class=form)
    parser.add_argument("source", metavar="SOURCE", help='folder, list of videos, or "-"')
    parser.add_argument("out", metavar="OUT", help="folder of the Parquet files")
    parser.add_argument("--model", default="motions", metavar="NAME", help="who answers (%(default)s)")
    parser.add_argument("--store", type=Path, default=STORE, metavar="DIR", help="where NAME.yaml and NAME/ lie")
    parser.add_argument("--labels", action="store_true", help="labels only, no maps")
    parser.add_argument("--decoders", type=_count, default=1, metavar="N", help="processes that decode (%(default)s)")
    parser.add_argument("--models", type=_count, default=1, metavar="N", help="processes with the model (%(default)s)")
    parser.add_argument("--threads", type=_count, metavar="N", help="cores of each model (as its yaml has it, or 1)")
    text = "GPUs of each model, 0.5 is two to one (%(default)s)"
    parser.add_argument("--gpus", type=float, default=0, metavar="G", help=text)
    parser.add_argument("--batch", type=_count, metavar="N", help="videos of one forward pass (batchSize of the yaml)")
    parser.add_argument("--part", type=_count, default=256, metavar="N", help="videos in a file (%(default)s)")
    parser.add_argument("--address", help="of a Ray cluster, e.g. auto; default: a Ray of this machine alone")
    options = parser.add_argument_group("options of the answer, as in a request: docs/openapi.yaml")
    for name in OPTIONS:
        options.add_argument("--" + name.replace("_", "-"), metavar="VALUE")
    return parser.parse_args(argv)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)
