"""The same things without a browser: `python -m inference COMMAND`, of which `--help` lists all.

A run goes through the same queue as one from the pages, and shows in the same history. With `--json` one JSON
document, and nothing else, goes to stdout; progress goes to stderr. Exit status: 0 finished, 1 failed, 2 bad
arguments, 130 cancelled.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from inference import bundle, commands
from inference.commands import EXIT_BAD_ARGUMENTS, EXIT_CANCELLED, EXIT_FAILED
from inference.config import BACKENDS, COMBINATIONS, DTYPES, MAX_REPEATS, STRATEGIES
from inference.errors import BatchscopeError, DataUnavailable, DoesNotFit, InvalidBundle, InvalidConfig
from inference.export import FORMATS
from inference.wording import shortened


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (InvalidConfig, InvalidBundle, DoesNotFit, DataUnavailable) as error:
        print(f"batchscope: {error}", file=sys.stderr)
        return EXIT_BAD_ARGUMENTS
    except BatchscopeError as error:
        print(f"batchscope: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_CANCELLED


class _OneLineParser(argparse.ArgumentParser):
    """Says what to change in one line, where argparse would print its usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_ARGUMENTS, f"batchscope: {shortened(message, 500)} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="python -m inference", description="Batch image inference on Ray Data, measured.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_OneLineParser)

    run = subparsers.add_parser("run", help="run one strategy over a data set")
    run.add_argument("--strategy", required=True, choices=STRATEGIES)
    _add_settings(run)
    run.set_defaults(command=commands.run)

    compare = subparsers.add_parser("compare", help="run several strategies on the same images")
    compare.add_argument("--strategies", required=True, metavar="A,B[,…]", help="the first is the baseline")
    _add_settings(compare)
    compare.set_defaults(command=commands.compare)

    climb = subparsers.add_parser("ladder", help="every optimisation as one step, on the same images")
    _add_settings(climb, images=400, repeats=2)
    climb.set_defaults(command=commands.climb)

    limit = subparsers.add_parser("limit", help="what this machine could do at best with a model")
    _add_settings(limit)
    limit.add_argument("--redo", action="store_true", help="measure again, even if the limit is known")
    limit.set_defaults(command=commands.limit)

    machine = subparsers.add_parser("hardware", help="what this machine is")
    _add_json(machine)
    machine.set_defaults(command=commands.machine)

    dataset = subparsers.add_parser("dataset", help="what is in a data set, and what in it cannot be read or used")
    dataset.add_argument("dataset", metavar="NAME", help="as with run --dataset")
    _add_json(dataset)
    dataset.set_defaults(command=commands.dataset)

    model = subparsers.add_parser("model", help="what a model is and what one image costs it, before it is run")
    model.add_argument("model", metavar="NAME", help="as with run --model; no weights are fetched")
    _add_json(model)
    model.set_defaults(command=commands.model)

    history = subparsers.add_parser("history", help="the runs so far, newest first")
    history.add_argument("--limit", type=_whole(1, 1_000_000), default=50)
    _add_json(history)
    history.set_defaults(command=commands.history)

    show = subparsers.add_parser("show", help="one run")
    show.add_argument("run", metavar="RUN")
    _add_json(show)
    show.set_defaults(command=commands.show)

    predictions = subparsers.add_parser("predictions", help="what each image of a run got, or why it got nothing")
    predictions.add_argument("run", metavar="RUN")
    _add_json(predictions)
    predictions.set_defaults(command=commands.predictions)

    export_run = subparsers.add_parser(
        "export", help=f"write a run, or a comparison, to a file; a .{bundle.ENDING} holds runs whole"
    )
    export_run.add_argument("run", metavar="RUN", nargs="+", help="of several, the first is the baseline")
    export_run.add_argument("--to", type=Path, required=True, metavar=f"FILE.({'|'.join((*FORMATS, bundle.ENDING))})")
    export_run.set_defaults(command=commands.export_runs)

    import_runs = subparsers.add_parser("import", help=f"add the runs of a .{bundle.ENDING} from another machine")
    import_runs.add_argument("file", type=Path, metavar=f"FILE.{bundle.ENDING}")
    _add_json(import_runs)
    import_runs.set_defaults(command=commands.import_runs)
    return parser


def _add_settings(parser: argparse.ArgumentParser, *, images: int = 100, repeats: int = 1) -> None:
    parser.add_argument("--model", default="digits", help="a catalogue name, a folder, or a hub id")
    parser.add_argument("--labels", default="", metavar="A,B", help="what a CLIP-like model chooses from")
    parser.add_argument("--members", default="", metavar="M,M", help="further models: together they are an ensemble")
    parser.add_argument("--combine", choices=COMBINATIONS, default="mean", help="how an ensemble's answers become one")
    parser.add_argument(
        "--dataset", default="digits", help="a catalogue name, folder, pattern, CSV or Parquet list, or s3://bucket/key"
    )
    parser.add_argument("--limit", type=int, default=images, metavar="N", help="how many images")
    parser.add_argument("--sample-seed", type=int, metavar="S", help="draw them by lot; else the first ones are taken")
    parser.add_argument("--batch-size", type=int, metavar="B")
    parser.add_argument("--concurrency", type=int, metavar="C", help="workers at the same time")
    parser.add_argument("--cpus-per-worker", type=float, metavar="X")
    parser.add_argument("--gpus-per-worker", type=float, metavar="X")
    parser.add_argument("--threads", type=int, default=0, metavar="T", help="of each worker; 0: as many as its CPUs")
    parser.add_argument("--decoders", type=int, default=1, metavar="D", help="decoding tasks at a time (pipelined)")
    parser.add_argument("--dtype", choices=("auto", *DTYPES), default="float32", help="auto: what suits this machine")
    parser.add_argument("--channels-last", action="store_true", help="lay pixels and weights out channels last")
    parser.add_argument("--backend", choices=BACKENDS, default="eager", help="what computes the forward pass")
    parser.add_argument("--compile", action="store_true", help="the same as --backend compile")
    parser.add_argument("--repeats", type=_whole(1, MAX_REPEATS), default=repeats, metavar="R")
    _add_json(parser)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")


def _whole(low: int, high: int):  # type: ignore[no-untyped-def]  # argparse's own type for this is a union of callables
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number between {low} and {high}, got {text!r}")
        return value

    return parse
