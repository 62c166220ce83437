"""Where the worker time of runs went, phase by phase; knows Altair and no Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from inference.results import PHASES
from pages.ui import format
from pages.ui.charts import FIT_WIDTH, PHASE_ORDER, PHASE_WORDS, Figure, paint_of, phase_fill, readable, tooltips

LABEL_LIMIT = "windowSize()[0] > 700 ? 280 : 140"
"""Pixels for the name of a run, as an expression of Vega: a telephone has fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """One bar of `phases_chart`."""

    label: str
    strategy: str
    seconds: Mapping[str, float]
    """Seconds of worker time by phase, waiting included."""


def phases_chart(rows: Sequence[PhaseRow], *, title: str | None = None) -> Figure:
    """Seconds of worker time by phase, one stacked bar per run, loading in front, waiting outlined."""
    drawn = [row for row in rows if sum(row.seconds.values()) > 0]
    if not drawn:
        return Figure(chart=None, title=title or "Where the time went", alt="No time was measured yet.")
    labels = list(dict.fromkeys(format.plain(row.label) for row in drawn))
    values = [value for row in drawn for value in _phase_values(row)]
    paints = sorted({(value["order"], value["paint"], value["fill"], value["edge"]) for value in values})
    names, fills, edges = ([paint[i] for paint in paints] for i in (1, 2, 3))
    chart = (
        alt.Chart(alt.Data(values=tuple(values)))
        .mark_bar(strokeWidth=1, height={"band": 0.62})
        .encode(
            x=alt.X("seconds:Q", title="seconds of worker time", stack="zero", scale=alt.Scale(nice=False)),
            y=alt.Y(
                "run:N", title=None, sort=labels, axis=alt.Axis(labelFontSize=13, labelLimit=alt.expr(LABEL_LIMIT))
            ),
            order=alt.Order("order:Q"),
            fill=phase_fill("paint", names, fills),
            stroke=alt.Stroke("paint:N", legend=None, scale=alt.Scale(domain=names, range=edges)),
            tooltip=tooltips(run="run", paint="phase", time="worker time", share="share"),
        )
        .properties(height=max(70, 42 * len(labels)), autosize=FIT_WIDTH)
    )
    return Figure(chart=readable(chart), title=title or _phases_finding(drawn), alt=_phases_alt(drawn))


def _phase_values(row: PhaseRow) -> list[dict[str, Any]]:
    total = sum(row.seconds.values())
    values = []
    for phase in PHASE_ORDER:
        spent = row.seconds.get(phase, 0.0)
        if spent <= 0:
            continue
        fill, edge = paint_of(phase, row.strategy)
        words = PHASE_WORDS[phase]
        values.append(
            {
                "run": format.plain(row.label),
                "seconds": round(spent, 4),
                "order": PHASE_ORDER.index(phase),
                "paint": f"{words} ({row.strategy})" if phase == "forward" else words,
                "fill": fill,
                "edge": edge,
                "time": format.seconds(spent),
                "share": format.percent(spent / total),
            }
        )
    return values


def _phases_finding(rows: Sequence[PhaseRow]) -> str:
    shares = [(format.plain(row.label), _share_of(row, "load")) for row in rows]
    first, rest = shares[0], shares[1:]
    sentence = f"Loading takes {format.percent(first[1])} of the worker time of {first[0]}"
    return sentence + "".join(f", {format.percent(share)} of {label}" for label, share in rest[:2])


def _share_of(row: PhaseRow, phase: str) -> float:
    return row.seconds.get(phase, 0.0) / sum(row.seconds.values())


def _phases_alt(rows: Sequence[PhaseRow]) -> str:
    parts = []
    for row in rows:
        spent = ", ".join(
            f"{PHASE_WORDS[phase]} {format.seconds(row.seconds[phase])}"
            for phase in PHASES
            if row.seconds.get(phase, 0.0) > 0
        )
        parts.append(f"{format.plain(row.label)}: {spent}")
    return f"Stacked bars of worker time by phase. {'; '.join(parts)}."
