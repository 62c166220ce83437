"""What does loading the model once buy on this machine? One button, the latest answer, and the machine."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from inference import hardware as machine
from inference.config import RunConfig, interleaved
from inference.preflight import check, default_config
from inference.results import throughput
from inference.setting_words import dataset_words
from inference.store import RunSummary, Store
from pages.ui import comparison, format, limit, progress, state, widgets
from pages.ui.comparison import Arm, Comparison
from pages.ui.lines import throughput_chart

LOOK_BACK = 300  # runs among which the latest comparison and the usual duration are looked for
PICTURES = 12


def page() -> None:
    """Ask, answer, show the machine."""
    state.require_app()
    store = state.store()
    hardware = state.hardware()
    recent = store.summaries(limit=LOOK_BACK)
    latest = progress.latest(recent, is_about_loading)
    active = any(run.active for run in latest)

    st.title("What does loading the model once buy you on this machine?", anchor=False)
    draw_launch(store, hardware, recent, active=active)
    st.divider()
    if active and latest[0].comparison_id is not None:
        progress.watch(latest[0].comparison_id, strategy_of, draw_so_far)
    elif latest:
        draw_outcome(store, latest)
    else:
        st.info(
            "Nothing has been measured here yet. The button above runs the same images through both ways, "
            "twice each, and shows what changed and why.",
            icon=":material/info:",
        )
    draw_machine(hardware)


def is_about_loading(configs: Sequence[RunConfig]) -> bool:
    """Whether a comparison is of just naive and actor."""
    return {config.strategy for config in configs} == {"naive", "actor"}


def strategy_of(run: RunSummary) -> str:
    """What this page calls a run."""
    return run.config.strategy


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
        progress.launch(store, configs, name="overview")


def launch_text(config: RunConfig, usual_s: float | None) -> str:
    """What the button runs, and how long that took before."""
    parts = [
        f"{format.count(config.limit, 'image')} of {dataset_words(config.dataset)}",
        f"model {config.model}",
        f"batch {config.batch_size}",
        format.count(config.concurrency, "worker"),
        "each way twice",
    ]
    if usual_s is not None:
        parts.append(f"about {usual_s:,.0f} s")
    return " · ".join(parts)


# -- while it runs -----------------------------------------------------------------------------------------


def draw_so_far(store: Store, runs: Sequence[RunSummary]) -> None:
    """Every run with its state, and images/s over time of those that have begun; always as tall."""
    with st.container(horizontal=True, gap="small"):
        for number, run in enumerate(runs, start=1):
            st.markdown(run_state_text(number, run), width="content")
    with st.container(height=340, border=False):
        draw_live_throughput(store, runs)


def run_state_text(number: int, run: RunSummary) -> str:
    """One run of the comparison in Markdown: its number, its strategy, and how it stands."""
    done = run.metrics is not None and run.state == "finished"
    stands = format.rate(run.metrics.images_per_s) if run.metrics is not None and done else run.state
    return progress.state_text(run.state, f"{number} {run.config.strategy} {stands}")


def draw_live_throughput(store: Store, runs: Sequence[RunSummary]) -> None:
    """Images/s over time of the runs that have begun, the latest of each strategy."""
    begun = {run.config.strategy: run for run in runs if run.state != "queued"}
    records = [record for run in begun.values() if (record := store.get(run.id)) is not None]
    highest = limit.highest(store, records)
    figure = throughput_chart(
        {record.config.strategy: throughput(record.predictions) for record in records},
        strategies={record.config.strategy: record.config.strategy for record in records},
        limit=highest.images_per_s if highest else None,
        title="Throughput over time, as it is measured",
    )
    widgets.show(figure, key="live-throughput")


# -- the answer --------------------------------------------------------------------------------------------


def draw_outcome(store: Store, runs: Sequence[RunSummary]) -> None:
    """The answer of an ended comparison, and what stopped it where something did."""
    if any(run.state != "finished" for run in runs):
        progress.draw_trouble(runs, strategy_of)
    finished = sorted((run for run in runs if run.state == "finished"), key=lambda run: run.config.strategy != "naive")
    if {run.config.strategy for run in finished} == {"naive", "actor"}:
        found = comparison.measured(store, [run.id for run in finished])
        draw_answer(store, found, runs)


def draw_answer(store: Store, found: Comparison, runs: Sequence[RunSummary]) -> None:
    """One sentence with a number, the figures, the evidence, and pictures with their answers."""
    naive, actor = found.arms
    st.header(format.literal(answer_sentence(naive, actor)), anchor=False)
    above = limit.of_run(store, actor.median)
    cards = [
        *answer_cards(naive, actor),
        limit.card(above, actor.metrics.steady_images_per_s, label="actor of the limit"),
    ]
    widgets.metric_cards(cards, columns=5)
    draw_next(above, runs)
    comparison.show_evidence(found, key="overview")
    config = actor.median.config
    st.subheader("What the model sees and says", anchor=False)
    first = comparison.first_answers(actor, PICTURES)
    widgets.gallery(store.home, config.dataset, first, model=config.model)


def draw_next(above: limit.Known, runs: Sequence[RunSummary]) -> None:
    """Where to go from here."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        limit.draw_details(above)
        st.page_link("pages/ladder.py", label="What else is there to gain?", icon=":material/stairs:")
        st.page_link(
            "pages/compare.py",
            label="Every detail in Compare",
            icon=":material/balance:",
            query_params={"comparison": str(runs[0].comparison_id)},
        )
        st.page_link(
            "pages/replay.py",
            label="Replay the last comparison",
            icon=":material/slideshow:",
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
