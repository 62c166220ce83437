"""What a comparison shows below its charts: batches as a diagnostic, agreement, sample predictions, plans."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from inference.arms import Arm
from inference.store import Store
from pages.ui import agreement, comparison, format, kept, scaling, widgets
from pages.ui.comparison import Comparison

PICTURES = 12


def draw_latency(found: Comparison) -> None:
    """How long single batches took: what to look at when throughput is not what it should be, not a goal."""
    st.subheader("How long a batch takes: a diagnostic", anchor=False)
    widgets.show(found.latencies, key="compare-latency")


def draw_scaling(store: Store, found: Comparison) -> None:
    """What batch size and concurrency do, from the history; read only where a person asks for it."""
    median = found.arms[0].median
    folded = st.expander(
        "What batch size and concurrency do here",
        key=f"scaling-from-{median.id}",
        on_change="rerun",
        icon=":material/stacked_line_chart:",
    )
    with folded:
        if folded.open:
            scaling.draw(store, median.config, hardware=median.hardware, beside_form=False)


def draw_agreement(store: Store, found: Comparison) -> None:
    """Whether the answers are the same, with the images where they are not; those of another model are not compared."""
    st.subheader("Do the answers agree?", anchor=False)
    for arm in found.arms[1:]:
        if found.objects(arm, "model"):
            st.caption(format.literal(f"{arm.label} runs another model than {found.arms[0].label}: not compared."))
    agreement.draw(store, found.arms)


def draw_predictions(store: Store, arms: Sequence[Arm]) -> None:
    """The first images with the answers of one arm, the baseline at first."""
    st.subheader("Sample predictions", anchor=False)
    labels = {arm.runs[0].id: arm.label for arm in arms}
    run_id = kept.choice_of_one("Predictions of", labels, "predictions")
    arm = next(arm for arm in arms if arm.runs[0].id == run_id)
    config = arm.median.config
    widgets.gallery(store.home, config.dataset, comparison.first_answers(arm, PICTURES), model=config.model)


def draw_plans(arms: Sequence[Arm]) -> None:
    """Ray Data's own account of each plan, folded away."""
    st.subheader("What Ray Data ran", anchor=False)
    for arm in arms:
        with st.expander(format.literal(f"Plan of {arm.label}"), icon=":material/account_tree:"):
            if arm.median.plan:
                st.code(format.lines_(arm.median.plan), language=None)
            else:
                st.caption("This run kept no plan.")
