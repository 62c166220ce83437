"""What happened when, every arm on one time axis: how the runs came along, what workers did, how busy the machine was.

A stretch of time that is chosen on the first chart is what the rest shows. All of it is one fragment: choosing
another stretch computes nothing else again.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from inference.arms import Arm
from inference.store import Store
from pages.ui import excerpt, format, kept, stretch, widgets
from pages.ui.charts import Figure
from pages.ui.comparison import Comparison
from pages.ui.lines import cumulative_chart, throughput_chart
from pages.ui.stretch import Stretch
from pages.ui.timeline import shares_text, timeline_chart, within
from pages.ui.usage import usage_chart

MOST_LANES_OF = 4
"""The workers of so many arms are shown at first; of more, a person chooses."""
SHOWN = {"throughput": "images/s", "images": "images so far"}
"""What the first chart can show, by its word in the address."""


@st.fragment
def draw(store: Store, found: Comparison) -> None:
    """The charts, and what is in the stretch of time that is chosen."""
    st.subheader("What happened when", anchor=False)
    if found.until_s <= 0:
        st.caption("None of these runs has measured anything.")
        return
    chosen, remark = stretch.asked(found.until_s)
    if remark:
        st.warning(format.literal(remark), icon=":material/link_off:")
    of = (tuple(found.against), found.arms[0].label)
    draw_lines(found, chosen, of)
    stretch.draw_slider(chosen, found.until_s, of)
    for arm in draw_choice_of_arms(found.arms):
        draw_workers(found, arm, chosen)
    if chosen is not None:
        excerpt.draw(store, found, chosen)


def draw_lines(found: Comparison, chosen: Stretch | None, of: object) -> None:
    """Images/s or images so far, over all of the time; a stretch can be drawn on it."""
    what = kept.choice_of_one("Over time", SHOWN, "show", label_visible=False)
    chart = stretch.control(f"compare-{what}", chosen, of)
    at_first = chart.at_first or ()
    if what == "images":
        figure = cumulative_chart(found.totals, strategies=found.strategies, until_s=found.until_s, brush=at_first)
    else:
        figure = throughput_chart(
            found.rates, strategies=found.strategies, limit=found.limit, until_s=found.until_s, brush=at_first
        )
    widgets.show(figure, key=chart.key, on_select=lambda: stretch.drawn(chart, found.until_s))


def draw_choice_of_arms(arms: Sequence[Arm]) -> Sequence[Arm]:
    """The arms whose workers are shown: all where they are few, else those that are chosen."""
    if len(arms) <= MOST_LANES_OF:
        return arms
    labels = {arm.runs[0].id: arm.label for arm in arms}
    chosen = kept.choice_of_some("Workers of", labels, "workers", first=MOST_LANES_OF)
    return [arm for arm in arms if arm.runs[0].id in chosen]


def draw_workers(found: Comparison, arm: Arm, chosen: Stretch | None) -> None:
    """What the workers of one arm did, and under it how busy the machine was, on the same axis."""
    if chosen is None:
        did, used = found.timelines[arm.label], found.uses[arm.label]
    else:
        did, used = _stretch_of(arm.median.id, arm.label, chosen, found, arm)
    widgets.show(did, key=f"compare-timeline-{arm.runs[0].id}")
    widgets.show(used, key=f"compare-use-{arm.runs[0].id}")


@st.cache_resource(max_entries=24, show_spinner=False)
def _stretch_of(run_id: str, label: str, chosen: Stretch, _found: Comparison, _arm: Arm) -> tuple[Figure, Figure]:
    """What the workers of an arm did in a stretch of time, and how busy the machine was."""
    begin_s, end_s = chosen
    spans, run, strategy = _found.work[label].spans, _arm.median, _arm.strategy
    shares = shares_text(within(spans, begin_s, end_s)) or "no worker that runs the model was there"
    title = f"{label}, {format.seconds(begin_s)} to {format.seconds(end_s)}: {shares}"
    return (
        timeline_chart(spans, strategy=strategy, stretch=chosen, title=title),
        usage_chart(run.samples, hardware=run.hardware, from_s=begin_s, until_s=end_s, strategy=strategy),
    )
