"""Takes down what a worker does with its time.

Spans and samples travel with the rows: a worker attaches those of a batch to the batch's first row, so that they
arrive with the answers and need no second channel.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from inference.results import Sample, Span

# `perf_counter` measures, the wall clock lines processes up: every time is the former moved onto the latter once.
_WALL_OFFSET_S = time.time() - time.perf_counter()
_process = psutil.Process()
_process_started_at = _process.create_time()

_imported_at: tuple[float, float] | None = None


def now_s() -> float:
    """Seconds since the epoch, monotonic within this process."""
    return time.perf_counter() + _WALL_OFFSET_S


def note_imports(start_at: float, end_at: float) -> None:
    """Remember when this process imported what a model needs, in seconds since the epoch."""
    global _imported_at
    _imported_at = (start_at, end_at)


class Recorder:
    """The spans and samples of one lane of one run, in seconds since the run began.

    `role` is `worker` or `reader`; `run_started_at` is in seconds since the epoch, on the driver's clock.
    """

    def __init__(self, role: str, run_started_at: float) -> None:
        self.worker = f"{role} {os.getpid()}"
        self._run_started_at = run_started_at
        self._spans: list[Span] = []
        self._samples: list[Sample] = []
        self._batch = -1
        self.sample()

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

    def sample(self) -> None:
        """Note what this process has used so far."""
        times, memory = _process.cpu_times(), _process.memory_info()
        own_bytes = memory.rss - getattr(memory, "shared", 0)  # blocks of the object store are mapped by everyone
        self._samples.append(Sample(self.worker, self.elapsed_s(), times.user + times.system, own_bytes))

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
        """All spans and samples since the last call, with a sample of now, as one text for the `spans` column."""
        self.sample()
        spans, samples = self._spans, self._samples
        self._spans, self._samples = [], []
        return encode(spans, samples)


_recorders: dict[str, tuple[float, Recorder]] = {}


def recorder_of_process(role: str, run_started_at: float) -> Recorder:
    """This process's recorder for a role in a run: stateless tasks share it, so that their batches count on."""
    started_at, recorder = _recorders.get(role, (None, None))
    if recorder is None or started_at != run_started_at:
        recorder = Recorder(role, run_started_at)
        _recorders[role] = (run_started_at, recorder)
    return recorder


def encode(spans: Sequence[Span], samples: Sequence[Sample] = ()) -> str:
    """Spans and samples as compact JSON: one list of six for each span, one of four for each sample.

    Times are in microseconds.
    """
    rows: list[list[object]] = [
        [s.worker, s.phase, round(s.start_s * 1e6), round(s.end_s * 1e6), s.images, s.batch] for s in spans
    ]
    rows += [[s.worker, round(s.at_s * 1e6), round(s.cpu_s * 1e6), s.memory_bytes] for s in samples]
    return json.dumps(rows, separators=(",", ":"))


def merge(texts: Sequence[str]) -> str:
    """Several texts of `encode` as one; empty texts hold nothing."""
    return json.dumps([row for text in texts if text for row in json.loads(text)], separators=(",", ":"))


def decode(text: str) -> tuple[list[Span], list[Sample]]:
    """The spans and samples that `encode` wrote; an empty text holds none."""
    spans, samples = [], []
    for row in json.loads(text) if text else []:
        if len(row) == _SAMPLE_WIDTH:
            worker, at_us, cpu_us, memory_bytes = row
            samples.append(Sample(worker, at_us / 1e6, cpu_us / 1e6, memory_bytes))
        else:
            worker, phase, start_us, end_us, images, batch = row
            spans.append(Span(worker, phase, start_us / 1e6, end_us / 1e6, images, batch))
    return spans, samples


_SAMPLE_WIDTH = 4
