"""Whether a run fits, with the sum."""

import pytest

from inference.config import RunConfig
from inference.hardware import Gpu, Hardware
from inference.preflight import check, default_config

GIB = 1024**3


def machine(cpus: int = 2, *, memory_gib: float | None = 24, gpus: int = 0) -> Hardware:
    cards = tuple(Gpu(index=i, name="H200", memory_bytes=139 * GIB) for i in range(gpus))
    memory = int(memory_gib * GIB) if memory_gib is not None else None
    return Hardware(cpus=cpus, cpu_limit=float(cpus), memory_bytes=memory, gpus=cards)


@pytest.mark.parametrize("cpus", [1, 2, 3, 4, 8, 16, 64, 256])
@pytest.mark.parametrize("gpus", [0, 1, 8])
@pytest.mark.parametrize("memory_gib", [None, 1, 4, 24])
def test_the_default_always_passes(cpus: int, gpus: int, memory_gib: float | None) -> None:
    here = machine(cpus, memory_gib=memory_gib, gpus=gpus)

    verdict = check(default_config(here), here)

    assert verdict.fits, verdict.sentence


def test_workers_that_leave_no_cpu_for_reading_are_refused_with_the_sum_and_the_nearest_fit() -> None:
    verdict = check(RunConfig(concurrency=2), machine(2))

    assert not verdict.fits
    assert verdict.sentence == "2 workers × 1 CPU + 1 for reading = 3 of 2 CPUs: lower concurrency to 1"
    assert verdict.nearest == RunConfig(concurrency=1)


def test_the_tutorials_own_cpu_setting_is_refused_on_two_cores() -> None:
    verdict = check(RunConfig(concurrency=2, cpus_per_worker=2), machine(2))

    assert not verdict.fits
    assert verdict.nearest is not None
    assert check(verdict.nearest, machine(2)).fits


def test_one_worker_that_takes_every_cpu_is_lowered() -> None:
    verdict = check(RunConfig(cpus_per_worker=2), machine(2))

    assert verdict.nearest == RunConfig(cpus_per_worker=1)


def test_on_one_core_reading_and_the_model_share_it() -> None:
    verdict = check(default_config(machine(1)), machine(1))

    assert verdict.sentence == "1 worker × 0.5 CPU + 0.5 for reading = 1 of 1 CPU"


def test_gpus_that_are_not_there_are_refused() -> None:
    verdict = check(RunConfig(gpus_per_worker=1), machine(8))

    assert verdict.sentence == "1 worker × 1 GPU = 1 of 0: set GPUs per worker to 0"
    assert verdict.nearest == RunConfig(gpus_per_worker=0)


def test_gpus_limit_the_workers() -> None:
    verdict = check(RunConfig(gpus_per_worker=1, concurrency=4), machine(16, gpus=2))

    assert verdict.nearest is not None
    assert verdict.nearest.concurrency == 2


def test_memory_limits_the_workers() -> None:
    verdict = check(RunConfig(concurrency=8), machine(16, memory_gib=2))

    assert not verdict.fits
    assert "GiB of memory" in verdict.sentence
    assert verdict.nearest is not None
    assert check(verdict.nearest, machine(16, memory_gib=2)).fits


def test_with_gpus_the_default_has_one_worker_for_each() -> None:
    config = default_config(machine(16, gpus=2))

    assert (config.concurrency, config.gpus_per_worker) == (2, 1.0)
