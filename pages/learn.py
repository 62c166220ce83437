"""Why the naive way is slow, in six short chapters, told with the runs that were measured here."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from inference.config import RunConfig
from inference.hardware import Hardware
from inference.lessons import IMAGES, Fitting, all_cpus_taken, source_of
from inference.preflight import check
from inference.setting_words import setting_text
from inference.store import RunSummary, Store
from pages.ui import comparison, format, progress, state, widgets
from pages.ui.chapters import CHAPTERS, Chapter
from pages.ui.words import joined

LOOK_BACK = 300  # runs among which those that fit a chapter are looked for
STARVED = 4  # the chapter that shows preflight's sum


def page() -> None:
    """The chapter that the address names: the idea, the runs that show it, and its code."""
    state.require_app()
    store, hardware = state.store(), state.hardware()
    number = asked_for()
    chapter = CHAPTERS[number - 1]
    st.title("Why is the naive way slow?", anchor=False)
    draw_contents(number)
    st.divider()
    st.header(f"{number}. {chapter.title}", anchor=False)
    words, experiment = st.columns([3, 2], gap="large")
    with words:
        for paragraph in chapter.text:
            st.markdown(paragraph)
        if number == STARVED:
            draw_sum(hardware)
    recent = store.summaries(limit=LOOK_BACK)
    configs = chapter.lesson.experiment(hardware)
    with experiment:
        runs = draw_experiment(store, hardware, recent, configs, number)
    st.subheader("What your runs say", anchor=False)
    if any(run.active for run in runs) and runs[0].comparison_id is not None:
        progress.watch(runs[0].comparison_id, name_of, draw_so_far)
    else:
        progress.draw_trouble(runs, name_of)
    draw_finding(store, chapter, chapter.lesson.fitting(recent))
    draw_source(chapter)
    draw_neighbours(number)


def asked_for() -> int:
    """The chapter of `?chapter=2`; the first where there is none or no such one, which is then said."""
    raw = st.query_params.get("chapter", "1")
    numbers = [str(number) for number in range(1, len(CHAPTERS) + 1)]
    if raw in numbers:
        keep_in_address(raw)
        return int(raw)
    st.warning(
        f"There is no chapter {format.literal(format.shortened(raw, 20))}; this is the first one.",
        icon=":material/link_off:",
    )
    return 1


def keep_in_address(number: str) -> None:
    """Write a newly opened chapter into the address: a link from this page to itself leaves the old one (1.67)."""
    if state.remembered("chapter") != number:
        st.query_params["chapter"] = number
        state.remember("chapter", number)


def name_of(run: RunSummary) -> str:
    """What this page calls a run."""
    return " · ".join(
        [run.config.strategy, *(setting_text(name, run.config) for name in ("batch_size", "concurrency"))]
    )


# -- from chapter to chapter -------------------------------------------------------------------------------


def draw_contents(number: int) -> None:
    """All chapters by name, the one that is shown in bold."""
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        for place, chapter in enumerate(CHAPTERS, start=1):
            if place == number:
                st.markdown(f"**{place} {chapter.lesson.name}**", width="content")
            else:
                link(place, f"{place} {chapter.lesson.name}")


def draw_neighbours(number: int) -> None:
    """The chapter before and the one after."""
    st.divider()
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        if number > 1:
            link(number - 1, f"Before: {CHAPTERS[number - 2].title}", icon=":material/arrow_back:")
        if number < len(CHAPTERS):
            link(number + 1, f"Next: {CHAPTERS[number].title}", icon=":material/arrow_forward:")
        else:
            st.page_link("pages/ladder.py", label="Next: what else is there to gain?", icon=":material/stairs:")


def link(number: int, label: str, *, icon: str | None = None) -> None:
    """A link to a chapter."""
    st.page_link("pages/learn.py", label=label, icon=icon, query_params={"chapter": str(number)})


# -- the experiment ----------------------------------------------------------------------------------------


def draw_experiment(
    store: Store, hardware: Hardware, recent: Sequence[RunSummary], configs: Sequence[RunConfig], number: int
) -> list[RunSummary]:
    """What the button runs, and the button; the runs that it queued last."""
    runs = progress.latest(recent, lambda launched: set(launched) == set(configs))
    name = f"learn-{number}"
    verdicts = [check(config, hardware) for config in configs]
    with st.container(border=True):
        st.markdown("**Try it on this machine**")
        st.markdown("  \n".join(format.literal(config_text(config)) for config in configs))
        usual_s = comparison.usual_seconds(recent, configs)
        took = f", about {usual_s:,.0f} s" if usual_s is not None else ""
        st.caption(f"{IMAGES} images of {format.literal(configs[0].dataset)} each{took}")
        pressed = st.button(
            "Run both" if len(configs) > 1 else "Run it",
            type="primary",
            icon=":material/play_arrow:",
            disabled=any(run.active for run in runs) or not all(verdict.fits for verdict in verdicts),
            key=f"{name}-{state.request_key(name)}",
        )
    for verdict in verdicts:
        if not verdict.fits:
            widgets.verdict_line(verdict)
    if pressed:
        progress.launch(store, configs, name=name)
    return runs


def config_text(config: RunConfig) -> str:
    """One configuration in a line of plain text."""
    names = ("batch_size", "concurrency", "cpus_per_worker")
    return " · ".join([config.strategy, *(setting_text(name, config) for name in names)])


def draw_so_far(store: Store, runs: Sequence[RunSummary]) -> None:
    """Every run of the experiment with its state."""
    with st.container(horizontal=True, gap="small"):
        for place, run in enumerate(runs, start=1):
            st.markdown(progress.state_text(run.state, f"{place} {name_of(run)} {run.state}"), width="content")


def draw_sum(hardware: Hardware) -> None:
    """Preflight's sum for workers that reserve every CPU of this machine, and for the nearest that leave one."""
    refused = all_cpus_taken(hardware)
    verdict = check(refused, hardware)
    widgets.verdict_line(verdict)
    if verdict.nearest is not None:
        widgets.verdict_line(check(verdict.nearest, hardware))


# -- what was measured -------------------------------------------------------------------------------------


def draw_finding(store: Store, chapter: Chapter, fitting: Fitting) -> None:
    """What the fitting runs say, in a sentence and a chart, and where they are; or that there are none."""
    found = comparison.measured(store, [run.id for run in fitting]) if fitting else None
    if found is None or len(found.arms) != len(fitting):
        st.info(missing_text(chapter, state.hardware()), icon=":material/info:")
        return
    finding = chapter.find(found)
    st.markdown(format.literal(format.sentence_case(finding.sentence)))
    widgets.show(finding.figure, key=f"learn-{chapter.lesson.name}")
    ids = [run.id for run in fitting]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if len(ids) > 1:
            st.page_link(
                "pages/compare.py",
                label="These runs in Compare",
                icon=":material/balance:",
                query_params={"runs": ",".join(ids)},
            )
        else:
            st.page_link("pages/run.py", label="This run", icon=":material/play_arrow:", query_params={"run": ids[0]})
        config = fitting[-1].config
        origin = [config.model, setting_text("limit", config), f"measured {format.moment(fitting[-1].created_at)}"]
        st.caption(format.literal(" · ".join(origin)), width="content")


def missing_text(chapter: Chapter, hardware: Hardware) -> str:
    """That no run shows this yet, and what would."""
    strategies = list(dict.fromkeys(config.strategy for config in chapter.lesson.experiment(hardware)))
    return f"Nothing that shows this has been measured here yet. The button above runs {joined(strategies)}."


# -- the code ----------------------------------------------------------------------------------------------


def draw_source(chapter: Chapter) -> None:
    """The functions that the chapter is about, as they run here."""
    st.subheader("The code that ran", anchor=False)
    for excerpt in chapter.lesson.source:
        st.caption(f"`inference/{excerpt.path}`")
        st.code(source_of(excerpt), language="python", wrap_lines=True)


page()
