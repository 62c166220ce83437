"""Advice: the one change that a run's own measurements speak for."""

from dataclasses import replace

import pytest

from inference.advice import Advice, advise
from inference.config import RunConfig
from inference.hardware import Gpu, Hardware, fingerprint, to_dict
from inference.preflight import check
from inference.results import Metrics, Prediction, RunRecord, Sample, Span
from inference.store import RunSummary

GIB = 1024**3
TWO_CORES = Hardware(cpus=2, cpu_limit=2.0, memory_bytes=24 * GIB)
EIGHT_CORES = Hardware(cpus=8, cpu_limit=8.0, memory_bytes=24 * GIB)
WITH_BF16 = replace(TWO_CORES, instructions=("AVX-512", "AVX-512 bf16"))


def ran(config: RunConfig, *, seconds: dict[str, float], cpu_s: float = 0.0) -> RunRecord:
    """A finished run of one worker that spent its time like this, phase after phase, waiting where it says so."""
    spans, at = [Span("worker 1", "load", 0.0, 0.0)], 0.0
    for phase, length in seconds.items():
        if phase != "wait":  # a wait is what lies between two spans
            spans.append(Span("worker 1", phase, at, at + length, batch=0))
        at += length
    spans.append(Span("worker 1", "postprocess", at, at, batch=0))
    samples = (Sample("worker 1", 0.0, 0.0, GIB), Sample("worker 1", at, cpu_s, GIB))
    answers = (Prediction("a", "1", 1.0, done_s=at),)
    return RunRecord(
        id="r",
        state="finished",
        config=config,
        created_at=0.0,
        spans=tuple(spans),
        samples=samples,
        predictions=answers,
    )


def advised(config: RunConfig, hardware: Hardware, *, cpu_s: float = 0.0, **seconds: float) -> Advice:
    advice = advise(ran(config, seconds=seconds, cpu_s=cpu_s), hardware)
    assert advice is not None
    assert check(advice.config, hardware).fits
    return advice


def test_a_naive_run_is_told_its_share_of_loading_and_to_load_once() -> None:
    config = RunConfig(strategy="naive")

    advice = advised(config, TWO_CORES, load=3.8, forward=6.2)

    assert advice.config == config.with_(strategy="actor")
    assert "38 %" in advice.evidence
    assert advice.promise == pytest.approx(1 / 0.62)


def test_an_actor_run_is_told_to_classify_whole_batches() -> None:
    advice = advised(RunConfig(strategy="actor"), TWO_CORES, preprocess=2, forward=8)

    assert advice.config == RunConfig(strategy="batched")
    assert "80 %" in advice.evidence


def test_a_batched_run_that_decodes_much_is_told_to_decode_beside_the_model() -> None:
    config = RunConfig(strategy="batched", batch_size=16, channels_last=True)

    advice = advised(config, TWO_CORES, preprocess=7, forward=3)

    assert advice.config == config.with_(strategy="pipelined")
    assert "70 %" in advice.evidence


def test_workers_that_wait_for_images_get_another_decoder() -> None:
    config = RunConfig(strategy="pipelined", batch_size=16, concurrency=4, channels_last=True)

    advice = advised(config, EIGHT_CORES, forward=3.7, wait=6.3)

    assert advice.config == config.with_(decoders=2)
    assert "63 %" in advice.evidence


def test_where_no_cpu_is_free_for_another_decoder_a_waiting_worker_gives_up_its_own() -> None:
    config = RunConfig(strategy="pipelined", batch_size=16, concurrency=7, channels_last=True, threads=1)

    advice = advised(config, EIGHT_CORES, cpu_s=80.0, forward=3, wait=7)

    assert advice.config == config.with_(decoders=2, concurrency=6)


def test_a_forward_pass_in_float32_is_told_of_a_precision_that_the_hardware_has() -> None:
    config = RunConfig(strategy="pipelined", batch_size=16, channels_last=True)

    assert advised(config, WITH_BF16, cpu_s=20.0, forward=10).config == config.with_(dtype="bfloat16")


def test_without_such_instructions_no_other_precision_is_advised() -> None:
    config = RunConfig(strategy="pipelined", batch_size=16, channels_last=True, concurrency=2, cpus_per_worker=0.5)

    assert advise(ran(config.with_(threads=1), seconds={"forward": 10}, cpu_s=20.0), TWO_CORES) is None


def test_idle_cores_are_told_to_be_used() -> None:
    config = RunConfig(strategy="pipelined", batch_size=16, channels_last=True)

    advice = advised(config, EIGHT_CORES, cpu_s=10.0, forward=10)

    assert advice.config.concurrency > 1
    assert advice.evidence.startswith("The run kept 1.0 of 8 cores busy")


def test_an_engine_is_advised_only_where_it_is_installed() -> None:
    config = RunConfig(
        strategy="pipelined", batch_size=16, channels_last=True, concurrency=2, cpus_per_worker=0.5, threads=1
    )
    run = ran(config, seconds={"forward": 10}, cpu_s=20.0)
    installed = replace(TWO_CORES, versions=(("openvino", "2026.4"),))

    advice = advise(run, installed)

    assert advise(run, TWO_CORES) is None
    assert advice is not None
    assert advice.config == config.with_(backend="openvino")


def test_advice_that_does_not_fit_this_machine_is_not_given() -> None:
    config = RunConfig(strategy="pipelined", batch_size=16, channels_last=True)

    advice = advise(ran(config, seconds={"forward": 7, "wait": 3}, cpu_s=20.0), TWO_CORES)

    assert advice is None or advice.config.decoders == 1


def test_a_run_that_did_not_finish_gets_no_advice() -> None:
    run = replace(ran(RunConfig(strategy="naive"), seconds={"load": 5, "forward": 5}), state="failed")

    assert advise(run, TWO_CORES) is None


def _summary(config: RunConfig, rate: float, memory_bytes: int) -> RunSummary:
    figures = Metrics(
        images=100,
        errors=0,
        total_s=1.0,
        setup_s=0.1,
        images_per_s=rate,
        steady_images_per_s=rate,
        first_prediction_s=0.1,
        model_loads=1,
        model_load_s=0.1,
        peak_worker_memory_bytes=memory_bytes,
    )
    return RunSummary(
        seq=1,
        id="other",
        state="finished",
        config=config,
        comparison_id=None,
        created_at=0.0,
        started_at=0.0,
        finished_at=1.0,
        progress=None,
        metrics=figures,
        error=None,
    )


def _run_of_batch_64() -> RunRecord:
    """10 images/s in steady state, 4 GiB in its worker."""
    config = RunConfig(strategy="batched", batch_size=64)
    return RunRecord(
        id="r",
        state="finished",
        config=config,
        created_at=0.0,
        hardware=to_dict(TWO_CORES),
        spans=(Span("worker 1", "forward", 0.0, 1.0, batch=0), Span("worker 1", "forward", 1.0, 2.0, batch=1)),
        samples=(Sample("worker 1", 2.0, 1.0, 4 * GIB),),
        predictions=tuple(Prediction(str(i), "1", 1.0, done_s=2.0) for i in range(10)),
    )


def test_a_batch_that_is_no_faster_than_a_smaller_one_and_takes_more_memory_is_told_so() -> None:
    run = _run_of_batch_64()
    smaller = _summary(run.config.with_(batch_size=16), rate=10.1, memory_bytes=GIB)

    advice = advise(run, TWO_CORES, [smaller])

    assert advice is not None
    assert advice.config == run.config.with_(batch_size=16)
    assert "Batch 64 is no faster than 16 (10.0 and 10.1 images/s) and takes 4.0 × the memory" in advice.evidence


@pytest.mark.parametrize(("rate", "memory_bytes"), [(8.0, GIB), (10.1, 3 * GIB)])
def test_a_smaller_batch_is_not_advised_when_it_was_slower_or_saved_little(rate: float, memory_bytes: int) -> None:
    run = _run_of_batch_64()
    smaller = _summary(run.config.with_(batch_size=16), rate=rate, memory_bytes=memory_bytes)

    advice = advise(run, TWO_CORES, [smaller])

    assert advice is None or advice.config.batch_size == 64


def test_runs_of_another_machine_say_nothing_of_this_one() -> None:
    run = _run_of_batch_64()
    elsewhere = replace(TWO_CORES, cpus=4, gpus=(Gpu(index=0, name="H200", memory_bytes=GIB),))
    assert fingerprint(elsewhere) != fingerprint(TWO_CORES)
    smaller = _summary(run.config.with_(batch_size=16), rate=10.1, memory_bytes=GIB)

    advice = advise(replace(run, hardware=to_dict(elsewhere)), TWO_CORES, [smaller])

    assert advice is None or advice.config.batch_size == 64
