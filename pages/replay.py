"""A stored comparison played again in its own time: for showing what was found, without hardware and engine."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from inference.setting_words import dataset_words
from inference.store import RunSummary, Store
from pages.ui import choice, format, replay, state
from pages.ui.choice import Asked

LOOK_BACK = 300  # runs among which finished comparisons are looked for
_CHOICE = "replayed"


def page() -> None:
    """Choose a comparison, and play it."""
    state.require_app()
    store = state.store()
    st.title("A comparison, played again as it was recorded", anchor=False)
    offered = finished_comparisons(store)
    asked = asked_for(store, offered)
    if not offered and not asked.runs:
        for sentence in asked.remarks:
            st.warning(format.literal(sentence), icon=":material/info:")
        draw_nothing()
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        draw_choice(offered, asked.runs)
        order = draw_order()
    for sentence in asked.remarks:
        st.warning(format.literal(sentence), icon=":material/info:")
    if len(asked.runs) < 2:
        st.info("Choose a comparison above.", icon=":material/info:")
        return
    draw_replay(store, asked.runs, order)


# -- which comparison --------------------------------------------------------------------------------------


def finished_comparisons(store: Store) -> dict[str, list[RunSummary]]:
    """The finished runs of ended comparisons that have two or more of them, by id, newest first."""
    groups: dict[str, list[RunSummary]] = {}
    for run in store.summaries(limit=LOOK_BACK):
        if run.comparison_id is not None:
            groups.setdefault(run.comparison_id, []).insert(0, run)
    ended = {name: runs for name, runs in groups.items() if not any(run.active for run in runs)}
    finished = {name: [run for run in runs if run.state == "finished"] for name, runs in ended.items()}
    return {name: runs for name, runs in finished.items() if len(runs) > 1}


def asked_for(store: Store, offered: dict[str, list[RunSummary]]) -> Asked:
    """The runs that the address names; else those of the comparison that was played last, or of the newest one.

    The address then names them.
    """
    if "comparison" not in st.query_params and "runs" not in st.query_params:
        if not offered:
            return Asked(runs=())
        last = state.remembered("replay-last")
        st.query_params["comparison"] = last if last in offered else next(iter(offered))
    state.remember("replay-last", st.query_params.get("comparison"))
    return choice.asked_for(store, [])


def draw_choice(offered: dict[str, list[RunSummary]], asked: Sequence[RunSummary]) -> None:
    """Let another comparison be chosen; the address follows."""
    labels = {name: comparison_label(runs) for name, runs in offered.items()}
    addressed = st.query_params.get("comparison")
    if len(asked) > 1 and addressed not in labels:
        addressed = addressed or ""
        labels = {addressed: f"The runs of the address · {comparison_label(asked)}", **labels}
    # The address decides, also when it changes under an open page.
    state.assign({_CHOICE: addressed if addressed in labels else None})
    st.selectbox(
        "Comparison",
        list(labels),
        format_func=labels.__getitem__,
        key=_CHOICE,
        placeholder="Choose a comparison",
        on_change=follow_choice,
    )


def follow_choice() -> None:
    """Name the chosen comparison in the address."""
    chosen = state.value(_CHOICE)
    if chosen:
        st.query_params.pop("runs", None)
        st.query_params["comparison"] = chosen


def comparison_label(runs: Sequence[RunSummary]) -> str:
    """One comparison in one line of plain text."""
    configs = [run.config for run in runs]
    strategies = list(dict.fromkeys(config.strategy for config in configs))
    parts = [
        format.moment(runs[0].created_at),
        " and ".join(strategies),
        f"{format.shortened(configs[0].model, 30)} on {format.shortened(dataset_words(configs[0].dataset), 30)}",
        format.count(configs[0].limit, "image"),
        format.count(len(runs), "run"),
    ]
    return " · ".join(parts)


def draw_order() -> str:
    """Let the runs be played together or in turn; the address keeps it."""
    return str(
        st.segmented_control(
            "Runs are played",
            replay.ORDERS,
            default=replay.TOGETHER,
            key="played",
            required=True,
            bind="query-params",
            help="Side by side, the middle run of each side begins at the same moment. One after another, all runs "
            "are played in the order in which they ran; the pauses between them are left out.",
        )
    )


# -- the replay --------------------------------------------------------------------------------------------


def draw_replay(store: Store, runs: Sequence[RunSummary], order: str) -> None:
    """Where it comes from, the replay, and the way to every detail."""
    stage = replay.staged(store, runs, order)
    replay.draw_origin([part.record for part in stage.parts])
    if len(stage.arms) > replay.MOST_SIDES:
        st.caption(f"Of {len(stage.arms)} sides, the baseline and the fastest are played.")
    replay.draw(store, stage)
    st.page_link(
        "pages/compare.py",
        label="Every detail in Compare",
        icon=":material/balance:",
        query_params={name: st.query_params[name] for name in ("comparison", "runs") if name in st.query_params},
    )


def draw_nothing() -> None:
    """What is missing, and where to get it."""
    st.info("There is no finished comparison to play yet.", icon=":material/info:")
    st.page_link("pages/overview.py", label="Compare naive and actor-based", icon=":material/speed:")


page()
