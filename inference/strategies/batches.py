"""What `batched` and `pipelined` share: images as pixels of one shape, and a forward pass for all of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from PIL import Image

from inference.ensemble import Ensemble
from inference.images import Undecodable, decode
from inference.recorder import Recorder
from inference.strategies.answers import Answers, Plan

if TYPE_CHECKING:
    from inference.models import Classifier


def load_classifier(plan: Plan, recorder: Recorder) -> Classifier | Ensemble:
    """Import what a model needs, load it, and warm it up, each timed: what follows is the steady state."""
    recorder.add_process_start()
    config = plan.config
    with recorder.span("import"):
        from inference import models
    with recorder.span("load"):
        members = [
            models.Classifier(
                source.folder,
                geometry=source.geometry,
                device=models.device_for(config.gpus_per_worker),
                dtype=config.dtype,
                channels_last=config.channels_last,
                backend=config.backend,
                threads=config.threads_per_worker,
                labels=config.labels,
            )
            for source in plan.models
        ]
        classifier = members[0] if len(members) == 1 else Ensemble(members, config.combine, models.TOP_K)
    with recorder.span("warmup"):
        classifier.warm_up(config.batch_size)
    return classifier


def decode_rows(
    rows: pa.Table, to_pixels: Callable[[Image.Image], np.ndarray], recorder: Recorder
) -> tuple[np.ndarray, list[str]]:
    """Decode, resize and crop every row of `{bytes, reason}`.

    Returns pixels of shape (rows, height, width, 3), black where there is no picture, and the reasons why there is
    none, empty where there is one. Raises `ValueError` where the pictures have different shapes.
    """
    decoded: list[np.ndarray | None] = []
    reasons: list[str] = []
    with recorder.span("preprocess", images=len(rows)):
        for data, reason in zip(rows["bytes"].to_pylist(), rows["reason"].to_pylist(), strict=True):
            picture = None
            if reason is None:
                try:
                    picture = to_pixels(decode(data))
                except Undecodable as error:
                    reason = str(error)
            decoded.append(picture)
            reasons.append(reason or "")
        black = next((np.zeros_like(picture) for picture in decoded if picture is not None), None)
        if black is None:
            black = np.zeros_like(to_pixels(Image.new("RGB", (8, 8))))
        pictures = [black if picture is None else picture for picture in decoded]
        if len({picture.shape for picture in pictures}) > 1:
            raise ValueError(
                "this model's image processor gives pictures of different shapes, which cannot form a batch: "
                "use the strategy actor"
            )
        pixels = np.stack(pictures)
    return pixels, reasons


def classify_pixels(
    classifier: Classifier | Ensemble,
    image_ids: Sequence[str],
    pixels: np.ndarray,
    reasons: Sequence[str],
    *,
    batch_size: int,
    recorder: Recorder,
    spans_so_far: Sequence[str],
) -> dict[str, Any]:
    """One forward pass for all pictures of a batch; those with a reason take part in it, and get no answer."""
    with recorder.span("forward", images=len(pixels)):
        logits = classifier.logits(pixels, batch_size)
    answers = Answers(recorder)
    with recorder.span("postprocess", images=len(pixels)):
        found = zip(image_ids, reasons, classifier.answers(logits), classifier.votes(logits), strict=True)
        for image_id, reason, top, votes in found:
            if reason:
                answers.refuse(image_id, reason)
            else:
                answers.give(image_id, top, votes)
    return answers.columns(spans_so_far, _memory_notes(classifier.largest_pass))


def _memory_notes(largest_pass: int | None) -> list[str]:
    if largest_pass is None:
        return []
    return [f"The GPU's memory did not hold more: batches went through in parts of at most {largest_pass:,} images."]
