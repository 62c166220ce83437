"""Whether a run fits, with the sum."""

import pytest

from inference.config import RunConfig
from inference.hardware import Gpu, Hardware
from inference.preflight import MAX_DEFAULT_WORKERS, all_cores, check, default_config

GIB = 1024**3


def machine(
    cpus: int = 2,
    *,
    memory_gib: float | None = 24,
    gpus: int = 0,
    compiler: str | None = None,
    versions: tuple[tuple[str, str], ...] = (),
) -> Hardware:
    cards = tuple(Gpu(index=i, name="H200", memory_bytes=139 * GIB) for i in range(gpus))
    memory = int(memory_gib * GIB) if memory_gib is not None else None
    return Hardware(
        cpus=cpus, cpu_limit=float(cpus), memory_bytes=memory, gpus=cards, compiler=compiler, versions=versions
    )


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


# -- decoders --------------------------------------------------------------------------------------------------------


def test_decoders_need_cpus_of_their_own_and_the_sum_says_so() -> None:
    verdict = check(RunConfig(strategy="pipelined", decoders=2), machine(4))

    assert verdict.fits
    assert verdict.sentence == "1 worker × 1 CPU + 2 for reading and decoding = 3 of 4 CPUs"


def test_decoders_that_leave_no_cpu_are_lowered_before_anything_else() -> None:
    config = RunConfig(strategy="pipelined", decoders=2)

    verdict = check(config, machine(2))

    assert not verdict.fits
    assert verdict.sentence == "1 worker × 1 CPU + 2 for reading and decoding = 3 of 2 CPUs: lower decoders to 1"
    assert verdict.nearest == config.with_(decoders=1)


def test_the_nearest_fit_for_too_many_decoders_and_workers_fits() -> None:
    verdict = check(RunConfig(strategy="pipelined", decoders=9, concurrency=9), machine(4))

    assert verdict.nearest is not None
    assert verdict.nearest.decoders == 1
    assert check(verdict.nearest, machine(4)).fits


# -- backends --------------------------------------------------------------------------------------------------------


def test_a_backend_that_is_not_there_is_refused_and_the_nearest_is_pytorch_as_it_is() -> None:
    config = RunConfig(strategy="batched", backend="openvino")

    verdict = check(config, machine(2))

    assert not verdict.fits
    assert "OpenVINO is not installed" in verdict.sentence
    assert verdict.nearest == config.with_(backend="eager")


def test_backends_that_are_there_fit() -> None:
    here = machine(2, compiler="/usr/bin/g++", versions=(("openvino", "2026.4.1"),))

    for backend in ("eager", "compile", "openvino"):
        assert check(RunConfig(strategy="batched", backend=backend), here).fits


def test_openvino_is_refused_on_a_gpu_and_compiling_there_needs_no_compiler() -> None:
    here = machine(16, gpus=1, versions=(("openvino", "2026.4.1"),))

    assert not check(RunConfig(strategy="batched", backend="openvino", gpus_per_worker=1), here).fits
    assert check(RunConfig(strategy="batched", backend="compile", gpus_per_worker=1), here).fits


# -- all cores -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpus", [1, 2, 3, 4, 8, 16, 64, 256])
def test_a_run_on_all_cores_fits_and_has_a_thread_for_every_core(cpus: int) -> None:
    spread = all_cores(RunConfig(strategy="pipelined"), machine(cpus))

    assert check(spread, machine(cpus)).fits
    assert spread.concurrency <= MAX_DEFAULT_WORKERS
    assert cpus - spread.concurrency < spread.concurrency * spread.threads_per_worker <= cpus


def test_two_cores_get_two_workers_of_one_thread() -> None:
    spread = all_cores(RunConfig(strategy="pipelined", batch_size=32), machine(2))

    assert spread == RunConfig(strategy="pipelined", batch_size=32, concurrency=2, cpus_per_worker=0.5, threads=1)


def test_all_cores_leave_what_decoders_need() -> None:
    spread = all_cores(RunConfig(strategy="pipelined", decoders=3), machine(8))

    assert (spread.concurrency, spread.cpus_per_worker) == (4, 1.25)
    assert check(spread, machine(8)).fits


def test_a_run_whose_decoders_take_every_core_is_refused_by_the_check_and_not_by_an_error() -> None:
    spread = all_cores(RunConfig(strategy="pipelined", decoders=4), machine(2))

    assert not check(spread, machine(2)).fits


def test_workers_with_gpus_stay_as_they_are() -> None:
    config = RunConfig(strategy="pipelined", gpus_per_worker=1)

    assert all_cores(config, machine(16, gpus=1)) == config
