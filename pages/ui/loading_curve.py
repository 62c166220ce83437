"""The speed-up that loading once promises over the size of batches, with what was measured; knows no Streamlit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from inference.arms import Arm
from inference.ledger import Ledger, loading_speedup
from pages.ui import format
from pages.ui.charts import (
    FIT_WIDTH,
    HEIGHT,
    LEFT_EXTENT,
    STRATEGY_SHAPES,
    TEXT_COLOUR,
    Figure,
    colour_of,
    readable,
    tooltips,
)

MAX_BATCH = 1024
_POINTS = 80
_LABEL_GAP = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the formula takes."""

    load_s: float
    """L"""
    batch_images: float
    """B"""
    image_s: float
    """t"""

    @property
    def speedup(self) -> float:
        """What the formula makes of them."""
        return loading_speedup(load_s=self.load_s, batch_images=self.batch_images, image_s=self.image_s)

    @classmethod
    def measured(cls, naive: Ledger) -> Terms | None:
        """Those of a run that loads for every batch; None where one of them was not measured."""
        if not naive.load_s or not naive.batch_images or not naive.image_s:
            return None
        return cls(load_s=naive.load_s, batch_images=naive.batch_images, image_s=naive.image_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A side that loads once, set against the one that loads for every batch."""

    arm: Arm
    ratio: float
    """Images/s end to end, over those of the naive side."""
    low: float | None = None
    high: float | None = None
    """The ends of the 95 % interval, where it is known."""


def prediction_chart(chosen: Terms, measured: Terms, others: Sequence[Measured]) -> Figure:
    """The formula over the batch size, the chosen terms as a ring on it, what was measured as the strategies' marks."""
    sizes = [2 ** (math.log2(MAX_BATCH) * place / (_POINTS - 1)) for place in range(_POINTS)]
    line = [{"batch": size, "ratio": _at(chosen, size)} for size in sizes]
    x = alt.X(
        "batch:Q",
        title="images per batch",
        scale=alt.Scale(type="log", base=2, domain=[1, MAX_BATCH], nice=False),
        axis=alt.Axis(values=[2**power for power in range(11)], format=",d", labelOverlap=True),
    )
    top = 1.15 * max(_at(chosen, 1), chosen.speedup, *(other.high or other.ratio for other in others), 1.0)
    y = alt.Y(
        "ratio:Q",
        title="times as fast",
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(minExtent=LEFT_EXTENT),
    )
    ring = {"batch": chosen.batch_images, "ratio": chosen.speedup, "text": f"formula {format.ratio(chosen.speedup)}"}
    rows = [_row(measured, other) for other in others]
    layers = [
        alt.Chart(alt.Data(values=line)).mark_line(strokeWidth=2.5, color=alt.expr(TEXT_COLOUR)).encode(x=x, y=y),
        alt.Chart(alt.Data(values=[ring]))
        .mark_point(size=150, strokeWidth=2.5, color=alt.expr(TEXT_COLOUR), fill="transparent")
        .encode(x=x, y=y, tooltip=tooltips(text="as chosen")),
        *_marks(rows, others, x, y),
        *_labels([ring, *rows], top, x, y),
    ]
    chart = alt.layer(*layers).properties(height=HEIGHT, autosize=FIT_WIDTH)
    return Figure(
        chart=readable(chart),
        title=f"By the formula, loading once is {format.ratio(chosen.speedup)} as fast; larger batches gain less",
        alt=_alt(chosen, others),
        note=_note(others),
    )


def _at(terms: Terms, batch_images: float) -> float:
    return loading_speedup(load_s=terms.load_s, batch_images=batch_images, image_s=terms.image_s)


def _row(measured: Terms, other: Measured) -> dict[str, Any]:
    return {
        "batch": measured.batch_images,
        "ratio": other.ratio,
        "low": other.low or other.ratio,
        "high": other.high or other.ratio,
        "text": f"{format.plain(other.arm.label)} {format.ratio(other.ratio)} measured",
    }


def _marks(rows: Sequence[dict[str, Any]], others: Sequence[Measured], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """What was measured: a mark for each side at the batch size of the naive run, with its interval."""
    layers = []
    for row, other in zip(rows, others, strict=True):
        data, colour = alt.Chart(alt.Data(values=[row])), colour_of(other.arm.strategy)
        shape: Any = STRATEGY_SHAPES.get(other.arm.strategy, "circle")
        point = data.mark_point(filled=True, opacity=1, size=110, shape=shape, color=colour)
        layers += [
            data.mark_rule(strokeWidth=2, color=colour).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
            point.encode(x=x, y=y, tooltip=tooltips(text="measured")),
        ]
    return layers


def _labels(rows: Sequence[dict[str, Any]], top: float, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The words beside the marks, in the order of their heights, moved up where two would touch."""
    gap = top * _LABEL_GAP / HEIGHT
    ordered = sorted(rows, key=lambda row: row["ratio"])
    heights = itertools.accumulate((row["ratio"] for row in ordered), lambda below, own: max(own, below + gap))
    layers = []
    for row, height in zip(ordered, heights, strict=True):
        left = row["batch"] > math.sqrt(MAX_BATCH)  # right of the middle, the words stand left of the mark
        mark = alt.Chart(alt.Data(values=[row | {"ratio": height}])).mark_text(
            align="right" if left else "left",
            dx=-12 if left else 12,
            dy=-8,
            fontSize=13,
            fontWeight=600,
            limit=260,
            color=alt.expr(TEXT_COLOUR),
        )
        layers.append(mark.encode(x=x, y=y, text="text:N"))
    return layers


def _alt(chosen: Terms, others: Sequence[Measured]) -> str:
    ends = f"from {format.ratio(_at(chosen, 1))} in batches of 1 down to {format.ratio(_at(chosen, MAX_BATCH))}"
    said = "; ".join(f"{other.arm.label} was measured at {format.ratio(other.ratio)}" for other in others)
    line = (
        f"Line of the speed-up that the formula predicts over the images per batch, {ends} in batches of {MAX_BATCH:,}."
    )
    return f"{line} {said}.".replace(" .", "") if said else line


def _note(others: Sequence[Measured]) -> str:
    if not others:
        return "The ring is the formula for the values above."
    several = "s" if len(others) > 1 else ""
    return (
        f"The ring is the formula for the values above; the filled mark{several} what was measured, at the batch size "
        "of the naive run."
    )
