"""Whether runs give the same answers, and how right each of them is."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import streamlit as st

from inference.arms import Arm
from inference.parity import DECADES, Agreement, score_distribution
from inference.selection import Answers
from inference.store import Store
from pages.ui import charts, confusion, filters, format, widgets
from pages.ui.charts import Figure
from pages.ui.words import joined

PICTURES = 8
EQUAL = DECADES[0]
"""Scores that are no further apart are called equal."""
CLOSE = 0.01
"""The finding of the histogram counts the scores that are no further apart; one of `DECADES`."""


def draw(store: Store, arms: Sequence[Arm], *, baseline: Arm | None = None) -> None:
    """Agreement of each side with the baseline, which is the first one unless told otherwise; then accuracy."""
    base = baseline or arms[0]
    for number, arm in enumerate(arms):
        if arm is not base and arm.agreement is not None:
            draw_against(store, base, arm, arm.agreement, key=f"agreement-{number}")
    draw_accuracy(store, arms, base)


def draw_against(store: Store, base: Arm, arm: Arm, agreed: Agreement, *, key: str) -> None:
    """One sentence, how far the scores are apart, and the images that got two answers."""
    st.markdown(format.literal(f"{sentence(base, arm, agreed)}."))
    figure = differences_figure(agreed)
    if figure is not None:
        widgets.show(figure, key=f"{key}-scores")
    if agreed.differing:
        draw_differing(store, base, arm, agreed.differing)


def sentence(base: Arm, arm: Arm, agreed: Agreement) -> str:
    """`actor and naive agree on 249 of 250 images, largest score difference 0.0003`; plain text."""
    if not agreed.images:
        return f"{arm.label} and {base.label} have no image in common"
    images = f"{agreed.agree:,} of {format.count(agreed.images, 'image')}"
    return f"{arm.label} and {base.label} agree on {images}, {scores_text(agreed)}"


def scores_text(agreed: Agreement) -> str:
    """How far the scores of the same label are apart, at most; plain text."""
    largest = agreed.max_score_difference
    if largest is None:
        return "and no score can be compared"
    return "scores equal" if largest <= EQUAL else f"largest score difference {difference_text(largest)}"


def difference_text(difference: float) -> str:
    """A difference of scores with one significant digit more than it needs, such as `0.0003`."""
    return f"{difference:.2f}" if difference >= 0.1 else f"{difference:.1g}"


def differences_figure(agreed: Agreement) -> Figure | None:
    """How many images have scores how far apart; None where all are equal, or none can be compared."""
    differences = agreed.score_differences
    if not differences or max(differences) <= EQUAL:
        return None
    counted = score_distribution(differences)
    words = [_range_text(number) for number in range(len(counted))]
    last = max(number for number, (_, images) in enumerate(counted) if images)
    rows = [
        {"range": words[number], "images": images, "text": format.count(images, "image"), "number": f"{images:,}"}
        for number, (_, images) in enumerate(counted[: last + 1])
    ]
    base = alt.Chart(alt.Data(values=tuple(rows))).encode(
        x=alt.X("range:N", title="score difference", sort=None, axis=alt.Axis(labelAngle=0, labelOverlap=False)),
        y=alt.Y("images:Q", title="images", axis=alt.Axis(tickMinStep=1)),
    )
    bars = base.mark_bar(color=charts.STRATEGY_COLOURS["actor"]).encode(
        tooltip=charts.tooltips(range="score difference", text="images")
    )
    numbers = base.mark_text(dy=-8, color=alt.expr(charts.TEXT_COLOUR)).encode(text="number:N")
    within = sum(images for end, images in counted if end <= CLOSE)
    chart = alt.layer(bars, numbers).properties(height=150, autosize=charts.FIT_WIDTH)
    return Figure(
        chart=charts.readable(chart),
        title=f"{format.percent(within / len(differences))} of the scores are within {CLOSE} of each other",
        alt="Histogram of score differences. " + "; ".join(f"{row['range']}: {row['text']}" for row in rows) + ".",
        note="Of the score that each of the two gives to the label of the baseline.",
    )


def _range_text(number: int) -> str:
    end = f"{DECADES[number]:g}" if DECADES[number] >= 1e-4 else f"{DECADES[number]:.0e}".replace("e-0", "e-")
    return "equal" if number == 0 else f"to {end}"


def draw_differing(store: Store, base: Arm, arm: Arm, image_ids: Sequence[str]) -> None:
    """The images that get two answers, each with both, and the way to all of them."""
    shown, answers = image_ids[:PICTURES], Answers(store.database)
    sides = [(side.label, answers.of_images(side.median.id, shown)) for side in (base, arm)]
    pairs = [(image_id, [(label, found.get(image_id)) for label, found in sides]) for image_id in shown]
    widgets.untrained_note(base.median.config.model)
    widgets.disagreements(store.home, base.median.config.dataset, pairs)
    many = len(image_ids) > 1
    st.page_link(
        "pages/predictions.py",
        label=f"{'All ' if many else ''}{format.count(len(image_ids), 'image')} that got two answers",
        icon=":material/photo_library:",
        query_params=filters.query(arm.median.id, differs_from=base.median.id),
    )


def draw_accuracy(store: Store, arms: Sequence[Arm], base: Arm) -> None:
    """How right the answers are where the truth is known, classes folded away; once for sides that answer alike."""
    alike = [arm.label for arm in arms if arm is not base and answers_alike(base, arm)]
    for number, arm in enumerate(arms):
        _, found = confusion.counted(store, arm.median)
        if not found or arm.label in alike:
            continue
        names = [arm.label, *(alike if arm is base else [])]
        with st.expander(
            format.literal(f"{joined(names)}: {confusion.accuracy_text(found)}"), icon=":material/fact_check:"
        ):
            widgets.untrained_note(arm.median.config.model)
            confusion.draw(arm.median.id, found, key=f"accuracy-{number}")


def answers_alike(base: Arm, arm: Arm) -> bool:
    """Whether two sides answered the same images, all of them alike."""
    images = {len(side.median.predictions) for side in (base, arm)}
    return arm.agreement is not None and not arm.agreement.differing and images == {arm.agreement.images}
