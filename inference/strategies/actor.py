"""Load once: a class on a pool of actors, whose constructor loads the model that every batch then uses.

The same pipeline as in `naive.py`, the same images one by one. Only the load has moved, from the function
that Ray calls for every batch to the constructor that it calls once for every worker.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from inference.recorder import Recorder
from inference.results import WORKER
from inference.strategies.answers import Plan
from inference.strategies.one_by_one import classify_one_by_one, load_pipelines


def classify(images: Dataset, plan: Plan) -> Dataset:
    """Run every batch through one of `concurrency` long-lived `Classifier` workers."""
    return images.map_batches(
        Classifier,
        fn_constructor_kwargs={"plan": plan},
        batch_size=plan.config.batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=plan.config.concurrency),
        **plan.actor_resources(),
    )


class Classifier:
    """A worker that holds the model."""

    def __init__(self, plan: Plan) -> None:
        """Runs once per worker."""
        self.plan = plan
        self.recorder = Recorder(WORKER, plan.run_started_at)
        self.pipelines = load_pipelines(plan, self.recorder)

    def __call__(self, batch: pa.Table) -> dict[str, Any]:
        """Runs once per batch, with the model in place."""
        self.recorder.next_batch()
        return classify_one_by_one(self.pipelines, batch, self.plan, self.recorder)
