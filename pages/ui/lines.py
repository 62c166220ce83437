"""How runs came along: images/s, or images so far, over time, one line per run; knows Altair and no Streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from pages.ui import format
from pages.ui.charts import (
    FAR_LIMIT,
    FIT_WIDTH,
    HEIGHT,
    LEFT_EXTENT,
    LIMIT_COLOUR,
    MOST_LABELS,
    STRATEGY_SHAPES,
    TEXT_COLOUR,
    Figure,
    colour_of,
    limit_note,
    readable,
    time_axis,
    tooltips,
)

BRUSH = "stretch"
"""The name of the selection of time that can be drawn over a chart; its field is `time_s`."""
MOST_POINTS = 150
"""A line has no more points than this, and so a chart of twelve no more than a few thousand rows."""
_MARKS = 10
_LABEL_GAP = 17
_LETTER_WIDTH = 7.5
_NARROW_PLOT = 300
_NUMBER_SHARE = 0.05
"""Of the width of the plot: what a number takes of it on a narrow screen."""
_DASHES = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3], [14, 4], [5, 2, 2, 2, 2, 2])

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """What a chart draws."""

    points: Mapping[str, Points]
    """By the name of the line, made fit for a chart."""
    strategies: Mapping[str, str]
    title: str
    """Of the vertical axis."""
    interpolate: str
    end_s: float
    top: float

    @property
    def named_at_ends(self) -> bool:
        """Whether the names fit beside the lines; if not, their numbers stand there, and a legend explains them."""
        return len(self.points) <= MOST_LABELS

    @property
    def names(self) -> dict[str, str]:
        """What each line is called in the chart: numbered where there are many."""
        return {
            label: label if self.named_at_ends else f"{number}  {label}"
            for number, label in enumerate(self.points, start=1)
        }


def throughput_chart(
    series: Mapping[str, Points],
    *,
    strategies: Mapping[str, str],
    limit: float | None = None,
    title: str | None = None,
    until_s: float | None = None,
    brush: Sequence[float] | None = None,
) -> Figure:
    """Images/s over seconds, one line per run label, the machine's limit as a dashed line.

    `strategies` gives each label's strategy; `until_s` widens the time axis, so that a live chart is still. With
    `brush`, a stretch of time can be chosen by dragging; its two numbers are the stretch chosen at first, if any.
    """
    points = _drawable(series)
    if not points:
        return Figure(chart=None, title=title or "Throughput over time", alt="No images are done yet.")
    highest = max(y for line in points.values() for _, y in line)
    near = limit is not None and limit <= FAR_LIMIT * highest
    lines = _Lines(
        points=points,
        strategies=_plain_keys(strategies),
        title="images/s",
        interpolate="monotone",
        end_s=_end_s(points, until_s),
        top=max(limit if near and limit is not None else 0.0, highest) * 1.12 or 1.0,
    )
    return Figure(
        chart=_chart(lines, limit if near else None, brush),
        title=title or _throughput_finding(points),
        alt=_throughput_alt(points, limit),
        note=limit_note(limit, highest),
    )


def cumulative_chart(
    series: Mapping[str, Points],
    *,
    strategies: Mapping[str, str],
    until_s: float | None = None,
    brush: Sequence[float] | None = None,
) -> Figure:
    """Images that are done over seconds, one line per run label; the rest is as in `throughput_chart`."""
    points = {label: [(0.0, 0.0), *thinned(line)] for label, line in _drawable(series).items()}
    if not points:
        return Figure(chart=None, title="Images over time", alt="No images are done yet.")
    lines = _Lines(
        points=points,
        strategies=_plain_keys(strategies),
        title="images so far",
        interpolate="step-after",
        end_s=_end_s(points, until_s),
        # Lines that end at one height need room above it for their names.
        top=max(y for line in points.values() for _, y in line) * (1.1 + 0.1 * min(MOST_LABELS, len(points))),
    )
    done = "; ".join(
        f"{label}: {format.count(int(line[-1][1]), 'image')} after {format.seconds(line[-1][0])}"
        for label, line in points.items()
    )
    alt_text = f"Line chart of the images that are done over time. {done}."
    return Figure(chart=_chart(lines, None, brush), title=_throughput_finding(points), alt=alt_text)


def thinned(points: Points, most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most so many of the points, evenly chosen, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(number * step)] for number in range(most)]


def _drawable(series: Mapping[str, Points]) -> dict[str, list[tuple[float, float]]]:
    return {format.plain(label): list(points) for label, points in series.items() if points}


def _plain_keys(strategies: Mapping[str, str]) -> dict[str, str]:
    return {format.plain(label): strategy for label, strategy in strategies.items()}


def _end_s(points: Mapping[str, Points], until_s: float | None) -> float:
    return max([until_s or 0.0, *(line[-1][0] for line in points.values())])


def _chart(lines: _Lines, limit: float | None, brush: Sequence[float] | None) -> Any:
    x = time_axis("time_s", lines.end_s)
    y = alt.Y(
        "value:Q",
        title=lines.title,
        scale=alt.Scale(domain=[0, lines.top], nice=False),
        axis=alt.Axis(minExtent=LEFT_EXTENT),
    )
    # A line's sample with its dashes explains it; the shapes on it, which merely repeat the strategy, would cover it.
    legend = None if lines.named_at_ends else _legend()
    base = alt.Chart().encode(
        x=x,
        y=y,
        color=_colours(lines, legend),
        tooltip=tooltips(run="run", when="time", amount=lines.title),
    )
    line = base.mark_line(strokeWidth=2.5, interpolate=lines.interpolate).encode(strokeDash=_dashes(lines, legend))
    if brush is not None:
        chosen: dict[str, Any] = {"value": {"x": list(brush)}} if len(brush) == 2 else {}
        line = line.add_params(alt.selection_interval(name=BRUSH, encodings=["x"], **chosen))
    marks = base.transform_filter("datum.marked").mark_point(filled=True, size=42, opacity=1)
    layers = [line, marks.encode(shape=_shapes()), _end_labels(lines, x, y)]
    if limit is not None:
        layers += _limit_line(limit, x, y)
    data = alt.Data(values=tuple(_rows(lines)))  # once, for the lines and their marks
    return readable(alt.layer(*layers, data=data).properties(height=HEIGHT, autosize=FIT_WIDTH))


def _rows(lines: _Lines) -> list[dict[str, Any]]:
    names, rows = lines.names, []
    for label, points in lines.points.items():
        # Few lines of few points show each of them; else, marks would hide what they mark.
        crowded = not lines.named_at_ends or len(points) > 2 * MOST_POINTS // 3
        every = math.ceil(len(points) / _MARKS) if crowded else 1
        for number, (x, y) in enumerate(points, start=1):
            rows.append(
                {
                    "run": names[label],
                    "strategy": lines.strategies.get(label, ""),
                    "time_s": round(x, 3),
                    "value": round(y, 3),
                    "when": format.seconds(x),
                    "amount": format.rate(y) if lines.title == "images/s" else f"{y:,.0f}",
                    "marked": number % every == 0 or number == len(points),
                }
            )
    return rows


def _legend() -> alt.Legend:
    return alt.Legend(
        orient="bottom",
        columns=alt.expr("max(1, floor(width / 300))"),
        title=None,
        labelLimit=alt.expr("min(280, max(200, width - 45))"),
        symbolType="stroke",
        symbolSize=700,
        symbolStrokeWidth=2.5,
        rowPadding=4,
    )


def _scale(lines: _Lines, values: Sequence[Any]) -> alt.Scale:
    return alt.Scale(domain=list(lines.names.values()), range=list(values))


def _colours(lines: _Lines, legend: alt.Legend | None) -> alt.Color:
    colours = [colour_of(lines.strategies.get(label, "")) for label in lines.points]
    return alt.Color("run:N", legend=legend, scale=_scale(lines, colours))


def _shapes() -> alt.Shape:
    scale = alt.Scale(domain=list(STRATEGY_SHAPES), range=list(STRATEGY_SHAPES.values()))
    # Not by run: a legend of runs would take the shapes over, in place of samples of the lines.
    return alt.Shape("strategy:N", legend=None, scale=scale)


def _dashes(lines: _Lines, legend: alt.Legend | None) -> alt.StrokeDash:
    """Solid for the first line of a strategy; the next ones, of the same colour, differ in their dashes."""
    seen: dict[str, int] = {}
    dashes = []
    for label in lines.points:
        strategy = lines.strategies.get(label, "")
        dashes.append(_DASHES[seen.get(strategy, 0) % len(_DASHES)])
        seen[strategy] = seen.get(strategy, 0) + 1
    return alt.StrokeDash("run:N", legend=legend, scale=_scale(lines, dashes))


def _end_labels(lines: _Lines, x: alt.X, y: alt.Y) -> alt.LayerChart:
    """The names or numbers of the lines at their ends: beside one that ends early, above one at the right edge."""
    texts = {label: name if lines.named_at_ends else name.split()[0] for label, name in lines.names.items()}
    ends = {label: points[-1][0] for label, points in lines.points.items()}
    late = {
        label
        for label, end_s in ends.items()
        # What would not fit beside the end of the line on a narrow screen.
        if end_s > lines.end_s * (0.97 - len(texts[label]) * _LETTER_WIDTH / _NARROW_PLOT)
    }
    # A name above its line must clear all of the line that lies under it.
    reach_s = {label: 0.15 * lines.end_s if label in late and lines.named_at_ends else 0.0 for label in ends}
    tops = {
        label: max(value for time_s, value in points if time_s >= ends[label] - reach_s[label])
        for label, points in lines.points.items()
    }
    near_s = math.inf if lines.named_at_ends else _NUMBER_SHARE * lines.end_s
    heights = _spread({label: (ends[label], top / lines.top * HEIGHT) for label, top in tops.items()}, near_s)
    parts = []
    for side in (True, False):
        rows = [
            {"text": texts[label], "time_s": ends[label], "value": heights[label] / HEIGHT * lines.top}
            for label in lines.points
            if (label in late) is side
        ]
        mark = alt.Chart(alt.Data(values=tuple(rows))).mark_text(
            align="right" if side else "left",
            dx=0 if side else 10,
            dy=-14 if side else 0,
            fontSize=13,
            fontWeight=600,
            color=alt.expr(TEXT_COLOUR),
            limit=240,
        )
        parts.append(mark.encode(x=x, y=y, text="text:N"))
    return alt.layer(*parts)


def _spread(ends: Mapping[str, tuple[float, float]], near_s: float = math.inf) -> dict[str, float]:
    """The heights in pixels at which labels stand, given as (seconds, pixels), moved where two would touch.

    Labels that are `near_s` or more apart do not touch. They move up, and down again if they left the chart.
    """
    raised: dict[str, float] = {}
    for label, (_, height) in sorted(ends.items(), key=lambda item: item[1][1]):
        raised[label] = _free(label, max(height, 4.0), raised, ends, near_s, _LABEL_GAP)
    placed: dict[str, float] = {}
    for label, height in sorted(raised.items(), key=lambda item: -item[1]):
        placed[label] = _free(label, min(height, HEIGHT - 4.0), placed, ends, near_s, -_LABEL_GAP)
    return placed


def _free(
    label: str,
    height: float,
    placed: Mapping[str, float],
    ends: Mapping[str, tuple[float, float]],
    near_s: float,
    gap: float,
) -> float:
    """The next height from this one on, upwards or downwards by `gap`, that no label nearby has taken."""
    beside = [placed[other] for other in placed if abs(ends[other][0] - ends[label][0]) < near_s]
    for taken in sorted(beside, reverse=gap < 0):
        if abs(taken - height) < abs(gap):
            height = taken + gap
    return height


def _limit_line(limit: float, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    rows = [{"time_s": 0.0, "value": limit, "text": f"limit {format.rate(limit)}"}]
    data = alt.Chart(alt.Data(values=tuple(rows)))
    rule = data.mark_rule(color=LIMIT_COLOUR, strokeDash=[6, 4], strokeWidth=1.5)
    text = data.mark_text(align="left", dx=4, dy=-8, color=alt.expr(TEXT_COLOUR))
    return [rule.encode(y=y), text.encode(x=x, y=y, text="text:N")]


def _throughput_finding(lines: Mapping[str, Points]) -> str:
    ends = sorted((points[-1][0], label) for label, points in lines.items())
    if len(ends) == 1:
        return f"{ends[0][1]} is done after {format.seconds(ends[0][0])}"
    first, last = ends[0], ends[-1]
    return f"{first[1]} is done after {format.seconds(first[0])}, {last[1]} after {format.seconds(last[0])}"


def _throughput_alt(lines: Mapping[str, Points], limit: float | None) -> str:
    parts = [
        f"{label}: between {format.rate(min(y for _, y in points))} and "
        f"{format.rate(max(y for _, y in points))}, until {format.seconds(points[-1][0])}"
        for label, points in lines.items()
    ]
    if limit is not None:
        parts.append(f"the limit of this machine is {format.rate(limit)}")
    return f"Line chart of images per second over time. {'; '.join(parts)}."
