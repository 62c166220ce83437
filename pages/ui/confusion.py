"""How right a run is where the truth is known: a sentence, a table of classes, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import streamlit as st

from inference.accuracy import Cell, Confusion, classes, confusions, most_confused, overall, per_class
from inference.results import RunRecord
from inference.selection import Answers
from inference.store import RunSummary, Store
from pages.ui import charts, filters, format
from pages.ui.charts import Figure

MOST_CLASSES = 20
"""More classes than this do not fit a matrix: the pairs that are confused most often are listed instead."""
MOST_PAIRS = 6
NO_ANSWER = "no answer"
_CELL = 30
_FULL = "#0072B2"


def counted(store: Store, run: RunSummary | RunRecord) -> tuple[Sequence[Cell], Sequence[Confusion]]:
    """How many images of each true label got each label, and what that says of classes."""
    return (_now if run.active else _kept)(str(store.home), run.id)


def _now(home: str, run_id: str) -> tuple[Sequence[Cell], Sequence[Confusion]]:
    cells = Answers(Store(Path(home)).database).tally(run_id)
    return cells, confusions(cells)


@st.cache_resource(max_entries=16, show_spinner=False)
def _kept(home: str, run_id: str) -> tuple[Sequence[Cell], Sequence[Confusion]]:
    """Kept, because a run that has ended never changes."""
    return _now(home, run_id)


def accuracy_text(found: Sequence[Confusion]) -> str:
    """How many answers are right; plain text."""
    right, answered = overall(found)
    if not answered:
        return "No image with a known truth has an answer"
    if right == answered:
        return f"All {format.count(answered, 'answer')} are right"
    return f"{right:,} of {format.count(answered, 'answer')} are right ({format.percent(right / answered)})"


def draw(run_id: str, found: Sequence[Confusion], *, key: str, here: bool = False) -> None:
    """The classes of one run beside what they are taken for, each with a way to its pictures.

    The pictures are on the Predictions page, unless that is `here`.
    """
    left, right = st.columns([2, 3], gap="medium")
    with left:
        draw_classes(found)
    with right:
        if len(classes(found)) <= MOST_CLASSES:
            draw_matrix(run_id, found, key=key, here=here)
        draw_pairs(run_id, found, key=key, here=here)


def draw_classes(found: Sequence[Confusion]) -> None:
    """How right each class is, the worst first."""
    rows = [
        {
            "truth": format.plain(one.truth),
            "share": None if one.share is None else 100 * one.share,
            "images": one.images,
            "unanswered": one.unanswered or None,
        }
        for one in per_class(found)
    ]
    st.markdown("**Right answers by class, the worst first**")
    column = st.column_config
    st.dataframe(
        rows,
        hide_index=True,
        placeholder=format.UNKNOWN,
        height=min(38 + 35 * len(rows), 420),
        column_config={
            "truth": column.TextColumn("True label", width="small"),
            "share": column.ProgressColumn(
                "Right", format="%.0f %%", min_value=0, max_value=100, help="Right ones among those with an answer."
            ),
            "images": column.NumberColumn("Images", format="localized", width="small"),
            "unanswered": column.NumberColumn("No answer", format="localized", width="small"),
        },
        alt="Right answers by true label, the worst first.",
    )


def draw_matrix(run_id: str, found: Sequence[Confusion], *, key: str, here: bool) -> None:
    """What each class is taken for; a cell that is chosen leads to its pictures."""
    figure = matrix(found)
    st.markdown(f"**{format.literal(figure.title)}**")
    chosen = st.altair_chart(
        figure.chart, width="stretch", key=f"{key}-matrix", on_select="rerun", selection_mode="cell", alt=figure.alt
    )
    st.caption("Choose a cell to get to its pictures.")
    for point in (chosen.get("selection") or {}).get("cell") or []:
        for one in found:
            if (format.plain(one.truth), _taken_for(one)) == (point.get("truth"), point.get("taken_for")):
                _lead(run_id, one, key=f"{key}-cell", here=here)


def draw_pairs(run_id: str, found: Sequence[Confusion], *, key: str, here: bool) -> None:
    """The wrong answers that are given most often, each with a way to its pictures."""
    pairs = most_confused(found, MOST_PAIRS)
    if not pairs:
        return
    st.markdown("**Taken for another most often**" if len(pairs) > 1 else "**Taken for another**")
    for number, one in enumerate(pairs):
        _lead(run_id, one, key=f"{key}-pair-{number}", here=here)


def _lead(run_id: str, one: Confusion, *, key: str, here: bool) -> None:
    """The way to the pictures of a pair."""
    label, icon = format.literal(pair_text(one)), ":material/photo_library:"
    wanted: dict[str, Any] = {
        "truths": (one.truth,),
        "labels": one.labels,
        "outcomes": ("no answer",) if one.taken_for is None else (),
    }
    if here:
        st.button(label, icon=icon, key=key, type="tertiary", on_click=filters.narrow, kwargs=wanted)
    else:
        st.page_link("pages/predictions.py", label=label, icon=icon, query_params=filters.query(run_id, **wanted))


def pair_text(one: Confusion) -> str:
    """`5 images of three, taken for eight`; plain text."""
    images = f"{format.count(one.images, 'image')} of {format.shortened(one.truth, 40)}"
    if one.taken_for is None:
        return f"{images} without an answer"
    return f"{images}, {'answered rightly' if one.right else f'taken for {format.shortened(one.taken_for, 40)}'}"


def matrix(found: Sequence[Confusion]) -> Figure:
    """Truth by answer as a heat map with the number of images in each cell."""
    names = [format.plain(name) for name in classes(found)]
    across = [*names, *([NO_ANSWER] if any(one.taken_for is None for one in found) else [])]
    down = [name for name in names if any(format.plain(one.truth) == name for one in found)]
    of_class = {one.truth: one.images for one in per_class(found)}
    rows = [
        {
            "truth": format.plain(one.truth),
            "taken_for": _taken_for(one),
            "images": one.images,
            "share": one.images / of_class[one.truth],
            "percent": format.percent(one.images / of_class[one.truth]),
            "kind": "right" if one.right else "wrong" if one.taken_for is not None else NO_ANSWER,
        }
        for one in found
    ]
    x = alt.X(
        "taken_for:N",
        title="answer",
        sort=across,
        scale=alt.Scale(domain=across),
        axis=alt.Axis(labelAngle=-40, labelLimit=90, labelOverlap=False),
    )
    y = alt.Y(
        "truth:N",
        title="true label",
        sort=down,
        scale=alt.Scale(domain=down),
        axis=alt.Axis(labelLimit=90, labelOverlap=False),
    )
    base = alt.Chart(alt.Data(values=tuple(rows))).encode(x=x, y=y)
    cell = alt.selection_point(name="cell", fields=["truth", "taken_for"], on="click", empty=False)
    boxes = base.mark_rect(stroke=charts.OTHER_COLOUR, color=_FULL, cursor="pointer").encode(
        # From the page's own background to full colour, so that it is right on both themes.
        fillOpacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None),
        strokeWidth=alt.condition(cell, alt.value(2.5), alt.value(0.4)),
        tooltip=charts.tooltips(
            truth="true label", taken_for="answer", images="images", percent="of its class", kind=""
        ),
    )
    numbers = base.mark_text(fontSize=12, cursor="pointer").encode(
        text=alt.Text("images:Q", format=","),
        color=alt.condition("datum.share > 0.5", alt.value("#FFFFFF"), alt.value(alt.expr(charts.TEXT_COLOUR))),
    )
    chart = alt.layer(boxes.add_params(cell), numbers).properties(height=_CELL * len(down), autosize=charts.FIT_WIDTH)
    return Figure(chart=charts.readable(chart), title=_finding(found), alt=_matrix_alt(found))


def _taken_for(one: Confusion) -> str:
    return NO_ANSWER if one.taken_for is None else format.plain(one.taken_for)


def _finding(found: Sequence[Confusion]) -> str:
    worst = most_confused(found, 1)
    if not worst:
        return "No class is taken for another"
    truth, taken_for = (format.shortened(name, 40) for name in (worst[0].truth, worst[0].taken_for))
    return f"Most often, {truth} is taken for {taken_for}: {format.count(worst[0].images, 'image')}"


def _matrix_alt(found: Sequence[Confusion]) -> str:
    wrong = "; ".join(pair_text(one) for one in most_confused(found, MOST_PAIRS))
    return f"Heat map of true labels by answers. {accuracy_text(found)}. {wrong or 'No class is taken for another'}."
