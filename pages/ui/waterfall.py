"""What each step adds to the rate of the one before, as a waterfall; knows Altair and no Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from pages.ui import format
from pages.ui.charts import (
    FAR_LIMIT,
    FIT_WIDTH,
    LIMIT_COLOUR,
    TEXT_COLOUR,
    Figure,
    colour_of,
    limit_note,
    readable,
    tooltips,
)

ROW_HEIGHT = 32
TOTAL = "all together"
_LABEL_SIDE = 0.5  # a bar that begins beyond this share of the axis has its label on its left, where there is room


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One step: from the rate before it to its own."""

    name: str
    strategy: str
    rate: float
    """Steady images/s."""
    previous: float = 0.0
    """Of the step before; 0 for the first."""
    label: str
    """Beside the bar: `× 1.8`, `tie`."""
    change: str = ""
    """What the step changes."""
    interval: str = ""
    """`× 1.80, 95 %: 1.6 to 2.0`."""


def waterfall_chart(bars: Sequence[Bar], *, total: Bar | None = None, limit: float | None = None, title: str) -> Figure:
    """One bar per step on one axis of images/s, what they come to as an outline, the machine's limit dashed."""
    if not bars:
        return Figure(chart=None, title=title, alt="No step is measured yet.")
    rows = [_row(bar, name) for bar, name in zip(bars, _unique(bars), strict=True)]
    if total is not None:
        rows.append(_row(total, TOTAL) | {"opacity": 0.0})
    top = max(max(row["rate"], row["previous"]) for row in rows)
    near = limit is not None and limit <= FAR_LIMIT * top
    end = 1.06 * max(top, limit if near and limit is not None else 0.0) or 1.0
    chart = alt.layer(*_bars(rows, end), *([_limit(limit, end)] if near and limit is not None else []))
    chart = chart.properties(height=ROW_HEIGHT * len(rows), autosize=FIT_WIDTH)
    return Figure(chart=readable(chart), title=title, alt=_alt(bars, total, limit), note=limit_note(limit, top))


def _unique(bars: Sequence[Bar]) -> list[str]:
    names: list[str] = []
    for bar in bars:
        name = format.plain(bar.name)
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return names


def _row(bar: Bar, name: str) -> dict[str, Any]:
    return {
        "step": name,
        "strategy": bar.strategy,
        "rate": round(bar.rate, 3),
        "previous": round(bar.previous, 3),
        "label": bar.label,
        "change": bar.change,
        "interval": bar.interval or format.UNKNOWN,
        "steady": format.rate(bar.rate),
        "opacity": 1.0 if bar.rate >= bar.previous else 0.3,  # a step that costs is pale, and its label says so
    }


def _bars(rows: list[dict[str, Any]], end: float) -> list[Any]:
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    colours = alt.Scale(domain=strategies, range=[colour_of(strategy) for strategy in strategies])
    legend = alt.Legend(orient="bottom", title=None, columns=alt.expr("max(2, min(4, floor(width / 90)))"))
    x = alt.X("previous:Q", title="steady images/s", scale=alt.Scale(domain=[0, end], nice=False))
    y = alt.Y(
        "step:N",
        title=None,
        sort=[row["step"] for row in rows],
        axis=alt.Axis(labelFontSize=13, labelLimit=120, grid=False),
    )
    bar = alt.Chart(alt.Data(values=tuple(rows))).mark_bar(strokeWidth=1.5, height={"band": 0.62})
    drawn = bar.encode(
        x=x,
        x2="rate:Q",
        y=y,
        fill=alt.Fill("strategy:N", scale=colours, legend=legend),
        stroke=alt.Stroke("strategy:N", scale=colours, legend=None),
        fillOpacity=alt.FillOpacity("opacity:Q", scale=None, legend=None),
        tooltip=tooltips(step="step", change="what it changes", steady="steady", interval="against the step before"),
    )
    return [drawn, *(_labels(rows, end, side, x, y) for side in ("left", "right"))]


def _labels(rows: list[dict[str, Any]], end: float, side: str, x: alt.X, y: alt.Y) -> alt.Chart:
    """The labels that lie right of their bars, or left of them; that of the total is inside its outline."""
    placed = []
    for row in rows:
        low, high = sorted((row["previous"], row["rate"]))
        inside = row["step"] == TOTAL and high > _LABEL_SIDE * end
        left = not inside and low > _LABEL_SIDE * end
        if left is (side == "left"):
            placed.append(
                {"step": row["step"], "previous": 0.0 if inside else low if left else high, "label": row["label"]}
            )
    text = alt.Chart(alt.Data(values=tuple(placed))).mark_text(
        align="right" if side == "left" else "left",
        dx=-7 if side == "left" else 7,
        fontSize=13,
        fontWeight=600,
        color=alt.expr(TEXT_COLOUR),
    )
    return text.encode(x=x, y=y, text="label:N")


def _limit(limit: float, end: float) -> alt.LayerChart:
    data = alt.Chart(alt.Data(values=[{"previous": limit, "text": f"limit {format.rate(limit)}"}]))
    x = alt.X("previous:Q")
    late = limit > _LABEL_SIDE * end
    text = data.mark_text(align="right" if late else "left", baseline="bottom", dy=-4, color=alt.expr(TEXT_COLOUR))
    return alt.layer(
        data.mark_rule(color=LIMIT_COLOUR, strokeDash=[6, 4], strokeWidth=1.5).encode(x=x),
        text.encode(x=x, y=alt.value(0), text="text:N"),
    )


def _alt(bars: Sequence[Bar], total: Bar | None, limit: float | None) -> str:
    steps = [f"{format.plain(bar.name)} {format.rate(bar.rate)} ({bar.label})" for bar in bars]
    steps += [f"{TOTAL} {total.label}"] if total else []
    steps += [f"the limit of this machine is {format.rate(limit)}"] if limit is not None else []
    return f"Waterfall of steady images per second, step by step: {'; '.join(steps)}."
