"""What does each optimisation buy here? One click measures every step that this machine has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from inference import ladder
from inference.config import interleaved
from inference.hardware import Hardware
from inference.ladder import Ladder, Step
from inference.preflight import default_config
from inference.setting_words import dataset_words
from inference.store import RunSummary, Store
from pages.ui import climb, comparison, format, limit, progress, settings, state, widgets

LOOK_BACK = 300  # runs among which the latest ladder and the usual duration are looked for
REPEATS = 2
IMAGES = 400  # enough that every step but the slowest ones runs for longer than it takes to begin


def page() -> None:
    """Ask, say which steps there are, answer."""
    state.require_app()
    store, machine = state.store(), state.hardware()
    recent = store.summaries(limit=LOOK_BACK)
    latest = progress.latest(recent, ladder.is_ladder)
    active = any(run.active for run in latest)

    st.title("What does each optimisation buy here?", anchor=False)
    draw_launch(store, machine, recent, active=active, folded=bool(latest))
    st.divider()
    names = climb.names_of(latest) if latest else {}
    if active and latest[0].comparison_id is not None:
        progress.watch(latest[0].comparison_id, lambda run: names[run.config], draw_so_far)
    elif latest:
        draw_outcome(store, latest)
    else:
        st.info(
            "Nothing has been measured here yet. The button above runs the same images through every step, "
            "twice each, and shows what each of them bought.",
            icon=":material/info:",
        )


# -- the question ------------------------------------------------------------------------------------------


def draw_launch(store: Store, machine: Hardware, recent: Sequence[RunSummary], *, active: bool, folded: bool) -> None:
    """What will be classified, by which steps, and the one button that measures them."""
    chosen = settings.what_row(store.home, default_config(machine).with_(limit=IMAGES))
    if chosen.config is None:
        if chosen.problem is not None:
            st.error(format.literal(chosen.problem), icon=":material/error:")
        return
    steps = ladder.steps(chosen.config, machine)
    configs = interleaved([step.config for step in steps], REPEATS)
    notice = st.container()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            f"Measure all {len(steps)} steps",
            type="primary",
            icon=":material/play_arrow:",
            disabled=active,
            key=f"climb-{state.request_key('ladder')}",
        )
        st.caption(launch_text(comparison.usual_seconds(recent, configs)), width="content")
    draw_steps(steps, climb.left_out(chosen.config, machine), folded=folded)
    if pressed and settings.models_can_be_had(chosen.config, notice):
        progress.launch(store, configs, name="ladder")


def launch_text(usual_s: float | None) -> str:
    """What the button runs, and how long that took before."""
    parts = ["each step twice, interleaved"]
    if usual_s is not None:
        parts.append(f"about {usual_s:,.0f} s")
    return " · ".join(parts)


def draw_steps(steps: Sequence[Step], missing: Sequence[str], *, folded: bool) -> None:
    """The steps of this machine in their order, and those that it does not have."""
    title = f"{format.count(len(steps), 'step')} on this machine"
    if missing:
        title += f", {len(missing)} left out"
    with st.expander(title, icon=":material/stairs:", expanded=not folded):
        lines = [
            f"{n}. **{format.literal(step.name)}**: {format.literal(step.change)}" for n, step in enumerate(steps, 1)
        ]
        st.markdown("\n".join(lines))
        for sentence in missing:
            st.caption(f":material/block: Not here: {format.literal(sentence)}")


# -- while it runs -----------------------------------------------------------------------------------------


def draw_so_far(store: Store, runs: Sequence[RunSummary]) -> None:
    """Every step with its state, and the waterfall of those that are done; always as tall."""
    names = climb.names_of(runs)
    with st.container(horizontal=True, gap="small"):
        for config, rate in climb.rates_so_far(runs).items():
            st.markdown(step_state_text(names[config], rate, [r for r in runs if r.config == config]), width="content")
    with st.container(height=80 + 40 * len(names), border=False):
        widgets.show(climb.figure_so_far(runs), key="live-waterfall")


def step_state_text(name: str, rate: float | None, repeats: Sequence[RunSummary]) -> str:
    """One step in Markdown: how its repeats stand, and its rate once one is done."""
    done = sum(not run.active for run in repeats)
    words = [name] + ([format.rate(rate)] if rate is not None else []) + ([f"{done} of {len(repeats)}"] if done else [])
    unhappy = next((run.state for run in repeats if run.state not in ("finished", "queued", "running")), None)
    at_work = next((run.state for run in repeats if run.state == "running"), None)
    situation = unhappy or at_work or ("finished" if done == len(repeats) else "queued")
    return progress.state_text(situation, " · ".join(words + ([unhappy] if unhappy else [])))


# -- the answer --------------------------------------------------------------------------------------------


def draw_outcome(store: Store, runs: Sequence[RunSummary]) -> None:
    """The answer of a ladder that has ended, and what stopped it where something did."""
    names = climb.names_of(runs)
    if any(run.state != "finished" for run in runs):
        progress.draw_trouble(runs, lambda run: names[run.config])
    found = climb.measured(store, [run.id for run in runs if run.state == "finished"])
    if found is not None:
        draw_answer(store, found, str(runs[0].comparison_id))


def draw_answer(store: Store, found: Ladder, comparison_id: str) -> None:
    """One sentence, the figures, the waterfall, and every step in words and numbers."""
    st.header(format.literal(format.sentence_case(found.sentence.rstrip("."))), anchor=False)
    st.caption(format.literal(what_text(found)))
    best = limit.of_run(store, found.best.median)
    widgets.metric_cards(answer_cards(found, best), columns=4)
    draw_next(found, best, comparison_id)
    widgets.show(climb.figure(found), key="waterfall")
    st.subheader("Step by step", anchor=False)
    befores = (None, *found.rungs)
    st.markdown(
        "\n".join(
            f"{number}. **{format.literal(rung.step.name)}**: {format.literal(climb.sentence_of(rung, before))}"
            for number, (rung, before) in enumerate(zip(found.rungs, befores, strict=False), 1)
        )
    )
    st.dataframe(
        climb.table(found),
        hide_index=True,
        column_config=columns(),
        placeholder=format.UNKNOWN,
        alt="Every step with its rate, what it bought, its set-up, its agreement and its memory.",
    )


def what_text(found: Ladder) -> str:
    """What was classified, and how often; plain text."""
    config, repeats = found.rungs[0].step.config, len(found.rungs[0].runs)
    parts = [f"model {config.model}", f"{format.count(config.limit, 'image')} of {dataset_words(config.dataset)}"]
    parts.append("each step once" if repeats == 1 else f"each step {repeats} times, the middle one shown")
    return " · ".join([*parts, "speeds are those of the steady state, without set-up"])


def answer_cards(found: Ladder, best: limit.Known) -> list[widgets.Card]:
    """The best step: how many times as fast as the first, its rate, its share of the limit, its answers."""
    versus, steady, agreed = found.best.versus_first, found.best.steady_images_per_s, found.best.agreement
    return [
        widgets.Card(
            label="All steps together",
            value=format.ratio(versus.ratio if versus else None),
            help="Steady images/s of the best step divided by those of the first, medians of the repeats, with the "
            "95 % interval of a bootstrap over runs and the stretches between answers.",
            note=comparison.interval_text(versus) if versus else "",
        ),
        widgets.Card(
            label="Steady images/s",
            value=format.rate_number(steady),
            help=widgets.DEFINITIONS["steady_images_per_s"],
            note=f"with {found.best.step.name}",
        ),
        limit.card(replace(best, limit=found.limit or best.limit), steady),
        widgets.Card(
            label="Same answers",
            value=f"{agreed.agree:,} of {agreed.images:,}" if agreed else format.UNKNOWN,
            help="Images with the same label as in the first step, among those that both saw. A step that agrees on "
            f"less than {format.percent(ladder.MIN_AGREEMENT)} is not recommended.",
            note=comparison.scores_text(agreed) if agreed else "",
        ),
    ]


def draw_next(found: Ladder, best: limit.Known, comparison_id: str) -> None:
    """Where to go from here."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        config = found.best.step.config
        if st.button(
            "Use the best settings on the Run page",
            icon=":material/tune:",
            on_click=settings.apply,
            args=(config,),
        ):
            settings.go_to_run_page(config)
        limit.draw_details(best)
        st.page_link(
            "pages/compare.py",
            label="Every detail in Compare",
            icon=":material/balance:",
            query_params={"comparison": comparison_id},
        )


def columns() -> dict[str, Any]:
    """What the table's columns are called, and what they mean."""
    column = st.column_config
    return {
        "step": column.TextColumn("Step"),
        "change": column.TextColumn("What it changes", width="medium"),
        "steady": column.NumberColumn(
            "images/s", format="%.3g", help=f"Steady. {widgets.DEFINITIONS['steady_images_per_s']}"
        ),
        "previous": column.TextColumn("Against the step before", help="Ratio of the steady rates, and its interval."),
        "setup_s": column.NumberColumn("Set-up s", format="%.1f", help=widgets.DEFINITIONS["setup_s"]),
        "agreement": column.NumberColumn(
            "Agreement", format="%.0f %%", help="Share of the images that get the label that the first step gave."
        ),
        "memory": column.TextColumn("Memory per worker", help=widgets.DEFINITIONS["peak_worker_memory_bytes"]),
    }


page()
