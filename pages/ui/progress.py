"""Runs that were launched together: queued once, watched while they work, and what stopped them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from inference.config import RunConfig
from inference.errors import BatchscopeError
from inference.store import RunSummary, Store
from pages.ui import dialogs, format, state

NameOf = Callable[[RunSummary], str]
"""What a page calls a run: its strategy, its step."""


def latest(recent: Sequence[RunSummary], wanted: Callable[[list[RunConfig]], bool]) -> list[RunSummary]:
    """The runs of the newest comparison whose configurations are wanted, in their order; empty if none."""
    groups: dict[str, list[RunSummary]] = {}
    for run in recent:
        if run.comparison_id is not None:
            groups.setdefault(run.comparison_id, []).append(run)
    for group in groups.values():
        if wanted([run.config for run in group]):
            return sorted(group, key=lambda run: run.seq)
    return []


def launch(store: Store, configs: Sequence[RunConfig], *, name: str) -> None:
    """Queue the comparison once, however often the button was pressed."""
    try:
        store.enqueue(configs, compare=True, request_key=state.request_key(name))
    except BatchscopeError as error:
        st.error(format.literal(error), icon=":material/error:")
        return
    state.renew_request_key(name)
    st.rerun()


def watch(comparison_id: str, name_of: NameOf, evidence: Callable[[Store, Sequence[RunSummary]], None]) -> None:
    """Show how far a comparison is, redrawn every second, with the evidence of what it has done so far below."""
    st.fragment(_live, run_every=1.0)(comparison_id, name_of, evidence)


def _live(comparison_id: str, name_of: NameOf, evidence: Callable[[Store, Sequence[RunSummary]], None]) -> None:
    store = state.store()
    runs = store.comparison(comparison_id)
    if not any(run.active for run in runs):
        dialogs.redraw_page()
        evidence(store, runs)  # a dialog is open: the answer comes when it is closed
        return
    current = next((run for run in runs if run.state in ("running", "cancelling")), None)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(done_share(runs), text=format.literal(live_text(store, runs, current, name_of)))
        if st.button("Cancel", key="cancel-comparison", help="Stops the run that is going on and drops the rest."):
            for run in runs:
                store.request_cancel(run.id)
    evidence(store, runs)


def done_share(runs: Sequence[RunSummary]) -> float:
    """Share of all images of all runs that are done, ended runs counting as done; 0 to 1."""
    done = 0.0
    for run in runs:
        if not run.active:
            done += 1
        elif run.progress is not None and run.progress.images_total:
            done += min(1.0, run.progress.images_done / run.progress.images_total)
    return done / len(runs)


def live_text(store: Store, runs: Sequence[RunSummary], current: RunSummary | None, name_of: NameOf) -> str:
    """Which run of how many, what it does, and how fast it is."""
    if current is None:
        engine = store.engine()
        if engine is not None and engine.state == "starting":
            return f"The engine is starting: {engine.message}" if engine.message else "The engine is starting"
        ahead = next((i for i, run in enumerate(store.active()) if run.id in {r.id for r in runs}), 0)
        waiting = f" behind {format.count(ahead, 'other run')}" if ahead else ""
        return f"Waiting{waiting} for the engine to take the next run"
    text = f"Run {runs.index(current) + 1} of {len(runs)}: {name_of(current)}"
    if current.state == "cancelling":
        return f"{text}, stopping"
    if current.progress is None:
        return f"{text}, starting"
    if not current.progress.images_total:
        return f"{text}, {current.progress.phase}"
    pace = state.pace(current.id, current.progress)
    done = f"{current.progress.images_done:,} of {format.count(current.progress.images_total, 'image')}"
    speed = f", {format.rate(pace.images_per_s)}" if pace.images_per_s is not None else ""
    return f"{text}, {current.progress.phase}, {done}{speed}"


def state_text(state: str, words: str) -> str:
    """A word or two after the sign of a run's state, in Markdown; told by sign and colour."""
    icon = {
        "finished": ":green[:material/check_circle:]",
        "queued": ":gray[:material/schedule:]",
        "running": ":blue[:material/play_circle:]",
    }.get(state, ":orange[:material/error:]")
    return f"{icon} {format.literal(words)}"


def draw_trouble(runs: Sequence[RunSummary], name_of: NameOf) -> None:
    """Which runs did not finish, why, and what to do."""
    for number, run in enumerate(runs, start=1):
        if run.state in ("failed", "crashed"):
            st.error(
                f"Run {number} of {len(runs)} ({format.literal(name_of(run))}) {run.state}. "
                "The cause is below; once it is dealt with, press the button again.",
                icon=":material/error:",
            )
            st.code(format.plain(run.error or "No cause was recorded."), language=None, wrap_lines=True)
    cancelled = sum(run.state == "cancelled" for run in runs)
    if cancelled:
        st.warning(
            f"{format.count(cancelled, 'run')} of {len(runs)} cancelled. Press the button to measure again.",
            icon=":material/cancel:",
        )
