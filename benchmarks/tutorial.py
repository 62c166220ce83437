"""The two patterns of Ray's batch-inference tutorial, as written there but for what follows.

Changed, because they would not run otherwise:

- A list of dicts is no batch to Ray Data (2.60): both return a dict of columns.
- Ray Data hands over arrays, and a pipeline takes pictures: `Image.fromarray`.
- Two workers of two CPUs each never start where there are fewer than five: `num_cpus` is lowered to what leaves room
  for readers, and both workers start. The same goes for a single GPU, of which each gets half.

Changed, so that all rows do the same work and nothing needs a network:

- Images and model come from local folders, and as many images as in the other rows go through.
- `take_all()` instead of `take(20)`, which lets Ray Data stop when it has twenty answers.
- `ray.init` gets the CPUs that the other rows have, and is told to be quiet.

Added, to measure: the path of each image, when its batch began with the model in place, when its answer was there,
and in which process.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
import ray.data
from PIL import Image

from benchmarks.observed import Answered, Outcome, Task
from inference.identity import ENGINE_ID_VARIABLE, ray_folder

WORKERS = 2
READER_CPUS = 0.05
READERS_BESIDE = 4
"""Tasks that can read at the same time, where the workers' CPUs had to be lowered."""

NAIVE_BATCH_SIZE = 4
ACTOR_BATCH_SIZE = 16


def inefficient_inference(batch: dict[str, Any], model: str) -> dict[str, Any]:
    """The first pattern: a function that builds its pipeline whenever Ray calls it."""
    from transformers import pipeline

    classifier = pipeline("image-classification", model=model)

    measured = Measured()
    results = []
    for image in batch["image"]:
        prediction = classifier(Image.fromarray(image))
        results.append({"prediction": prediction[0]["label"], "confidence": prediction[0]["score"]})
        measured.done()

    return columns(results) | measured.columns(batch)


class InferenceWorker:
    """The second pattern: a class that builds its pipeline in its constructor."""

    def __init__(self, model: str) -> None:
        import torch
        from transformers import pipeline

        device = 0 if torch.cuda.is_available() else -1
        self.classifier = pipeline("image-classification", model=model, device=device)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Classify one image of the batch after the other."""
        measured = Measured()
        results = []
        for image in batch["image"]:
            pred = self.classifier(Image.fromarray(image))
            results.append({"prediction": pred[0]["label"], "confidence": pred[0]["score"]})
            measured.done()
        return columns(results) | measured.columns(batch)


def tutorial_naive(task: Task) -> Outcome:
    """Stateless tasks."""
    with _ray(task) as ray_start_s:
        started_at = time.time()
        rows = (
            _images(task)
            .map_batches(
                inefficient_inference,
                batch_size=NAIVE_BATCH_SIZE,
                concurrency=WORKERS,
                fn_kwargs={"model": task.model_folder},
            )
            .take_all()
        )
    settings = {"batch_size": NAIVE_BATCH_SIZE, "concurrency": WORKERS, "num_cpus": 1, "ray_start_s": ray_start_s}
    return _outcome(task, started_at, rows, settings)


def tutorial_actor(task: Task) -> Outcome:
    """A pool of two actors."""
    with _ray(task) as ray_start_s:
        num_gpus = ray.cluster_resources().get("GPU", 0)
        resources = {
            "num_gpus": min(1, num_gpus / WORKERS),
            "num_cpus": cpus_per_worker(task.cores) if not num_gpus else min(1, cpus_per_worker(task.cores)),
        }
        started_at = time.time()
        rows = (
            _images(task)
            .map_batches(
                InferenceWorker,
                concurrency=WORKERS,
                batch_size=ACTOR_BATCH_SIZE,
                fn_constructor_kwargs={"model": task.model_folder},
                **resources,
            )
            .take_all()
        )
    settings = {"batch_size": ACTOR_BATCH_SIZE, "concurrency": WORKERS, **resources, "ray_start_s": ray_start_s}
    return _outcome(task, started_at, rows, settings)


def cpus_per_worker(cpus: int) -> float:
    """The tutorial's two CPUs, or as much as lets both workers start beside some readers."""
    free = cpus - READERS_BESIDE * READER_CPUS
    return 2 if free >= 2 * WORKERS else round(free / WORKERS, 2)


@contextlib.contextmanager
def _ray(task: Task) -> Iterator[float]:
    """A private, quiet Ray; the seconds that it took to start."""
    folder = ray_folder(os.environ[ENGINE_ID_VARIABLE])
    folder.mkdir(mode=0o700, exist_ok=True)
    start = time.perf_counter()
    ray.init(
        address="local",
        num_cpus=task.cores,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(folder),
    )
    ctx = ray.data.DataContext.get_current()
    ctx.enable_progress_bars = False
    ctx.print_on_execution_start = False
    try:
        yield time.perf_counter() - start
    finally:
        ray.shutdown()


def _images(task: Task) -> ray.data.Dataset:
    dataset = ray.data.read_images(task.images_folder, mode="RGB", num_cpus=READER_CPUS, include_paths=True)
    return dataset.limit(len(task.images))


class Measured:
    """What is added to each batch: when it began, when each answer was there, where, and for which image."""

    def __init__(self) -> None:
        self._started_at = time.time()
        self._done_at: list[float] = []

    def done(self) -> None:
        """An image has its answer."""
        self._done_at.append(time.time())

    def columns(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """One value per image."""
        count = len(self._done_at)
        return {
            "path": list(batch["path"]),
            "batch_started_at": [self._started_at] * count,
            "done_at": self._done_at,
            "worker": [os.getpid()] * count,
        }


def columns(results: list[dict[str, Any]]) -> dict[str, Any]:
    """A list of rows as Ray Data takes it back."""
    return {name: [row[name] for row in results] for name in results[0]}


def _outcome(task: Task, started_at: float, rows: list[dict[str, Any]], settings: Mapping[str, Any]) -> Outcome:
    ids = {Path(path).name: image_id for image_id, path in task.images}
    return Outcome(
        started_at=started_at,
        answers=tuple(
            Answered(
                image_id=ids[Path(row["path"]).name],
                label=row["prediction"],
                score=float(row["confidence"]),
                done_at=row["done_at"],
                batch_started_at=row["batch_started_at"],
                worker=row["worker"],
            )
            for row in rows
        ),
        workers=WORKERS,
        settings=settings,
    )


ROWS: Mapping[str, Callable[[Task], Outcome]] = {"tutorial-naive": tutorial_naive, "tutorial-actor": tutorial_actor}
