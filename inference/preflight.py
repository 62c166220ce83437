"""Will this run fit here? If not: why, with the sum, and the nearest settings that do.

Ray starts a worker only when the CPUs it reserves are free. Actors keep theirs for the whole run, so if they
take all of them the task that reads images never starts and the run hangs (seen with Ray 2.60). Preflight
keeps CPUs for reading out of the workers' reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from inference.capabilities import missing_for
from inference.config import RunConfig
from inference.hardware import Hardware, usable_gpus

WORKER_MEMORY_BYTES = 700 * 1024**2
"""What one worker takes before the model's own weights: 0.6 to 0.7 GB resident with torch 2.13 and transformers 5
imported, measured on Linux."""

GPU_BATCH_SIZE = 32
MAX_DEFAULT_WORKERS = 4
"""More workers than this take longer to start than a first run of a hundred images takes to finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a run fits this machine."""

    fits: bool
    sentence: str
    """The sum, and where it does not fit, what to change."""
    nearest: RunConfig | None = None
    """The settings closest to those asked for that fit; None if they fit as they are."""


def reader_cpus(hardware: Hardware) -> float:
    """CPUs kept for each task that reads or decodes images: a whole one, or half of a machine's only one."""
    return 1.0 if hardware.cpus >= 2 else 0.5


def default_config(hardware: Hardware) -> RunConfig:
    """Settings that suit this machine and always pass `check`, for someone who changes nothing.

    With GPUs, one worker for each. Without, one-CPU workers on the CPUs that reading leaves free: on one core
    both share it.
    """
    gpus = sum(gpu.kind == "cuda" for gpu in usable_gpus(hardware))
    free_cpus = hardware.cpus - reader_cpus(hardware)
    fitting_workers = max(1, int(free_cpus))
    cpus_per_worker = min(1.0, free_cpus)
    if gpus:
        config = RunConfig(
            batch_size=GPU_BATCH_SIZE,
            concurrency=min(gpus, fitting_workers),
            cpus_per_worker=cpus_per_worker,
            gpus_per_worker=1.0,
        )
    else:
        config = RunConfig(concurrency=min(MAX_DEFAULT_WORKERS, fitting_workers), cpus_per_worker=cpus_per_worker)
    return check(config, hardware).nearest or config


def all_cores(config: RunConfig, hardware: Hardware) -> RunConfig:
    """The same run with a worker of one thread on every core, or `MAX_DEFAULT_WORKERS` that share all cores.

    Threads of one forward pass wait for each other at every layer, so one that loses its core to a decoding task
    holds up the rest; workers wait for nobody. On ResNet-50 with two cores two workers of one thread did 1.3 times
    as much as one of two threads (docs/performance.md). What reading and decoding need, the system takes from all.
    Where workers have GPUs of their own, nothing changes.
    """
    if config.gpus_per_worker > 0:
        return config
    workers = min(hardware.cpus, MAX_DEFAULT_WORKERS)
    free_cpus = hardware.cpus - reader_cpus(hardware) * config.decoders
    return config.with_(
        concurrency=workers,
        cpus_per_worker=max(0.1, math.floor(100 * free_cpus / workers) / 100),
        threads=max(1, hardware.cpus // workers),
    )


def check(config: RunConfig, hardware: Hardware) -> Verdict:
    """The verdict on one configuration; nothing is started and nothing is waited for."""
    for look in (_check_backend, _check_gpus, _check_cpus, _check_memory):
        verdict = look(config, hardware)
        if not verdict.fits:
            return verdict
    return _check_cpus(config, hardware)


def _check_backend(config: RunConfig, hardware: Hardware) -> Verdict:
    missing = missing_for(config.backend, hardware, on_gpu=config.gpus_per_worker > 0)
    if missing is None:
        return Verdict(fits=True, sentence=f"{config.backend} runs here")
    return Verdict(fits=False, sentence=missing, nearest=config.with_(backend="eager"))


def _check_cpus(config: RunConfig, hardware: Hardware) -> Verdict:
    reading = reader_cpus(hardware) * config.decoders
    needed = config.concurrency * config.cpus_per_worker + reading
    total = (
        f"{_workers(config.concurrency)} × {config.cpus_per_worker:g} CPU + {reading:g} for"
        f" {'reading and decoding' if config.strategy == 'pipelined' else 'reading'}"
        f" = {needed:g} of {hardware.cpus} CPU{'s' if hardware.cpus != 1 else ''}"
    )
    if needed <= hardware.cpus:
        return Verdict(fits=True, sentence=total)
    if config.decoders > 1:
        verdict = _check_cpus(config.with_(decoders=1), hardware)
        nearest = verdict.nearest or config.with_(decoders=1)
        return Verdict(fits=False, sentence=f"{total}: lower decoders to 1", nearest=nearest)
    free = hardware.cpus - reading
    workers = math.floor(free / config.cpus_per_worker)
    if workers >= 1:
        nearest = config.with_(concurrency=workers)
        return Verdict(fits=False, sentence=f"{total}: lower concurrency to {workers}", nearest=nearest)
    nearest = config.with_(concurrency=1, cpus_per_worker=free)
    change = f"lower CPUs per worker to {free:g}"
    if config.concurrency > 1:
        change += " and concurrency to 1"
    return Verdict(fits=False, sentence=f"{total}: {change}", nearest=nearest)


def _check_gpus(config: RunConfig, hardware: Hardware) -> Verdict:
    gpus = sum(gpu.kind == "cuda" for gpu in usable_gpus(hardware))
    needed = config.concurrency * config.gpus_per_worker
    total = f"{_workers(config.concurrency)} × {config.gpus_per_worker:g} GPU = {needed:g} of {gpus}"
    if needed <= gpus:
        return Verdict(fits=True, sentence=total)
    if gpus == 0:
        nearest = config.with_(gpus_per_worker=0.0)
        return Verdict(fits=False, sentence=f"{total}: set GPUs per worker to 0", nearest=nearest)
    workers = math.floor(gpus / config.gpus_per_worker)
    if workers >= 1:
        nearest = config.with_(concurrency=workers)
        return Verdict(fits=False, sentence=f"{total}: lower concurrency to {workers}", nearest=nearest)
    nearest = config.with_(concurrency=1, gpus_per_worker=float(gpus))
    return Verdict(fits=False, sentence=f"{total}: lower GPUs per worker to {gpus}", nearest=nearest)


def _check_memory(config: RunConfig, hardware: Hardware) -> Verdict:
    if hardware.memory_bytes is None:
        return Verdict(fits=True, sentence="the machine's memory is unknown")
    gib = 1024**3
    needed = config.concurrency * WORKER_MEMORY_BYTES
    total = (
        f"{_workers(config.concurrency)} × {WORKER_MEMORY_BYTES / gib:.1f} GiB"
        f" = {needed / gib:.1f} of {hardware.memory_bytes / gib:.1f} GiB of memory"
    )
    workers = int(hardware.memory_bytes // WORKER_MEMORY_BYTES)
    if config.concurrency <= max(1, workers):
        return Verdict(fits=True, sentence=total)
    nearest = config.with_(concurrency=max(1, workers))
    return Verdict(fits=False, sentence=f"{total}: lower concurrency to {nearest.concurrency}", nearest=nearest)


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count != 1 else ''}"
