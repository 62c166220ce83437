"""Which runs are compared, and which of them is the baseline: read from the address, chosen, kept there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from inference.arms import Arm
from inference.store import RunSummary, Store
from pages.ui import format, kept, widgets

LISTED = 300
"""Runs that the picker offers, newest first; those of the address are added."""
MOST_SIDES = 12
"""More sides than this are refused: nobody tells so many lines apart."""

_RUNS = "compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for."""

    runs: tuple[RunSummary, ...]
    """Finished runs."""
    remarks: tuple[str, ...] = ()
    """What of it cannot be shown, and why."""


def asked_for(store: Store, offered: Sequence[RunSummary]) -> Asked:
    """The runs of `?comparison=ID` or `?runs=a,b`; without either, those of the newest comparison.

    The address then names them, so that it shows the same to somebody who opens it later.
    """
    comparison_id = st.query_params.get("comparison")
    if comparison_id:
        return _of_comparison(store, comparison_id)
    if "runs" in st.query_params:
        return _of_runs(store, st.query_params["runs"])
    latest = tuple(run for run in store.latest_comparison() if run.state == "finished")
    runs = latest if len(latest) > 1 else tuple(offered[1::-1])
    if len(runs) > 1:
        st.query_params["runs"] = ",".join(run.id for run in runs)
    return Asked(runs=runs)


def _of_comparison(store: Store, comparison_id: str) -> Asked:
    """The finished runs of one comparison, and how many are missing."""
    runs = store.comparison(comparison_id)
    if not runs:
        named = format.shortened(comparison_id)
        return Asked(runs=(), remarks=(f"There is no comparison {named}: its runs were deleted.",))
    finished = tuple(run for run in runs if run.state == "finished")
    missing = [run for run in runs if run.state != "finished"]
    if not missing:
        return Asked(runs=finished)
    states = ", ".join(f"{run.config.strategy} {run.state}" for run in missing)
    remark = f"{len(missing)} of {format.count(len(runs), 'run')} left out, because not finished: {states}."
    return Asked(runs=finished, remarks=(remark,))


def _of_runs(store: Store, ids: str) -> Asked:
    """The finished runs among these ids, separated by commas, and what became of the others."""
    runs, remarks = [], []
    for run_id in dict.fromkeys(part.strip() for part in ids.split(",") if part.strip()):
        run = store.summary(run_id)
        if run is None:
            remarks.append(f"There is no run {format.shortened(run_id)}: it was deleted, or the address is wrong.")
        elif run.state != "finished":
            remarks.append(f"Run {run_id} is {run.state}; only finished runs can be compared.")
        else:
            runs.append(run)
    return Asked(runs=tuple(runs), remarks=tuple(remarks))


def draw_picker(offered: Sequence[RunSummary], asked: Sequence[RunSummary]) -> list[RunSummary]:
    """Let the runs be chosen; those chosen. The address follows the choice."""
    if len(offered) < 2:
        return []
    by_id = {run.id: run for run in offered}
    default = [run.id for run in asked]
    with st.expander("Choose runs", icon=":material/checklist:", expanded=len(asked) < 2 or refusal(asked) is not None):
        chosen = st.multiselect(
            "Finished runs",
            options=list(by_id),
            default=default,
            format_func=lambda run_id: label(by_id[run_id]),
            key=_RUNS,
            placeholder=f"Choose 2 to {MOST_SIDES}",
            help="Runs with the same settings count as repeats of one another.",
            wrap=True,
        )
    if chosen != default:
        _keep_in_address(chosen)
    return [by_id[run_id] for run_id in chosen]


def label(run: RunSummary) -> str:
    """One run in one line of plain text, the name that a person gave it in front."""
    return f"{format.shortened(run.name, 40)} · {widgets.run_label(run)}" if run.name else widgets.run_label(run)


def _keep_in_address(chosen: Sequence[str]) -> None:
    """Write the choice down; a stretch of time that was looked at in other runs goes."""
    for name in ("comparison", "from", "to"):
        st.query_params.pop(name, None)
    st.query_params["runs"] = ",".join(chosen)


def refusal(chosen: Sequence[RunSummary]) -> str | None:
    """Why so many runs are not compared, and what to do instead; None where they are.

    The repeats of a comparison that was launched as one count once for each configuration.
    """
    configs = {run.config for run in chosen}
    launched = {run.comparison_id for run in chosen}
    as_one = len(launched) == 1 and None not in launched and len(configs) > 1
    sides, what = (len(configs), "configuration") if as_one else (len(chosen), "run")
    if sides <= MOST_SIDES:
        return None
    return (
        f"{format.count(sides, what)} are more than can be told apart in one comparison: "
        f"take {sides - MOST_SIDES} away under “Choose runs”, or choose 2 to {MOST_SIDES} in the history."
    )


# -- the baseline ------------------------------------------------------------------------------------------


def baseline_asked(chosen: Sequence[RunSummary]) -> tuple[str | None, str | None]:
    """The run that the address pins as the baseline, and what to say where it is not among those compared."""
    run_id = st.query_params.get("baseline")
    if run_id is None or any(run.id == run_id for run in chosen):
        return run_id, None
    return None, f"Run {format.shortened(run_id)} is to be the baseline, but is not compared here: the first one is."


def draw_baseline(arms: Sequence[Arm], number: int) -> None:
    """Pin another arm as the baseline; `number` is the one that is."""
    labels = {arm.runs[0].id: arm.label for arm in arms}
    kept.choice_of_one(
        "Baseline",
        labels,
        "baseline",
        now=list(labels)[number],
        help="All differences and ratios are against this one. The address keeps it.",
    )
