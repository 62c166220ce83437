"""What each command of the command line does; each returns its exit status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from inference import bundle, checkpoints, counting, hardware, ladder, listing, model_card, preflight, report, survey
from inference.arms import arms_of, winner
from inference.capabilities import best_dtype
from inference.cli_words import (
    model_lines,
    prediction_line,
    ratio_sentence,
    run_sentence,
    rung_sentence,
    summary_document,
    summary_line,
    survey_document,
    survey_lines,
)
from inference.cli_work import highest_limit, limit_key, limit_of_ladder, perform, wait_for_limit, with_engine
from inference.config import STRATEGIES, RunConfig, interleaved
from inference.errors import DoesNotFit, InvalidConfig, ModelUnavailable, RunFailed
from inference.export import export
from inference.limits import NOT_MEASURED, measurable
from inference.results import RunRecord, median_run, metrics
from inference.store import Store, home_folder

EXIT_FINISHED, EXIT_FAILED, EXIT_BAD_ARGUMENTS, EXIT_CANCELLED = 0, 1, 2, 130


def run(options: argparse.Namespace) -> int:
    """Run one strategy, some number of times."""
    config = _config(options, options.strategy)
    runs = perform([config] * options.repeats, compare=False)
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
            print(run_sentence(run))
    return _exit_status(runs)


def compare(options: argparse.Namespace) -> int:
    """Run several strategies in turn, the first as baseline."""
    strategies = [name.strip() for name in options.strategies.split(",") if name.strip()]
    if len(set(strategies)) < 2 or len(set(strategies)) != len(strategies):
        raise InvalidConfig(f"--strategies must name at least two different ones, got {options.strategies!r}")
    configs = interleaved([_config(options, strategy, lenient=True) for strategy in strategies], options.repeats)
    runs = perform(configs, compare=True)
    document = report.comparison_document(runs)
    if options.json:
        _print_json(document)
    else:
        for run in runs:
            print(run_sentence(run))
        for strategy, ratio in document["speedup"].items():
            print(ratio_sentence(strategy, strategies[0], ratio, document["parity"][strategy]["agreement"]))
    return _exit_status(runs)


def climb(options: argparse.Namespace) -> int:
    """Every optimisation as one step."""
    config = _config(options, "naive", lenient=True)
    climb = ladder.steps(config, hardware.detect(home_folder()))
    runs = perform(interleaved([step.config for step in climb], options.repeats), compare=True, then=limit_of_ladder)
    found = ladder.climbed(runs, highest_limit(runs))
    if options.json:
        _print_json(report.ladder_document(found, runs))
    elif found is not None:
        for rung in found.rungs:
            print(rung_sentence(rung))
        print(found.sentence)
    for run in runs:
        if run.state != "finished":
            print(f"batchscope: {run_sentence(run)}", file=sys.stderr)
    return _exit_status(runs)


def limit(options: argparse.Namespace) -> int:
    """What this machine could do at best with a model, measured where it is not known."""
    config = _config(options, "pipelined")
    if not measurable(config):
        raise InvalidConfig(f"{NOT_MEASURED} Leave out --members and --labels.")
    key = limit_key(config)
    store = Store(home_folder())
    if options.redo or store.limits.get(key) is None:
        store.limits.request(key)
        with_engine(store, lambda: wait_for_limit(store, key))
    limit = store.limits.get(key)
    if limit is None:
        raise RunFailed(store.limits.state(key))
    if options.json:
        _print_json(report.limit_document(key, limit))
    else:
        for sentence in report.limit_sentences(limit):
            print(sentence)
    return EXIT_FINISHED


def machine(options: argparse.Namespace) -> int:
    """What this machine is."""
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


def dataset(options: argparse.Namespace) -> int:
    """What is in a data set, and what in it cannot be read or used."""
    name = listing.absolute(options.dataset)
    found = survey.survey(name, home_folder())
    if options.json:
        _print_json({"dataset": name} | survey_document(found))
    else:
        for line in survey_lines(name, found):
            print(line)
    return EXIT_FINISHED


def model(options: argparse.Namespace) -> int:
    """What a model is, and what one image costs it."""
    try:
        name = checkpoints.absolute(options.model)
        found = model_card.card(name, home_folder())
    except ModelUnavailable as error:
        raise InvalidConfig(str(error)) from error
    cost = counting.count(found.settings)
    if options.json:
        _print_json(model_card.document(name, found, cost))
    else:
        for line in model_lines(name, found, cost):
            print(line)
    return EXIT_FINISHED


def history(options: argparse.Namespace) -> int:
    """The runs so far, newest first."""
    summaries = Store(home_folder()).summaries(limit=options.limit)
    if options.json:
        _print_json([summary_document(summary) for summary in summaries])
    else:
        for summary in summaries:
            print(summary_line(summary))
    return EXIT_FINISHED


def show(options: argparse.Namespace) -> int:
    """One run."""
    record = _existing(options.run)
    if options.json:
        _print_json(report.document(record))
    else:
        print(run_sentence(record))
        for name, value in report.document(record)["metrics"].items():
            print(f"  {name:22} {value}")
    return EXIT_FINISHED


def predictions(options: argparse.Namespace) -> int:
    """What each image of a run got, sorted by name."""
    answers = sorted(_existing(options.run).predictions, key=lambda answer: answer.image_id)
    if options.json:
        _print_json([report.prediction_document(answer) | {"correct": answer.correct} for answer in answers])
    else:
        for answer in answers:
            print(prediction_line(answer))
    return EXIT_FINISHED


def export_runs(options: argparse.Namespace) -> int:
    """Write runs to a file whose ending says how."""
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


def import_runs(options: argparse.Namespace) -> int:
    """Add the runs of a file from another machine."""
    imported = bundle.read_file(Store(home_folder()), options.file)
    became = {"imported": imported.added, "already here": imported.here, "in the bin here": imported.binned}
    if options.json:
        _print_json([{"id": run_id, "became": what} for what, run_ids in became.items() for run_id in run_ids])
    else:
        for what, run_ids in became.items():
            for run_id in run_ids:
                print(f"{run_id}  {what}")
    return EXIT_FINISHED


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


def _print_json(document: object) -> None:
    json.dump(document, sys.stdout, ensure_ascii=False, allow_nan=False)
    print()
