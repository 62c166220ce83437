"""What the strategies share: the plan that reaches a worker, and the rows that come back."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray

from inference.config import RunConfig
from inference.images import Undecodable, decode
from inference.recorder import Recorder

if TYPE_CHECKING:
    import transformers


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a worker needs to know of its run."""

    config: RunConfig
    model_folder: str
    run_started_at: float
    """Seconds since the epoch."""
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    """What gives the workers processes that have imported what a model needs: see `inference.warm`."""

    def resources(self) -> dict[str, Any]:
        """What `map_batches` is told of each worker.

        Ray fuses neighbouring operators whose arguments are alike (2.60), which would put reading inside the
        model's worker in one arm only. The reader has no `runtime_env`, so neither arm is ever fused with it.
        """
        return {
            "num_cpus": self.config.cpus_per_worker,
            "num_gpus": self.config.gpus_per_worker or None,
            "runtime_env": dict(self.runtime_env) or None,
        }


def load_pipeline(plan: Plan, recorder: Recorder) -> transformers.Pipeline:
    """Import what a model needs, then build its pipeline; both are timed, and so are its stages from then on."""
    recorder.add_process_start()
    with recorder.span("import"):
        from inference import models
    with recorder.span("load"):
        models.set_threads(plan.config.threads_per_worker)
        pipeline = models.load_pipeline(
            plan.model_folder,
            device=models.device_for(plan.config.gpus_per_worker),
            dtype=plan.config.dtype,
            compiled=plan.config.compile,
        )
    models.time_stages(pipeline, recorder.span)
    return pipeline


def classify_one_by_one(pipeline: transformers.Pipeline, batch: pa.Table, recorder: Recorder) -> dict[str, Any]:
    """Decode and classify the images of a batch one after the other, as both tutorial patterns do."""
    from inference.models import classify_one

    answers = Answers(recorder)
    for image_id, data, reason in zip(
        batch["image_id"].to_pylist(), batch["bytes"].to_pylist(), batch["reason"].to_pylist(), strict=True
    ):
        if reason is not None:
            answers.refuse(image_id, reason)
            continue
        try:
            with recorder.span("preprocess"):
                image = decode(data)
        except Undecodable as error:
            answers.refuse(image_id, str(error))
            continue
        answers.give(image_id, classify_one(pipeline, image))
    return answers.columns(spans_so_far=batch["spans"].to_pylist())


class Answers:
    """The rows that a batch becomes.

    Columns, one row per image: `image_id`, `top` (JSON list of [label, score], best first; empty without an
    answer), `reason` (empty with an answer), `done_s` (seconds since the run began), `worker`, `repeated` (whether
    an earlier worker died), and `spans` (JSON; those of the whole batch on its first row).
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._rows: list[tuple[str, str, str, float]] = []

    def give(self, image_id: str, top: tuple[tuple[str, float], ...]) -> None:
        """Add an image's most probable labels; scores that are no numbers are no answer."""
        if not all(math.isfinite(score) for _, score in top):
            self.refuse(image_id, "the model's scores are not numbers")
            return
        self._rows.append((image_id, json.dumps(top), "", self._recorder.elapsed_s()))

    def refuse(self, image_id: str, reason: str) -> None:
        """Add an image without an answer, and why."""
        self._rows.append((image_id, "[]", reason, self._recorder.elapsed_s()))

    def columns(self, spans_so_far: list[str]) -> dict[str, Any]:
        """The batch as a dict of columns, which is what Ray Data takes back from a function (2.60)."""
        image_ids, top, reasons, done_s = (list(column) for column in zip(*self._rows, strict=True))
        spans = [span for text in spans_so_far if text for span in json.loads(text)]
        spans += json.loads(self._recorder.drain())
        return {
            "image_id": image_ids,
            "top": top,
            "reason": reasons,
            "done_s": done_s,
            "worker": [self._recorder.worker] * len(image_ids),
            "repeated": [_is_repeated()] * len(image_ids),
            "spans": [json.dumps(spans, separators=(",", ":"))] + [""] * (len(image_ids) - 1),
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
