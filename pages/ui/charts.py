"""Measurements in, charts out, with the words that belong to them; knows Altair and no Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

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
"""More lines than this are numbered, and named in a legend: their names would cover the lines."""
LEFT_EXTENT = 66
"""Pixels for the labels left of a time axis: charts below one another then begin at the same place."""


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


# Streamlit lays its own theme under a chart; Altair's would stand above it.
alt.theme.enable("none")
# Altair checks every piece of a chart against the schema when it is made; the tests check whole charts instead.
alt.utils.schemapi.disable_debug_mode()


def spec_of(chart: Any) -> dict[str, Any]:
    """An Altair chart as Vega-Lite, unchecked: a check against the schema takes longer than all else; tests do that."""
    return dict(chart.to_dict(validate=False))


def readable(chart: Any) -> Any:
    """The chart with axes and legend in colours that keep 4.5 : 1 on both themes; theirs is 3.7 : 1 on white."""
    muted = alt.expr(MUTED_COLOUR)
    return chart.configure_axis(labelColor=muted, titleColor=muted).configure_legend(labelColor=muted)


def colour_of(strategy: str) -> str:
    """The colour that stands for a strategy everywhere."""
    return STRATEGY_COLOURS.get(strategy, OTHER_COLOUR)


def limit_note(limit: float | None, highest: float) -> str:
    """What the dashed line is, or why there is none although the limit is known; empty where it is not."""
    if limit is None:
        return ""
    if limit <= FAR_LIMIT * highest:
        return "The dashed line is what this machine could do at best."
    return f"What this machine could do at best, {format.rate(limit)}, lies far beyond this chart."


def time_axis(field: str, end_s: float, start_s: float = 0.0) -> alt.X:
    """Seconds since the run began, from `start_s` to `end_s`."""
    return alt.X(
        f"{field}:Q",
        title=TIME_TITLE,
        scale=alt.Scale(domain=[start_s, end_s], nice=False),
        axis=alt.Axis(tickCount=8, format=",~f"),
    )


def tooltips(**fields: str) -> list[alt.Tooltip]:
    """Tooltip lines: field name and what it is called."""
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in fields.items()]


def phase_fill(field: str, names: Sequence[str], fills: Sequence[str]) -> alt.Fill:
    """Colours of phases, with a legend that fits a telephone."""
    columns = alt.expr("max(1, min(8, floor(width / 120)))")
    legend = alt.Legend(orient="bottom", columns=columns, symbolStrokeWidth=1, labelLimit=170)
    return alt.Fill(f"{field}:N", title=None, scale=alt.Scale(domain=names, range=fills), legend=legend)


def paint_of(phase: str, strategy: str) -> tuple[str, str]:
    """Fill and outline of a phase in a run of this strategy."""
    colour = colour_of(strategy)
    return PHASE_PAINT.get(phase, (colour, colour))
