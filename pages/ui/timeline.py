"""What each worker did when: one lane per worker, quick however many spans there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt

from inference.lanes import SLOTS, Bar, bars, lane_names
from inference.results import Span, model_workers, runs_model, seconds_by_phase
from pages.ui import format
from pages.ui.charts import (
    FIT_WIDTH,
    LEFT_EXTENT,
    PHASE_ORDER,
    PHASE_WORDS,
    Figure,
    paint_of,
    phase_fill,
    readable,
    time_axis,
    tooltips,
)

MAX_LANES = 16
MOST_BARS = 2400
"""Lanes are cut into fewer slots where they would be more marks than this."""
FEWEST_SLOTS = 120

LANE_HEIGHT = 26
_THICKNESS = {"load": 0.92, "import": 0.92, "warmup": 0.92, "wait": 0.28}
_OTHER_THICKNESS = 0.6


def timeline_chart(
    spans: Sequence[Span],
    *,
    until_s: float | None = None,
    strategy: str = "actor",
    title: str | None = None,
    max_lanes: int = MAX_LANES,
    stretch: tuple[float, float] | None = None,
) -> Figure:
    """One lane per worker: loading stands out, the model at work in its strategy's colour, waiting hollow.

    `until_s` sets the end of the time axis, so that several timelines share one scale. With `stretch`, only what
    falls between those two seconds is drawn, as finely as a whole run otherwise.
    """
    if not spans:
        return Figure(chart=None, title=title or "What each worker did", alt="No worker has reported yet.")
    names = lane_names(spans)
    shown = dict.fromkeys(list(names)[:max_lanes])
    begin_s, end_s = stretch or (0.0, max(until_s or 0.0, *(span.end_s for span in spans)))
    inside = within(spans, begin_s, end_s) if stretch else spans
    drawn, slot_s = _bars([span for span in inside if span.worker in shown], begin_s, len(shown))
    if not drawn:
        return Figure(chart=None, title=title or _finding(spans), alt="No worker did anything in this stretch of time.")
    rows = [_row(bar, names[bar.lane], strategy) for bar in drawn]
    chart = _chart(rows, [names[lane] for lane in shown], time_axis("start_s", end_s, begin_s), strategy)
    return Figure(
        chart=readable(chart),
        title=title or _finding(spans),
        alt=_alt(spans, names) if stretch is None else _stretch_alt(inside, names, begin_s, end_s),
        note=_note(len(names) - len(shown), slot_s),
    )


def within(spans: Sequence[Span], begin_s: float, end_s: float) -> list[Span]:
    """What of these spans falls between two moments, cut off at both."""
    return [
        span
        if begin_s <= span.start_s and span.end_s <= end_s
        else replace(span, start_s=max(span.start_s, begin_s), end_s=min(span.end_s, end_s))
        for span in spans
        if span.start_s < end_s and span.end_s > begin_s
    ]


def shares_text(spans: Sequence[Span]) -> str:
    """`forward 61 %, waiting 20 %`: what took most of the time of the workers that run the model."""
    seconds = seconds_by_phase(spans, workers_only=True)
    total = sum(seconds.values())
    most = sorted((phase for phase in seconds if seconds[phase] > 0), key=lambda phase: -seconds[phase])[:2]
    return ", ".join(f"{PHASE_WORDS[phase]} {format.percent(seconds[phase] / total)}" for phase in most)


def _bars(spans: Sequence[Span], begin_s: float, num_lanes: int) -> tuple[list[Bar], float | None]:
    """The marks of these spans; slots begin at `begin_s`, so that a short stretch is not drawn too coarsely."""
    if not spans:
        return [], None
    slots = max(FEWEST_SLOTS, min(SLOTS, MOST_BARS // num_lanes))
    if not begin_s:
        return bars(spans, slots=slots)
    moved = [  # not by `replace`, which takes several times as long
        Span(span.worker, span.phase, span.start_s - begin_s, span.end_s - begin_s, span.images, span.batch)
        for span in spans
    ]
    drawn, slot_s = bars(moved, slots=slots)
    return [replace(bar, start_s=bar.start_s + begin_s, end_s=bar.end_s + begin_s) for bar in drawn], slot_s


def _row(bar: Bar, lane: str, strategy: str) -> dict[str, Any]:
    # Lanes are drawn on a numeric axis inside each band: thickness is a second sign beside colour.
    half = _THICKNESS.get(bar.phase, _OTHER_THICKNESS) / 2
    return {
        "lane": lane,
        "process": format.plain(bar.lane),
        "phase": PHASE_WORDS.get(bar.phase, bar.phase),
        "start_s": round(bar.start_s, 4),
        "end_s": round(bar.end_s, 4),
        "low": 0.5 - half,
        "high": 0.5 + half,
        "begin": format.seconds(bar.start_s),
        "lasts": format.seconds(bar.end_s - bar.start_s),
        "images": f"{bar.images:,}" if bar.images else format.UNKNOWN,
    }


def _chart(rows: list[dict[str, Any]], lanes: list[str], x: alt.X, strategy: str) -> alt.Chart:
    used = {row["phase"] for row in rows}
    phases = [phase for phase in PHASE_ORDER if PHASE_WORDS[phase] in used]
    words = [PHASE_WORDS[phase] for phase in phases]
    paints = [paint_of(phase, strategy) for phase in phases]
    for row in rows:
        number = lanes.index(row["lane"])
        row["low"], row["high"] = round(number + row["low"], 3), round(number + row["high"], 3)
    names = "{" + ", ".join(f"'{number}': '{lane}'" for number, lane in enumerate(lanes)) + "}"
    stroke_scale = alt.Scale(domain=words, range=[edge for _, edge in paints])
    return (
        alt.Chart(alt.Data(values=tuple(rows)))
        .mark_rect(strokeWidth=1)
        .encode(
            x=x,
            x2="end_s:Q",
            y=alt.Y(
                "low:Q",
                title="process",
                scale=alt.Scale(domain=[len(lanes), 0], nice=False),
                axis=alt.Axis(
                    values=[number + 0.5 for number in range(len(lanes))],
                    labelExpr=f"{names}[toString(floor(datum.value))]",
                    labelOverlap=False,
                    grid=False,
                    minExtent=LEFT_EXTENT,
                ),
            ),
            y2="high:Q",
            fill=phase_fill("phase", words, [fill for fill, _ in paints]),
            stroke=alt.Stroke("phase:N", legend=None, scale=stroke_scale),
            tooltip=tooltips(
                lane="lane", process="process", phase="phase", begin="from", lasts="lasts", images="images"
            ),
        )
        .properties(height=max(56, LANE_HEIGHT * len(lanes)), autosize=FIT_WIDTH)
    )


def _loads(spans: Sequence[Span]) -> list[Span]:
    return [span for span in spans if span.phase == "load"]


def _finding(spans: Sequence[Span]) -> str:
    loads, workers = _loads(spans), model_workers(spans)
    if not loads:
        return f"{format.count(len(workers), 'worker')}, no model loaded yet"
    took = format.seconds(sum(span.seconds for span in loads))
    times = "once" if len(loads) == 1 else f"{len(loads):,} times"
    return f"The model is loaded {times} in {format.count(len(workers), 'worker process')}, {took} in all"


def _alt(spans: Sequence[Span], names: Mapping[str, str]) -> str:
    end_s = max(span.end_s for span in spans)
    return (
        f"Timeline of {format.count(len(names), 'lane')} over {format.seconds(end_s)}, "
        f"one bar per stretch of work. {_finding(spans)}."
    )


def _stretch_alt(inside: Sequence[Span], names: Mapping[str, str], begin_s: float, end_s: float) -> str:
    what = f"Timeline of {format.count(len(names), 'lane')} from {format.seconds(begin_s)} to {format.seconds(end_s)}"
    busy = shares_text([span for span in inside if runs_model(span.worker)])
    return f"{what}, one bar per stretch of work. {f'Of the worker time: {busy}.' if busy else ''}".rstrip()


def _note(hidden: int, slot_s: float | None) -> str:
    parts = []
    if hidden > 0:
        parts.append(f"{format.count(hidden, 'more lane')} not drawn.")
    if slot_s is not None:
        length = format.seconds(slot_s) if slot_s >= 0.01 else format.milliseconds(slot_s)
        parts.append(f"Work shorter than {length} is drawn as what took most of that time.")
    return " ".join(parts)
