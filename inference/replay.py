"""A run as it stood at any second of its recorded time, and the clock that moves through it.

Nothing is made up in between: what had not been measured by a moment is left out, and what was going on is cut off
there. Times are seconds of a run's own clock; they pass faster or slower only by a factor that is asked for.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from inference.prediction import Columns, Prediction, Predictions
from inference.results import Progress, RunRecord, setup_seconds

SPEEDS = (0.2, 1.0, 2.0, 5.0, 10.0)
"""Seconds of recorded time per second of the clock that a person can choose."""

UNSEEN_S = 10.0
"""A clock that nobody looked at for longer than this stands where it was last seen: the page was left."""

_STEPS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)
_STEPS_IN_ALL = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One run, sorted so that any second of it is found without looking at all of it."""

    record: RunRecord
    """Spans by their start, predictions and samples by their time."""
    length_s: float
    """Until the last answer and the end of the last span, whichever is later."""
    answered_s: tuple[float, ...]
    """When each prediction was ready."""
    begun_s: tuple[float, ...]
    """When each span began."""
    sampled_s: tuple[float, ...]
    """When each sample was taken."""
    load_begun_s: tuple[float, ...]
    """When each load of the model began."""
    longest_span_s: float
    setup_s: float | None
    """As `results.setup_seconds` has it."""

    @classmethod
    def of(cls, record: RunRecord) -> Recording:
        """Sort what a run left behind."""
        spans = tuple(sorted(record.spans, key=lambda span: span.start_s))
        predictions = _in_order(record.predictions)
        samples = tuple(sorted(record.samples, key=lambda sample: sample.at_s))
        ends = [*(span.end_s for span in spans), *predictions.columns.done_s[-1:]]
        return cls(
            record=replace(record, spans=spans, predictions=predictions, samples=samples),
            length_s=max(ends, default=0.0),
            answered_s=tuple(predictions.columns.done_s),
            begun_s=tuple(span.start_s for span in spans),
            sampled_s=tuple(sample.at_s for sample in samples),
            load_begun_s=tuple(span.start_s for span in spans if span.phase == "load"),
            longest_span_s=max((span.seconds for span in spans), default=0.0),
            setup_s=setup_seconds(spans),
        )

    def ended(self, at_s: float) -> bool:
        """Whether everything that was measured had been by this second."""
        return at_s >= self.length_s

    def as_of(self, at_s: float) -> RunRecord:
        """The run as it stood at this second; see the function of this name."""
        whole, progress = self.record, self.progress(at_s)
        if self.ended(at_s):
            return replace(whole, progress=progress)
        begun = bisect_left(self.begun_s, at_s)
        # Only a span that began within the longest one's length can be going on still.
        old = bisect_left(self.begun_s, at_s - self.longest_span_s, hi=begun)
        recent = tuple(span if span.end_s <= at_s else replace(span, end_s=at_s) for span in whole.spans[old:begun])
        return replace(
            whole,
            state="running",
            finished_at=None,
            progress=progress,
            spans=whole.spans[:old] + recent,
            samples=whole.samples[: bisect_right(self.sampled_s, at_s)],
            predictions=_first(Predictions.of(whole.predictions), bisect_right(self.answered_s, at_s)),
            operators=(),
            messages=(),
            plan=None,
        )

    def progress(self, at_s: float) -> Progress:
        """How far the run was at this second."""
        elapsed_s = min(max(0.0, at_s), self.length_s)
        working = self.setup_s is not None and elapsed_s >= self.setup_s
        return Progress(
            phase="done" if self.ended(at_s) else "classifying" if working else "setting up",
            images_done=bisect_right(self.answered_s, at_s),
            images_total=len(self.answered_s),
            elapsed_s=elapsed_s,
        )

    def images_per_s(self, at_s: float) -> float | None:
        """Images that were done by this second per second until then; after the last answer, those of the run.

        None before the run began.
        """
        counted_s = min(at_s, self.answered_s[-1]) if self.answered_s else at_s
        return bisect_right(self.answered_s, at_s) / counted_s if counted_s > 0 else None

    def model_loads(self, at_s: float) -> int:
        """Loads of the model that had begun by this second."""
        return len(self.load_begun_s) if self.ended(at_s) else bisect_left(self.load_begun_s, at_s)


def _in_order(predictions: Sequence[Prediction]) -> Predictions:
    """The predictions in the order in which they were ready; none is made an object for that."""
    unsorted = Predictions.of(predictions)
    done_s = unsorted.columns.done_s
    order = sorted(range(len(unsorted)), key=done_s.__getitem__)
    columns = {column.name: getattr(unsorted.columns, column.name) for column in fields(Columns)}
    moved = {name: [values[position] for position in order] for name, values in columns.items()}
    return Predictions(
        Columns(**moved), lambda number: unsorted[order[number]].top, lambda number: unsorted[order[number]].votes
    )


def _first(predictions: Predictions, number: int) -> Predictions:
    columns = {column.name: getattr(predictions.columns, column.name)[:number] for column in fields(Columns)}
    return Predictions(
        Columns(**columns), lambda position: predictions[position].top, lambda position: predictions[position].votes
    )


def as_of(record: RunRecord, at_s: float) -> RunRecord:
    """A run as it stood at this second of its own clock.

    Predictions that were ready, samples that were taken, and spans that had begun, cut off where they were going on.
    It is `running`, without the plan, messages and operators, whose times were not kept; from its last second on it
    is the run itself.
    """
    return Recording.of(record).as_of(at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A recording's place in a replay."""

    recording: Recording
    starts_s: float = 0.0
    """Second of the replay at which the run begins."""

    @property
    def ends_s(self) -> float:
        """Second of the replay at which the run has ended."""
        return self.starts_s + self.recording.length_s

    def second(self, position_s: float) -> float:
        """Second of the run at a position of the replay, from 0 to the run's end."""
        return min(max(0.0, position_s - self.starts_s), self.recording.length_s)


def side_by_side(recordings: Sequence[Recording]) -> tuple[Scene, ...]:
    """All runs at once, beginning together."""
    return tuple(Scene(recording=recording) for recording in recordings)


def one_after_another(recordings: Sequence[Recording]) -> tuple[Scene, ...]:
    """The runs in this order, each beginning when the one before has ended; pauses between them are left out."""
    scenes: list[Scene] = []
    for recording in recordings:
        scenes.append(Scene(recording=recording, starts_s=scenes[-1].ends_s if scenes else 0.0))
    return tuple(scenes)


def playing_at(scenes: Sequence[Scene], position_s: float) -> int:
    """Which scene is going on at a position of the replay: the last one that has begun."""
    return max(0, bisect_left([scene.starts_s for scene in scenes], position_s) - 1)


def step_s(length_s: float) -> float:
    """By how many seconds a replay of this length is wound: a round number, some two hundred steps in all."""
    return next((step for step in _STEPS_S if length_s / step <= _STEPS_IN_ALL), _STEPS_S[-1])


def whole_steps_s(length_s: float) -> float:
    """The length rounded up to whole steps."""
    return math.ceil(round(length_s / step_s(length_s), 6)) * step_s(length_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where a replay is. `now_s` is the time of a clock that only goes forward, in seconds."""

    length_s: float
    position_s: float = 0.0
    """Seconds of the replay, when this was last looked at."""
    speed: float = 1.0
    """Seconds of the replay per second."""
    seen_s: float | None = None
    """When a playing clock was last looked at; None for one that stands still."""

    @property
    def playing(self) -> bool:
        """Whether it moves."""
        return self.seen_s is not None

    @property
    def ended(self) -> bool:
        """Whether it is at the end."""
        return self.position_s >= self.length_s

    def at(self, now_s: float) -> Clock:
        """The clock as it is now: it stops at the end, and stood still if nobody looked for `UNSEEN_S`."""
        if self.seen_s is None:
            return self
        passed_s = max(0.0, now_s - self.seen_s)
        if passed_s > UNSEEN_S:
            return self.paused()
        position_s = min(self.length_s, self.position_s + passed_s * self.speed)
        return replace(self, position_s=position_s, seen_s=None if position_s >= self.length_s else now_s)

    def played(self, now_s: float) -> Clock:
        """Going on from where it stands, or from the start where it stands at the end."""
        return replace(self, position_s=0.0 if self.ended else self.position_s, seen_s=now_s)

    def paused(self) -> Clock:
        """Standing where it was last looked at."""
        return replace(self, seen_s=None)

    def moved(self, position_s: float) -> Clock:
        """At another position, playing if it did before and is not at the end."""
        position_s = min(max(0.0, position_s), self.length_s)
        return replace(self, position_s=position_s, seen_s=None if position_s >= self.length_s else self.seen_s)

    def at_speed(self, speed: float) -> Clock:
        """At another speed from here on."""
        return replace(self, speed=speed)
