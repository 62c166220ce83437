"""What a run leaves behind: raw spans and predictions, and the metrics derived from them.

Spans and predictions are what is kept. Every figure on a page or in a document comes from the named functions
below. All times are seconds since the run began, on the clock of the machine that ran it.
"""

from __future__ import annotations

import functools
import itertools
import operator
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inference.config import RunConfig
from inference.prediction import Prediction as Prediction
from inference.prediction import Predictions
from inference.prediction import same_label as same_label

PHASES = ("start", "import", "load", "warmup", "wait", "read", "preprocess", "forward", "postprocess")
"""What a worker can be doing, in the order in which charts stack it. `wait` is derived, never recorded; `warmup` is
what an engine does at its first batches, compiling among it, paid once before the first image."""

ACTIVE_STATES = ("queued", "running", "cancelling")
END_STATES = ("finished", "failed", "cancelled", "crashed")
STATES = ACTIVE_STATES + END_STATES

READER, DECODER, WORKER = "reader", "decoder", "worker"
"""What a lane does, and how its name begins: read files, turn them into pixels, or run the model."""

MACHINE, GPU = "machine", "gpu"
"""How the lanes begin that are no process of the run but what it ran on: they have samples, and no spans."""

BOOTSTRAP_RESAMPLES = 2000
BOOTSTRAP_BLOCKS = 50


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of one worker's time spent on one thing."""

    worker: str
    """The lane, such as `worker 4711` or `reader 4712`: the role and the process id."""
    phase: str
    """One of `PHASES`."""
    start_s: float
    end_s: float
    images: int = 0
    """Images that this stretch worked on."""
    batch: int = -1
    """The worker's own count of batches from 0; -1 where the span belongs to no batch."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process had used up to a moment."""

    worker: str
    """The lane, as in `Span`."""
    at_s: float
    cpu_s: float
    """CPU seconds of all its threads since the process started."""
    memory_bytes: int
    """Memory that is its own: resident, without what it shares with others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorProgress:
    """One Ray Data operator as its executor last saw it."""

    name: str
    rows: int
    """Rows that came out."""
    tasks_active: int
    tasks_finished: int
    actors: int
    """Actors alive in the operator's pool; 0 for one that runs stateless tasks."""
    actors_restarting: int
    queued_blocks: int
    """Input blocks that wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a live run has come."""

    phase: str
    """What is going on, in words for a person."""
    images_done: int = 0
    images_total: int = 0
    elapsed_s: float = 0.0
    clock_started_at: float | None = None
    """When the run's clock started, in seconds since the epoch: preparations are over; None before that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as it is kept: what was asked, where it ran, and everything that was measured."""

    id: str
    state: str
    config: RunConfig
    created_at: float
    """Seconds since the epoch, as are the two below."""
    started_at: float | None = None
    finished_at: float | None = None
    comparison_id: str | None = None
    """Runs that were launched together to be compared share this."""
    hardware: Mapping[str, Any] | None = None
    progress: Progress | None = None
    spans: tuple[Span, ...] = ()
    samples: tuple[Sample, ...] = ()
    predictions: Sequence[Prediction] = ()
    operators: tuple[OperatorProgress, ...] = ()
    plan: str | None = None
    """Ray Data's own account of the logical and physical plan."""
    messages: tuple[str, ...] = ()
    """Log lines that matter to a person, oldest first."""
    error: str | None = None

    @property
    def active(self) -> bool:
        """Whether the run has not ended yet."""
        return self.state in ACTIVE_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What a run amounts to; `None` is unknown, never zero."""

    images: int
    """Images that came out, with an answer or with a reason."""
    errors: int
    total_s: float | None
    """From the start of the run to its last answer."""
    setup_s: float | None
    """From the start of the run until the first image is being worked on."""
    images_per_s: float | None
    """End to end: `images / total_s`."""
    steady_images_per_s: float | None
    """With every worker ready and the first batch of each left out."""
    first_prediction_s: float | None
    model_loads: int
    model_load_s: float
    """Sum over all loads."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds of all lanes together, by phase, waiting included."""
    accuracy: float | None = None
    """Share of the images with a known truth whose label is right."""
    workers: int = 0
    """Lanes that ran the model."""
    cpu_s: float | None = None
    """CPU seconds of the processes that read, decoded and ran the model, loading and warming up included."""
    peak_worker_memory_bytes: int | None = None
    """The most that one worker had to itself at the end of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """How many times faster, with a 95 % interval from resampling what was measured."""

    ratio: float
    low: float
    high: float

    @property
    def tie(self) -> bool:
        """Whether the interval leaves open which one is faster."""
        return self.low <= 1 <= self.high


def metrics(record: RunRecord) -> Metrics:
    """All figures of one run, from its spans and predictions."""
    spans, answers = record.spans, Predictions.of(record.predictions)
    loads = [span for span in spans if span.phase == "load"]
    total = max(answers.columns.done_s, default=None)
    return Metrics(
        images=len(answers),
        errors=sum(reason is not None for reason in answers.columns.reasons),
        total_s=total,
        setup_s=setup_seconds(spans),
        images_per_s=len(answers) / total if total else None,
        steady_images_per_s=steady_rate(record),
        first_prediction_s=min(answers.columns.done_s, default=None),
        model_loads=len(loads),
        model_load_s=sum(span.seconds for span in loads),
        phases=seconds_by_phase(spans),
        accuracy=accuracy(answers),
        workers=len(model_workers(spans)),
        cpu_s=cpu_seconds(record.samples),
        peak_worker_memory_bytes=max((s.memory_bytes for s in record.samples if runs_model(s.worker)), default=None),
    )


def setup_seconds(spans: Iterable[Span]) -> float | None:
    """Seconds until a worker that holds the model starts on its first image."""
    starts = (span.start_s for span in spans if span.phase in ("preprocess", "forward") and runs_model(span.worker))
    return min(starts, default=None)


def cpu_seconds(samples: Iterable[Sample]) -> float | None:
    """CPU seconds that the run's processes used between their first and last samples; None without samples."""
    used: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        if is_process(sample.worker):
            used[sample.worker.split()[-1]].append(sample.cpu_s)  # by process: one may both read and decode
    return sum(max(values) - min(values) for values in used.values()) if used else None


def is_process(lane: str) -> bool:
    """Whether a lane is a process that took part in the run, and not the machine or a GPU that it ran on."""
    return not lane.startswith((MACHINE, GPU))


@functools.lru_cache(maxsize=4096)
def runs_model(lane: str) -> bool:
    """Whether a lane belongs to a worker that runs the model."""
    return not lane.startswith((READER, DECODER, MACHINE, GPU))


def model_workers(spans: Iterable[Span]) -> tuple[str, ...]:
    """The lanes that ran the model, in order of appearance."""
    return tuple(dict.fromkeys(span.worker for span in spans if runs_model(span.worker)))


def with_waits(spans: Sequence[Span]) -> list[Span]:
    """The spans, with a `wait` span in every gap between two spans of a lane that runs the model.

    A process that reads or decodes is shared by all tasks: its gaps are nobody's waiting.
    """
    lanes: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        lanes[span.worker].append(span)
    filled: list[Span] = []
    for worker, lane in lanes.items():
        lane.sort(key=operator.attrgetter("start_s"))
        busy_until = lane[0].start_s
        waits = runs_model(worker)
        for span in lane:
            if waits and span.start_s > busy_until:
                filled.append(Span(worker, "wait", busy_until, span.start_s))
            filled.append(span)
            if span.end_s > busy_until:
                busy_until = span.end_s
    return filled


def seconds_by_phase(spans: Sequence[Span], *, workers_only: bool = False) -> dict[str, float]:
    """Seconds per phase over all lanes, waiting included, in the order of `PHASES`.

    With `workers_only`, lanes that merely read or decode images are left out.
    """
    totals = dict.fromkeys(PHASES, 0.0)
    for span in with_waits(spans):
        if not workers_only or runs_model(span.worker):
            totals[span.phase] += span.end_s - span.start_s
    return totals


def phase_shares(spans: Sequence[Span]) -> dict[str, float]:
    """Share, 0 to 1, of the model workers' time that went into each phase; empty without spans."""
    seconds = seconds_by_phase(spans, workers_only=True)
    total = sum(seconds.values())
    return {phase: value / total for phase, value in seconds.items()} if total else {}


def steady_rate(record: RunRecord) -> float | None:
    """Images per second once every worker has finished its first batch; None if nothing came after that."""
    window = _Stretches.of(record, steady=True)
    return window.rate if window else None


def ready_seconds(record: RunRecord) -> float | None:
    """Seconds until every worker has finished its first batch; None if that is not known."""
    first_batch_ends: dict[str, float] = {}
    for span in record.spans:
        if span.batch == 0 and runs_model(span.worker):
            first_batch_ends[span.worker] = max(first_batch_ends.get(span.worker, 0.0), span.end_s)
    if not first_batch_ends:
        return None
    # A worker that replaced a dead one comes late; it must not move the start of the window.
    ends = sorted(first_batch_ends.values())
    return ends[min(record.config.concurrency, len(ends)) - 1]


def median_run(runs: Sequence[RunRecord]) -> RunRecord:
    """The run in the middle by end-to-end speed, the slower of two; one that did not finish, if there is one."""
    unfinished = next((run for run in runs if run.state != "finished"), None)
    if unfinished is not None:
        return unfinished
    return sorted(runs, key=lambda run: metrics(run).images_per_s or 0.0)[(len(runs) - 1) // 2]


def accuracy(predictions: Iterable[Prediction]) -> float | None:
    """Share of right labels among the answers whose truth is known; None if no truth is known."""
    judged = [right for right in Predictions.of(predictions).columns.correct if right is not None]
    return sum(judged) / len(judged) if judged else None


def cumulative_images(predictions: Iterable[Prediction]) -> list[tuple[float, int]]:
    """Pairs of (seconds, images done by then), one per moment at which answers became ready."""
    counts = Counter(Predictions.of(predictions).columns.done_s)
    moments = sorted(counts)
    return list(zip(moments, itertools.accumulate(counts[moment] for moment in moments), strict=True))


def throughput(predictions: Iterable[Prediction], *, points: int = 60) -> list[tuple[float, float]]:
    """Pairs of (seconds, images/s over the window that ends there), from the start of the run to its last answer.

    The windows are equally long: the run's time divided by `points`, but at least half a second, so that the
    curve of a short run does not show single batches as spikes.
    """
    done = sorted(Predictions.of(predictions).columns.done_s)
    if not done or done[-1] <= 0:
        return []
    num_windows = max(1, min(points, int(done[-1] / 0.5)))
    width = done[-1] / num_windows
    counts = [0] * num_windows
    for moment in done:
        counts[min(num_windows - 1, int(moment / width))] += 1
    return [((i + 1) * width, count / width) for i, count in enumerate(counts)]


def speedup(
    baseline: Sequence[RunRecord], other: Sequence[RunRecord], *, steady: bool = False, seed: int = 0
) -> Speedup | None:
    """Speed of `other` over `baseline`, each given as the repeats of one configuration; end to end, or `steady`.

    The ratio is that of the median images/s. The interval is a two-level percentile bootstrap (Efron and
    Tibshirani, 1993): runs are drawn with replacement, then in each run the stretches of time between
    answers, in up to 50 consecutive blocks; set-up is kept as measured. None if either side has no answers.
    """
    sides = [
        [window for run in runs if (window := _Stretches.of(run, steady=steady)) is not None]
        for runs in (baseline, other)
    ]
    if not all(sides):
        return None
    base_rate, other_rate = (statistics.median(run.rate for run in side) for side in sides)
    base_rates, other_rates = (_resampled_rates(side, seed) for side in sides)
    # Half a turn apart, so that a run that is on both sides is not set against the same draw of itself.
    half = BOOTSTRAP_RESAMPLES // 2
    ratios = sorted(
        other / base for other, base in zip(other_rates, base_rates[half:] + base_rates[:half], strict=True)
    )
    cut = int(0.025 * len(ratios))
    return Speedup(ratio=other_rate / base_rate, low=ratios[cut], high=ratios[-1 - cut])


@dataclass(frozen=True, slots=True)
class _Stretches:
    """A run's time as its set-up and the consecutive stretches between answers."""

    images: int
    setup_s: float
    stretches_s: tuple[float, ...]

    @property
    def rate(self) -> float:
        return self.images / (self.setup_s + sum(self.stretches_s))

    @classmethod
    def of(cls, record: RunRecord, *, steady: bool) -> _Stretches | None:
        """All of a run, or what came when every worker had finished its first batch; None if nothing did."""
        ready_s = ready_seconds(record) if steady else 0.0
        if ready_s is None:
            return None
        # Spans are kept in whole microseconds: answers of the batch that ends the window's wait are not after it.
        after_s = ready_s + (1e-3 if steady else 0.0)
        answers = [done_s - ready_s for done_s in Predictions.of(record.predictions).columns.done_s if done_s > after_s]
        if not answers:
            return None
        done = sorted(set(answers))
        step = max(1, len(done) // BOOTSTRAP_BLOCKS)
        # Stretches must be alike to be exchangeable: drop no answer, let the last one be the run's end.
        edges = done[:1] + done[1:][step - 1 :: step]
        if edges[-1] != done[-1]:
            edges.append(done[-1])
        gaps = tuple(b - a for a, b in itertools.pairwise(edges))
        # End to end, the time to the first answer is set-up, paid once; in steady state it is a stretch like others.
        return cls(len(answers), 0.0, (edges[0], *gaps)) if steady else cls(len(answers), edges[0], gaps)


def _resampled_rates(runs: Sequence[_Stretches], seed: int) -> list[float]:
    """Median rates of as many runs drawn with replacement, each of stretches drawn with replacement."""
    drawn = [
        [run.images / (run.setup_s + total_s) for total_s in _resampled_totals(run.stretches_s, seed)] for run in runs
    ]
    if len(runs) == 1:
        return drawn[0]
    rng = random.Random(seed)  # noqa: S311  # resampling, not secrecy
    # A run that is drawn again comes with another of its resamples.
    return [
        statistics.median(rates[number - place] for place, rates in enumerate(rng.choices(drawn, k=len(runs))))
        for number in range(BOOTSTRAP_RESAMPLES)
    ]


@functools.lru_cache(maxsize=128)
def _resampled_totals(stretches_s: tuple[float, ...], seed: int) -> tuple[float, ...]:
    """Sums of as many stretches drawn with replacement; kept, because a ladder sets a run against several others."""
    # The run's own seed: two runs must not be drawn alike.
    rng = random.Random(hash((stretches_s, seed)))  # noqa: S311  # resampling, not secrecy
    return tuple(sum(rng.choices(stretches_s, k=len(stretches_s))) for _ in range(BOOTSTRAP_RESAMPLES))
