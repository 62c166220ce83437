"""A run's batches, one by one: when each began and ended in its worker, and what it spent its time on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inference.results import Span, runs_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one worker that runs the model did for one batch."""

    worker: str
    """The lane, as in `Span`."""
    number: int
    """The worker's own count, from 0."""
    start_s: float
    """When its first span began, in seconds since the run began."""
    end_s: float
    """When its last span ended."""
    seconds: Mapping[str, float]
    """Seconds by phase, as far as they were measured in this worker."""
    images: int
    """Images that went through the model; 0 where no forward pass was recorded."""

    @property
    def length_s(self) -> float:
        """Seconds from its beginning to its end, gaps between its spans included."""
        return self.end_s - self.start_s


def batches(spans: Iterable[Span]) -> list[Batch]:
    """The batches of the workers that run the model, in order of their beginnings."""
    grouped: dict[tuple[str, int], list[Span]] = {}
    for span in spans:
        if span.batch >= 0 and runs_model(span.worker):
            grouped.setdefault((span.worker, span.batch), []).append(span)
    found = [_batch(worker, number, of_batch) for (worker, number), of_batch in grouped.items()]
    return sorted(found, key=lambda batch: (batch.start_s, batch.worker))


def _batch(worker: str, number: int, spans: Iterable[Span]) -> Batch:
    seconds: dict[str, float] = {}
    start_s, end_s, images = float("inf"), 0.0, 0
    for span in spans:
        seconds[span.phase] = seconds.get(span.phase, 0.0) + span.seconds
        start_s, end_s = min(start_s, span.start_s), max(end_s, span.end_s)
        images += span.images if span.phase == "forward" else 0
    return Batch(worker=worker, number=number, start_s=start_s, end_s=end_s, seconds=seconds, images=images)
