"""Vectorise: one forward pass for a whole batch, where `actor.py` makes one for every image.

The worker still does everything itself, one thing after the other: decode, resize, forward. While it decodes,
nothing computes.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from inference.recorder import Recorder
from inference.results import WORKER
from inference.strategies.answers import Plan
from inference.strategies.batches import classify_pixels, decode_rows, load_classifier


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
    """A worker that holds the model and decodes for it."""

    def __init__(self, plan: Plan) -> None:
        """Runs once per worker."""
        self.plan = plan
        self.recorder = Recorder(WORKER, plan.run_started_at)
        self.model = load_classifier(plan, self.recorder)

    def __call__(self, batch: pa.Table) -> dict[str, Any]:
        """Runs once per batch: all of it is decoded, then all of it goes through the model at once."""
        self.recorder.next_batch()
        pixels, reasons = decode_rows(batch, self.model.pixels, self.recorder)
        return classify_pixels(
            self.model,
            batch["image_id"].to_pylist(),
            pixels,
            reasons,
            batch_size=self.plan.config.batch_size,
            recorder=self.recorder,
            spans_so_far=batch["spans"].to_pylist(),
        )
