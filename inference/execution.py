"""One claimed run, from its first preparation to its end in the store."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from inference import ceiling, checkpoints, entries, folders, listing, preflight, runner
from inference.bundled import DIGITS_MODEL_DIR
from inference.bundled.samples import SAMPLE_COUNT, ensure_samples
from inference.config import ONE_BY_ONE, RunConfig
from inference.errors import BatchscopeError, DataUnavailable, DoesNotFit, RunCancelled
from inference.hardware import Hardware
from inference.identity import LOG_NAME
from inference.limits import Limit, LimitKey
from inference.listing import ImageList
from inference.ray_session import RaySession
from inference.results import Prediction, Progress, RunRecord, Sample, Span
from inference.store import Store
from inference.strategies import Source

SAVE_S = 0.5
LIMIT_IMAGES = 500
"""So many images stand for their data set when its limit is measured."""
MAX_CACHE_WARMING_BYTES = 2 * 1024**3
CACHE_WARMING_PIECE_BYTES = 8 * 1024**2
"""A list of images may be larger than the memory."""

log = logging.getLogger("batchscope.engine")


def warm_needs(config: RunConfig) -> tuple[int, int]:
    """How many warm processes a run wants for actors, and for tasks."""
    if config.strategy == "naive":
        return 0, config.concurrency
    # The task finds out what the model's pictures go through, and is there for the next run too.
    return config.concurrency, 0 if config.strategy in ONE_BY_ONE else 1


def rehearse(
    ray_session: RaySession, home: Path, hardware: Hardware, keep_going: Callable[[], bool] = lambda: True
) -> None:
    """Classify two sample images with tasks and with an actor, and forget them; stop when `keep_going` says no.

    Ray and Ray Data do much only in their first execution, and at their first actor: a second or more. Counted
    against whichever strategy comes first, that would bias the first comparison.
    """
    ensure_samples(listing.samples_folder(home), 2)
    default = preflight.default_config(hardware)
    # All at once, on all cores: one for the rehearsed actor, which takes its process along, the others for the runs.
    ray_session.warm.ensure(actors=1 + default.concurrency, tasks=default.concurrency, keep_waiting=keep_going)
    for strategy in ONE_BY_ONE:
        events = runner.run(
            default.with_(strategy=strategy, limit=2, concurrency=1),
            listing.list_samples(home, 2),
            models=[Source(str(DIGITS_MODEL_DIR), None)],
            reader_cpus=preflight.reader_cpus(hardware),
            runtime_env=ray_session.warm.runtime_env,
        )
        with contextlib.closing(events):
            for event in events:
                ray_session.warm.mark_used(event.spans)
                if not keep_going():
                    return
    ray_session.rehearsed = True


def measure_limit(
    home: Path,
    ray_session: RaySession,
    hardware: Hardware,
    key: LimitKey,
    *,
    backend: str,
    keep_going: Callable[[], bool],
) -> Limit:
    """What this machine could do with a model and the images of a data set; they must be here, nothing is downloaded.

    `backend` is one that runs had.
    Raises `RunCancelled` when `keep_going` says no, and another `BatchscopeError` where it cannot be measured.
    """
    if listing.in_bucket(key.dataset):
        raise DataUnavailable("The limit is not known for images that are read over a network.")
    config = RunConfig(strategy="pipelined", model=key.model, dataset=key.dataset, dtype=key.dtype, backend=backend)

    def make_untrained(folder: Path) -> None:
        ray_session.in_worker(_make_untrained_resnet50, folder)

    folder = checkpoints.folder_of(key.model, home, make_untrained=make_untrained)
    images = listing.list_images(key.dataset, home, LIMIT_IMAGES).images
    if any(image.row is not None or "://" in image.uri for image in images):
        raise DataUnavailable("The limit is not known for images that are no files of their own on this machine.")
    return ceiling.measure(ceiling.job_for(config, hardware, folder, tuple(i.uri for i in images)), keep_going)


class Execution:
    """Carries one run through; `stopping` says whether the engine itself must end."""

    def __init__(
        self,
        store: Store,
        ray_session: RaySession,
        hardware: Hardware,
        record: RunRecord,
        stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self._ray = ray_session
        self._hardware = hardware
        self._record = record
        self._config = record.config
        self._stopping = stopping
        self._messages: list[str] = []
        self._pending_spans: list[Span] = []
        self._pending_samples: list[Sample] = []
        self._pending_predictions: list[Prediction] = []
        self._said_at = 0.0
        self._plan: str | None = None
        self._folders: list[Path] = []
        """Of the models, the first one's geometry standing for all."""

    def perform(self) -> None:
        """Run it, and give it its end state whatever happens, unless Ray is gone: then the run has crashed with it."""
        state, error = "finished", None
        try:
            self._perform()
        except RunCancelled:
            state = "crashed" if self._stopping() else "cancelled"
            error = "The app was stopped while this run was going. Run it again." if self._stopping() else None
        except BatchscopeError as problem:
            state, error = "failed", str(problem)
        except Exception as problem:  # a defect, or a failure nobody foresaw; the engine must outlive it
            log.exception("run %s", self._record.id)
            state = "failed"
            error = f"Unexpected {type(problem).__name__}: {problem}. Details are in {self._store.home / LOG_NAME}."
        if state == "failed" and not self._ray.is_alive():
            return
        self._store.end(
            self._record.id,
            state,
            error=error,
            plan=self._plan,
            spans=self._pending_spans,
            samples=self._pending_samples,
            predictions=self._pending_predictions,
        )
        if state == "finished" and self._config.strategy in ONE_BY_ONE:
            self._find_geometry()

    def _find_geometry(self) -> None:
        """Keep how the model saw the pictures; after the end, since finding out may take a worker some seconds."""
        try:
            if self._folders:
                self._store.save_geometry(self._record.id, self._ray.geometry_of(self._folders[0]))
        except Exception:  # only a page wants it, and the run has ended well
            log.exception("geometry of run %s", self._record.id)

    def _perform(self) -> None:
        verdict = preflight.check(self._config, self._hardware)
        if not verdict.fits:
            raise DoesNotFit(f"This run does not fit this machine: {verdict.sentence}.")
        self._say("listing images")
        images = self._images()
        self._say("finding the model")
        self._folders = [
            checkpoints.folder_of(
                model,
                self._store.home,
                zero_shot=bool(self._config.labels),
                make_untrained=self._make_untrained,
                on_download=self._tell_download,
            )
            for model in self._config.models
        ]
        if self._record.comparison_id is not None and not self._ray.rehearsed:
            self._say("rehearsing")
            rehearse(self._ray, self._store.home, self._hardware, lambda: not self._must_stop())
        self._say("warming file cache and workers")
        _warm_file_cache(images, self._folders)
        actors, tasks = warm_needs(self._config)
        seconds = self._ray.warm.ensure(actors=actors, tasks=tasks, keep_waiting=lambda: not self._must_stop())
        if seconds > 0.5:
            self._messages.append(
                f"Worker processes imported torch and transformers for {seconds:.1f} s before the clock started."
            )
        self._run(images)

    def _run(self, images: ImageList) -> None:
        models = [Source(str(folder), None) for folder in self._folders]
        if self._config.strategy not in ONE_BY_ONE:
            models = [Source(str(folder), self._ray.geometry_of(folder)) for folder in self._folders]
            self._store.save_geometry(self._record.id, models[0].geometry)
        events = runner.run(
            self._config,
            images,
            models=models,
            reader_cpus=preflight.reader_cpus(self._hardware),
            runtime_env=self._ray.warm.runtime_env,
        )
        saved_at = 0.0
        with contextlib.closing(events):
            for event in events:
                self._take(event)
                if self._must_stop():
                    raise RunCancelled("The run was cancelled.")
                if time.monotonic() - saved_at >= SAVE_S:
                    self._save(event)
                    saved_at = time.monotonic()
        self._save(event)

    def _take(self, event: runner.Event) -> None:
        self._pending_spans += event.spans
        self._pending_samples += event.samples
        self._pending_predictions += event.predictions
        self._ray.warm.mark_used(event.spans)
        self._plan = event.plan or self._plan
        self._messages += [note for note in event.notes if note not in self._messages]

    def _save(self, event: runner.Event) -> None:
        self._store.save_progress(
            self._record.id,
            Progress(
                phase=event.phase,
                images_done=event.images_done,
                images_total=event.images_total,
                elapsed_s=event.elapsed_s,
                clock_started_at=event.started_at,
            ),
            spans=self._pending_spans,
            samples=self._pending_samples,
            predictions=self._pending_predictions,
            operators=event.operators,
            messages=self._messages,
        )
        self._pending_spans, self._pending_samples, self._pending_predictions = [], [], []

    def _say(self, phase: str, done: int = 0, total: int = 0) -> None:
        """Show a preparation before the run's clock starts; raises `RunCancelled` if it was asked to stop."""
        if self._must_stop():
            raise RunCancelled("The run was cancelled.")
        self._said_at = time.monotonic()
        progress = Progress(phase=phase, images_done=done, images_total=total)
        self._store.save_progress(self._record.id, progress, messages=self._messages)

    def _say_at_times(self, phase: str, done: int = 0, total: int = 0) -> None:
        """The same for what is told again and again; it hears at these times, too, that the run is to stop."""
        if time.monotonic() - self._said_at > SAVE_S:
            self._say(phase, done, total)

    def _must_stop(self) -> bool:
        return self._stopping() or self._store.cancel_requested(self._record.id)

    def _images(self) -> ImageList:
        config = self._config
        if config.dataset == listing.DIGITS:
            self._make_samples(SAMPLE_COUNT if config.sample_seed is not None else min(config.limit, SAMPLE_COUNT))
        images = listing.list_images(
            config.dataset, self._store.home, config.limit, seed=config.sample_seed, on_found=self._tell_found
        )
        if images.num_skipped:
            self._messages.append(f"{entries.told(images.skipped, images.num_skipped)}.")
        if len(images.images) < config.limit:
            self._messages.append(f"The data set has {len(images.images)} images, fewer than {config.limit}.")
        if config.batch_size > len(images.images):
            self._messages.append(
                f"The batch size, {config.batch_size}, is larger than the data set: one batch holds everything."
            )
        return images

    def _tell_found(self, found: int) -> None:
        self._say_at_times(f"listing images: {found:,} found" if found else "listing images")

    def _make_samples(self, count: int) -> None:
        try:
            ensure_samples(
                listing.samples_folder(self._store.home),
                count,
                on_progress=lambda done, total: self._say_at_times("making sample images", done, total),
            )
        except OSError as error:
            raise DataUnavailable(
                f"The sample images could not be made in {self._store.home}: {error.strerror}. "
                "Free some space or make the folder writable."
            ) from error

    def _tell_download(self, done: int, total: int) -> None:
        megabytes = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
        self._say_at_times(f"downloading the model: {megabytes}" if total else "asking the hub for the model")

    def _make_untrained(self, folder: Path) -> None:
        self._say("making the untrained ResNet-50")
        self._ray.in_worker(_make_untrained_resnet50, folder)


def _make_untrained_resnet50(folder: Path) -> None:
    from inference.models import make_untrained_resnet50  # in a worker: the engine does without torch

    make_untrained_resnet50(folder)


def _warm_file_cache(images: ImageList, model_folders: Sequence[Path]) -> None:
    """Read every local file once, so that the first strategy of a comparison does not pay for the disk alone.

    What cannot be read, or may not, is for the run itself to report.
    """
    remaining = MAX_CACHE_WARMING_BYTES
    for file in (file for folder in model_folders for file in folder.glob("*.safetensors")):
        with contextlib.suppress(OSError), file.open("rb") as weights:
            remaining -= _read_through(weights, remaining)
    for path in dict.fromkeys(image.path for image in images.images if "://" not in image.uri):
        if remaining <= 0:
            return
        with contextlib.suppress(OSError), folders.opened(path) as content:
            remaining -= _read_through(content, remaining)


def _read_through(file: IO[bytes], most: int) -> int:
    """Read a file, or so many bytes of it; how many there were."""
    done = 0
    while done < most and (part := file.read(CACHE_WARMING_PIECE_BYTES)):
        done += len(part)
    return done
