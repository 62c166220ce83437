"""Runs side by side against a baseline: what changed, what it bought, and whether the answers agree."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from inference.store import RunSummary, Store
from pages.ui import baseline, choice, comparison, details, format, ledger, share, state, traces
from pages.ui.comparison import Comparison


def page() -> None:
    """One sentence, then the runs and the baseline to choose, the figures, and the evidence."""
    state.require_app()
    store = state.store()
    st.title("What changed, and what did it buy?", anchor=False)
    offered = [run for run in store.summaries(limit=choice.LISTED) if run.state == "finished"]
    asked = choice.asked_for(store, offered)
    for sentence in asked.remarks:
        st.warning(format.literal(sentence), icon=":material/info:")
    answer, controls = st.container(), st.container()
    offered += [run for run in asked.runs if run.id not in {other.id for other in offered}]
    with controls:
        chosen = choice.draw_picker(offered, asked.runs)
    if len(chosen) < 2:
        draw_too_few(offered)
        return
    if (refusal := choice.refusal(chosen)) is not None:
        st.error(format.literal(refusal), icon=":material/block:")
        return
    found = draw_baseline(store, chosen, controls)
    with answer:
        baseline.draw_answer(found)
    draw_comparison(store, found)


def draw_too_few(offered: Sequence[RunSummary]) -> None:
    """What is missing before anything can be compared, and where to get it."""
    if len(offered) < 2:
        has = "one finished run" if offered else "no finished run"
        st.info(f"A comparison needs two finished runs, and there is {has} so far.", icon=":material/info:")
        with st.container(horizontal=True):
            st.page_link("pages/overview.py", label="Compare naive and actor-based", icon=":material/speed:")
            st.page_link("pages/run.py", label="Configure a run", icon=":material/play_arrow:")
    else:
        st.info("Choose two or more runs above.", icon=":material/info:")


def draw_baseline(
    store: Store, chosen: Sequence[RunSummary], controls: st.delta_generator.DeltaGenerator
) -> Comparison:
    """Let the baseline be pinned, and the comparison be taken away; the comparison itself."""
    names = {run.id: run.name for run in chosen if run.name}
    ids = [run.id for run in chosen]
    pinned, remark = choice.baseline_asked(chosen)
    with controls:
        if remark:
            st.warning(format.literal(remark), icon=":material/info:")
        arms = comparison.arms_in_order(store, ids, names)
        row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    with row:
        choice.draw_baseline(arms, comparison.place_of(arms, pinned))
        found = comparison.measured(store, ids, baseline=pinned, names=names)
        share.comparison_downloads([run for arm in found.arms for run in arm.runs])
    return found


def draw_comparison(store: Store, found: Comparison) -> None:
    """Everything about these arms but the answer, which comes first."""
    baseline.draw_figures(store, found)
    comparison.show_costs(found, key="compare")
    traces.draw(store, found)
    ledger.draw(found.arms)
    details.draw_latency(found)
    details.draw_scaling(store, found)
    details.draw_agreement(store, found)
    baseline.draw_settings(found.arms)
    details.draw_predictions(store, found.arms)
    details.draw_plans(found.arms)


page()
