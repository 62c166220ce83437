"""What `naive` and `actor` share: a pipeline of Transformers, and images that go through it one after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from inference.ensemble import Panel
from inference.images import Undecodable, decode
from inference.recorder import Recorder
from inference.strategies.answers import Answers, Plan

if TYPE_CHECKING:
    import transformers
    from PIL import Image

    from inference.models import Answer


def load_pipelines(plan: Plan, recorder: Recorder) -> list[transformers.Pipeline]:
    """Import what a model needs, then build its pipeline; both are timed, and so are its stages from then on.

    An ensemble has a pipeline for each of its models.
    """
    recorder.add_process_start()
    with recorder.span("import"):
        from inference import models
    with recorder.span("load"):
        models.set_threads(plan.config.threads_per_worker)
        pipelines = [
            models.load_pipeline(
                source.folder,
                device=models.device_for(plan.config.gpus_per_worker),
                dtype=plan.config.dtype,
                compiled=plan.config.backend == "compile",
                labels=plan.config.labels,
            )
            for source in plan.models
        ]
    for pipeline in pipelines:
        models.time_stages(pipeline, recorder.span)
    return pipelines


def classify_one_by_one(
    pipelines: Sequence[transformers.Pipeline], batch: pa.Table, plan: Plan, recorder: Recorder
) -> dict[str, Any]:
    """Decode and classify the images of a batch one after the other, as both tutorial patterns do."""
    classify = _classify_with(pipelines, plan)
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
        answers.give(image_id, *classify(image))
    return answers.columns(spans_so_far=batch["spans"].to_pylist())


def _classify_with(
    pipelines: Sequence[transformers.Pipeline], plan: Plan
) -> Callable[[Image.Image], tuple[Answer, Answer]]:
    """What tells an image's most probable labels, and the first choice of each model of an ensemble."""
    from inference import models

    labels = plan.config.labels
    if len(pipelines) == 1:
        return lambda image: (models.classify_one(pipelines[0], image, labels=labels), ())
    names = [labels or models.labels_of(pipeline) for pipeline in pipelines]
    members = [
        functools.partial(models.classify_one, pipeline, labels=labels, top_k=len(known))
        for pipeline, known in zip(pipelines, names, strict=True)
    ]
    return Panel(members, names, plan.config.combine, models.TOP_K).classify
