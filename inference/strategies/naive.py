"""The anti-pattern: a function on stateless tasks that loads the model again for every batch.

This is what many people write first, and nothing in it is wrong enough to fail. Read it beside `actor.py`:
the only difference is where the pipeline is built.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from ray.data import Dataset, TaskPoolStrategy

from inference.recorder import recorder_of_process
from inference.results import WORKER
from inference.strategies.answers import Plan
from inference.strategies.one_by_one import classify_one_by_one, load_pipelines


def classify(images: Dataset, plan: Plan) -> Dataset:
    """Run `classify_batch` on every batch, in at most `concurrency` tasks at a time."""
    return images.map_batches(
        classify_batch,
        fn_kwargs={"plan": plan},
        batch_size=plan.config.batch_size,
        batch_format="pyarrow",
        compute=TaskPoolStrategy(size=plan.config.concurrency),
        **plan.task_resources(),
    )


def classify_batch(batch: pa.Table, plan: Plan) -> dict[str, Any]:
    """Load the model, use it for a handful of images, and forget it."""
    # The process outlives the task and serves the next one; the model does not.
    recorder = recorder_of_process(WORKER, plan.run_started_at)
    recorder.next_batch()
    pipelines = load_pipelines(plan, recorder)
    return classify_one_by_one(pipelines, batch, plan, recorder)
