"""The chapters of the Learn page as data: which runs show what a chapter says, which experiment makes such runs.

Which runs fit is decided on summaries alone, newest first, and only on runs that were measured here and are small
enough to be looked at whole.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.config import RunConfig
from inference.hardware import Hardware
from inference.ladder import MIN_BATCH_SIZE
from inference.preflight import all_cores, check, default_config
from inference.results import DECODER, Span, runs_model
from inference.store import RunSummary

IMAGES = 100
"""Of an experiment: done within seconds, and enough for a mean."""
MOST_IMAGES = 5_000
"""Runs of more images than this are passed over: a chapter would take long to read them."""

Fitting = tuple[RunSummary, ...]
"""The runs that show what a chapter says, the one that it starts from first; empty where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A function or class of the project's own source."""

    path: str
    """Below the package `inference`, such as `strategies/naive.py`."""
    name: str
    """`function`, `Class` or `Class.method`, at the top level of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a chapter needs beside its words."""

    name: str
    """One or two words."""
    fitting: Callable[[Sequence[RunSummary]], Fitting]
    """From summaries, newest first, to the runs that show it."""
    experiment: Callable[[Hardware], tuple[RunConfig, ...]]
    """The configurations that make such runs; each of them fits the machine."""
    source: tuple[Excerpt, ...]


# -- which runs fit ------------------------------------------------------------------------------------------------


def usable(run: RunSummary) -> bool:
    """Whether a run can stand in a chapter: finished, measured here, not too large."""
    return run.state == "finished" and run.imported_at is None and run.config.limit <= MOST_IMAGES


def pair(runs: Sequence[RunSummary], first: str, second: str) -> Fitting:
    """The newest pair of these two strategies with all other settings the same; of one comparison if possible."""
    known = [run for run in runs if usable(run)]
    partners: dict[RunConfig, list[RunSummary]] = {}
    for run in known:
        if run.config.strategy == first:
            partners.setdefault(run.config.as_strategy(second), []).append(run)
    for later in (run for run in known if run.config in partners and run.config.strategy == second):
        fitting = partners[later.config]
        together = [run for run in fitting if run.comparison_id and run.comparison_id == later.comparison_id]
        return (together or fitting)[0], later
    return ()


def few_and_more_workers(runs: Sequence[RunSummary]) -> Fitting:
    """The newest run of one worker that was also done with more workers, and that one; else one of one worker alone."""
    known = [run for run in runs if usable(run)]
    wider: dict[RunConfig, RunSummary] = {}
    for run in known:
        if run.config.concurrency > 1:
            wider.setdefault(_without_workers(run.config), run)
    alone = [run for run in known if run.config.concurrency == 1]
    for run in alone:
        if _without_workers(run.config) in wider:
            return run, wider[_without_workers(run.config)]
    return tuple(alone[:1])


def _without_workers(config: RunConfig) -> RunConfig:
    """The same for configurations that differ in nothing but their workers and what each of them reserves."""
    return config.with_(concurrency=1, cpus_per_worker=1.0, threads=0)


def keeps_model(runs: Sequence[RunSummary]) -> Fitting:
    """The newest run whose workers keep their model."""
    return tuple([run for run in runs if usable(run) and run.config.strategy != "naive"][:1])


def two_batch_sizes(runs: Sequence[RunSummary]) -> Fitting:
    """The newest run that was done in batches of two sizes, small ones first; else the newest run alone."""
    known = [run for run in runs if usable(run)]
    newest: dict[RunConfig, dict[int, RunSummary]] = {}
    for run in known:
        sizes = newest.setdefault(run.config.with_(batch_size=1), {})
        sizes.setdefault(run.config.batch_size, run)
    for run in known:
        sizes = newest[run.config.with_(batch_size=1)]
        if len(sizes) > 1:
            other = next(size for size in sizes if size != run.config.batch_size)
            return tuple(sizes[size] for size in sorted((run.config.batch_size, other)))
    return tuple(known[:1])


# -- experiments ---------------------------------------------------------------------------------------------------


def _small(hardware: Hardware, strategy: str, **changes: object) -> RunConfig:
    return _fitted(default_config(hardware).with_(limit=IMAGES, **changes).as_strategy(strategy), hardware)


def _fitted(config: RunConfig, hardware: Hardware) -> RunConfig:
    """The configuration, or the nearest one that fits; each look of preflight may change another setting."""
    for _ in range(4):
        nearest = check(config, hardware).nearest
        if nearest is None:
            break
        config = nearest
    return config


def _distinct(*configs: RunConfig) -> tuple[RunConfig, ...]:
    return tuple(dict.fromkeys(configs))


def loading(hardware: Hardware) -> tuple[RunConfig, ...]:
    """The model loaded for every batch, then once."""
    return _small(hardware, "naive"), _small(hardware, "actor")


def whole_batches(hardware: Hardware) -> tuple[RunConfig, ...]:
    """Images one by one, then whole batches of the same size."""
    size = max(MIN_BATCH_SIZE, default_config(hardware).batch_size)
    return _small(hardware, "actor", batch_size=size), _small(hardware, "batched", batch_size=size)


def more_workers(hardware: Hardware) -> tuple[RunConfig, ...]:
    """One worker, then as many as there are cores; one run alone where there is one core."""
    alone = _small(hardware, "actor", concurrency=1)
    return _distinct(alone, _fitted(all_cores(alone, hardware), hardware))


def all_cpus_taken(hardware: Hardware) -> RunConfig:
    """What preflight refuses: workers that reserve every CPU, so that none is left for reading."""
    return RunConfig(limit=IMAGES, concurrency=max(1, hardware.cpus), cpus_per_worker=1.0)


def as_many_as_fit(hardware: Hardware) -> tuple[RunConfig, ...]:
    """As many workers as leave a CPU for reading: image by image, and in whole batches, which want images faster."""
    fits = _fitted(all_cpus_taken(hardware), hardware)
    return fits, fits.with_(batch_size=MIN_BATCH_SIZE).as_strategy("batched")


def small_and_large_batches(hardware: Hardware) -> tuple[RunConfig, ...]:
    """Batches of four, then of thirty-two."""
    return _small(hardware, "batched", batch_size=4), _small(hardware, "batched", batch_size=32)


def in_turns_and_overlapped(hardware: Hardware) -> tuple[RunConfig, ...]:
    """Decoding and computing in turns, then at the same time; what both fit is what `pipelined` fits."""
    overlapped = _small(hardware, "pipelined", batch_size=MIN_BATCH_SIZE)
    return overlapped.as_strategy("batched"), overlapped


# -- what a chapter measures ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """How a run's images were cut up."""

    blocks: tuple[int, ...]
    """Images in each block, in the order in which they were read."""
    batches: tuple[int, ...]
    """Images in each batch, in the order in which workers began them."""


def cuts(spans: Iterable[Span]) -> Cuts:
    """Blocks from `read` spans, one of which reads one block; batches from `forward` spans of the model's workers."""
    reads: list[int] = []
    batches: dict[tuple[str, int], int] = {}
    for span in sorted(spans, key=lambda span: span.start_s):
        if span.phase == "read":
            reads.append(span.images)
        elif span.phase == "forward" and runs_model(span.worker):
            batches[span.worker, span.batch] = batches.get((span.worker, span.batch), 0) + span.images
    return Cuts(blocks=tuple(reads), batches=tuple(batches.values()))


def overlap_share(spans: Sequence[Span]) -> float | None:
    """Share of the forward passes' time, 0 to 1, during which another process was decoding; None without any."""
    forwards = [span for span in spans if span.phase == "forward"]
    total_s = sum(span.seconds for span in forwards)
    if not total_s:
        return None
    decoding = _united([span for span in spans if span.phase == "preprocess" and span.worker.startswith(DECODER)])
    both_s, begin = 0.0, 0
    for span in sorted(forwards, key=lambda span: span.start_s):
        while begin < len(decoding) and decoding[begin][1] <= span.start_s:
            begin += 1
        place = begin
        while place < len(decoding) and decoding[place][0] < span.end_s:
            both_s += min(span.end_s, decoding[place][1]) - max(span.start_s, decoding[place][0])
            place += 1
    return both_s / total_s


def _united(spans: Iterable[Span]) -> list[tuple[float, float]]:
    """The stretches of time that these spans cover, in order and apart from each other."""
    stretches: list[tuple[float, float]] = []
    for span in sorted(spans, key=lambda span: span.start_s):
        if stretches and span.start_s <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], span.end_s))
        else:
            stretches.append((span.start_s, span.end_s))
    return stretches


# -- source --------------------------------------------------------------------------------------------------------


def source_of(excerpt: Excerpt) -> str:
    """The text of a function or class, decorators included; it is parsed and never imported, since it needs Ray.

    Raises `LookupError` where the file has no such name.
    """
    text = (Path(__file__).parent / excerpt.path).read_text("utf-8")
    found = _named(ast.parse(text).body, excerpt.name.split("."))
    if found is None:
        raise LookupError(f"{excerpt.path} has no {excerpt.name}")
    first = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    lines = text.splitlines()[first - 1 : found.end_lineno]
    return "\n".join(line.removeprefix(" " * found.col_offset) for line in lines)


def _named(body: Sequence[ast.stmt], names: Sequence[str]) -> ast.FunctionDef | ast.ClassDef | None:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == names[0]:
            return _named(node.body, names[1:]) if names[1:] else node
    return None


# -- the chapters --------------------------------------------------------------------------------------------------

LESSONS = (
    Lesson(
        name="Repeated loading",
        fitting=lambda runs: pair(runs, "naive", "actor"),
        experiment=loading,
        source=(
            Excerpt(path="strategies/naive.py", name="classify_batch"),
            Excerpt(path="strategies/actor.py", name="Classifier"),
        ),
    ),
    Lesson(
        name="One by one",
        fitting=lambda runs: pair(runs, "actor", "batched"),
        experiment=whole_batches,
        source=(
            Excerpt(path="strategies/one_by_one.py", name="classify_one_by_one"),
            Excerpt(path="strategies/batches.py", name="classify_pixels"),
        ),
    ),
    Lesson(
        name="Idle resources",
        fitting=few_and_more_workers,
        experiment=more_workers,
        source=(
            Excerpt(path="strategies/actor.py", name="classify"),
            Excerpt(path="strategies/answers.py", name="Plan.resources"),
        ),
    ),
    Lesson(
        name="Starved readers",
        fitting=keeps_model,
        experiment=as_many_as_fit,
        source=(Excerpt(path="datasets.py", name="image_bytes"),),
    ),
    Lesson(
        name="Blocks and batches",
        fitting=two_batch_sizes,
        experiment=small_and_large_batches,
        source=(
            Excerpt(path="datasets.py", name="rows_per_block"),
            Excerpt(path="strategies/batched.py", name="classify"),
        ),
    ),
    Lesson(
        name="Overlap",
        fitting=lambda runs: pair(runs, "batched", "pipelined"),
        experiment=in_turns_and_overlapped,
        source=(
            Excerpt(path="strategies/pipelined.py", name="classify"),
            Excerpt(path="strategies/pipelined.py", name="decode_block"),
        ),
    ),
)
"""The chapters in their order; their words are the pages' business."""
