"""Takes down what a worker does with its time.

Spans travel with the rows: a worker attaches those of a batch to the batch's first row, so that they arrive
with the answers and need no second channel.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from inference.results import Span

# `perf_counter` measures, the wall clock lines processes up: every time is the former moved onto the latter once.
_WALL_OFFSET_S = time.time() - time.perf_counter()
_process_started_at = psutil.Process().create_time()


_imported_at: tuple[float, float] | None = None


def now_s() -> float:
    """Seconds since the epoch, monotonic within this process."""
    return time.perf_counter() + _WALL_OFFSET_S


def note_imports(start_at: float, end_at: float) -> None:
    """Remember when this process imported what a model needs, in seconds since the epoch."""
    global _imported_at
    _imported_at = (start_at, end_at)


class Recorder:
    """The spans of one lane of one run, in seconds since the run began.

    `role` is `worker` or `reader`; `run_started_at` is in seconds since the epoch, on the driver's clock.
    """

    def __init__(self, role: str, run_started_at: float) -> None:
        self.worker = f"{role} {os.getpid()}"
        self._run_started_at = run_started_at
        self._spans: list[Span] = []
        self._batch = -1

    def next_batch(self) -> None:
        """Begin another batch: the spans that follow belong to it."""
        self._batch += 1

    @contextmanager
    def span(self, phase: str, images: int = 0) -> Iterator[None]:
        """Time the body as `phase`, also when it raises."""
        start_s = self.elapsed_s()
        try:
            yield
        finally:
            self._spans.append(Span(self.worker, phase, start_s, self.elapsed_s(), images, self._batch))

    def add_process_start(self) -> None:
        """Add what this process did before its first task, if that fell into the run: starting and preloading.

        A process that was ready before the run began has nothing to add.
        """
        if self._spans or self._batch > 0 or _process_started_at < self._run_started_at:
            return
        self._add_epoch("start", _process_started_at, _imported_at[0] if _imported_at else now_s())
        if _imported_at:
            self._add_epoch("import", *_imported_at)

    def _add_epoch(self, phase: str, start_at: float, end_at: float) -> None:
        origin = self._run_started_at
        self._spans.append(Span(self.worker, phase, start_at - origin, end_at - origin))

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return now_s() - self._run_started_at

    def drain(self) -> str:
        """All spans since the last call, as one JSON text for the `spans` column."""
        spans, self._spans = self._spans, []
        return encode(spans)


_recorders: dict[str, tuple[float, Recorder]] = {}


def recorder_of_process(role: str, run_started_at: float) -> Recorder:
    """This process's recorder for a role in a run: stateless tasks share it, so that their batches count on."""
    started_at, recorder = _recorders.get(role, (None, None))
    if recorder is None or started_at != run_started_at:
        recorder = Recorder(role, run_started_at)
        _recorders[role] = (run_started_at, recorder)
    return recorder


def encode(spans: list[Span]) -> str:
    """Spans as compact JSON: one list per span, times in microseconds."""
    return json.dumps(
        [[s.worker, s.phase, round(s.start_s * 1e6), round(s.end_s * 1e6), s.images, s.batch] for s in spans],
        separators=(",", ":"),
    )


def decode(text: str) -> list[Span]:
    """The spans that `encode` wrote; an empty text holds none."""
    rows = json.loads(text) if text else []
    return [
        Span(worker, phase, start_us / 1e6, end_us / 1e6, images, batch)
        for worker, phase, start_us, end_us, images, batch in rows
    ]
