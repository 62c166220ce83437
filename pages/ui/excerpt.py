"""What is in one stretch of time: the batches that ran, and the images that were answered."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import streamlit as st

from inference.arms import Arm
from inference.batches import Batch
from inference.lanes import lane_names
from inference.results import PHASES
from inference.store import Store
from pages.ui import format, kept, widgets
from pages.ui.charts import PHASE_WORDS
from pages.ui.comparison import Comparison
from pages.ui.stretch import Stretch

MOST_BATCHES = 300
PICTURES = 12


def draw(store: Store, found: Comparison, chosen: Stretch) -> None:
    """The batches and the images of this stretch."""
    draw_batches(found, chosen)
    draw_images(store, found, chosen)


# -- batches -----------------------------------------------------------------------------------------------


def batches_within(batches: Sequence[Batch], stretch: Stretch) -> list[Batch]:
    """Those of the batches, which are in order of their beginnings, that were under way in this stretch."""
    before = bisect_left(batches, stretch[1], key=lambda batch: batch.start_s)
    return [batch for batch in batches[:before] if batch.end_s > stretch[0]]


def draw_batches(found: Comparison, chosen: Stretch) -> None:
    """One row for each batch that was under way, the earliest first."""
    running = [(arm, batch) for arm in found.arms for batch in batches_within(found.work[arm.label].batches, chosen)]
    running.sort(key=lambda pair: pair[1].start_s)
    st.markdown(f"**{format.literal(_counted(len(running), 'batch', 'under way in this stretch'))}**")
    if not running:
        return
    shown = running[:MOST_BATCHES]
    names = {arm.label: lane_names(arm.median.spans) for arm in {id(arm): arm for arm, _ in shown}.values()}
    phases = [phase for phase in PHASES if any(batch.seconds.get(phase) for _, batch in shown)]
    st.dataframe(
        [_row(arm, batch, names[arm.label][batch.worker], phases) for arm, batch in shown],
        hide_index=True,
        height=min(38 + 35 * len(shown), 388),
        placeholder=format.UNKNOWN,
        column_config=_columns(phases),
        alt="Batches that were under way in this stretch, by their beginnings, with their seconds by phase.",
    )
    if len(running) > len(shown):
        st.caption(f"and {format.count(len(running) - len(shown), 'later batch')}.")


def _row(arm: Arm, batch: Batch, worker: str, phases: Sequence[str]) -> dict[str, Any]:
    return {
        "run": format.plain(arm.label),
        "worker": worker,
        "batch": batch.number + 1,
        "start": batch.start_s,
        "length": batch.length_s,
        **{phase: batch.seconds.get(phase) for phase in phases},
        "images": batch.images or None,
    }


def _columns(phases: Sequence[str]) -> dict[str, Any]:
    column = st.column_config
    return {
        "run": column.TextColumn("Run"),
        "worker": column.TextColumn("Worker"),
        "batch": column.NumberColumn("Batch", help="The worker's own count, from 1."),
        "start": column.NumberColumn("Start s", format="%.2f", help="Seconds since the run began."),
        "length": column.NumberColumn("Length s", format="%.3f", help="From its first span to the end of its last."),
        **{
            phase: column.NumberColumn(
                f"{format.sentence_case(PHASE_WORDS[phase])} s", format="%.3f", help="From the spans of this worker."
            )
            for phase in phases
        },
        "images": column.NumberColumn("Images", help="Images that went through the model."),
    }


# -- images ------------------------------------------------------------------------------------------------


def draw_images(store: Store, found: Comparison, chosen: Stretch) -> None:
    """The first images that were answered in this stretch, of the arm that is chosen."""
    labels = {arm.runs[0].id: arm.label for arm in found.arms}
    counts = {arm.runs[0].id: len(answered_within(found, arm, chosen)) for arm in found.arms}
    st.markdown(f"**{_counted(sum(counts.values()), 'image', 'answered in this stretch')}**")
    options = {run_id: f"{labels[run_id]} · {counts[run_id]:,}" for run_id in labels}
    run_id = kept.choice_of_one("Images answered by", options, "answers")
    arm = next(arm for arm in found.arms if arm.runs[0].id == run_id)
    positions = answered_within(found, arm, chosen)
    if not positions:
        st.caption(format.literal(f"{arm.label} answered no image in this stretch."))
        return
    config = arm.median.config
    first = found.work[arm.label].predictions(positions[:PICTURES])
    widgets.gallery(store.home, config.dataset, first, model=config.model)
    if len(positions) > PICTURES:
        st.caption(f"and {format.count(len(positions) - PICTURES, 'more image')}.")


def answered_within(found: Comparison, arm: Arm, stretch: Stretch) -> list[int]:
    """Where among the predictions of an arm's median run those of this stretch are, the earliest first."""
    moments, order = found.work[arm.label].answers
    return order[bisect_left(moments, stretch[0]) : bisect_right(moments, stretch[1])]


def _counted(number: int, what: str, rest: str) -> str:
    if number == 0:
        return f"No {what} {rest}"
    return f"{format.count(number, what)} {rest}"
