"""Runs side by side on the pages: which is the baseline, what stands against comparing, and the charts of them all."""

from __future__ import annotations

import heapq
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import streamlit as st

from inference import arms as sides
from inference.arms import Arm, arms_of, interval_text, loads_sentence, scores_text
from inference.batches import Batch, batches
from inference.config import RunConfig
from inference.parity import agreement
from inference.prediction import Predictions
from inference.report import Objection, objections
from inference.results import Prediction, RunRecord, Span, cumulative_images, speedup, throughput, with_waits
from inference.store import RunSummary, Store
from inference.usage import batch_latencies
from pages.ui import charts, format, widgets
from pages.ui import limit as limits
from pages.ui.charts import Figure
from pages.ui.latency import latency_chart
from pages.ui.lines import Points, thinned, throughput_chart
from pages.ui.phases import PhaseRow, phases_chart
from pages.ui.timeline import timeline_chart
from pages.ui.usage import usage_chart

__all__ = ["Arm", "Comparison", "interval_text", "measured", "scores_text", "show_evidence", "usual_seconds"]

MAX_NAME = 28
"""Characters of a run's name in the label of its arm."""


@dataclass(frozen=True)
class Comparison:
    """Arms with their figures, each drawn once and only when it is asked for."""

    arms: tuple[Arm, ...]
    """At least one, the baseline first. What must not be compared is None: the ratio where images differ, and the
    agreement where models do."""
    against: Mapping[str, tuple[Objection, ...]]
    """What stands against comparing an arm, by its label, with the baseline."""
    limit: float | None = None
    """Images/s that the machine could do at best, where all arms share one and it is known."""

    def objects(self, arm: Arm, about: str) -> bool:
        """Whether the `model`, the `images` or the `machine` of an arm is not that of the baseline."""
        return any(objection.about == about for objection in self.against.get(arm.label, ()))

    @cached_property
    def until_s(self) -> float:
        """The end of the time axis that all arms share."""
        ends = [span.end_s for arm in self.arms for span in arm.median.spans]
        return max([*ends, *(arm.metrics.total_s or 0.0 for arm in self.arms)], default=0.0)

    @cached_property
    def rates(self) -> Mapping[str, Points]:
        """Images/s over time of every arm's median run."""
        return {arm.label: throughput(arm.median.predictions) for arm in self.arms}

    @cached_property
    def totals(self) -> Mapping[str, Points]:
        """Images that were done over time in every arm's median run, as many points as a chart shows."""
        return {arm.label: thinned(cumulative_images(arm.median.predictions)) for arm in self.arms}

    @property
    def strategies(self) -> Mapping[str, str]:
        """The strategy of every arm."""
        return {arm.label: arm.strategy for arm in self.arms}

    @cached_property
    def throughput(self) -> Figure:
        """Images/s over time of every arm's median run."""
        return throughput_chart(self.rates, strategies=self.strategies, limit=self.limit)

    @cached_property
    def phases(self) -> Figure:
        """Where the worker time of every arm's median run went."""
        rows = [PhaseRow(label=arm.label, strategy=arm.strategy, seconds=arm.worker_seconds) for arm in self.arms]
        return phases_chart(rows)

    @cached_property
    def timelines(self) -> Mapping[str, Figure]:
        """Who did what when in every arm's median run, all on one time axis."""
        return {
            arm.label: timeline_chart(
                arm.median.spans, until_s=self.until_s, strategy=arm.strategy, title=sides.timeline_title(arm)
            )
            for arm in self.arms
        }

    @cached_property
    def uses(self) -> Mapping[str, Figure]:
        """How busy the machine was in every arm's median run, on the time axis of the timelines."""
        return {
            arm.label: usage_chart(
                arm.median.samples, hardware=arm.median.hardware, until_s=self.until_s, strategy=arm.strategy
            )
            for arm in self.arms
        }

    @cached_property
    def latencies(self) -> Figure:
        """How long single batches of every arm's median run took."""
        rows = {arm.label: batch_latencies(arm.median.spans) for arm in self.arms}
        return latency_chart(rows, strategies=self.strategies)

    @cached_property
    def loads(self) -> tuple[str, ...]:
        """How often each arm loaded the model, and what that cost; plain text."""
        return tuple(map(loads_sentence, self.arms))

    @cached_property
    def work(self) -> Mapping[str, Work]:
        """What the median run of each arm did, for looking into stretches of time."""
        return {arm.label: Work(arm.median) for arm in self.arms}


class Work:
    """What one run did, in the order of time; found out once and only when it is asked for."""

    def __init__(self, run: RunRecord) -> None:
        self._run = run

    @cached_property
    def spans(self) -> list[Span]:
        """Its spans, waiting included."""
        return with_waits(self._run.spans)

    @cached_property
    def batches(self) -> list[Batch]:
        """Its batches, in order of their beginnings."""
        return batches(self._run.spans)

    @cached_property
    def answers(self) -> tuple[list[float], list[int]]:
        """When its answers were ready, in order, and where among its predictions each of them is."""
        done_s = Predictions.of(self._run.predictions).columns.done_s
        order = sorted(range(len(done_s)), key=done_s.__getitem__)
        return [done_s[position] for position in order], order

    def predictions(self, positions: Iterable[int]) -> list[Prediction]:
        """The predictions at these places."""
        return [self._run.predictions[position] for position in positions]


# -- from runs to arms -------------------------------------------------------------------------------------


def arms_in_order(store: Store, run_ids: Sequence[str], names: Mapping[str, str] | None = None) -> tuple[Arm, ...]:
    """The arms of these finished runs in their order, called by the names of their runs where that tells them apart."""
    return named(_arms(str(store.home), tuple(run_ids)), names or {})


def measured(
    store: Store, run_ids: Sequence[str], *, baseline: str | None = None, names: Mapping[str, str] | None = None
) -> Comparison:
    """The comparison of these finished runs, under the limit of their machine.

    The baseline is the arm that the run with this id belongs to, else the first. `names` are those that people gave
    to runs, by id.
    """
    key = str(store.home), tuple(run_ids), baseline, tuple(sorted((names or {}).items()))
    highest = limits.highest(store, [arm.median for arm in _against(*key)[0]])
    return _drawn(*key, highest.images_per_s if highest else None)


def named(arms: Sequence[Arm], names: Mapping[str, str]) -> tuple[Arm, ...]:
    """The arms with the one name of all their runs in place of their settings, where no other arm has it."""
    wanted = []
    for arm in arms:
        of_runs = {names.get(run.id) for run in arm.runs}
        name = next(iter(of_runs)) if len(of_runs) == 1 else None
        wanted.append(f"{arm.strategy} · {format.shortened(name, MAX_NAME)}" if name else arm.label)
    taken = Counter([*wanted, *(arm.label for arm, label in zip(arms, wanted, strict=True) if label != arm.label)])
    return tuple(
        replace(arm, label=label if taken[label] == 1 else arm.label) for arm, label in zip(arms, wanted, strict=True)
    )


def rebased(arms: Sequence[Arm], number: int) -> tuple[Arm, ...]:
    """The arms with this one as the baseline, which comes first."""
    if number == 0:
        return tuple(arms)
    base = arms[number]
    others = [
        replace(arm, speedup=speedup(base.runs, arm.runs), agreement=agreement(base.median, arm.median))
        for arm in arms
        if arm is not base
    ]
    return (replace(base, speedup=None, agreement=None), *others)


def place_of(arms: Sequence[Arm], run_id: str | None) -> int:
    """Which of the arms a run belongs to; 0 where none does."""
    return next((number for number, arm in enumerate(arms) if any(run.id == run_id for run in arm.runs)), 0)


@st.cache_resource(max_entries=24, show_spinner="Reading the runs")
def _record(home: str, run_id: str) -> RunRecord | None:
    """Kept, because a run that has ended never changes."""
    return Store(Path(home)).get(run_id)


@st.cache_resource(max_entries=6, show_spinner=False)
def _arms(home: str, run_ids: tuple[str, ...]) -> tuple[Arm, ...]:
    return arms_of([record for run_id in run_ids if (record := _record(home, run_id)) is not None])


@st.cache_resource(max_entries=12, show_spinner=False)
def _against(
    home: str, run_ids: tuple[str, ...], baseline: str | None, names: tuple[tuple[str, str], ...]
) -> tuple[tuple[Arm, ...], Mapping[str, tuple[Objection, ...]]]:
    """The arms against the baseline, and what stands against comparing each of them with it."""
    plain = _arms(home, run_ids)
    arms = rebased(named(plain, dict(names)), place_of(plain, baseline))
    against = {arm.label: _objections(arms[0], arm) for arm in arms[1:]}
    return tuple(_allowed(arm, against.get(arm.label, ())) for arm in arms), against


def _objections(baseline: Arm, arm: Arm) -> tuple[Objection, ...]:
    """What stands against comparing the two; a run without answers is not said to have seen other images."""
    found = objections([*baseline.runs, *arm.runs])
    empty = not (baseline.metrics.images and arm.metrics.images)
    return tuple(objection for objection in found if not (empty and objection.about == "images"))


def _allowed(arm: Arm, against: Sequence[Objection]) -> Arm:
    """The arm without what says nothing: a ratio over other images, an agreement with another model."""
    about = {objection.about for objection in against}
    return replace(
        arm,
        speedup=None if "images" in about else arm.speedup,
        agreement=None if "model" in about else arm.agreement,
    )


@st.cache_resource(max_entries=6, show_spinner=False)
def _drawn(
    home: str,
    run_ids: tuple[str, ...],
    baseline: str | None,
    names: tuple[tuple[str, str], ...],
    limit: float | None,
) -> Comparison:
    """Kept with its figures, until the limit is measured again."""
    return Comparison(*_against(home, run_ids, baseline, names), limit)


# -- pieces of pages ---------------------------------------------------------------------------------------


def first_answers(arm: Arm, number: int) -> list[Prediction]:
    """The answers of the median run for the first images, by id, so that arms show the same ones."""
    ids = Predictions.of(arm.median.predictions).columns.image_ids
    return [arm.median.predictions[place] for place in heapq.nsmallest(number, range(len(ids)), key=ids.__getitem__)]


def show_evidence(found: Comparison, *, key: str) -> None:
    """Throughput over time beside where the time went, with the sum that explains it."""
    grid = st.grid(2 if len(found.arms) <= charts.MOST_LABELS else 1, min_column_width=320, gap="medium")
    with grid.cell():
        widgets.show(found.throughput, key=f"{key}-throughput")
    with grid.cell():
        show_costs(found, key=key)


def show_costs(found: Comparison, *, key: str) -> None:
    """Where the worker time went, phase by phase, and what loading has to do with it."""
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
        if all(run.state == "finished" for run in group) and Counter(run.config for run in group) == Counter(configs)
    ]
    return statistics.median(durations) if durations else None


def _lasted_s(run: RunSummary) -> float:
    return (run.finished_at or 0.0) - (run.started_at or 0.0)
