"""What loading costs in a run, what loading once can save, and from how many images on it does; all from spans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inference.results import Span, model_workers, runs_model, seconds_by_phase

PROCESS_PHASES = ("start", "import")
"""What a process that runs the model does once, however often it loads."""
SETUP_PHASES = (*PROCESS_PHASES, "load", "warmup")
"""What a worker that keeps its model does before its first image."""
WORK_PHASES = ("preprocess", "forward", "postprocess")
"""What is done for images, in a worker that runs the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Where the time of a run's model workers went, as far as loading is concerned; lanes that only read are left out.

    `None` is unknown: not measured, or nothing to divide by.
    """

    loads: int
    """`load` spans."""
    load_total_s: float
    """Their seconds, summed over all workers."""
    worker_total_s: float
    """Seconds of all workers together, waiting included."""
    process_total_s: float
    """Seconds of `PROCESS_PHASES`, summed over all workers."""
    setup_total_s: float
    """Seconds of `SETUP_PHASES`, summed over all workers."""
    work_total_s: float
    """Seconds of `WORK_PHASES`, summed over all workers."""
    wait_total_s: float
    """Seconds in which workers had nothing to do, between two spans, summed over all workers."""
    images: int
    """Images that went through the model."""
    batches: int
    """Batches of which at least one image went through the model."""
    workers: int
    """Lanes that ran the model."""

    @property
    def load_s(self) -> float | None:
        """Seconds per load, as a mean: L."""
        return self.load_total_s / self.loads if self.loads else None

    @property
    def batch_images(self) -> float | None:
        """Images per batch, as a mean, so that a last, smaller batch counts as what it is: B."""
        return self.images / self.batches if self.batches else None

    @property
    def image_s(self) -> float | None:
        """Seconds of work per image, apart from loading, set-up and waiting: t."""
        return self.work_total_s / self.images if self.images else None

    @property
    def load_share(self) -> float | None:
        """Share of the workers' time that went into loading, 0 to 1."""
        return self.load_total_s / self.worker_total_s if self.worker_total_s else None

    @property
    def wait_share(self) -> float | None:
        """Share of the workers' time in which they had nothing to do, 0 to 1."""
        return self.wait_total_s / self.worker_total_s if self.worker_total_s else None

    @property
    def predicted_speedup(self) -> float | None:
        """`loading_speedup` of what was measured: what loading once would have gained; None where a term is missing."""
        if self.load_s is None or not self.batch_images or not self.image_s:
            return None
        return loading_speedup(load_s=self.load_s, batch_images=self.batch_images, image_s=self.image_s)


def ledger(spans: Sequence[Span]) -> Ledger:
    """The ledger of one run."""
    seconds = seconds_by_phase(spans, workers_only=True)
    loads, images, batches = 0, 0, set()
    for span in spans:
        if not runs_model(span.worker):
            continue
        if span.phase == "load":
            loads += 1
        elif span.phase == "forward" and span.images:
            images += span.images
            batches.add((span.worker, span.batch))
    return Ledger(
        loads=loads,
        load_total_s=seconds["load"],
        worker_total_s=sum(seconds.values()),
        process_total_s=sum(seconds[phase] for phase in PROCESS_PHASES),
        setup_total_s=sum(seconds[phase] for phase in SETUP_PHASES),
        work_total_s=sum(seconds[phase] for phase in WORK_PHASES),
        wait_total_s=seconds["wait"],
        images=images,
        batches=len(batches),
        workers=len(model_workers(spans)),
    )


def loading_speedup(*, load_s: float, batch_images: float, image_s: float) -> float:
    """How many times faster a run gets when the model is loaded once and not for every batch: 1 + L / (B · t).

    N images in batches of B are N / B batches. A worker that spends L seconds on loading before each of them, and t
    seconds on each image, is busy for N · t + (N / B) · L seconds. One that loads once is busy for N · t + L. Their
    ratio, once N is so large that a single L no longer counts, is (N · t + (N / B) · L) / (N · t) = 1 + L / (B · t).
    Several workers share loads and images alike, so that their number cancels. Set-up, waiting for images and what
    else the two may differ in are left out.

    Raises `ValueError` where `batch_images` or `image_s` is not above 0, or `load_s` is below it.
    """
    if batch_images <= 0 or image_s <= 0 or load_s < 0:
        raise ValueError(
            f"batch_images and image_s must be above 0 and load_s not below it, got {batch_images}, {image_s}, {load_s}"
        )
    return 1 + load_s / (batch_images * image_s)


def break_even_images(naive: Ledger, actor: Ledger) -> int | None:
    """The number of images from which a pool of actors pays for its set-up; None where it never does, or is unknown.

    The pool spends `setup_total_s` before its first image: start, import, load and warm-up in each of its workers. The
    naive run spends `process_total_s` on its own processes, and L seconds for each batch. The pool pays as soon as the
    naive run's loads take longer than what the pool's set-up takes more: with k loads of L seconds, the least k with
    k · L > setup - process; the k-th load comes with image (k - 1) · B + 1.

    Assumed: an image takes as long one way as the other, a load always takes the mean of those measured, and all of it
    is spread evenly over as many workers on both sides, so that worker time stands for time on the clock.
    """
    if not naive.load_s or not naive.batch_images or not actor.loads:
        return None
    extra_s = actor.setup_total_s - naive.process_total_s
    loads = max(1, math.floor(extra_s / naive.load_s) + 1)
    return math.floor((loads - 1) * naive.batch_images) + 1
