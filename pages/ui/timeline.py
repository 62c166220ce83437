"""What each worker did when: one lane per worker, quick however many spans there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from inference.results import DECODER, READER, WORKER, Span, model_workers, with_waits
from pages.ui import format
from pages.ui.charts import (
    FIT_WIDTH,
    PHASE_ORDER,
    PHASE_WORDS,
    Figure,
    paint_of,
    phase_fill,
    readable,
    time_axis,
    tooltips,
)

SLOTS = 500
"""Slots of time that a lane is cut into where its work is finer than a screen can show."""
MAX_SETUP_BARS = 2000
"""Up to this many loads, imports, starts and warm-ups are drawn one by one, at their true times."""
MAX_SPANS_LOOKED_AT = 5000
"""More spans than this are finer than a screen anyway: they are not merged one by one first."""
MAX_LANES = 16
TOUCHING_S = 0.002
"""Spans of the same phase that are no further apart are one stretch of it."""
SETUP = ("start", "import", "load", "warmup")

LANE_HEIGHT = 26
_THICKNESS = {"load": 0.92, "import": 0.92, "warmup": 0.92, "wait": 0.28}
_OTHER_THICKNESS = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One mark: a stretch of a lane's time."""

    lane: str
    phase: str
    start_s: float
    end_s: float
    images: int = 0
    spans: int = 1
    """How many spans it stands for."""


def bars(spans: Sequence[Span], *, slots: int = SLOTS) -> tuple[list[Bar], float | None]:
    """The marks that stand for these spans, waits included, and the length of a slot where work was rounded.

    Neighbours of the same phase in a lane become one mark. Where work is finer than a slot, which is the time
    axis divided by `slots`, each slot of a lane shows the phase that took most of it, and the second value is
    the slot's length in seconds, else None. Loads, imports, starts and warm-ups keep their true times, unless there are
    more than `MAX_SETUP_BARS` of them.
    """
    lanes: dict[str, list[Span]] = defaultdict(list)
    for span in with_waits(spans):
        lanes[span.worker].append(span)
    slot_s = max(span.end_s for span in spans) / slots
    if len(spans) <= MAX_SPANS_LOOKED_AT:
        whole = [bar for lane, of_lane in lanes.items() for bar in _merged(lane, of_lane)]
        if all(bar.end_s - bar.start_s >= slot_s for bar in whole if bar.phase not in SETUP):
            return whole, None
    rounded = [bar for lane, of_lane in lanes.items() for bar in _merged(lane, _slots(lane, of_lane, slot_s))]
    setup = [span for span in spans if span.phase in SETUP]
    if len(setup) > MAX_SETUP_BARS:
        return rounded, slot_s
    # Setup comes last, so that its true extent lies on top of the slots at its edges.
    exact = [bar for lane in lanes for bar in _merged(lane, [span for span in setup if span.worker == lane])]
    return [bar for bar in rounded if bar.phase not in SETUP] + exact, slot_s


def _merged(lane: str, spans: Sequence[Span]) -> list[Bar]:
    merged: list[Bar] = []
    for span in sorted(spans, key=lambda span: (span.start_s, span.end_s)):
        last = merged[-1] if merged else None
        # Two loads after each other are two loads: only what is one activity flows together.
        same = last is not None and last.phase == span.phase and span.phase != "load"
        if last is not None and same and span.start_s - last.end_s <= TOUCHING_S:
            merged[-1] = Bar(
                lane=lane,
                phase=last.phase,
                start_s=last.start_s,
                end_s=max(last.end_s, span.end_s),
                images=last.images + span.images,
                spans=last.spans + 1,
            )
        else:
            merged.append(Bar(lane=lane, phase=span.phase, start_s=span.start_s, end_s=span.end_s, images=span.images))
    return merged


def _slots(lane: str, spans: Sequence[Span], slot_s: float) -> list[Span]:
    """One span per slot in which anything happened, of the phase that took most of the slot."""
    spent: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    images: dict[int, int] = defaultdict(int)
    for span in spans:
        first, last = int(span.start_s / slot_s), int(span.end_s / slot_s)
        images[first] += span.images
        for slot in range(first, last + 1):
            inside = min(span.end_s, (slot + 1) * slot_s) - max(span.start_s, slot * slot_s)
            spent[slot][span.phase] += max(0.0, inside)
    begin_s, end_s = min(span.start_s for span in spans), max(span.end_s for span in spans)
    return [
        Span(
            lane,
            max(phases, key=phases.__getitem__),
            max(slot * slot_s, begin_s),
            min((slot + 1) * slot_s, end_s),
            images[slot],
        )
        for slot, phases in sorted(spent.items())
    ]


def lane_names(spans: Sequence[Span]) -> dict[str, str]:
    """Short names of the lanes, workers that run the model first, readers last: `worker 4711` is `worker 1`."""
    workers = model_workers(spans)
    names = {lane: f"{WORKER} {number}" for number, lane in enumerate(workers, start=1)}
    for role in (DECODER, READER):
        lanes = dict.fromkeys(span.worker for span in spans if span.worker.startswith(role))
        names |= {lane: f"{role} {number}" for number, lane in enumerate(lanes, start=1)}
    return names


def timeline_chart(
    spans: Sequence[Span],
    *,
    until_s: float | None = None,
    strategy: str = "actor",
    title: str | None = None,
    max_lanes: int = MAX_LANES,
) -> Figure:
    """One lane per worker: loading stands out, the model at work in its strategy's colour, waiting hollow.

    `until_s` sets the end of the time axis, so that several timelines share one scale.
    """
    if not spans:
        return Figure(chart=None, title=title or "What each worker did", alt="No worker has reported yet.")
    names = lane_names(spans)
    shown = list(names)[:max_lanes]
    drawn, slot_s = bars([span for span in spans if span.worker in set(shown)])
    end_s = max([until_s or 0.0, *(bar.end_s for bar in drawn)])
    rows = [_row(bar, names[bar.lane], strategy) for bar in drawn]
    chart = _chart(rows, [names[lane] for lane in shown], end_s, strategy)
    return Figure(
        chart=readable(chart),
        title=title or _finding(spans),
        alt=_alt(spans, names),
        note=_note(len(names) - len(shown), slot_s),
    )


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


def _chart(rows: list[dict[str, Any]], lanes: list[str], end_s: float, strategy: str) -> alt.Chart:
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
        alt.Chart(alt.Data(values=rows))
        .mark_rect(strokeWidth=1)
        .encode(
            x=time_axis("start_s", end_s),
            x2="end_s:Q",
            y=alt.Y(
                "low:Q",
                title=None,
                scale=alt.Scale(domain=[len(lanes), 0], nice=False),
                axis=alt.Axis(
                    values=[number + 0.5 for number in range(len(lanes))],
                    labelExpr=f"{names}[toString(floor(datum.value))]",
                    labelOverlap=False,
                    grid=False,
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


def _note(hidden: int, slot_s: float | None) -> str:
    parts = []
    if hidden > 0:
        parts.append(f"{format.count(hidden, 'more lane')} not drawn.")
    if slot_s is not None:
        parts.append(f"Work shorter than {format.seconds(slot_s)} is drawn as what took most of that time.")
    return " ".join(parts)
