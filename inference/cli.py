"""The same things without a browser: `python -m inference COMMAND`, of which `--help` lists all.

A run goes through the same queue as one from the pages, and shows in the same history. With `--json` one JSON
document, and nothing else, goes to stdout; progress goes to stderr. Exit status: 0 finished, 1 failed, 2 bad
arguments, 130 cancelled.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from inference import bundle, checkpoints, hardware, ladder, listing, preflight, report
from inference.arms import arms_of, winner
from inference.capabilities import best_dtype
from inference.config import BACKENDS, COMBINATIONS, DTYPES, MAX_REPEATS, STRATEGIES, RunConfig, interleaved
from inference.errors import BatchscopeError, DataUnavailable, DoesNotFit, InvalidBundle, InvalidConfig, RunFailed
from inference.export import FORMATS, export
from inference.limits import NOT_MEASURED, Limit, LimitKey, measurable
from inference.results import RunRecord, median_run, metrics
from inference.store import RunSummary, Store, home_folder
from inference.supervisor import Supervisor, engine_alive

EXIT_FINISHED, EXIT_FAILED, EXIT_BAD_ARGUMENTS, EXIT_CANCELLED = 0, 1, 2, 130
REFRESH_S = 0.2
LIMIT_TIMEOUT_S = 330.0
BAR_WIDTH = 24


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


# -- commands ----------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    config = _config(options, options.strategy)
    runs = _perform([config] * options.repeats, compare=False)
    middle = median_run(runs)
    if options.json:
        document = report.document(middle)
        if options.repeats > 1:
            document["repeats"] = [
                {"id": run.id, "state": run.state, "images_per_s": metrics(run).images_per_s} for run in runs
            ]
        _print_json(document)
    else:
        for run in runs:
            print(_sentence(run))
    return _exit_status(runs)


def _compare(options: argparse.Namespace) -> int:
    strategies = [name.strip() for name in options.strategies.split(",") if name.strip()]
    if len(set(strategies)) < 2 or len(set(strategies)) != len(strategies):
        raise InvalidConfig(f"--strategies must name at least two different ones, got {options.strategies!r}")
    configs = interleaved([_config(options, strategy, lenient=True) for strategy in strategies], options.repeats)
    runs = _perform(configs, compare=True)
    document = report.comparison_document(runs)
    if options.json:
        _print_json(document)
    else:
        for run in runs:
            print(_sentence(run))
        for strategy, ratio in document["speedup"].items():
            print(_ratio_sentence(strategy, strategies[0], ratio, document["parity"][strategy]["agreement"]))
    return _exit_status(runs)


def _ladder(options: argparse.Namespace) -> int:
    config = _config(options, "naive", lenient=True)
    climb = ladder.steps(config, hardware.detect(home_folder()))
    runs = _perform(interleaved([step.config for step in climb], options.repeats), compare=True, then=_limit_of_ladder)
    found = ladder.climbed(runs, _highest_limit(runs))
    if options.json:
        _print_json(report.ladder_document(found, runs))
    elif found is not None:
        for rung in found.rungs:
            print(_rung_sentence(rung))
        print(found.sentence)
    for run in runs:
        if run.state != "finished":
            print(f"batchscope: {_sentence(run)}", file=sys.stderr)
    return _exit_status(runs)


def _limit(options: argparse.Namespace) -> int:
    config = _config(options, "pipelined")
    if not measurable(config):
        raise InvalidConfig(f"{NOT_MEASURED} Leave out --members and --labels.")
    key = _limit_key(config)
    store = Store(home_folder())
    if options.redo or store.limit(key) is None:
        store.request_limit(key)
        _with_engine(store, lambda: _wait_for_limit(store, key))
    limit = store.limit(key)
    if limit is None:
        raise RunFailed(store.limit_state(key))
    if options.json:
        _print_json(report.limit_document(key, limit))
    else:
        for sentence in report.limit_sentences(limit):
            print(sentence)
    return EXIT_FINISHED


def _hardware(options: argparse.Namespace) -> int:
    found = hardware.detect(home_folder())
    if options.json:
        _print_json(hardware.to_dict(found))
    else:
        for fact in hardware.facts(found):
            print(f"{fact.title:12} {fact.value}\n{'':12} {fact.meaning}")
        for note in hardware.environment_notes():
            print(f"{'Note':12} {note}")
        print(f"{'Default':12} {preflight.default_config(found)}")
    return EXIT_FINISHED


def _history(options: argparse.Namespace) -> int:
    summaries = Store(home_folder()).summaries(limit=options.limit)
    if options.json:
        _print_json([_summary_document(summary) for summary in summaries])
    else:
        for summary in summaries:
            print(_line(summary))
    return EXIT_FINISHED


def _show(options: argparse.Namespace) -> int:
    record = _existing(options.run)
    if options.json:
        _print_json(report.document(record))
    else:
        print(_sentence(record))
        for name, value in report.document(record)["metrics"].items():
            print(f"  {name:22} {value}")
    return EXIT_FINISHED


def _export(options: argparse.Namespace) -> int:
    run_ids = list(dict.fromkeys(run_id for some in options.run for run_id in some.split(",") if run_id))
    if options.to.suffix.lower() == f".{bundle.ENDING}":
        bundle.write(Store(home_folder()), run_ids, options.to)
    else:
        runs = [_existing(run_id) for run_id in run_ids]
        export(runs, options.to)
        best = winner(arms_of(runs)) if len(runs) > 1 and options.to.suffix.lower() == ".py" else None
        if best is not None:
            print(best.reason, file=sys.stderr)
    print(f"Wrote {options.to}", file=sys.stderr)
    return EXIT_FINISHED


def _import(options: argparse.Namespace) -> int:
    imported = bundle.read_file(Store(home_folder()), options.file)
    became = {"imported": imported.added, "already here": imported.here, "in the bin here": imported.binned}
    if options.json:
        _print_json([{"id": run_id, "became": what} for what, run_ids in became.items() for run_id in run_ids])
    else:
        for what, run_ids in became.items():
            for run_id in run_ids:
                print(f"{run_id}  {what}")
    return EXIT_FINISHED


# -- running -----------------------------------------------------------------------------------------------------


def _config(options: argparse.Namespace, strategy: str, *, lenient: bool = False) -> RunConfig:
    """The configuration that the options describe, checked against this machine.

    `lenient` drops options that the strategy does not have, where they are meant for others of a comparison.
    """
    if strategy not in STRATEGIES:
        raise InvalidConfig(f"--strategies must name some of {', '.join(STRATEGIES)}, got {strategy!r:.80}")
    found = hardware.detect(home_folder())
    default = preflight.default_config(found)
    gpus = options.gpus_per_worker
    config = RunConfig(
        strategy="pipelined" if lenient else strategy,
        model=checkpoints.absolute(options.model),
        labels=_texts(options.labels),
        members=tuple(checkpoints.absolute(member) for member in _texts(options.members)),
        combine=options.combine,
        dataset=listing.absolute(options.dataset),
        limit=options.limit,
        sample_seed=options.sample_seed,
        batch_size=options.batch_size if options.batch_size is not None else default.batch_size,
        concurrency=options.concurrency if options.concurrency is not None else default.concurrency,
        cpus_per_worker=options.cpus_per_worker if options.cpus_per_worker is not None else default.cpus_per_worker,
        gpus_per_worker=gpus if gpus is not None else default.gpus_per_worker,
        threads=options.threads,
        decoders=options.decoders,
        dtype=best_dtype(found) if options.dtype == "auto" else options.dtype,
        channels_last=options.channels_last,
        backend="compile" if options.compile else options.backend,
    )
    config = config.as_strategy(strategy)
    if not listing.in_bucket(config.dataset):
        listing.list_images(config.dataset, home_folder(), 1)  # an empty folder is found out before anything starts
    verdict = preflight.check(config, found)
    if not verdict.fits:
        raise DoesNotFit(f"this does not fit this machine: {verdict.sentence}")
    return config


def _texts(separated: str) -> tuple[str, ...]:
    return tuple(text.strip() for text in separated.split(",") if text.strip())


def _perform(
    configs: Sequence[RunConfig], *, compare: bool, then: Callable[[Store, list[str]], None] | None = None
) -> list[RunRecord]:
    """Queue the runs, see that an engine works on them, and wait for their ends. Ctrl-C cancels them.

    `then` is called before the engine is let go.
    """
    store = Store(home_folder())
    run_ids = store.enqueue(configs, compare=compare)

    def work() -> None:
        try:
            _wait(store, run_ids)
        except KeyboardInterrupt:
            for run_id in run_ids:
                store.request_cancel(run_id)
            _wait(store, run_ids)
        if then is not None:
            then(store, run_ids)

    _with_engine(store, work)
    return [record for run_id in run_ids if (record := store.get(run_id)) is not None]


def _with_engine(store: Store, work: Callable[[], None]) -> None:
    """Keep an engine while `work` goes on."""
    supervisor = Supervisor(store.home)
    supervisor.start()
    try:
        work()
    finally:
        supervisor.stop()
        print(file=sys.stderr)


def _limit_key(config: RunConfig) -> LimitKey:
    return LimitKey.of(config, hardware.fingerprint(hardware.detect(home_folder())))


def _limit_of_ladder(store: Store, run_ids: Sequence[str]) -> None:
    """Have the limit of the precision that the last step has measured, where it is not known yet."""
    finished = [run for run_id in run_ids if (run := store.summary(run_id)) and run.state == "finished"]
    if finished:
        dtypes = {run.config.dtype: run.config for run in finished}
        for config in filter(measurable, dtypes.values()):
            _wait_for_limit(store, _limit_key(config))


def _wait_for_limit(store: Store, key: LimitKey) -> None:
    deadline = time.monotonic() + LIMIT_TIMEOUT_S
    print(f"measuring what this machine could do in {key.dtype}", file=sys.stderr)
    while store.limit_state(key) in ("requested", "unknown") and time.monotonic() < deadline:
        time.sleep(REFRESH_S)


def _highest_limit(runs: Sequence[RunRecord]) -> Limit | None:
    store = Store(home_folder())
    limits = [limit for run in runs if (limit := store.limit(_limit_key(run.config))) is not None]
    return max(limits, key=lambda limit: limit.images_per_s, default=None)


def _wait(store: Store, run_ids: Sequence[str]) -> None:
    shown = ""
    while True:
        summaries = [summary for run_id in run_ids if (summary := store.summary(run_id)) is not None]
        current = next((summary for summary in summaries if summary.active), None)
        if current is None:
            return
        line = _progress_line(store, current, len(summaries), summaries.index(current) + 1)
        if line != shown:
            end = "" if sys.stderr.isatty() else "\n"
            start = "\r\x1b[2K" if sys.stderr.isatty() else ""
            print(start + line, end=end, file=sys.stderr, flush=True)
            shown = line
        time.sleep(REFRESH_S)


def _progress_line(store: Store, current: RunSummary, total: int, number: int) -> str:
    name = f"{current.config.strategy} {number} of {total}" if total > 1 else current.config.strategy
    if current.state == "queued":
        status = store.engine()
        doing = status.message if status is not None and engine_alive(status) else "starting the engine"
        return f"{name}: queued ({doing})"
    progress = current.progress
    if progress is None or not progress.images_total:
        return f"{name}: {progress.phase if progress else 'starting'}"
    done = progress.images_done / progress.images_total
    bar = "█" * int(done * BAR_WIDTH) + "░" * (BAR_WIDTH - int(done * BAR_WIDTH))
    rate = f" · {progress.images_done / progress.elapsed_s:.3g} images/s" if progress.elapsed_s else ""
    return f"{name}: {bar} {progress.images_done}/{progress.images_total}{rate} · {progress.phase}"


def _existing(run_id: str) -> RunRecord:
    record = Store(home_folder()).get(run_id)
    if record is None:
        raise InvalidConfig(f"there is no run {run_id!r}: `python -m inference history` lists those there are")
    return record


def _exit_status(runs: Sequence[RunRecord]) -> int:
    states = {run.state for run in runs}
    if states <= {"finished"}:
        return EXIT_FINISHED
    return EXIT_CANCELLED if "cancelled" in states else EXIT_FAILED


# -- words -------------------------------------------------------------------------------------------------------


def _sentence(run: RunRecord) -> str:
    what = f"{run.id}  {run.config.strategy} · {run.config.model} · {run.config.dataset}"
    if run.state != "finished":
        return f"{what}: {run.state}. {run.error or ''}".rstrip()
    figures = metrics(run)
    right = f" · {figures.accuracy:.0%} right" if figures.accuracy is not None else ""
    return (
        f"{what}: {figures.images} images in {figures.total_s:.1f} s = {figures.images_per_s:.3g} images/s"
        f" · {figures.model_loads} model loads, {figures.model_load_s:.1f} s · {figures.errors} errors{right}"
    )


def _rung_sentence(rung: ladder.Rung) -> str:
    figures = rung.metrics
    words = f"{rung.step.name:14} {rung.steady_images_per_s or 0:8.3g} images/s steady, set-up {figures.setup_s:.1f} s"
    step = rung.versus_previous
    if step is not None:
        tie = ", a tie" if step.tie else ""
        words += f"  {step.ratio:.2f} × the step before ({step.low:.2f} to {step.high:.2f}{tie})"
    if rung.agreement is not None and rung.agreement.share is not None:
        words += f"  {rung.agreement.share:.0%} same answers"
    return f"{words}  {rung.step.change}"


def _ratio_sentence(strategy: str, baseline: str, ratio: dict[str, float] | None, agreement: float | None) -> str:
    if ratio is None:
        return f"{strategy} and {baseline} cannot be compared: one of them has no results."
    tie = " (a tie: the interval includes 1)" if ratio["low"] <= 1 <= ratio["high"] else ""
    agreed = f"; answers agree on {agreement:.0%} of the images" if agreement is not None else ""
    interval = f"95 %: {ratio['low']:.2g} to {ratio['high']:.2g}"
    return f"{strategy} is {ratio['ratio']:.2g} × as fast as {baseline} ({interval}){tie}{agreed}."


def _line(summary: RunSummary) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(summary.created_at))
    speed = summary.metrics.images_per_s if summary.metrics else None
    figures = f"{speed:.3g} images/s" if speed is not None else "–"
    config = summary.config
    return (
        f"{summary.id}  {when}  {summary.state:10} {config.strategy:10} {config.model} · {config.dataset}"
        f" · {config.limit} images · batch {config.batch_size} × {config.concurrency}  {figures}"
    )


def _summary_document(summary: RunSummary) -> dict[str, object]:
    figures = summary.metrics
    return {
        "id": summary.id,
        "state": summary.state,
        "created_at": summary.created_at,
        "comparison_id": summary.comparison_id,
        "config": summary.config.to_dict(),
        "images_per_s": figures.images_per_s if figures else None,
        "error": summary.error,
    }


def _print_json(document: object) -> None:
    json.dump(document, sys.stdout, ensure_ascii=False, allow_nan=False)
    print()


# -- arguments ---------------------------------------------------------------------------------------------------


class _OneLineParser(argparse.ArgumentParser):
    """Says what to change in one line, where argparse would print its usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_ARGUMENTS, f"batchscope: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="python -m inference", description="Batch image inference on Ray Data, measured.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_OneLineParser)

    run = commands.add_parser("run", help="run one strategy over a data set")
    run.add_argument("--strategy", required=True, choices=STRATEGIES)
    _add_settings(run)
    run.set_defaults(command=_run)

    compare = commands.add_parser("compare", help="run several strategies on the same images")
    compare.add_argument("--strategies", required=True, metavar="A,B[,…]", help="the first is the baseline")
    _add_settings(compare)
    compare.set_defaults(command=_compare)

    climb = commands.add_parser("ladder", help="every optimisation as one step, on the same images")
    _add_settings(climb, images=400, repeats=2)
    climb.set_defaults(command=_ladder)

    limit = commands.add_parser("limit", help="what this machine could do at best with a model")
    _add_settings(limit)
    limit.add_argument("--redo", action="store_true", help="measure again, even if the limit is known")
    limit.set_defaults(command=_limit)

    machine = commands.add_parser("hardware", help="what this machine is")
    _add_json(machine)
    machine.set_defaults(command=_hardware)

    history = commands.add_parser("history", help="the runs so far, newest first")
    history.add_argument("--limit", type=_whole(1, 1_000_000), default=50)
    _add_json(history)
    history.set_defaults(command=_history)

    show = commands.add_parser("show", help="one run")
    show.add_argument("run", metavar="RUN")
    _add_json(show)
    show.set_defaults(command=_show)

    export_run = commands.add_parser(
        "export", help=f"write a run, or a comparison, to a file; a .{bundle.ENDING} holds runs whole"
    )
    export_run.add_argument("run", metavar="RUN", nargs="+", help="of several, the first is the baseline")
    export_run.add_argument("--to", type=Path, required=True, metavar=f"FILE.({'|'.join((*FORMATS, bundle.ENDING))})")
    export_run.set_defaults(command=_export)

    import_runs = commands.add_parser("import", help=f"add the runs of a .{bundle.ENDING} from another machine")
    import_runs.add_argument("file", type=Path, metavar=f"FILE.{bundle.ENDING}")
    _add_json(import_runs)
    import_runs.set_defaults(command=_import)
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
