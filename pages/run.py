"""Configure one run or a comparison, launch it, and watch it live."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from inference.config import RunConfig, differences, interleaved
from inference.preflight import Verdict, check
from pages.ui import live, settings, state
from pages.ui.format import count, literal
from pages.ui.settings import Chosen
from pages.ui.widgets import verdict_line
from pages.ui.words import changes_text, joined

COMPARED = ("naive", "actor")
"""What the chosen strategy is compared with; they alone, where it is one of them."""

DOUBLE_CLICK_S = 5.0  # a second click may take this long to arrive while the server is busy with the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The latest launch of this session."""

    ids: list[str]
    instead_of: list[str]  # the runs that were in the address when it was made
    at_s: float  # on the monotonic clock


def main() -> None:
    """Draw the page."""
    state.require_app()
    st.title("How fast do these settings run here?", anchor=False)
    store, machine = state.store(), state.hardware()
    left, right = st.columns([2, 3], gap="large")
    with left:
        chosen = settings.form(store.home, machine)
        if chosen.config is None:
            _refuse(chosen.problem)
        else:
            verdict = check(chosen.config, machine)
            _judge(chosen.config, verdict)
            _launch(chosen, chosen.config, verdict)
    with right:
        live.draw(_shown())


def _refuse(problem: str | None) -> None:
    if problem is None:
        st.caption("There is nothing to run yet: the reason stands above, at its field.")
    else:
        st.error(literal(problem), icon=":material/error:")


def _judge(config: RunConfig, verdict: Verdict) -> None:
    verdict_line(verdict)
    if verdict.nearest is not None:
        changed = differences([config, verdict.nearest])
        st.button(
            f"Use {changes_text(changed)}",
            key="nearest",
            icon=":material/tune:",
            on_click=settings.apply,
            args=(verdict.nearest,),
        )
    if config.batch_size > config.limit:
        st.caption(
            f"A batch of {config.batch_size} is larger than the {count(config.limit, 'image')}: "
            "there will be one batch, with fewer images."
        )


def _launch(chosen: Chosen, config: RunConfig, verdict: Verdict) -> None:
    notice = st.container()
    token = state.request_key("launch")
    times = f", {chosen.repeats} times" if chosen.repeats > 1 else ""
    single = st.button(
        f"Run {config.strategy} on {count(config.limit, 'image')}{times}",
        key=f"launch-{token}",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        wrap=True,
        disabled=not verdict.fits,
    )
    compared = list(dict.fromkeys((*COMPARED, config.strategy)))
    several = st.button(
        f"Compare {joined(compared)} with these settings{times}",
        key=f"compare-{token}",
        icon=":material/balance:",
        width="stretch",
        wrap=True,
        disabled=not verdict.fits,
    )
    if not verdict.fits or not (single or several) or not settings.models_can_be_had(config, notice):
        return
    if several:
        queue, name = interleaved([config.as_strategy(each) for each in compared], chosen.repeats), "compare"
    else:
        queue, name = [config] * chosen.repeats, "launch"
    ids = state.store().enqueue(queue, compare=several, request_key=f"{name}-{token}")
    state.renew_request_key("launch")
    state.remember("launched", Launched(ids=ids, instead_of=live.addressed_runs(), at_s=time.monotonic()))
    st.query_params["run"] = ",".join(ids)
    st.rerun()


def _shown() -> list[str]:
    """The runs in the address, or those just launched.

    The second click of a double click brings the address as it was before the first one, and would hide the
    run that the first one launched.
    """
    addressed = live.addressed_runs()
    launched: Launched | None = state.remembered("launched")
    if launched is None or launched.instead_of != addressed:
        return addressed
    if time.monotonic() - launched.at_s > DOUBLE_CLICK_S:
        return addressed
    st.query_params["run"] = ",".join(launched.ids)
    return launched.ids


main()
