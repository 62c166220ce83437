"""What does loading the model once buy on this machine? One button, the latest answer, and the machine."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from inference import hardware as machine
from inference.config import RunConfig, interleaved
from inference.errors import BatchscopeError
from inference.preflight import check, default_config
from inference.results import throughput
from inference.store import RunSummary, Store
from pages.ui import comparison, format, state, widgets
from pages.ui.charts import throughput_chart
from pages.ui.comparison import Arm, Comparison

LOOK_BACK = 300  # runs among which the latest comparison and the usual duration are looked for
PICTURES = 12


def page() -> None:
    """Ask, answer, show the machine."""
    state.require_app()
    store = state.store()
    hardware = known_hardware(store)
    recent = store.summaries(limit=LOOK_BACK)
    latest = latest_loading_comparison(recent)
    active = any(run.active for run in latest)

    st.title("What does loading the model once buy you on this machine?", anchor=False)
    draw_launch(store, hardware, recent, active=active)
    st.divider()
    if active and latest[0].comparison_id is not None:
        st.fragment(draw_live, run_every=1.0)(latest[0].comparison_id)
    elif latest:
        draw_outcome(store, latest)
    else:
        st.info(
            "Nothing has been measured here yet. The button above runs the same images through both ways, "
            "twice each, and shows what changed and why.",
            icon=":material/info:",
        )
    draw_machine(hardware)


def known_hardware(store: Store) -> machine.Hardware:
    """The machine as the engine reported it, else as this process sees it."""
    engine = store.engine()
    return machine.from_dict(engine.hardware) if engine and engine.hardware else state.hardware()


def latest_loading_comparison(recent: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs of the newest comparison of just naive and actor, in their order; empty if none."""
    groups: dict[str, list[RunSummary]] = {}
    for run in recent:
        if run.comparison_id is not None:
            groups.setdefault(run.comparison_id, []).append(run)
    for group in groups.values():
        if {run.config.strategy for run in group} == {"naive", "actor"}:
            return sorted(group, key=lambda run: run.seq)
    return []


# -- the question ------------------------------------------------------------------------------------------


def draw_launch(store: Store, hardware: machine.Hardware, recent: Sequence[RunSummary], *, active: bool) -> None:
    """What will run, and the one button that runs it."""
    config = default_config(hardware)
    naive, actor = config.with_(strategy="naive"), config.with_(strategy="actor")
    configs = interleaved([naive, actor], 2)
    verdict = check(actor, hardware)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            "Compare naive and actor-based",
            type="primary",
            icon=":material/play_arrow:",
            disabled=active or not verdict.fits,
            key=f"compare-{state.request_key('overview')}",
        )
        st.caption(format.literal(launch_text(config, comparison.usual_seconds(recent, configs))), width="content")
    if not verdict.fits:
        widgets.verdict_line(verdict)
    if pressed:
        launch(store, configs)


def launch_text(config: RunConfig, usual_s: float | None) -> str:
    """What the button runs, and how long that took before."""
    parts = [
        f"{format.count(config.limit, 'image')} of {config.dataset}",
        f"model {config.model}",
        f"batch {config.batch_size}",
        format.count(config.concurrency, "worker"),
        "each way twice",
    ]
    if usual_s is not None:
        parts.append(f"about {usual_s:,.0f} s")
    return " · ".join(parts)


def launch(store: Store, configs: Sequence[RunConfig]) -> None:
    """Queue the comparison once, however often the button was pressed."""
    try:
        store.enqueue(configs, compare=True, request_key=state.request_key("overview"))
    except BatchscopeError as error:
        st.error(format.literal(error), icon=":material/error:")
        return
    state.renew_request_key("overview")
    st.rerun()


# -- while it runs -----------------------------------------------------------------------------------------


def draw_live(comparison_id: str) -> None:
    """How far the comparison is; redrawn every second, always as tall."""
    store = state.store()
    runs = store.comparison(comparison_id)
    if not any(run.active for run in runs):
        st.rerun()
    current = next((run for run in runs if run.state in ("running", "cancelling")), None)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(done_share(runs), text=format.literal(live_text(store, runs, current)))
        if st.button("Cancel", key="cancel-comparison", help="Stops the run that is going on and drops the rest."):
            for run in runs:
                store.request_cancel(run.id)
    with st.container(horizontal=True, gap="small"):
        for number, run in enumerate(runs, start=1):
            st.markdown(run_state_text(number, run), width="content")
    with st.container(height=340, border=False):
        draw_live_throughput(store, runs)


def done_share(runs: Sequence[RunSummary]) -> float:
    """Share of all images of all runs that are done, ended runs counting as done; 0 to 1."""
    done = 0.0
    for run in runs:
        if not run.active:
            done += 1
        elif run.progress is not None and run.progress.images_total:
            done += min(1.0, run.progress.images_done / run.progress.images_total)
    return done / len(runs)


def live_text(store: Store, runs: Sequence[RunSummary], current: RunSummary | None) -> str:
    """Which run of how many, what it does, and how fast it is."""
    if current is None:
        engine = store.engine()
        if engine is not None and engine.state == "starting":
            return f"The engine is starting: {engine.message}" if engine.message else "The engine is starting"
        ahead = next((i for i, run in enumerate(store.active()) if run.id in {r.id for r in runs}), 0)
        waiting = f" behind {format.count(ahead, 'other run')}" if ahead else ""
        return f"Waiting{waiting} for the engine to take the next run"
    text = f"Run {runs.index(current) + 1} of {len(runs)}: {current.config.strategy}"
    if current.state == "cancelling":
        return f"{text}, stopping"
    if current.progress is None:
        return f"{text}, starting"
    pace = state.pace(current.id, current.progress)
    done = f"{current.progress.images_done:,} of {format.count(current.progress.images_total, 'image')}"
    speed = f", {format.rate(pace.images_per_s)}" if pace.images_per_s is not None else ""
    return f"{text}, {current.progress.phase}, {done}{speed}"


def run_state_text(number: int, run: RunSummary) -> str:
    """One run of the comparison in Markdown: its number, its strategy, and how it stands."""
    if run.metrics is not None and run.state == "finished":
        rate = format.rate(run.metrics.images_per_s)
        return f":green[:material/check_circle:] {number} {run.config.strategy} {rate}"
    icon = {"queued": ":gray[:material/schedule:]", "running": ":blue[:material/play_circle:]"}.get(
        run.state, ":orange[:material/error:]"
    )
    return f"{icon} {number} {run.config.strategy} {run.state}"


def draw_live_throughput(store: Store, runs: Sequence[RunSummary]) -> None:
    """Images/s over time of the runs that have begun, the latest of each strategy."""
    begun = {run.config.strategy: run for run in runs if run.state != "queued"}
    records = [record for run in begun.values() if (record := store.get(run.id)) is not None]
    figure = throughput_chart(
        {record.config.strategy: throughput(record.predictions) for record in records},
        strategies={record.config.strategy: record.config.strategy for record in records},
        title="Throughput over time, as it is measured",
    )
    widgets.show(figure, key="live-throughput")


# -- the answer --------------------------------------------------------------------------------------------


def draw_outcome(store: Store, runs: Sequence[RunSummary]) -> None:
    """The answer of an ended comparison, and what stopped it where something did."""
    if any(run.state != "finished" for run in runs):
        draw_trouble(runs)
    finished = sorted((run for run in runs if run.state == "finished"), key=lambda run: run.config.strategy != "naive")
    if {run.config.strategy for run in finished} == {"naive", "actor"}:
        found = comparison.measured(str(store.home), tuple(run.id for run in finished))
        draw_answer(store, found, runs)


def draw_trouble(runs: Sequence[RunSummary]) -> None:
    """Which runs did not finish, why, and what to do."""
    for number, run in enumerate(runs, start=1):
        if run.state in ("failed", "crashed"):
            st.error(
                f"Run {number} of {len(runs)} ({run.config.strategy}) {run.state}. "
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


def draw_answer(store: Store, found: Comparison, runs: Sequence[RunSummary]) -> None:
    """One sentence with a number, the figures, the evidence, and pictures with their answers."""
    naive, actor = found.arms
    st.header(format.literal(answer_sentence(naive, actor)), anchor=False)
    widgets.metric_cards(answer_cards(naive, actor), columns=4)
    comparison.show_evidence(found, key="overview")
    config = actor.median.config
    st.subheader("What the model sees and says", anchor=False)
    first = comparison.first_answers(actor, PICTURES)
    widgets.gallery(store.home, config.dataset, first, model=config.model)
    st.page_link(
        "pages/compare.py",
        label="Every detail in Compare",
        icon=":material/balance:",
        query_params={"comparison": str(runs[0].comparison_id)},
    )


def answer_sentence(naive: Arm, actor: Arm) -> str:
    """The answer to the page's question; plain text."""
    found = actor.speedup
    if found is None:
        return "Neither way gave answers, so there is nothing to compare"
    if found.tie:
        return "Loading the model once makes no difference that can be told from chance here"
    before, after = naive.metrics.images_per_s, actor.metrics.images_per_s
    rates = f"{format.rate(after)} instead of {format.rate_number(before)}"
    if found.ratio > 1:
        return f"Loading the model once is {format.ratio(found.ratio)} faster: {rates}"
    return f"Loading the model once is {format.ratio(1 / found.ratio)} slower here: {rates}"


def answer_cards(naive: Arm, actor: Arm) -> list[widgets.Card]:
    """The ratio with its interval, both rates, and whether the answers are the same."""
    found, agreed = actor.speedup, actor.agreement
    return [
        widgets.Card(
            label="Speed-up",
            value=format.ratio(found.ratio if found else None),
            help="Images/s of actor divided by those of naive, end to end, medians of the repeats, with the "
            "95 % interval of a bootstrap over runs and the stretches between answers.",
            note=comparison.interval_text(found) if found else "",
        ),
        *(
            widgets.Card(
                label=f"{arm.strategy} images/s",
                value=format.rate_number(arm.metrics.images_per_s),
                help=widgets.DEFINITIONS["images_per_s"],
                note=f"done after {format.seconds(arm.metrics.total_s)}",
            )
            for arm in (naive, actor)
        ),
        widgets.Card(
            label="Same answers",
            value=f"{agreed.agree:,} of {agreed.images:,}" if agreed else format.UNKNOWN,
            help="Images with the same label both ways, or with none both ways, among those that both saw.",
            note=comparison.scores_text(agreed) if agreed else "",
        ),
    ]


# -- the machine -------------------------------------------------------------------------------------------


def draw_machine(hardware: machine.Hardware) -> None:
    """Five facts, each with what it means for inference."""
    st.header("This machine", anchor=False)
    for fact in machine.facts(hardware):
        title, value, meaning = st.columns([1, 3, 5], gap="small")
        title.markdown(f"**{format.literal(fact.title)}**")
        value.markdown(format.literal(fact.value))
        meaning.caption(format.literal(fact.meaning))
    for note in machine.environment_notes():
        st.caption(f":material/info: {format.literal(note)}")


page()
