"""What `naive` and `actor` share: a pipeline of Transformers, and images that go through it one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from inference.images import Undecodable, decode
from inference.recorder import Recorder
from inference.strategies.answers import Answers, Plan

if TYPE_CHECKING:
    import transformers


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
            compiled=plan.config.backend == "compile",
            labels=plan.config.labels,
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
