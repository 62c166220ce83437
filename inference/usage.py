"""How busy the machine and its workers were while a run went, and how long single batches took; all derived.

Machine use comes from samples that `inference.meter` took while the run's clock ran, the workers' share of it from
samples that they took of themselves. Times are seconds since the run began.
"""

from __future__ import annotations

import bisect
import itertools
import operator
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from inference.results import GPU, MACHINE, Sample, Span, is_process, runs_model

MOST_STRETCHES = 400
"""Into more stretches than this no run is cut: a chart shows no more."""
SHORTEST_S = 0.4
"""Of a shorter stretch a processor's clock ticks, mostly a hundredth of a second long, say too little."""


class Use(NamedTuple):
    """What was in use over one stretch of time."""

    at_s: float
    """When the stretch ended; it began where the one before ended."""
    busy: float
    """Cores' worth of CPU, or a GPU's share of time, 0 to 1; the mean over the stretch."""
    memory_bytes: int
    """At its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long the batches of a run took."""

    batches: int
    """How many, the first of each worker left out."""
    p50_s: float
    p95_s: float
    max_s: float


def gpu_lanes(samples: Iterable[Sample]) -> tuple[str, ...]:
    """The lanes of the GPUs that were sampled, by number."""
    lanes = {sample.worker for sample in samples if sample.worker.startswith(GPU)}
    return tuple(sorted(lanes, key=lambda lane: int(lane.split()[-1])))


def use_over_time(samples: Iterable[Sample], lane: str = MACHINE) -> list[Use]:
    """The use of the machine or of a GPU, by differences between its samples; empty with fewer than two.

    The first entry has the moment of the first sample and the use that followed, so that a line has its beginning.
    """
    taken = _spread_out(sorted((s for s in samples if s.worker == lane), key=lambda sample: sample.at_s))
    uses = [
        Use(end.at_s, max(0.0, end.cpu_s - start.cpu_s) / (end.at_s - start.at_s), end.memory_bytes)
        for start, end in itertools.pairwise(taken)
    ]
    return [Use(taken[0].at_s, uses[0].busy, taken[0].memory_bytes), *uses] if uses else []


def mean_busy(uses: Sequence[Use]) -> float | None:
    """Mean use over all stretches, each weighing as much as it is long; None without one."""
    if len(uses) < 2:
        return None
    used_s = sum((end.at_s - start.at_s) * end.busy for start, end in itertools.pairwise(uses))
    return used_s / (uses[-1].at_s - uses[0].at_s)


def worker_use_over_time(samples: Iterable[Sample], edges_s: Sequence[float]) -> list[Use]:
    """The use by the processes that read, decode and run the model, from the samples that they took of themselves.

    Stretches lie between two neighbours of `edges_s`, which are those of the machine's use or `even_edges`. Between two
    samples of a process, which are a batch apart, its use is taken to be even. Empty where nothing is known.
    """
    lanes: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        lanes[sample.worker].append(sample)
    processes: dict[str, list[Sample]] = defaultdict(list)
    for lane, taken in lanes.items():
        if is_process(lane):
            processes[lane.split()[-1]] += taken  # one process may both read and decode
    if not processes or len(edges_s) < 2:
        return []
    cpu_s, memory = [0.0] * len(edges_s), [0] * len(edges_s)
    for taken in processes.values():
        taken.sort(key=operator.attrgetter("at_s", "cpu_s"))
        moments = [sample.at_s for sample in taken]
        for number, edge_s in enumerate(edges_s):
            at_edge = _by_then(taken, bisect.bisect_right(moments, edge_s), edge_s)
            cpu_s[number] += at_edge.cpu_s
            memory[number] += at_edge.memory_bytes
    return [
        Use(edges_s[0], _rate(edges_s, cpu_s, 1), memory[0]),
        *(Use(edges_s[number], _rate(edges_s, cpu_s, number), memory[number]) for number in range(1, len(edges_s))),
    ]


def _by_then(taken: Sequence[Sample], seen: int, at_s: float) -> Sample:
    """What a process had used by a moment at which `seen` of its samples were taken, and what it held then."""
    if seen == 0:
        return replace(taken[0], memory_bytes=0)
    if seen == len(taken):
        return taken[-1]
    last, following = taken[seen - 1], taken[seen]
    share = (at_s - last.at_s) / (following.at_s - last.at_s)
    return replace(last, cpu_s=last.cpu_s + share * max(0.0, following.cpu_s - last.cpu_s))


def _rate(edges_s: Sequence[float], cpu_s: Sequence[float], number: int) -> float:
    """CPU seconds per second in the stretch that ends at this edge."""
    return max(0.0, cpu_s[number] - cpu_s[number - 1]) / (edges_s[number] - edges_s[number - 1])


def even_edges(until_s: float, from_s: float = 0.0) -> list[float]:
    """Equal stretches of time, as short as a chart can show them; empty where there is no time between the two."""
    length_s = until_s - from_s
    if length_s <= 0:
        return []
    stretches = max(1, min(MOST_STRETCHES, int(length_s / SHORTEST_S)))
    return [from_s + length_s * number / stretches for number in range(stretches + 1)]


def _spread_out(taken: Sequence[Sample]) -> list[Sample]:
    """The samples without those that come too soon after another, or are more than can be shown."""
    if len(taken) < 2:
        return list(taken)
    apart_s = max(SHORTEST_S, (taken[-1].at_s - taken[0].at_s) / MOST_STRETCHES)
    kept = [taken[0]]
    for sample in taken[1:]:
        if sample.at_s - kept[-1].at_s >= apart_s:
            kept.append(sample)
    if taken[-1].at_s == kept[-1].at_s:
        return kept
    # The end of the run belongs to the last stretch, which is thereby a little longer than the others.
    return [*(kept[:-1] or kept), taken[-1]]


def batch_latencies(spans: Iterable[Span]) -> list[float]:
    """Seconds from the start of a batch's first span in a worker that runs the model to the end of its last.

    The first batch of each worker is left out: it pays for what happens once. In order of the batches' starts.
    """
    lanes: dict[str, dict[int, list[float]]] = defaultdict(dict)
    for span in spans:  # hundreds of thousands: nothing in this loop that could be outside
        if span.batch < 0:
            continue
        batches = lanes[span.worker]
        ends = batches.get(span.batch)
        if ends is None:
            batches[span.batch] = [span.start_s, span.end_s]
            continue
        if span.start_s < ends[0]:
            ends[0] = span.start_s
        if span.end_s > ends[1]:
            ends[1] = span.end_s
    later: list[list[float]] = []
    for lane, batches in lanes.items():
        if runs_model(lane):
            del batches[min(batches)]
            later += batches.values()
    return [end_s - start_s for start_s, end_s in sorted(later)]


def latency(latencies_s: Sequence[float]) -> Latency | None:
    """Median, 95th percentile (by linear interpolation) and longest; None without a batch."""
    if not latencies_s:
        return None
    # `quantiles` wants two values: of a single one, every percentile is that one.
    cuts = statistics.quantiles(latencies_s if len(latencies_s) > 1 else [*latencies_s] * 2, n=20, method="inclusive")
    return Latency(batches=len(latencies_s), p50_s=cuts[9], p95_s=cuts[18], max_s=max(latencies_s))
