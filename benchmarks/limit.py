"""What this machine could do at best: the forward pass of `pipelined`, and nothing between the images and it.

Two ways to use all cores, of which neither is always the better one: one process whose forward pass has a thread on
every core, and a process with one thread on every core. In both, threads decode ahead of the forward pass.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.observed import Answered, Answering, Outcome, Task
from inference.geometry import Geometry
from inference.images import decode

if TYPE_CHECKING:
    from inference.models import Classifier

BATCHES_AHEAD = 2
"""Decoded or being decoded while the forward pass computes. A process that has one core for both, and so gains nothing
by it, looks no batch ahead: at the end it would sit on batches while another has nothing left to do."""

PATIENCE_S = 600.0

Batch = Sequence[tuple[str, str]]


def one_process(task: Task) -> Outcome:
    """One process; decoding and the forward pass each have as many threads as there are cores."""
    import_started_at = time.time()
    geometry = _prepared(task)
    import_s = time.time() - import_started_at
    answering = Answering()
    _classify(
        task, geometry, _in_turn(task), answering, threads=task.cores, decoders=task.cores, batches_ahead=BATCHES_AHEAD
    )
    outcome = answering.outcome(**_settings(task), processes=1, threads=task.cores, decoders=task.cores)
    return replace(outcome, import_s=import_s)


def process_per_core(task: Task) -> Outcome:
    """A process for every core, or for every worker of `pipelined` where they have GPUs; they share the images."""
    count = task.config.concurrency if task.config.gpus_per_worker else task.cores
    decoders = max(1, task.cores // count)
    context = multiprocessing.get_context("spawn")  # clean processes, on every system alike
    imported, taken, results = context.Barrier(count + 1), context.Value("q", 0), context.Queue()
    processes = [
        context.Process(target=_work, args=(task, decoders, imported, taken, results), daemon=True)
        for _ in range(count)
    ]
    launched_at = time.time()
    for process in processes:
        process.start()
    imported.wait(PATIENCE_S)
    started_at = time.time()
    answers = [answer for _ in processes for answer in results.get(timeout=PATIENCE_S)]
    for process in processes:
        process.join()
    return Outcome(
        started_at=started_at,
        answers=tuple(answers),
        workers=count,
        import_s=started_at - launched_at,
        settings={**_settings(task), "processes": count, "threads": 1, "decoders": decoders},
    )


def _work(task: Task, decoders: int, imported: Barrier, taken: Synchronized, results: Queue[list[Answered]]) -> None:
    """One of several processes: all of them start the clock together, with their imports done."""
    ahead = BATCHES_AHEAD if task.config.gpus_per_worker else 0
    geometry = _prepared(task)
    imported.wait(PATIENCE_S)
    answering = Answering()
    _classify(task, geometry, _shared(task, taken), answering, threads=1, decoders=decoders, batches_ahead=ahead)
    results.put(answering.answers)


def _prepared(task: Task) -> Geometry | None:
    """Import what a model needs and find out what its pictures go through, as an engine does before its clock."""
    # Not at the top: the process that only hands out the images does without.
    from inference.models import geometry_of

    return geometry_of(task.model_folder)


def _in_turn(task: Task) -> Iterator[Batch]:
    size = task.config.batch_size
    for start in range(0, len(task.images), size):
        yield task.images[start : start + size]


def _shared(task: Task, taken: Synchronized) -> Iterator[Batch]:
    """Whichever batch no other process has taken yet."""
    size = task.config.batch_size
    while True:
        with taken.get_lock():
            start, taken.value = taken.value, taken.value + size
        if start >= len(task.images):
            return
        yield task.images[start : start + size]


def _classify(
    task: Task,
    geometry: Geometry | None,
    batches: Iterator[Batch],
    answering: Answering,
    *,
    threads: int,
    decoders: int,
    batches_ahead: int,
) -> None:
    """Load the model, then classify every batch while the next ones are decoded."""
    from inference.models import Classifier, device_for

    config = task.config
    classifier = Classifier(
        task.model_folder,
        geometry=geometry,
        device=device_for(config.gpus_per_worker),
        dtype=config.dtype,
        channels_last=config.channels_last,
        backend=config.backend,
        threads=threads,
    )
    classifier.warm_up(config.batch_size)
    with ThreadPoolExecutor(decoders) as pool:
        ahead: deque[tuple[Batch, list[Future[np.ndarray]]]] = deque()

        def decode_next() -> None:
            batch = next(batches, None)
            if batch is not None:
                ahead.append((batch, [pool.submit(_pixels, classifier, path) for _, path in batch]))

        answering.next_batch()
        for _ in range(max(1, batches_ahead)):
            decode_next()
        while ahead:
            batch, futures = ahead.popleft()
            pixels = np.stack([future.result() for future in futures])
            if batches_ahead:
                decode_next()
            answers = classifier.answers(classifier.logits(pixels, config.batch_size))
            answering.give([image_id for image_id, _ in batch], [top[0] for top in answers])
            answering.next_batch()
            if not batches_ahead:
                decode_next()


def _pixels(classifier: Classifier, path: str) -> np.ndarray:
    return classifier.pixels(decode(Path(path).read_bytes()))


def _settings(task: Task) -> dict[str, object]:
    config = task.config
    return {name: getattr(config, name) for name in ("batch_size", "dtype", "channels_last", "backend")}


ROWS: Mapping[str, Callable[[Task], Outcome]] = {
    "limit-one-process": one_process,
    "limit-process-per-core": process_per_core,
}
