"""What the arms of a comparison differ in from the baseline: the answer, the figures, the settings."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from inference import arms as sides
from inference import hardware as machine
from inference.arms import Arm, interval_text, verdict_text
from inference.config import differences
from inference.store import Store
from pages.ui import format, limit, widgets
from pages.ui.comparison import Comparison
from pages.ui.words import WORDS, joined, written

MOST_CARDS = 3
"""More sides than this are a table: nobody finds a figure among so many cards."""

HOW_COMPUTED = "\n\n".join(f"**{what}** {rest}" for what, rest in sides.HOW_COMPUTED)


# -- the answer --------------------------------------------------------------------------------------------


def headline(found: Comparison) -> str:
    """Who is faster, by how much, and whether the answers agree; plain text.

    Of several arms, the fastest of those that can be set against the baseline stands for all.
    """
    baseline, others = found.arms[0], found.arms[1:]
    rated = [arm for arm in others if arm.speedup is not None]
    if not rated:
        other = others[0]
        if found.objects(other, "images"):
            return f"{other.label} and {baseline.label} saw different images, so neither is called faster"
        return f"{verdict_text(other, baseline)}; {_agreement(found)}"
    best = max(rated, key=lambda arm: arm.speedup.ratio if arm.speedup else 0.0)
    sentence = verdict_text(best, baseline) + (", with another model" if found.objects(best, "model") else "")
    if len(others) > 1:
        sentence = f"Fastest of {len(rated)}: {sentence}"
    return f"{sentence}; {_agreement(found)}"


def _agreement(found: Comparison) -> str:
    same_model = [arm for arm in found.arms[1:] if not found.objects(arm, "model")]
    return sides.agreement_text(same_model) if same_model else "answers of different models are not compared"


def draw_answer(found: Comparison) -> None:
    """The sentence, how sure it is, and what speaks against comparing at all."""
    arms = found.arms
    st.header(format.literal(headline(found)), anchor=False)
    for arm in arms[1:] if len(arms) <= MOST_CARDS else ():
        if arm.speedup is not None:
            verdict = f"{verdict_text(arm, arms[0])}. " if len(arms) > 2 else ""
            interval = f"Ratio {format.ratio(arm.speedup.ratio)}, {interval_text(arm.speedup)}"
            why = ", which includes 1: chance alone could explain the difference" if arm.speedup.tie else ""
            behind = f"From {format.count(len(arm.runs), 'run')} against {len(arms[0].runs)}."
            st.caption(format.literal(f"{verdict}{interval}{why}. {behind}"))
    draw_objections(found)


def draw_objections(found: Comparison) -> None:
    """What is not the same in all arms, whom it concerns, and what follows."""
    baseline = found.arms[0]
    for about, consequence in (
        ("model", "Ratios are marked with “another model”, and agreement is not shown."),
        ("images", "No ratio is given."),
        ("machine", "A ratio says as much about the machines as about the settings."),
    ):
        concerned = [arm for arm in found.arms[1:] if found.objects(arm, about)]
        if not concerned:
            continue
        reason = next(o.sentence for o in found.against[concerned[0].label] if o.about == about)
        whom = f"This concerns {joined([arm.label for arm in concerned])}, set against {baseline.label}."
        machines = _machines_text([baseline, *concerned]) if about == "machine" else ""
        text = format.literal(" ".join(filter(None, (reason, whom, machines, consequence))))
        if about == "images":
            st.error(text, icon=":material/block:")
        else:
            st.warning(text, icon=":material/warning:")


def _machines_text(arms: Sequence[Arm]) -> str:
    parts = [
        f"{arm.label} ran on {machine.chip(machine.from_dict(arm.median.hardware))}"
        for arm in arms[:3]
        if arm.median.hardware
    ]
    return f"{'; '.join(parts)}." if parts else ""


# -- the figures -------------------------------------------------------------------------------------------


def draw_figures(store: Store, found: Comparison) -> None:
    """Every figure of every arm with its difference from the baseline: cards for few, a table for many."""
    if len(found.arms) > MOST_CARDS:
        draw_table(store, found)
    else:
        for arm in found.arms:
            draw_cards(store, found, arm)
    with st.expander("How the ratio and its interval are computed", icon=":material/functions:"):
        st.markdown(HOW_COMPUTED)


def draw_cards(store: Store, found: Comparison, arm: Arm) -> None:
    """The figures of one arm, with their differences from the baseline's."""
    baseline = found.arms[0]
    if arm is baseline:
        words = ["baseline"]
    elif found.objects(arm, "images"):
        words = [f"no differences from {baseline.label}, because it saw other images"]
    else:
        words = [ratio_text(found, arm), f"differences from {baseline.label}"]
    if len(arm.runs) > 1:
        words.append(f"the middle one of {len(arm.runs)} runs")
    st.markdown(f"**{format.literal(arm.label)}** :gray[{format.literal(', '.join(words))}]")
    widgets.metric_cards(arm_cards(store, found, arm), columns=5)


def arm_cards(store: Store, found: Comparison, arm: Arm) -> list[widgets.Card]:
    """The figures of one arm, with their differences from the baseline's where both saw the same images."""
    baseline = found.arms[0]
    compared = arm is not baseline and not found.objects(arm, "images")
    share = limit.card(limit.of_run(store, arm.median), arm.metrics.steady_images_per_s)
    return [*widgets.run_cards(arm.metrics, baseline.metrics if compared else None), share]


def ratio_text(found: Comparison, arm: Arm) -> str:
    """`6.8 × (95 %: 6.2 to 7.5)`, with `tie` in front and what is not the same behind; why there is none, otherwise."""
    if arm is found.arms[0]:
        return "baseline"
    if found.objects(arm, "images"):
        return "no ratio: other images"
    if arm.speedup is None:
        return "no ratio: one of them has no answers"
    marks = [f"another {about}" for about in ("model", "machine") if found.objects(arm, about)]
    ratio = f"{format.ratio(arm.speedup.ratio)} ({interval_text(arm.speedup)})"
    return ", ".join([f"tie, {ratio}" if arm.speedup.tie else ratio, *marks])


def draw_table(store: Store, found: Comparison) -> None:
    """The figures of many arms, one row each, differences in brackets."""
    rows, helps = [], {}
    for arm in found.arms:
        cards = arm_cards(store, found, arm)
        helps = {card.label: card.help for card in cards}
        figures = {card.label: f"{card.value} ({card.delta})" if card.delta else card.value for card in cards}
        rows.append({"": format.plain(arm.label), "Against the baseline": ratio_text(found, arm)} | figures)
    against = "Images/s divided by those of the baseline, end to end. A tie is an interval that includes 1."
    column = st.column_config.TextColumn
    st.dataframe(
        rows,
        hide_index=True,
        height=38 + 35 * len(rows),
        column_config={
            "": column("", pinned=True, width="medium"),
            "Against the baseline": column(help=against),
            **{label: column(label, help=about) for label, about in helps.items()},
        },
        alt="The figures of every side, one row each, the baseline first, differences from it in brackets.",
    )


# -- the settings ------------------------------------------------------------------------------------------


def draw_settings(arms: Sequence[Arm]) -> None:
    """The settings that are not the same, side by side."""
    st.subheader("Settings that differ", anchor=False)
    differing = differences([arm.median.config for arm in arms])
    if not differing:
        st.caption("None: these are repeats of one configuration.")
        return
    rows = [
        {"setting": WORDS.get(name, name)}
        | {format.plain(arm.label): format.plain(written(name, value)) for arm, value in zip(arms, values, strict=True)}
        for name, values in differing.items()
    ]
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        column_config={"setting": st.column_config.TextColumn("setting", pinned=True)},
        alt="The settings that are not the same in every side, one row each, the baseline first.",
    )
