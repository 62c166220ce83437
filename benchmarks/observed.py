"""What a row is asked to do, what came of it, and both as JSON, since every row runs in a process of its own.

Whoever classified the images, the outcome becomes a `RunRecord`: all rows go through the same functions of
`inference.results`, so that a rate means the same in every row.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from inference.config import RunConfig
from inference.results import WORKER, Prediction, Progress, RunRecord, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process that runs one row is asked to do."""

    row: str
    model_folder: str
    images_folder: str
    """A flat folder that holds exactly these images."""
    images: tuple[tuple[str, str], ...]
    """Image id and path, in order."""
    cores: int
    config: RunConfig
    """Batch size for every row; the settings of the forward pass for `limit`."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """What `to_dict` described."""
        images = tuple((image_id, path) for image_id, path in values["images"])
        return cls(**{**values, "images": images, "config": RunConfig.from_dict(values["config"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One image's answer, and when and where it was given."""

    image_id: str
    label: str
    score: float
    done_at: float
    """Seconds since the epoch."""
    batch_started_at: float
    """When its worker, with the model in place, turned to the batch that holds it; seconds since the epoch."""
    worker: int
    """Process id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a process that ran one row tells of it."""

    started_at: float
    """When the row's clock started, in seconds since the epoch; imports and, with Ray, its start are over."""
    answers: tuple[Answered, ...]
    workers: int = 1
    """Processes that ran the model."""
    import_s: float = 0.0
    """Seconds of imports before the clock."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Outcome:
        """What `to_dict` described."""
        return cls(**{**values, "answers": tuple(Answered(**answer) for answer in values["answers"])})

    def record(self, config: RunConfig) -> RunRecord:
        """The same as a run that an engine made would be kept."""
        return RunRecord(
            id="",
            state="finished",
            config=config.with_(concurrency=self.workers),
            created_at=self.started_at,
            progress=Progress(phase="finished", clock_started_at=self.started_at),
            spans=tuple(self._batches()),
            predictions=tuple(
                Prediction(
                    image_id=answer.image_id,
                    label=answer.label,
                    score=answer.score,
                    top=((answer.label, answer.score),),
                    done_s=answer.done_at - self.started_at,
                    worker=f"{WORKER} {answer.worker}",
                )
                for answer in self.answers
            ),
        )

    def _batches(self) -> list[Span]:
        """A span for each batch: from when its worker turned to it until its last answer."""
        spans: list[Span] = []
        by_batch = sorted(self.answers, key=attrgetter("worker", "batch_started_at"))
        for worker, answers in groupby(by_batch, key=attrgetter("worker")):
            for number, (start_at, batch) in enumerate(groupby(answers, key=attrgetter("batch_started_at"))):
                done = [answer.done_at for answer in batch]
                start_s, end_s = start_at - self.started_at, max(done) - self.started_at
                spans.append(Span(f"{WORKER} {worker}", "forward", start_s, end_s, len(done), number))
        return spans


class Answering:
    """Takes down this process's answers as they come."""

    def __init__(self) -> None:
        self.started_at = time.time()
        self.answers: list[Answered] = []
        self._batch_started_at = self.started_at

    def next_batch(self) -> None:
        """The model is in place, and the images that follow are a batch."""
        self._batch_started_at = time.time()

    def give(self, image_ids: Sequence[str], best: Sequence[tuple[str, float]]) -> None:
        """Each image's most probable label with its score, all of them ready now."""
        done_at = time.time()
        self.answers += [
            Answered(
                image_id=image_id,
                label=label,
                score=float(score),
                done_at=done_at,
                batch_started_at=self._batch_started_at,
                worker=os.getpid(),
            )
            for image_id, (label, score) in zip(image_ids, best, strict=True)
        ]

    def outcome(self, **settings: Any) -> Outcome:
        """All of it, with the settings that matter for this row."""
        return Outcome(started_at=self.started_at, answers=tuple(self.answers), settings=settings)
