"""Measurements in, charts out, with the words that belong to them; knows Altair and no Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from inference.results import PHASES
from pages.ui import format

STRATEGY_COLOURS = {"naive": "#D55E00", "actor": "#0072B2", "batched": "#009E73", "pipelined": "#CC79A7"}
STRATEGY_SHAPES = {
    "naive": "square",
    "actor": "circle",
    "batched": "triangle-up",
    "pipelined": "diamond",
}
OTHER_COLOUR = "#767676"
LIMIT_COLOUR = "#808080"

PHASE_PAINT = {
    "load": ("#E69F00", "#9A6A00"),
    "import": ("#F5D48C", "#9A6A00"),
    "warmup": ("#F0E442", "#8C8400"),
    "start": ("#C4C4C4", "#7A7A7A"),
    "read": ("#BFE0F4", "#3D86B5"),
    "preprocess": ("#56B4E9", "#2F7FB0"),
    "postprocess": ("#D9CBE8", "#8A6FB0"),
    "wait": ("transparent", "#8A8A8A"),
}
"""Fill and outline by phase; `forward` has its strategy's colour. The outlines reach 3 : 1 on both themes."""

PHASE_ORDER = ("load", "import", "warmup", "start", "read", "preprocess", "forward", "postprocess", "wait")
"""How bars stack: what is paid again and again comes first, where it can be compared."""

PHASE_WORDS = {
    "start": "starting",
    "import": "importing",
    "load": "loading",
    "warmup": "warming up",
    "wait": "waiting",
    "read": "reading",
    "preprocess": "preprocessing",
    "forward": "forward",
    "postprocess": "postprocessing",
}

# The theme's text colour does not reach text marks, so they follow the background that the chart is drawn on.
TEXT_COLOUR = "luminance(background || 'white') > 0.4 ? '#31333F' : '#FAFAFA'"

MUTED_COLOUR = "luminance(background || 'white') > 0.4 ? '#565861' : '#C8CAD0'"

TIME_TITLE = "seconds since the run began"
# Heights are those of the plot: axes and a legend, which wraps on a narrow screen, come on top.
FIT_WIDTH = alt.AutoSizeParams(type="fit-x", contains="padding")
HEIGHT = 210
FAR_LIMIT = 4.0
"""A limit more than so many times as high as all else is named and not drawn: it would press the rest flat."""
MOST_LABELS = 4
"""More lines than this are named in a legend: their names would cover the lines."""
_LABEL_GAP = 17
_LETTER_WIDTH = 7.5
_NARROW_PLOT = 300
_DASHES = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart with its finding and its description."""

    chart: Any
    """An Altair chart; None when there is nothing to draw yet."""
    title: str
    """The finding, in one plain sentence without a full stop."""
    alt: str
    """What a person who cannot see the chart should know; plain text."""
    note: str = ""
    """How the chart was drawn, where that is not obvious; plain text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """One bar of `phases_chart`."""

    label: str
    strategy: str
    seconds: Mapping[str, float]
    """Seconds of worker time by phase, waiting included."""


def readable(chart: Any) -> Any:
    """The chart with axes and legend in colours that keep 4.5 : 1 on both themes; theirs is 3.7 : 1 on white."""
    muted = alt.expr(MUTED_COLOUR)
    return chart.configure_axis(labelColor=muted, titleColor=muted).configure_legend(labelColor=muted)


def colour_of(strategy: str) -> str:
    """The colour that stands for a strategy everywhere."""
    return STRATEGY_COLOURS.get(strategy, OTHER_COLOUR)


def throughput_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    strategies: Mapping[str, str],
    limit: float | None = None,
    title: str | None = None,
    until_s: float | None = None,
) -> Figure:
    """Images/s over seconds, one line per run label, the machine's limit as a dashed line.

    `strategies` gives each label's strategy; `until_s` widens the time axis, so that a live chart is still.
    """
    lines = {format.plain(label): list(points) for label, points in series.items() if points}
    if not lines:
        return Figure(chart=None, title=title or "Throughput over time", alt="No images are done yet.")
    painted = {format.plain(label): strategy for label, strategy in strategies.items()}
    end_s = max([until_s or 0.0, *(points[-1][0] for points in lines.values())])
    highest = max(y for points in lines.values() for _, y in points)
    near = limit is not None and limit <= FAR_LIMIT * highest
    top = max(limit if near and limit is not None else 0.0, highest) * 1.12 or 1.0
    x = time_axis("time_s", end_s)
    y = alt.Y("images_per_s:Q", title="images/s", scale=alt.Scale(domain=[0, top], nice=False))
    named_at_ends = len(lines) <= MOST_LABELS
    legend = None if named_at_ends else alt.Legend(orient="bottom", columns=1, title=None, labelLimit=420)
    base = alt.Chart(alt.Data(values=_points(lines))).encode(
        x=x,
        y=y,
        color=_run_colours(lines, painted, legend),
        tooltip=tooltips(run="run", when="time", rate="images/s"),
    )
    layers = [
        base.mark_line(strokeWidth=2.5, interpolate="monotone").encode(strokeDash=_run_dashes(lines, painted, legend)),
        base.mark_point(filled=True, size=42, opacity=1).encode(shape=_run_shapes(lines, painted, legend)),
    ]
    if named_at_ends:
        layers.append(_line_labels(lines, end_s, top, x, y))
    if near and limit is not None:
        layers += _limit_line(limit, x, y)
    chart = alt.layer(*layers).properties(height=HEIGHT, autosize=FIT_WIDTH)
    return Figure(
        chart=readable(chart),
        title=title or _throughput_finding(lines),
        alt=_throughput_alt(lines, limit),
        note=limit_note(limit, highest),
    )


def _points(lines: Mapping[str, Sequence[tuple[float, float]]]) -> list[dict[str, Any]]:
    return [
        {
            "run": label,
            "time_s": round(x, 3),
            "images_per_s": round(y, 3),
            "when": format.seconds(x),
            "rate": format.rate(y),
        }
        for label, points in lines.items()
        for x, y in points
    ]


def limit_note(limit: float | None, highest: float) -> str:
    """What the dashed line is, or why there is none although the limit is known; empty where it is not."""
    if limit is None:
        return ""
    if limit <= FAR_LIMIT * highest:
        return "The dashed line is what this machine could do at best."
    return f"What this machine could do at best, {format.rate(limit)}, lies far beyond this chart."


def time_axis(field: str, end_s: float) -> alt.X:
    """Seconds since the run began, from 0 to `end_s`."""
    return alt.X(
        f"{field}:Q",
        title=TIME_TITLE,
        scale=alt.Scale(domain=[0, end_s], nice=False),
        axis=alt.Axis(tickCount=8, format="~g"),
    )


def _run_colours(lines: Mapping[str, Any], strategies: Mapping[str, str], legend: Any) -> alt.Color:
    colours = [colour_of(strategies.get(label, "")) for label in lines]
    return alt.Color("run:N", legend=legend, scale=alt.Scale(domain=list(lines), range=colours))


def _run_shapes(lines: Mapping[str, Any], strategies: Mapping[str, str], legend: Any) -> alt.Shape:
    shapes = [STRATEGY_SHAPES.get(strategies.get(label, ""), "circle") for label in lines]
    return alt.Shape("run:N", legend=legend, scale=alt.Scale(domain=list(lines), range=shapes))


def _run_dashes(lines: Mapping[str, Any], strategies: Mapping[str, str], legend: Any) -> alt.StrokeDash:
    """Solid for the first line of a strategy; the next ones, of the same colour, differ in their dashes."""
    seen: dict[str, int] = {}
    dashes = []
    for label in lines:
        strategy = strategies.get(label, "")
        dashes.append(_DASHES[seen.get(strategy, 0) % len(_DASHES)])
        seen[strategy] = seen.get(strategy, 0) + 1
    return alt.StrokeDash("run:N", legend=legend, scale=alt.Scale(domain=list(lines), range=dashes))


def tooltips(**fields: str) -> list[alt.Tooltip]:
    """Tooltip lines: field name and what it is called."""
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in fields.items()]


def _line_labels(
    lines: Mapping[str, Sequence[tuple[float, float]]], end_s: float, top: float, x: alt.X, y: alt.Y
) -> alt.LayerChart:
    """The names of the lines at their ends: beside one that ends early, above one at the right edge."""
    late = {
        label
        for label, points in lines.items()
        # What would not fit beside the end of the line on a narrow screen.
        if points[-1][0] > end_s * (0.97 - len(label) * _LETTER_WIDTH / _NARROW_PLOT)
    }
    # A name above its line must clear all of the line that lies under it.
    reach = {label: 0.15 * end_s if label in late else 0.0 for label in lines}
    tops = {
        label: max(rate for time_s, rate in points if time_s >= points[-1][0] - reach[label])
        for label, points in lines.items()
    }
    heights = _spread({label: height / top * HEIGHT for label, height in tops.items()})
    parts = []
    for side in (True, False):
        rows = [
            {"run": label, "time_s": points[-1][0], "images_per_s": heights[label] / HEIGHT * top}
            for label, points in lines.items()
            if (label in late) is side
        ]
        mark = alt.Chart(alt.Data(values=rows)).mark_text(
            align="right" if side else "left",
            dx=0 if side else 10,
            dy=-14 if side else 0,
            fontSize=13,
            fontWeight=600,
            color=alt.expr(TEXT_COLOUR),
            limit=240,
        )
        parts.append(mark.encode(x=x, y=y, text="run:N"))
    return alt.layer(*parts)


def _spread(heights: Mapping[str, float]) -> dict[str, float]:
    """The same heights in pixels, moved up where two labels would touch."""
    placed: dict[str, float] = {}
    lowest = 4.0
    for label, height in sorted(heights.items(), key=lambda item: item[1]):
        placed[label] = max(height, lowest)
        lowest = placed[label] + _LABEL_GAP
    return placed


def _limit_line(limit: float, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    rows = [{"time_s": 0.0, "images_per_s": limit, "text": f"limit {format.rate(limit)}"}]
    data = alt.Chart(alt.Data(values=rows))
    rule = data.mark_rule(color=LIMIT_COLOUR, strokeDash=[6, 4], strokeWidth=1.5)
    text = data.mark_text(align="left", dx=4, dy=-8, color=alt.expr(TEXT_COLOUR))
    return [rule.encode(y=y), text.encode(x=x, y=y, text="text:N")]


def _throughput_finding(lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    ends = sorted((points[-1][0], label) for label, points in lines.items())
    if len(ends) == 1:
        return f"{ends[0][1]} is done after {format.seconds(ends[0][0])}"
    first, last = ends[0], ends[-1]
    return f"{first[1]} is done after {format.seconds(first[0])}, {last[1]} after {format.seconds(last[0])}"


def _throughput_alt(lines: Mapping[str, Sequence[tuple[float, float]]], limit: float | None) -> str:
    parts = [
        f"{label}: between {format.rate(min(y for _, y in points))} and "
        f"{format.rate(max(y for _, y in points))}, until {format.seconds(points[-1][0])}"
        for label, points in lines.items()
    ]
    if limit is not None:
        parts.append(f"the limit of this machine is {format.rate(limit)}")
    return f"Line chart of images per second over time. {'; '.join(parts)}."


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
        alt.Chart(alt.Data(values=values))
        .mark_bar(strokeWidth=1, height={"band": 0.62})
        .encode(
            x=alt.X("seconds:Q", title="seconds of worker time", stack="zero", scale=alt.Scale(nice=False)),
            y=alt.Y("run:N", title=None, sort=labels, axis=alt.Axis(labelFontSize=13, labelLimit=150)),
            order=alt.Order("order:Q"),
            fill=phase_fill("paint", names, fills),
            stroke=alt.Stroke("paint:N", legend=None, scale=alt.Scale(domain=names, range=edges)),
            tooltip=tooltips(run="run", paint="phase", time="worker time", share="share"),
        )
        .properties(height=max(70, 42 * len(labels)), autosize=FIT_WIDTH)
    )
    return Figure(chart=readable(chart), title=title or _phases_finding(drawn), alt=_phases_alt(drawn))


def phase_fill(field: str, names: Sequence[str], fills: Sequence[str]) -> alt.Fill:
    """Colours of phases, with a legend that fits a telephone."""
    columns = alt.expr("max(2, min(8, floor(width / 120)))")
    legend = alt.Legend(orient="bottom", columns=columns, symbolStrokeWidth=1, labelLimit=170)
    return alt.Fill(f"{field}:N", title=None, scale=alt.Scale(domain=names, range=fills), legend=legend)


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


def paint_of(phase: str, strategy: str) -> tuple[str, str]:
    """Fill and outline of a phase in a run of this strategy."""
    colour = colour_of(strategy)
    return PHASE_PAINT.get(phase, (colour, colour))


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
