"""Runs side by side: which belong together, which is the baseline, and what to say of them."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import streamlit as st

from inference.config import RunConfig, differences
from inference.parity import Agreement, agreement
from inference.results import (
    Metrics,
    Prediction,
    RunRecord,
    Speedup,
    median_run,
    metrics,
    seconds_by_phase,
    speedup,
    throughput,
)
from inference.store import RunSummary, Store
from pages.ui import charts, format, widgets
from pages.ui import limit as limits
from pages.ui.charts import Figure, PhaseRow
from pages.ui.timeline import timeline_chart
from pages.ui.words import OPTIONS, TELLING, option_words, setting_text

HOW_COMPUTED = """\
**The ratio** is the images/s of one side divided by those of the baseline, each end to end: all images
divided by the seconds from the start of the run to its last answer. With repeats, the medians are divided.

**The interval** says how far chance alone could move that ratio. 2,000 times, the runs of each side are
drawn again with replacement, and within each run the stretches of time between answers; set-up stays as it
was measured. The middle 95 % of the 2,000 ratios is the interval (a percentile bootstrap). Where it includes
1, the two are called a tie.

**Repeats** are interleaved (A B B A), so that a machine that warms up or slows down favours neither side.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One side of a comparison: the repeats of one configuration."""

    label: str
    """Short and unique among the arms; may hold names that a person chose, so show it literally."""
    runs: tuple[RunRecord, ...]
    median: RunRecord
    """The repeat in the middle by images/s; charts and pictures show this one."""
    metrics: Metrics
    """Those of the median run."""
    worker_seconds: Mapping[str, float]
    """Worker time of the median run by phase, waiting included."""
    speedup: Speedup | None = None
    """Against the first arm; None for the first arm itself, or where there are no answers."""
    agreement: Agreement | None = None
    """Answers of the median run against those of the first arm's."""

    @property
    def strategy(self) -> str:
        """The strategy of all its runs."""
        return self.median.config.strategy


def arms_of(records: Sequence[RunRecord]) -> tuple[Arm, ...]:
    """Group runs by configuration in order of appearance, the first as the baseline.

    Runs that all have the same configuration are set against each other one by one.
    """
    groups: dict[RunConfig, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(record.config, []).append(record)
    sides = list(groups.values()) if len(groups) > 1 else [[record] for record in records]
    middles = [median_run(side) for side in sides]
    names = arm_labels(middles)
    return tuple(
        Arm(
            label=name,
            runs=tuple(side),
            median=middle,
            metrics=metrics(middle),
            worker_seconds=seconds_by_phase(middle.spans, workers_only=True),
            speedup=speedup(sides[0], side) if number else None,
            agreement=agreement(middles[0], middle) if number else None,
        )
        for number, (name, side, middle) in enumerate(zip(names, sides, middles, strict=True))
    )


def arm_labels(runs: Sequence[RunRecord]) -> list[str]:
    """The strategy, with as few settings as tell runs of one strategy apart, and the id where none does."""
    by_strategy: dict[str, list[RunRecord]] = {}
    for run in runs:
        by_strategy.setdefault(run.config.strategy, []).append(run)
    told = {id(run): label for group in by_strategy.values() for run, label in zip(group, _told(group), strict=True)}
    return [told[id(run)] for run in runs]


def _told(runs: Sequence[RunRecord]) -> list[str]:
    """Labels of runs of one strategy; an option that a run does not use is not mentioned."""
    differing = differences([run.config for run in runs])
    labels = [run.config.strategy for run in runs]
    for name in (name for name in TELLING if name in differing):
        longer = [_with_setting(label, name, run.config) for label, run in zip(labels, runs, strict=True)]
        if len(set(longer)) > len(set(labels)):
            labels = longer
    if len(set(labels)) == len(labels):
        return labels
    return [f"{label} · {run.id[:6]}" for label, run in zip(labels, runs, strict=True)]


def _with_setting(label: str, name: str, config: RunConfig) -> str:
    text = setting_text(name, config)
    return label if name in OPTIONS and text not in option_words(config) else f"{label} · {text}"


@dataclass(frozen=True)
class Comparison:
    """Arms with their figures, each drawn once and only when it is asked for."""

    arms: tuple[Arm, ...]
    """At least one, the baseline first."""
    limit: float | None = None
    """Images/s that the machine could do at best, where all arms share one and it is known."""

    @cached_property
    def throughput(self) -> Figure:
        """Images/s over time of every arm's median run."""
        return throughput_figure(self.arms, limit=self.limit)

    @cached_property
    def phases(self) -> Figure:
        """Where the worker time of every arm's median run went."""
        return phases_figure(self.arms)

    @cached_property
    def timelines(self) -> list[Figure]:
        """Who did what when in every arm's median run, all on one time axis."""
        return timeline_figures(self.arms)

    @cached_property
    def loads(self) -> tuple[str, ...]:
        """How often each arm loaded the model, and what that cost; plain text."""
        return tuple(loads_sentence(arm) for arm in self.arms)


def measured(store: Store, run_ids: Sequence[str]) -> Comparison:
    """The comparison of these finished runs, under the limit of their machine."""
    arms = _arms(str(store.home), tuple(run_ids))
    highest = limits.highest(store, [arm.median for arm in arms])
    return _drawn(str(store.home), tuple(run_ids), highest.images_per_s if highest else None)


@st.cache_resource(max_entries=6, show_spinner="Reading the runs")
def _arms(home: str, run_ids: tuple[str, ...]) -> tuple[Arm, ...]:
    """Kept, because a run that has ended never changes."""
    store = Store(Path(home))
    return arms_of([record for run_id in run_ids if (record := store.get(run_id)) is not None])


@st.cache_resource(max_entries=6, show_spinner=False)
def _drawn(home: str, run_ids: tuple[str, ...], limit: float | None) -> Comparison:
    """Kept with its figures, until the limit is measured again."""
    return Comparison(_arms(home, run_ids), limit)


def headline(arms: Sequence[Arm]) -> str:
    """Who is faster, by how much, and whether the answers agree; plain text.

    Of several arms, the fastest stands for all.
    """
    baseline, others = arms[0], arms[1:]
    best = max(others, key=lambda arm: arm.speedup.ratio if arm.speedup else 0.0)
    sentence = verdict_text(best, baseline)
    if len(others) > 1:
        sentence = f"Fastest of {len(others)}: {sentence}"
    return f"{sentence}; {_agreement_text(others)}"


def verdict_text(arm: Arm, baseline: Arm) -> str:
    """`actor is 6.8 × faster than naive`; plain text."""
    found = arm.speedup
    if found is None:
        return f"{arm.label} cannot be set against {baseline.label}: one of them has no answers"
    if found.tie:
        return f"{arm.label} and {baseline.label} are a tie ({format.ratio(found.ratio)})"
    if found.ratio > 1:
        return f"{arm.label} is {format.ratio(found.ratio)} faster than {baseline.label}"
    return f"{arm.label} is {format.ratio(1 / found.ratio)} slower than {baseline.label}"


def _agreement_text(arms: Sequence[Arm]) -> str:
    agreed = [arm.agreement for arm in arms if arm.agreement is not None and arm.agreement.images]
    if not agreed:
        return "no image was answered by both"
    images, agree = min(a.images for a in agreed), min(a.agree for a in agreed)
    return f"answers agree on {agree:,} of {format.count(images, 'image')}"


def first_answers(arm: Arm, number: int) -> list[Prediction]:
    """The answers of the median run for the first images, by id, so that arms show the same ones."""
    return heapq.nsmallest(number, arm.median.predictions, key=lambda prediction: prediction.image_id)


def interval_text(found: Speedup) -> str:
    """`95 %: 6.2 to 7.5`."""
    low, high = (format.ratio_number(end, beside=found.low) for end in (found.low, found.high))
    return f"95 %: {low} to {high}"


def scores_text(agreed: Agreement) -> str:
    """How far apart the scores of the same label are, at most; empty where that is unknown."""
    if agreed.max_score_difference is None:
        return ""
    if agreed.max_score_difference < 0.00005:
        return "scores equal"
    return f"scores within {agreed.max_score_difference:.4f}"


def loads_sentence(arm: Arm) -> str:
    """`naive: loaded 25 times × 0.31 s = 61 % of worker time`; plain text."""
    if not arm.metrics.model_loads:
        return f"{arm.label}: no load of the model was measured"
    share = arm.worker_seconds["load"] / sum(arm.worker_seconds.values())
    times = "once" if arm.metrics.model_loads == 1 else f"{arm.metrics.model_loads:,} times"
    each = format.seconds(arm.metrics.model_load_s / arm.metrics.model_loads)
    return f"{arm.label}: loaded {times} × {each} = {format.percent(share)} of worker time"


def throughput_figure(arms: Sequence[Arm], *, limit: float | None = None) -> Figure:
    """Images/s over time of every arm's median run."""
    return charts.throughput_chart(
        {arm.label: throughput(arm.median.predictions) for arm in arms},
        strategies={arm.label: arm.strategy for arm in arms},
        limit=limit,
    )


def phases_figure(arms: Sequence[Arm]) -> Figure:
    """Where the worker time of every arm's median run went."""
    return charts.phases_chart(
        [PhaseRow(label=arm.label, strategy=arm.strategy, seconds=arm.worker_seconds) for arm in arms]
    )


def timeline_figures(arms: Sequence[Arm]) -> list[Figure]:
    """Who did what when in every arm's median run, all on one time axis."""
    until_s = max((span.end_s for arm in arms for span in arm.median.spans), default=0.0)
    return [
        timeline_chart(arm.median.spans, until_s=until_s, strategy=arm.strategy, title=_timeline_title(arm))
        for arm in arms
    ]


def _timeline_title(arm: Arm) -> str:
    loads, workers = arm.metrics.model_loads, arm.metrics.workers
    times = "once" if loads == 1 else f"{loads:,} times"
    return f"{arm.label} loads the model {times} in {format.count(workers, 'worker process')}"


def show_evidence(found: Comparison, *, key: str) -> None:
    """Throughput over time beside where the time went, with the sum that explains it."""
    grid = st.grid(2 if len(found.arms) <= charts.MOST_LABELS else 1, min_column_width=320, gap="medium")
    with grid.cell():
        widgets.show(found.throughput, key=f"{key}-throughput")
    with grid.cell():
        widgets.show(found.phases, key=f"{key}-phases")
        st.caption("  \n".join(format.literal(sentence) for sentence in found.loads))


def usual_seconds(runs: Sequence[RunSummary], configs: Sequence[RunConfig]) -> float | None:
    """How long comparisons of exactly these configurations took here, as a median; None if there was none."""
    groups: dict[str, list[RunSummary]] = {}
    for run in runs:
        if run.comparison_id is not None:
            groups.setdefault(run.comparison_id, []).append(run)
    durations = [
        sum(_lasted_s(run) for run in group)
        for group in groups.values()
        if all(run.state == "finished" for run in group) and _counted(run.config for run in group) == _counted(configs)
    ]
    return statistics.median(durations) if durations else None


def _counted(configs: Any) -> Mapping[RunConfig, int]:
    counts: dict[RunConfig, int] = {}
    for config in configs:
        counts[config] = counts.get(config, 0) + 1
    return counts


def _lasted_s(run: RunSummary) -> float:
    return (run.finished_at or 0.0) - (run.started_at or 0.0)
