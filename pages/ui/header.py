"""The line on top of every page: what the engine does, the live run, and the machine."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from inference.errors import StoreUnavailable
from inference.hardware import chip, facts
from inference.store import EngineStatus, RunSummary
from inference.supervisor import engine_alive
from pages.ui import dialogs, state
from pages.ui.format import in_badge, literal, percent, plain, rate
from pages.ui.state import Pace

BUSY_POLL_S = 1
IDLE_POLL_S = 10
"""How soon a page notices a run that another session started; it costs two reads of the database."""

_Seen = tuple[EngineStatus | None, list[RunSummary]]
"""The engine that is alive, and the runs that have not ended."""


def draw() -> None:
    """Draw the header; it keeps itself up to date, and redraws the page when a run starts or ends."""
    seen = engine, active = _look()
    every = BUSY_POLL_S if active or _starting(engine) else IDLE_POLL_S
    # The interval is fixed when a fragment is made, so a page is redrawn to change it.
    st.fragment(_header, run_every=every)(_situation(engine, active), [seen])


def engine_sentence(engine: EngineStatus | None, active: Sequence[RunSummary], pace: Pace) -> str:
    """The state of the engine and its queue in one line; `engine` is None where none is alive."""
    queued = sum(run.state == "queued" for run in active)
    waiting = [f"{queued} queued"] if queued else []
    if active and active[0].state != "queued":
        return " · ".join([*_run_words(active[0], pace), *waiting])
    if engine is None:
        return " · ".join(["engine not running", *waiting])
    if _starting(engine):
        return " · ".join([f"starting: {engine.message}" if engine.message else "starting", *waiting])
    return " · ".join(waiting) or "idle"


def _run_words(run: RunSummary, pace: Pace) -> list[str]:
    if run.state == "cancelling":
        return [run.config.strategy, "cancelling…"]
    progress = run.progress
    if progress is None:
        return [run.config.strategy, "starting"]
    if not progress.images_done:
        return [run.config.strategy, progress.phase]
    words = [run.config.strategy]
    if progress.images_total:
        words.append(percent(progress.images_done / progress.images_total))
    if pace.images_per_s is not None:
        words.append(rate(pace.images_per_s))
    if pace.left is not None:
        words.append(pace.left)
    return words


def _look() -> _Seen:
    store = state.store()
    engine = store.engine()
    return (engine if engine_alive(engine) else None), store.active()


def _situation(engine: EngineStatus | None, active: Sequence[RunSummary]) -> tuple[object, ...]:
    """What a page may have been drawn for: when it changes, the page is out of date."""
    return (_starting(engine), *((run.id, run.state) for run in active))


def _starting(engine: EngineStatus | None) -> bool:
    return engine is not None and engine.state == "starting"


def _header(drawn_for: tuple[object, ...], seen: list[_Seen]) -> None:
    """Draw what was seen when the page was drawn, and from then on what is the case.

    To begin the page again while it is drawn would lose the click for which it is drawn: buttons come further down.
    """
    try:
        engine, active = seen.pop() if seen else _look()
    except StoreUnavailable as error:
        st.error(literal(error))
        return
    if _situation(engine, active) != drawn_for:
        dialogs.redraw_page()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="header"):
        st.markdown("**Batchscope**", width="content")
        running = active[0] if active and active[0].state != "queued" else None
        pace = state.pace(running.id, running.progress) if running else Pace()
        st.markdown(f":gray[{literal(engine_sentence(engine, active, pace))}]", width="content")
        # What comes and goes has a place of its own, so that nothing else moves from one element to another.
        link, dashboard = st.container(width="content"), st.container(width="content")
        st.space("stretch")
        _machine()
    if active:
        link.page_link(
            "pages/run.py",
            label="live run",
            icon=":material/monitoring:",
            query_params={"run": active[0].id},
        )
    if engine is not None and engine.dashboard_url:
        with dashboard.popover("Ray Dashboard", icon=":material/open_in_new:"):
            st.page_link(engine.dashboard_url, label="Open the Ray Dashboard")
            if engine.dashboard_token:
                st.caption("It asks for this token:")
                st.code(engine.dashboard_token, language=None, wrap_lines=True)


def _machine() -> None:
    machine = state.hardware()
    known = "\n\n".join(f"**{fact.title}**: {literal(plain(fact.value))}" for fact in facts(machine))
    st.badge(in_badge(chip(machine)), color="gray", icon=":material/memory:", help=known)
