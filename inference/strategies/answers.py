"""What the strategies share: the plan that reaches a worker, and the rows that come back."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from inference import recorder
from inference.config import RunConfig
from inference.geometry import Geometry
from inference.recorder import Recorder

WORKER_DIED = "A worker died; Ray gave its images to another one, and none was lost."

RETRIES = 3
"""So often a task or an actor that has died is started again. Ray Data's own answer is for ever (2.60), and what kills
a worker each time would then never end."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model lies, and what its pictures look like."""

    folder: str
    geometry: Geometry | None
    """How its pictures are resized and cropped; None where only its image processor can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a worker needs to know of its run."""

    config: RunConfig
    models: tuple[Source, ...]
    """One, or those of an ensemble."""
    run_started_at: float
    """Seconds since the epoch."""
    decoder_cpus: float
    """CPUs that Ray reserves for each task that decodes (`pipelined`)."""
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    """What gives the workers processes that have imported what a model needs: see `inference.warm`."""

    def resources(self) -> dict[str, Any]:
        """What `map_batches` is told of each worker.

        Ray fuses neighbouring operators whose arguments are alike (2.60), which would put reading inside the
        model's worker in one arm only, and decoding where it should go on beside it. What comes before the model has
        no label selector, not even an empty one, so nothing is ever fused with it.
        """
        return {
            "num_cpus": self.config.cpus_per_worker,
            "num_gpus": self.config.gpus_per_worker or None,
            "runtime_env": dict(self.runtime_env) or None,
            "label_selector": {},
        }

    def task_resources(self) -> dict[str, Any]:
        """The same of workers that are tasks."""
        return {**self.resources(), "max_retries": RETRIES}

    def actor_resources(self) -> dict[str, Any]:
        """The same of workers that are actors."""
        return {**self.resources(), "max_restarts": RETRIES, "max_task_retries": RETRIES}


class Answers:
    """The rows that a batch becomes.

    Columns, one row per image: `image_id`, `top` (JSON list of [label, score], best first; empty without an
    answer), `votes` (the same of an ensemble's first choices, model by model; empty without one), `reason` (empty
    with an answer), `done_s` (seconds since the run began), `worker`, `notes` (JSON list of sentences that a
    person should read) and `spans` (JSON), both of the whole batch on its first row and empty on the others.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._rows: list[tuple[str, str, str, str, float]] = []

    def give(self, image_id: str, top: Sequence[tuple[str, float]], votes: Sequence[tuple[str, float]] = ()) -> None:
        """Add an image's most probable labels; scores that are no numbers are no answer."""
        if not all(math.isfinite(score) for _, score in top):
            self.refuse(image_id, "the model's scores are not numbers")
            return
        self._rows.append((image_id, json.dumps(top), json.dumps(votes), "", self._recorder.elapsed_s()))

    def refuse(self, image_id: str, reason: str) -> None:
        """Add an image without an answer, and why."""
        self._rows.append((image_id, "[]", "[]", reason, self._recorder.elapsed_s()))

    def columns(self, spans_so_far: Iterable[str], notes: Sequence[str] = ()) -> dict[str, Any]:
        """The batch as a dict of columns, which is what Ray Data takes back from a function (2.60)."""
        notes = [*([WORKER_DIED] if _is_repeated() else []), *notes]
        image_ids, top, votes, reasons, done_s = (list(column) for column in zip(*self._rows, strict=True))
        spans = recorder.merge([*spans_so_far, self._recorder.drain()])
        return {
            "image_id": image_ids,
            "top": top,
            "votes": votes,
            "reason": reasons,
            "done_s": done_s,
            "worker": [self._recorder.worker] * len(image_ids),
            "notes": [json.dumps(notes)] + [""] * (len(image_ids) - 1),
            "spans": [spans] + [""] * (len(image_ids) - 1),
        }


def _is_repeated() -> bool:
    """Whether an earlier worker died: Ray runs this task again, or this actor stands in for a dead one."""
    # The public runtime context tells a task nothing of its attempts (2.60).
    attempt = ray._private.worker.global_worker.core_worker.get_current_task_attempt_number()
    return attempt > 0 or _is_second_actor()


@functools.cache
def _is_second_actor() -> bool:
    context = ray.get_runtime_context()
    return context.get_actor_id() is not None and context.was_current_actor_reconstructed
