"""What each process did when, as marks that can be drawn: few enough for a screen, however many spans there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from inference.results import DECODER, READER, WORKER, Span, model_workers, with_waits

SLOTS = 500
"""Slots of time that a lane is cut into where its work is finer than a screen can show."""
MAX_SETUP_BARS = 2000
"""Up to this many loads, imports, starts and warm-ups are drawn one by one, at their true times."""
MAX_SPANS_LOOKED_AT = 5000
"""More spans than this are finer than a screen anyway: they are not merged one by one first."""
TOUCHING_S = 0.002
"""Spans of the same phase that are no further apart are one stretch of it."""
SETUP = ("start", "import", "load", "warmup")


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
