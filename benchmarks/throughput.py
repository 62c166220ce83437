"""Images per second of ten ways to classify a folder of images, taking turns on one machine.

    python -m benchmarks.throughput [--model digits] [--dataset digits] [--limit 400] [--rounds 3] [--json]

Rows without an engine run in a fresh process each time. Clocks start when imports are done and, with Ray, when Ray has
started; the tutorial's own workers import within the clock, since nothing keeps them warm. `images_per_s` is end to
end, from the start of loading to the last answer; the steady rate is that after every worker's first batch. Absolute
rates depend on the machine and its neighbours: the ratios, taken round by round, are what to quote.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.bench import LIMIT_WAYS, MAX_SLOW_IMAGES, ROWS, Bench, prepared
from benchmarks.ratios import FEW_ROUNDS, Ratio, paired_ratio
from benchmarks.turns import Turn, in_order, taken
from inference import hardware
from inference.config import BACKENDS, DTYPES, MAX_BATCH_SIZE
from inference.errors import BatchscopeError
from inference.parity import agreement

REFERENCE = "hf-pipeline"
"""The row whose answers the others should give."""

STEADY_RATIOS = (
    ("pipelined", "limit"),
    ("pipelined", "hf-pipeline"),
    ("pipelined", "hf-pipeline-batched"),
    ("pipelined", "torch-dataloader"),
    ("pipelined", "tutorial-actor"),
    ("tutorial-actor", "tutorial-naive"),
    ("actor", "naive"),
    ("batched", "actor"),
    ("pipelined", "batched"),
)
END_TO_END_RATIOS = (("pipelined", "limit"), ("actor", "naive"))

Turns = Mapping[str, Sequence[Turn]]
"""The rounds of each row, in order."""


def main() -> int:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            bench = prepared(
                options.home or Path(temporary),
                model=options.model,
                dataset=options.dataset,
                limit=options.limit,
                batch_size=options.batch_size,
                backend=options.backend,
                dtype=options.dtype,
            )
            document = measured(bench, options.only, options.rounds)
        except (BatchscopeError, RuntimeError) as error:
            print(f"throughput: {error}", file=sys.stderr)
            return 1
    if options.json:
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        print(table(document))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"naive and tutorial-naive load the model for every 4 images: they get the first {MAX_SLOW_IMAGES} "
        "images at most. Each row says how many it had.",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of tables")
    parser.add_argument("--only", type=_rows, default=ROWS, metavar="A,B", help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--model", default="digits", help="a name, a folder or a hub id (%(default)s)")
    parser.add_argument("--dataset", default="digits", help="digits or a local folder (%(default)s)")
    parser.add_argument("--limit", type=whole_number, default=400, help="images (%(default)s)")
    parser.add_argument("--rounds", type=whole_number, default=3, help="how often each row is run (%(default)s)")
    parser.add_argument(
        "--batch-size", type=whole_number, default=16, help="of every row but the naive ones (%(default)s)"
    )
    parser.add_argument("--backend", choices=BACKENDS, default="eager", help="of pipelined and limit (%(default)s)")
    parser.add_argument("--dtype", choices=DTYPES, help="of pipelined and limit (the best for this machine)")
    parser.add_argument("--home", type=Path, help="where images and models are made and kept (a temporary folder)")
    options = parser.parse_args()
    if options.batch_size > MAX_BATCH_SIZE:
        parser.error(f"--batch-size must be between 1 and {MAX_BATCH_SIZE}, got {options.batch_size}")
    return options


def _rows(text: str) -> tuple[str, ...]:
    asked = text.split(",")
    unknown = [name for name in asked if name not in ROWS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no row {unknown[0]!r}: choose from {', '.join(ROWS)}")
    return tuple(row for row in ROWS if row in asked)


def whole_number(text: str) -> int:
    """An option's value, from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text!r}")
    return int(text)


def measured(bench: Bench, rows: Sequence[str], rounds: int) -> dict[str, Any]:
    """Run everything, telling of each turn on standard error, and return the document."""
    turns: dict[str, list[Turn]] = {}
    order = in_order(rows, rounds)
    for number, turn in enumerate(taken(order, bench), start=1):
        turns.setdefault(turn.row, []).append(turn)
        print(f"{number}/{len(order)} {turn.row}: {_rate(turn)}", file=sys.stderr)
    if "limit" in rows:
        turns["limit"] = max((turns[way] for way in LIMIT_WAYS), key=lambda of_way: _median(_steady(of_way)) or 0.0)
    config = bench.configs["pipelined"]
    return {
        "model": bench.model,
        "dataset": bench.dataset,
        "images": len(bench.images),
        "rounds": rounds,
        "batch_size": config.batch_size,
        "hardware": hardware.to_dict(bench.hardware),
        "rows": [_row(name, turns, bench.num_images(name)) for name in rows],
        "ratios": ratios(turns),
        "limit_ways": {way: _median(_steady(turns[way])) for way in LIMIT_WAYS if way in turns},
        "notes": _notes(rounds),
    }


def _row(name: str, turns: Turns, num_images: int) -> dict[str, Any]:
    """Medians over the rounds, then what they are medians of."""
    rounds = [_round(turn) for turn in turns[name]]
    return {
        "name": name,
        **{key: _median([one[key] for one in rounds]) for key in rounds[0]},
        "images": num_images,
        "way": turns[name][0].row,
        "settings": dict(turns[name][0].settings),
        "answers": _answers(turns[name], turns.get(REFERENCE, ())),
        "rounds": rounds,
    }


def _round(turn: Turn) -> dict[str, float | None]:
    found, whole, steady = turn.metrics, turn.usage.whole, turn.usage.steady
    steady_rate = found.steady_images_per_s
    return {
        "setup_s": found.setup_s,
        "images_per_s": found.images_per_s,
        "steady_images_per_s": steady_rate,
        "cpu_s_per_image": whole.cpu_s / found.images,
        "steady_cpu_s_per_image": steady.cpu_s / steady.seconds / steady_rate if steady and steady_rate else None,
        "peak_memory_bytes": whole.peak_memory_bytes,
        "import_s": turn.import_s,
        "workers": found.workers,
    }


def _answers(turns: Sequence[Turn], reference: Sequence[Turn]) -> dict[str, Any] | None:
    """How the answers compare with those of `REFERENCE`, in the round in which they agree least."""
    compared = [agreement(theirs.record, ours.record) for theirs, ours in zip(reference, turns, strict=False)]
    if not compared:
        return None
    worst = min(compared, key=lambda one: one.share or 0.0)
    return {
        "images": worst.images,
        "agree": worst.agree,
        "share": worst.share,
        "max_score_difference": worst.max_score_difference,
    }


def ratios(turns: Turns) -> dict[str, dict[str, Any]]:
    """Each ratio whose two rows have run, by the names of the rows."""
    found: dict[str, Ratio | None] = {}
    for over, under in STEADY_RATIOS:
        if over in turns and under in turns:
            found[f"{over}/{under}"] = paired_ratio(_steady(turns[over]), _steady(turns[under]))
    for over, under in END_TO_END_RATIOS:
        if over in turns and under in turns:
            found[f"{over}/{under} end-to-end"] = paired_ratio(_end_to_end(turns[over]), _end_to_end(turns[under]))
    return {name: asdict(ratio) for name, ratio in found.items() if ratio is not None}


def _steady(turns: Sequence[Turn]) -> list[float | None]:
    return [turn.metrics.steady_images_per_s for turn in turns]


def _end_to_end(turns: Sequence[Turn]) -> list[float | None]:
    return [turn.metrics.images_per_s for turn in turns]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _notes(rounds: int) -> list[str]:
    notes = [
        "Ratios are medians of each round's ratio of steady rates, unless they are named end-to-end.",
        "Memory is what the processes have to themselves, and once the largest part that one of them shares.",
        "The rows of an engine include the workers that it keeps warm for its next run.",
    ]
    if rounds < FEW_ROUNDS:
        notes.append(f"{rounds} rounds are few: the intervals are hardly more than the extremes that were seen.")
    return notes


def table(document: Mapping[str, Any]) -> str:
    """The document for a person."""
    lines = [
        f"{document['model']} on {document['images']} images of {document['dataset']},"
        f" batches of {document['batch_size']}, {document['rounds']} rounds",
        "",
        f"{'':20} {'images':>6} {'set-up s':>9} {'images/s':>9} {'steady':>8} {'CPU ms':>8} {'MiB':>7} {'answers':>9}",
    ]
    for row in document["rows"]:
        answers = row["answers"]
        lines.append(
            f"{row['name']:20} {row['images']:6} {_cell(row['setup_s'], 2):>9} {_cell(row['images_per_s'], 1):>9}"
            f" {_cell(row['steady_images_per_s'], 1):>8} {_cell(row['cpu_s_per_image'], 1, 1e3):>8}"
            f" {_cell(row['peak_memory_bytes'], 0, 2**-20):>7}"
            f" {'–' if answers is None else '{agree}/{images}'.format(**answers):>9}"
        )
    lines.append("")
    for name, found in document["ratios"].items():
        lines.append(f"{name:34} {found['ratio']:6.2f} ({found['low']:.2f} to {found['high']:.2f})")
    return "\n".join([*lines, "", *document["notes"]])


def _cell(value: float | None, digits: int, factor: float = 1.0) -> str:
    return "–" if value is None else f"{value * factor:.{digits}f}"


def _rate(turn: Turn) -> str:
    found, asked = turn.metrics, turn.record.config.concurrency
    rate = "no steady state" if found.steady_images_per_s is None else f"{found.steady_images_per_s:.1f} images/s"
    return rate if found.workers >= asked else f"{rate}, with {found.workers} of {asked} workers: the others came late"


if __name__ == "__main__":
    sys.exit(main())
