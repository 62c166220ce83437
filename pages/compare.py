"""Runs side by side against a baseline: what changed, what it bought, and whether the answers agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from inference.config import differences
from inference.report import comparability
from inference.results import Prediction
from inference.store import RunSummary, Store
from pages.ui import comparison, format, limit, state, widgets
from pages.ui.comparison import Arm, Comparison
from pages.ui.words import WORDS, written

LISTED = 300  # runs that the picker offers, newest first
PICTURES = 12
MOST_CARDS = 4  # more sides than this are a table: nobody finds a figure among so many cards


def page() -> None:
    """Choose runs, then one sentence, the figures, and the evidence."""
    state.require_app()
    store = state.store()
    st.title("What changed, and what did it buy?", anchor=False)
    offered = [run for run in store.summaries(limit=LISTED) if run.state == "finished"]
    asked = asked_for(store, offered)
    for sentence in asked.remarks:
        st.warning(format.literal(sentence), icon=":material/info:")
    offered += [run for run in asked.runs if run.id not in {other.id for other in offered}]
    chosen = draw_picker(offered, asked.runs)
    if len(chosen) < 2:
        draw_too_few(offered)
        return
    draw_comparison(store, comparison.measured(store, chosen))


# -- which runs --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for."""

    runs: tuple[RunSummary, ...]
    """Finished runs, the baseline first."""
    remarks: tuple[str, ...] = ()
    """What of it cannot be shown, and why."""


def asked_for(store: Store, offered: Sequence[RunSummary]) -> Asked:
    """The runs of `?comparison=ID` or `?runs=a,b`; without either, those of the newest comparison."""
    comparison_id = st.query_params.get("comparison")
    if comparison_id:
        return of_comparison(store, comparison_id)
    if "runs" in st.query_params:
        return of_runs(store, st.query_params["runs"])
    latest = tuple(run for run in store.latest_comparison() if run.state == "finished")
    return Asked(runs=latest if len(latest) > 1 else tuple(offered[1::-1]))


def of_comparison(store: Store, comparison_id: str) -> Asked:
    """The finished runs of one comparison, and how many are missing."""
    runs = store.comparison(comparison_id)
    if not runs:
        return Asked(runs=(), remarks=(f"There is no comparison {comparison_id}: its runs were deleted.",))
    finished = tuple(run for run in runs if run.state == "finished")
    missing = [run for run in runs if run.state != "finished"]
    if not missing:
        return Asked(runs=finished)
    states = ", ".join(f"{run.config.strategy} {run.state}" for run in missing)
    remark = f"{len(missing)} of {format.count(len(runs), 'run')} left out, because not finished: {states}."
    return Asked(runs=finished, remarks=(remark,))


def of_runs(store: Store, ids: str) -> Asked:
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


def draw_picker(offered: Sequence[RunSummary], asked: Sequence[RunSummary]) -> list[str]:
    """Let the runs be chosen; the ids chosen, the baseline first. The address follows the choice."""
    if len(offered) < 2:
        return []
    labels = {run.id: widgets.run_label(run) for run in offered}
    default = [run.id for run in asked]
    with st.expander("Choose runs", icon=":material/checklist:", expanded=len(asked) < 2):
        chosen = st.multiselect(
            "Finished runs, the first one is the baseline",
            options=list(labels),
            default=default,
            format_func=labels.__getitem__,
            key="compared",
            placeholder="Choose two or more",
            help="Runs with the same settings count as repeats of one another.",
            wrap=True,
        )
    if chosen != default:
        st.query_params.from_dict({"runs": ",".join(chosen)})
    return chosen


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


# -- what they say -----------------------------------------------------------------------------------------


def draw_comparison(store: Store, found: Comparison) -> None:
    """Everything about these arms, the answer first."""
    arms = found.arms
    draw_answer(arms)
    if len(arms) > MOST_CARDS:
        draw_table(store, arms)
    else:
        for arm in arms:
            draw_cards(store, arm, arms[0])
    with st.expander("How the ratio and its interval are computed", icon=":material/functions:"):
        st.markdown(comparison.HOW_COMPUTED)
    comparison.show_evidence(found, key="compare")
    draw_timelines(found)
    draw_agreement(store, arms)
    draw_settings(arms)
    draw_predictions(store, arms)
    draw_plans(arms)


def draw_answer(arms: Sequence[Arm]) -> None:
    """The sentence, how sure it is, and what speaks against comparing at all."""
    st.header(format.literal(comparison.headline(arms)), anchor=False)
    for arm in arms[1:] if len(arms) <= MOST_CARDS else ():
        if arm.speedup is not None:
            verdict = f"{comparison.verdict_text(arm, arms[0])}. " if len(arms) > 2 else ""
            interval = f"Ratio {format.ratio(arm.speedup.ratio)}, {comparison.interval_text(arm.speedup)}"
            why = ", which includes 1: chance alone could explain the difference" if arm.speedup.tie else ""
            st.caption(format.literal(f"{verdict}{interval}{why}. {repeats_text(arms[0], arm)}"))
    for sentence in comparability([run for arm in arms for run in arm.runs]):
        st.warning(format.literal(sentence), icon=":material/warning:")


def repeats_text(baseline: Arm, arm: Arm) -> str:
    """How many runs stand behind a ratio."""
    return f"From {format.count(len(arm.runs), 'run')} against {len(baseline.runs)}."


def draw_cards(store: Store, arm: Arm, baseline: Arm) -> None:
    """The figures of one arm, with their differences from the baseline's."""
    words = ["baseline"] if arm is baseline else [f"differences from {baseline.label}"]
    if len(arm.runs) > 1:
        words.append(f"the middle one of {len(arm.runs)} runs")
    st.markdown(f"**{format.literal(arm.label)}** :gray[{format.literal(', '.join(words))}]")
    widgets.metric_cards(arm_cards(store, arm, None if arm is baseline else baseline))


def draw_table(store: Store, arms: Sequence[Arm]) -> None:
    """The figures of many arms, one row each."""
    rows = []
    for arm in arms:
        cards = {card.label: card.value for card in arm_cards(store, arm)}
        versus = f"{format.ratio(arm.speedup.ratio)}, {comparison.interval_text(arm.speedup)}" if arm.speedup else None
        rows.append({"": format.plain(arm.label), "Against the first": versus or format.UNKNOWN} | cards)
    help_of = {card.label: card.help for card in arm_cards(store, arms[0])}
    st.dataframe(
        rows,
        hide_index=True,
        column_config={label: st.column_config.TextColumn(label, help=help) for label, help in help_of.items()},
        alt="The figures of every side, one row each, the first one being the baseline.",
    )


def arm_cards(store: Store, arm: Arm, baseline: Arm | None = None) -> list[widgets.Card]:
    """The figures of one arm, with their differences from the baseline's, if given."""
    share = limit.card(limit.of_run(store, arm.median), arm.metrics.steady_images_per_s)
    return [*widgets.run_cards(arm.metrics, baseline.metrics if baseline else None), share]


def draw_timelines(found: Comparison) -> None:
    """Who did what when, every arm on the same time axis."""
    st.subheader("What each worker did", anchor=False)
    for number, figure in enumerate(found.timelines):
        widgets.show(figure, key=f"compare-timeline-{number}")


def draw_agreement(store: Store, arms: Sequence[Arm]) -> None:
    """Whether the answers are the same, with the images where they are not."""
    st.subheader("Do the answers agree?", anchor=False)
    for arm in arms[1:]:
        agreed = arm.agreement
        if agreed is None or not agreed.images:
            st.caption(format.literal(f"{arm.label} and {arms[0].label} have no image in common."))
            continue
        scores = comparison.scores_text(agreed)
        images = f"{agreed.agree:,} of {format.count(agreed.images, 'image')}"
        sentence = f"{arm.label} and {arms[0].label} agree on {images}{', ' if scores else ''}{scores}."
        st.markdown(format.literal(sentence))
        if agreed.differing:
            draw_differing(store, arms[0], arm, agreed.differing)


def draw_differing(store: Store, baseline: Arm, arm: Arm, image_ids: Sequence[str]) -> None:
    """The images that get two answers, each with both."""
    sides = [(side.label, {p.image_id: p for p in side.median.predictions}) for side in (baseline, arm)]
    pairs: list[tuple[str, list[tuple[str, Prediction | None]]]] = [
        (image_id, [(label, answers.get(image_id)) for label, answers in sides]) for image_id in image_ids[:PICTURES]
    ]
    widgets.disagreements(store.home, baseline.median.config.dataset, pairs)
    hidden = len(image_ids) - len(pairs)
    if hidden > 0:
        st.caption(f"and {format.count(hidden, 'more image')}.")


def draw_settings(arms: Sequence[Arm]) -> None:
    """The settings that are not the same, side by side."""
    st.subheader("Settings that differ", anchor=False)
    differing = differences([arm.median.config for arm in arms])
    if not differing:
        st.caption("None: these are repeats of one configuration.")
        return
    rows = [
        {"setting": WORDS[name]}
        | {format.plain(arm.label): format.plain(written(name, value)) for arm, value in zip(arms, values, strict=True)}
        for name, values in differing.items()
    ]
    st.dataframe(rows, hide_index=True, width="stretch")


def draw_predictions(store: Store, arms: Sequence[Arm]) -> None:
    """The first images with the answers of the baseline, those of the others folded away."""
    st.subheader(format.literal(f"Sample predictions of {arms[0].label}"), anchor=False)
    draw_first_images(store, arms[0])
    for arm in arms[1:]:
        with st.expander(format.literal(f"The same images by {arm.label}"), icon=":material/image:"):
            draw_first_images(store, arm)


def draw_first_images(store: Store, arm: Arm) -> None:
    """The first images of an arm's data set with its answers."""
    config = arm.median.config
    first = comparison.first_answers(arm, PICTURES)
    widgets.gallery(store.home, config.dataset, first, model=config.model)


def draw_plans(arms: Sequence[Arm]) -> None:
    """Ray Data's own account of each plan, folded away."""
    st.subheader("What Ray Data ran", anchor=False)
    for arm in arms:
        with st.expander(format.literal(f"Plan of {arm.label}"), icon=":material/account_tree:"):
            if arm.median.plan:
                st.code(arm.median.plan, language=None)
            else:
                st.caption("This run kept no plan.")


page()
