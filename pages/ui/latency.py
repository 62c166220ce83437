"""How long single batches took, as one strip of bins for each run; a diagnostic, and drawn as one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from inference.usage import Latency, latency
from pages.ui import format
from pages.ui.charts import FIT_WIDTH, TEXT_COLOUR, Figure, colour_of, readable, tooltips

BINS = 40
NOTE = (
    "A diagnostic: a batch job is run for images per second, not for the time that one batch takes. The first batch of "
    "each worker is left out, because it pays for what happens once. Solid line: half of the batches are as quick; "
    "dashed line: 95 % are; diamond: the longest one."
)
_TITLE = "How long a batch takes"
_ROW_HEIGHT = 66
_HIGHEST, _FOOT = 0.52, 0.02
"""Shares of a row's height: its highest bin, and what lies below all bins."""


def latency_chart(rows: Mapping[str, Sequence[float]], *, strategies: Mapping[str, str]) -> Figure:
    """The distribution of seconds per batch for each run label, binned, with median, 95th percentile and longest.

    `rows` holds what `inference.usage.batch_latencies` found; `strategies` gives each label's strategy.
    """
    measured = {format.plain(label): (values, found) for label, values in rows.items() if (found := latency(values))}
    if not measured:
        return Figure(
            chart=None, title=_TITLE, alt="No worker has done a second batch, and the first one of each is left out."
        )
    painted = {format.plain(label): strategy for label, strategy in strategies.items()}
    end_s = max(found.max_s for _, found in measured.values()) * 1.04 or 1.0
    bins = [
        row | {"fill": colour_of(painted.get(label, ""))}
        for number, (label, (values, _)) in enumerate(measured.items())
        for row in _bins(label, number, values, end_s)
    ]
    marks = [_marks(label, number, found) for number, (label, (_, found)) in enumerate(measured.items())]
    of_runs = {label: of_run for label, (_, of_run) in measured.items()}
    return Figure(chart=readable(_chart(bins, marks, end_s)), title=_finding(of_runs), alt=_alt(of_runs), note=NOTE)


def _bins(label: str, number: int, values: Sequence[float], end_s: float) -> list[dict[str, Any]]:
    """Equally wide bins from 0 on; the fullest one of each row is as high as any other row's."""
    width_s = end_s / BINS
    counts = Counter(min(BINS - 1, int(value / width_s)) for value in values)
    most = max(counts.values())
    return [
        {
            "run": label,
            "from_s": round(place * width_s, 5),
            "to_s": round((place + 1) * width_s, 5),
            "low": number + 1 - _FOOT,
            # A single batch among thousands must still be seen.
            "high": round(number + 1 - _FOOT - max(0.03, _HIGHEST * count / most), 4),
            "takes": f"{format.seconds(place * width_s)} to {format.seconds((place + 1) * width_s)}",
            "batches": f"{count:,} of {len(values):,}",
        }
        for place, count in sorted(counts.items())
    ]


def _marks(label: str, number: int, found: Latency) -> dict[str, Any]:
    return {
        "run": label,
        "zero": 0.0,
        "p50_s": round(found.p50_s, 5),
        "p95_s": round(found.p95_s, 5),
        "max_s": round(found.max_s, 5),
        "low": number + 1 - _FOOT,
        "high": number + 1 - _FOOT - _HIGHEST - 0.08,
        "foot": number + 1 - _FOOT - 0.1,
        "text_y": number + 0.2,
        "text": _numbers(found),
        "batches": f"{found.batches:,}",
    }


def _numbers(found: Latency) -> str:
    parts = (("p50", found.p50_s), ("p95", found.p95_s), ("max", found.max_s))
    return " · ".join(f"{name} {_seconds(value)}" for name, value in parts)


def _seconds(value_s: float) -> str:
    """Batches may differ by less than a hundredth of a second, and take less."""
    return format.milliseconds(value_s) if value_s < 0.1 else f"{format.significant(value_s)} s"


def _chart(bins: list[dict[str, Any]], marks: list[dict[str, Any]], end_s: float) -> alt.LayerChart:
    rows = len(marks)
    names = "{" + ", ".join(f"'{number}': {_quoted(row['run'])}" for number, row in enumerate(marks)) + "}"
    axis = alt.Axis(
        values=[number + 0.5 for number in range(rows)],
        labelExpr=f"{names}[toString(floor(datum.value))]",
        labelFontSize=13,
        labelLimit=150,
        grid=False,
        ticks=False,
    )
    x = {"scale": alt.Scale(domain=[0, end_s], nice=False), "title": "seconds per batch"}
    ticks = alt.Axis(tickCount=max(3, min(8, math.ceil(BINS / 5))), format="~g")
    y = alt.Y("low:Q", title=None, axis=axis, scale=alt.Scale(domain=[rows, 0], nice=False))
    at_marks = alt.Chart(alt.Data(values=tuple(marks)))
    ink = alt.expr(TEXT_COLOUR)
    drawn = alt.Chart(alt.Data(values=tuple(bins))).mark_rect(strokeWidth=0.5, opacity=0.85)
    layers = [
        drawn.encode(
            x=alt.X("from_s:Q", axis=ticks, **x),
            x2="to_s:Q",
            y=y,
            y2="high:Q",
            fill=alt.Fill("fill:N", scale=None),
            stroke=alt.Stroke("fill:N", scale=None),
            tooltip=tooltips(run="run", takes="a batch takes", batches="batches"),
        )
    ]
    for name, dash in (("p50_s", [1, 0]), ("p95_s", [5, 3])):
        rule = at_marks.mark_rule(strokeWidth=2, strokeDash=dash, color=ink)
        layers.append(rule.encode(x=alt.X(f"{name}:Q", **x), y=alt.Y("low:Q"), y2="high:Q"))
    longest = at_marks.mark_point(shape="diamond", filled=True, size=70, opacity=1, color=ink)
    layers.append(longest.encode(x=alt.X("max_s:Q", **x), y=alt.Y("foot:Q")))
    text = at_marks.mark_text(align="left", baseline="middle", dx=4, fontSize=12.5, fontWeight=600, color=ink)
    layers.append(text.encode(x=alt.X("zero:Q", **x), y=alt.Y("text_y:Q"), text="text:N"))
    return alt.layer(*layers).properties(height=_ROW_HEIGHT * rows, autosize=FIT_WIDTH)


def _quoted(text: str) -> str:
    """Text as a literal of a Vega expression."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _finding(found: Mapping[str, Latency]) -> str:
    if len(found) == 1:
        (only,) = found.values()
        of_all = f"Half of {format.count(only.batches, 'batch')} took {_seconds(only.p50_s)} or less"
        return f"{of_all}, the longest {_seconds(only.max_s)}"
    middles = ", ".join(f"{_seconds(each.p50_s)} in {label}" for label, each in found.items())
    return f"The batch in the middle takes {middles}"


def _alt(found: Mapping[str, Latency]) -> str:
    parts = [f"{label}: {format.count(each.batches, 'batch')}, {_numbers(each)}" for label, each in found.items()]
    return f"Distribution of seconds per batch, the first batch of each worker left out. {'; '.join(parts)}."
