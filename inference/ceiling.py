"""Measures the ceiling of one model on this hardware: processes that prepare and classify images, and no Ray.

    python -m inference.ceiling < job.json > measured.json

A process of its own, so that whoever starts it can end it at once, and nothing that it loads stays behind. It starts
as many processes as `preflight.all_cores` has workers, which do the same things at the same time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.capabilities import missing_for
from inference.config import RunConfig
from inference.errors import RunCancelled, RunFailed
from inference.geometry import Geometry
from inference.hardware import Hardware
from inference.images import Undecodable, decode
from inference.limits import ForwardRate, Limit
from inference.listing import read_listed
from inference.preflight import all_cores, default_config

if TYPE_CHECKING:
    from inference.models import Classifier

PREPARE_S = 1.5
FORWARD_S = 2.0
"""How long each is measured: long enough for 30 batches of a fast model and one of a slow one."""

CPU_BATCH_SIZE, GPU_BATCH_SIZE = 32, 128
TIMEOUT_S = 300.0
POLL_S = 0.1
_BARRIER_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be measured, as JSON types."""

    model_folder: str
    paths: tuple[str, ...]
    """Local images that stand for the data set."""
    dtype: str
    backends: tuple[str, ...]
    batch_size: int
    workers: int
    threads: int
    """Of each worker, for preparing as for the forward pass."""
    gpus_per_worker: float


def job_for(config: RunConfig, hardware: Hardware, model_folder: Path, paths: tuple[str, ...]) -> Job:
    """The measurement that tells what a run like `config` could do at best.

    Engines that are ready without being built are tried; `torch.compile`, which takes half a minute, if the run has it.
    """
    on_gpu = default_config(hardware).gpus_per_worker > 0
    spread = default_config(hardware) if on_gpu else all_cores(config.with_(gpus_per_worker=0.0), hardware)
    tried = ("eager", "openvino", "compile") if config.backend == "compile" else ("eager", "openvino")
    return Job(
        model_folder=str(model_folder),
        paths=paths,
        dtype=config.dtype,
        backends=tuple(name for name in tried if missing_for(name, hardware, on_gpu=on_gpu) is None),
        batch_size=GPU_BATCH_SIZE if on_gpu else CPU_BATCH_SIZE,
        workers=spread.concurrency,
        threads=max(1, hardware.cpus // spread.concurrency) if on_gpu else spread.threads_per_worker,
        gpus_per_worker=spread.gpus_per_worker,
    )


def measure(job: Job, keep_going: Callable[[], bool] = lambda: True) -> Limit:
    """Run the measurement in a process of its own.

    Raises `RunCancelled` as soon as `keep_going` says no, and `RunFailed` with the reason when it cannot be done.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "inference.ceiling"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + TIMEOUT_S
    sent: str | None = json.dumps(asdict(job))
    while True:
        try:
            out, errors = process.communicate(sent, timeout=POLL_S)
            break
        except subprocess.TimeoutExpired:
            sent = None  # communicate keeps what it was given first
            if not keep_going() or time.monotonic() > deadline:
                _end(process)
                raise RunCancelled("Measuring the limit was stopped.") from None
    if process.returncode != 0:
        lines = errors.strip().splitlines() or [f"exit status {process.returncode}"]
        raise RunFailed(f"The limit could not be measured: {lines[-1]:.300}")
    return Limit.from_dict(json.loads(out))


def _end(process: subprocess.Popen[str]) -> None:
    """End the measurement with its children; they are in a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


# -- in the process of its own ---------------------------------------------------------------------------------------


def main() -> None:
    """Read a job from stdin, measure, and print the limit."""
    values = json.load(sys.stdin)
    job = Job(**values | {"paths": tuple(values["paths"]), "backends": tuple(values["backends"])})
    answer = _gathered(job)
    json.dump(answer.to_dict(), sys.stdout)


def _gathered(job: Job) -> Limit:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(job.workers)
    pipes = [context.Pipe(duplex=False) for _ in range(job.workers)]
    workers = [
        context.Process(target=_work, args=(job, number, barrier, pipe), daemon=True)
        for number, (_, pipe) in enumerate(pipes)
    ]
    for worker in workers:
        worker.start()
    reports = [_received(receiver) for receiver, _ in pipes]
    for worker in workers:
        worker.join()
    return Limit(
        measured_at=time.time(),
        prepare_images_per_s=sum(report["prepare"] for report in reports),
        forwards=tuple(
            ForwardRate(
                backend=backend,
                channels_last=True,
                batch_size=job.batch_size,
                workers=job.workers,
                threads=job.threads,
                images_per_s=sum(report[backend] for report in reports),
            )
            for backend in job.backends
        ),
        shared_cores=job.gpus_per_worker == 0,
        flops_per_image=int(reports[0]["flops"]),
    )


def _received(pipe: Connection) -> Mapping[str, float]:
    report: Mapping[str, float] | str = pipe.recv()
    if isinstance(report, str):
        raise SystemExit(report)
    return report


def _work(job: Job, number: int, barrier: Barrier, pipe: Connection) -> None:
    """What each of the processes does, in step with the others; reports rates by name, or what went wrong."""
    try:
        pipe.send(_rates(job, number, lambda: barrier.wait(_BARRIER_S)))
    except Exception as error:  # noqa: BLE001  # whatever it was, the others must not wait for it
        barrier.abort()
        pipe.send(f"{type(error).__name__}: {error}")


def _rates(job: Job, number: int, together: Callable[[], Any]) -> dict[str, float]:
    from inference import models

    models.set_threads(job.threads)
    geometry = models.geometry_of(job.model_folder)
    device = f"cuda:{number}" if job.gpus_per_worker > 0 else models.device_for(0)
    classifier = _classifier(job, "eager", geometry, device)
    rates: dict[str, float] = {"flops": classifier.flops_per_image() if number == 0 else 0}
    together()
    rates["prepare"] = _prepare_rate(job, classifier.pixels)
    batch = classifier.pixels(decode(_readable(job.paths)))
    for backend in job.backends:
        model = classifier if backend == "eager" else _classifier(job, backend, geometry, device)
        rates[backend] = _forward_rate(job, model, [batch] * job.batch_size, together)
    return rates


def _classifier(job: Job, backend: str, geometry: Geometry | None, device: str) -> Classifier:
    from inference import models

    return models.Classifier(
        job.model_folder,
        geometry=geometry,
        device=device,
        dtype=job.dtype,
        channels_last=True,
        backend=backend,
        threads=job.threads,
    )


def _readable(paths: tuple[str, ...]) -> bytes:
    """The first image that can be decoded."""
    for path in paths:
        with contextlib.suppress(OSError, Undecodable):
            data = read_listed(Path(path))
            decode(data)
            return data
    raise RunFailed("none of the images can be decoded")


def _prepare_rate(job: Job, to_pixels: Callable[[Any], Any]) -> float:
    """Images/s that this process reads, decodes, resizes and crops with its threads."""

    def prepare(path: str) -> None:
        with contextlib.suppress(OSError, Undecodable):  # a run takes its time over such an image, too
            to_pixels(decode(read_listed(Path(path))))

    prepared, paths = 0, itertools.cycle(job.paths)
    with ThreadPoolExecutor(job.threads) as pool:
        start = time.perf_counter()
        while time.perf_counter() - start < PREPARE_S:
            prepared += sum(1 for _ in pool.map(prepare, itertools.islice(paths, 8 * job.threads)))
        return prepared / (time.perf_counter() - start)


def _forward_rate(job: Job, model: Classifier, pictures: list[Any], together: Callable[[], Any]) -> float:
    """Images/s of the forward pass and of nothing else, while the other processes do the same."""
    import numpy as np

    pixels = np.stack(pictures)
    model.warm_up(job.batch_size)
    model.logits(pixels, job.batch_size)  # takes the memory that all batches use
    together()
    classified = 0
    start = time.perf_counter()
    while time.perf_counter() - start < FORWARD_S:
        model.logits(pixels, job.batch_size)
        classified += len(pixels)
    rate = classified / (time.perf_counter() - start)
    together()  # nobody begins with something else while others still measure
    return rate


if __name__ == "__main__":
    main()
