"""One `RunConfig` → progress events → the end of the run. Knows Ray Data; knows no database and no page.

The Ray Data executor runs in threads of this process. Its step callback is where a run is watched and, if
asked to, stopped: raising there makes the executor shut down its tasks and actors in order.
"""

from __future__ import annotations

import contextlib
import io
import json
import queue
import re
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray.data
from ray.data import DataContext

from inference import datasets, recorder, strategies
from inference.config import RunConfig
from inference.errors import RunCancelled, RunFailed
from inference.listing import ImageList
from inference.meter import Meter
from inference.results import OperatorProgress, Prediction, Sample, Span
from inference.strategies import Plan, Source
from inference.watch import Watch, forget, watched_context

TICK_S = 0.25
"""How often progress is reported while nothing new has arrived."""

STALL_S = 180.0
"""A run that shows no sign of life for this long has failed: no new row, no task started or finished."""

STOP_TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What is new since the event before."""

    started_at: float
    """When the run's clock started, in seconds since the epoch."""
    elapsed_s: float
    images_done: int
    images_total: int
    phase: str
    spans: tuple[Span, ...] = ()
    samples: tuple[Sample, ...] = ()
    """Of the run's processes, and of the machine: see `inference.meter`."""
    predictions: tuple[Prediction, ...] = ()
    operators: tuple[OperatorProgress, ...] = ()
    plan: str | None = None
    """Ray Data's plan; comes with the last event."""
    notes: tuple[str, ...] = ()
    """Sentences of the workers that a person should read; each worker may say the same again."""


def run(
    config: RunConfig,
    images: ImageList,
    *,
    models: Sequence[Source],
    reader_cpus: float,
    runtime_env: Mapping[str, Any],
    stall_s: float = STALL_S,
) -> Generator[Event]:
    """Run the configured strategy over the images, yielding events at least every `TICK_S` seconds.

    Each model's geometry is what `inference.models.geometry_of` found out about it.
    Close the generator to cancel: actors and tasks are gone when `close()` returns. Raises `RunFailed` when
    the workers fail for good or nothing moves for `stall_s` seconds.
    """
    watch = Watch(stall_s)
    started_at = recorder.now_s()
    with Meter(started_at) as meter:
        with DataContext.current(watched_context(watch)):
            data = datasets.image_bytes(
                images.images, batch_size=config.batch_size, num_cpus=reader_cpus, run_started_at=started_at
            )
            plan = Plan(
                config=config,
                models=tuple(models),
                decoder_cpus=reader_cpus,
                run_started_at=started_at,
                runtime_env=runtime_env,
            )
            answers = strategies.BY_NAME[config.strategy].classify(data, plan)
        yield from _executed(answers, images, watch, meter, started_at)


def _executed(
    answers: ray.data.Dataset, images: ImageList, watch: Watch, meter: Meter, started_at: float
) -> Generator[Event]:
    """Execute the data set, and report it until its last answer; stop it whatever happens."""
    truths = {image.image_id: image.truth for image in images.images}
    reading = _Reading(answers, watch)
    reading.start()
    done = 0
    try:
        while True:
            item = reading.next(timeout=TICK_S)
            block = item if isinstance(item, pa.Table) else None
            spans, samples = recorder.decode(recorder.merge(block["spans"].to_pylist())) if block else ([], [])
            predictions = _predictions(block, truths) if block else ()
            done += len(predictions)
            yield Event(
                started_at=started_at,
                elapsed_s=recorder.now_s() - started_at,
                images_done=done,
                images_total=len(images.images),
                phase=_phase(done, len(images.images), watch),
                spans=tuple(spans),
                samples=(*samples, *meter.take(last=item is _END)),
                predictions=predictions,
                operators=watch.operators,
                plan=_plan_text(answers) if item is _END else None,
                notes=_notes(block) if block else (),
            )
            if item is _END:
                break
    finally:
        watch.stop()
        reading.join(STOP_TIMEOUT_S)
        forget()
    _check_complete(done, len(images.images))


_END = object()
_OUR_ERROR = re.compile(r"^inference\.errors\.\w+: ")


class _Reading(threading.Thread):
    """Iterates the data set, so that the main thread can report while the iterator blocks."""

    def __init__(self, answers: ray.data.Dataset, watch: Watch) -> None:
        super().__init__(daemon=True, name="ray-data-iterator")
        self._answers = answers
        self._watch = watch
        self._items: queue.Queue[Any] = queue.Queue()

    def run(self) -> None:
        try:
            blocks = self._answers.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
            for block in blocks:
                self._items.put(block)
            self._items.put(_END)
        except BaseException as error:  # noqa: BLE001  # handed to the main thread, which raises it
            self._items.put(self._watch.reason or error)

    def next(self, timeout: float) -> Any:
        """The next block, `_END`, or None if nothing came in time; raises `RunFailed` with the workers' error."""
        try:
            item = self._items.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, RunFailed | RunCancelled):
            raise item
        if isinstance(item, BaseException):
            raise RunFailed(_cause(item)) from item
        return item


def _predictions(block: pa.Table, truths: dict[str, str | None]) -> tuple[Prediction, ...]:
    predictions = []
    for row in block.select(["image_id", "top", "votes", "reason", "done_s", "worker"]).to_pylist():
        top = tuple((label, score) for label, score in json.loads(row["top"]))
        predictions.append(
            Prediction(
                image_id=row["image_id"],
                label=top[0][0] if top else None,
                score=top[0][1] if top else None,
                status="ok" if top else "error",
                reason=row["reason"] or None,
                truth=truths.get(row["image_id"]),
                top=top,
                done_s=row["done_s"],
                worker=row["worker"],
                votes=tuple((label, score) for label, score in json.loads(row["votes"])),
            )
        )
    return tuple(predictions)


def _notes(block: pa.Table) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for text in block["notes"].to_pylist() if text for note in json.loads(text)))


def _phase(done: int, total: int, watch: Watch) -> str:
    if done >= total:
        return "finishing"
    if done:
        return "classifying"
    model = watch.operators[-1] if watch.operators else None
    if model is None or (model.tasks_active == 0 and model.actors == 0):
        return "starting workers"
    return "loading the model"


def _plan_text(answers: ray.data.Dataset) -> str:
    """The logical and the physical plan, then Ray Data's own statistics of each operator."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):  # `explain` only prints (2.60)
        answers.explain()
    return f"{printed.getvalue().strip()}\n\n-------- Statistics --------\n{answers.stats()}"


def _check_complete(done: int, total: int) -> None:
    if done != total:
        raise RunFailed(f"Ray Data returned {done} of {total} images. Run again; if it recurs, it is a defect.")


def _cause(error: BaseException) -> str:
    """What the workers' code raised, in one line, and what to do where that is known.

    Ray prints a chain of errors with the first one on top, and its own advice at the bottom (2.60).
    """
    text = str(error)
    lines = text.partition("\n\nThe above exception was")[0].splitlines()
    last_frame = max((number for number, line in enumerate(lines) if line.startswith('  File "')), default=None)
    raised = lines[-1:] if last_frame is None else [line for line in lines[last_frame + 1 :] if line[:4].strip()]
    cause = " ".join(line.strip() for line in raised) or type(error).__name__
    if "node running low on memory" in text:  # what follows is Ray's advice to whoever runs a cluster
        return "A worker took more memory than there is, at every try: lower batch size or concurrency."
    if "worker process has died" in text or "worker died unexpectedly" in text:
        return (
            "A worker's process died, at every try. Memory may have run out, or a library may have crashed: lower "
            "batch size or concurrency, or choose other options."
        )
    if "OutOfMemory" in text or "out of memory" in text.lower():
        return f"A worker ran out of memory, again and again: lower batch size or concurrency. ({cause:.300})"
    return f"The workers failed: {_OUR_ERROR.sub('', cause):.600}"
