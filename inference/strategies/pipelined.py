"""Overlap: tasks of their own decode and resize, while the worker that holds the model does nothing but compute.

What `batched.py` does in turns happens here at the same time. Between the two travel pixels, eight bits for each
colour, already of the size that the model sees: a fifth of a photograph's own pixels, and cheap to move.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from ray.data import ActorPoolStrategy, Dataset, TaskPoolStrategy

from inference.ensemble import in_one_row
from inference.recorder import Recorder, merge, recorder_of_process
from inference.results import DECODER, WORKER
from inference.strategies.answers import RETRIES, Plan
from inference.strategies.batches import classify_pixels, decode_rows, load_classifier


def classify(images: Dataset, plan: Plan) -> Dataset:
    """Decode every block in one of `decoders` tasks, and run every batch through one of `concurrency` workers."""
    pixels = images.map_batches(
        decode_block,
        batch_size=None,  # a whole block: what arrives together is decoded together
        batch_format="pyarrow",
        fn_kwargs={"plan": plan},
        compute=TaskPoolStrategy(size=plan.config.decoders),
        num_cpus=plan.decoder_cpus,
        max_retries=RETRIES,
        # Only a processor that we cannot stand in for needs a process with transformers in it.
        runtime_env=None if all(source.geometry for source in plan.models) else dict(plan.runtime_env) or None,
    )
    return pixels.map_batches(
        Classifier,
        fn_constructor_kwargs={"plan": plan},
        batch_size=plan.config.batch_size,
        batch_format="numpy",
        compute=ActorPoolStrategy(size=plan.config.concurrency),
        **plan.actor_resources(),
    )


def decode_block(block: pa.Table, plan: Plan) -> dict[str, Any]:
    """From `{image_id, bytes, reason, spans}` to the same with `pixels`, (height, width, 3) for each row."""
    taken = recorder_of_process(DECODER, plan.run_started_at)
    makers = [source.geometry.pixels if source.geometry else _processor_in(source.folder) for source in plan.models]
    to_pixels = makers[0] if len(makers) == 1 else in_one_row(makers)
    pixels, reasons = decode_rows(block, to_pixels, taken)
    return {
        "image_id": block["image_id"].to_pylist(),
        "pixels": pixels,
        "reason": reasons,
        "spans": [merge([*block["spans"].to_pylist(), taken.drain()])] + [""] * (len(block) - 1),
    }


@functools.cache
def _processor_in(folder: str) -> Callable[[Image.Image], np.ndarray]:
    from inference import models

    return functools.partial(models.processed, models.load_processor(folder))


class Classifier:
    """A worker that holds the model, and is handed pixels."""

    def __init__(self, plan: Plan) -> None:
        """Runs once per worker."""
        self.plan = plan
        self.recorder = Recorder(WORKER, plan.run_started_at)
        self.model = load_classifier(plan, self.recorder)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """Runs once per batch, while the next one is being decoded elsewhere."""
        self.recorder.next_batch()
        return classify_pixels(
            self.model,
            batch["image_id"].tolist(),
            batch["pixels"],
            batch["reason"].tolist(),
            batch_size=self.plan.config.batch_size,
            recorder=self.recorder,
            spans_so_far=batch["spans"].tolist(),
        )
