"""Home folders with runs in every state, from hand-made spans and answers, through the store's calls."""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from inference import hardware as machine
from inference.bundled import LABELS
from inference.bundled.samples import ensure_samples, sample_name, sample_truth
from inference.config import ONE_BY_ONE, RunConfig, interleaved
from inference.ladder import steps
from inference.limits import ForwardRate, Limit, LimitKey
from inference.listing import samples_folder
from inference.results import MACHINE, OperatorProgress, Prediction, Progress, Sample, Span, runs_model
from inference.store import EngineStatus, Store

ENGINE_ID = "engine-of-tests"
HARDWARE = machine.Hardware(
    cpus=2,
    cpu_limit=2.0,
    cpus_logical=2,
    cpus_physical=1,
    cpu_model="Intel Xeon Platinum 8481C",
    instructions=("AVX2", "AVX-512", "AVX-512 bf16"),
    memory_bytes=23 * 1024**3,
    memory_available_bytes=19 * 1024**3,
    swap_bytes=0,
    shm_bytes=12 * 1024**3,
    disk_path="/home/someone/batchscope",
    disk_free_bytes=61 * 1024**3,
    disk_total_bytes=120 * 1024**3,
    os="Debian GNU/Linux 13, Linux 6.12",
    python="3.13.5",
    compiler="/usr/bin/g++",
    versions=(("ray", "2.60.0"), ("torch", "2.13.0+cpu"), ("transformers", "5.1.0"), ("streamlit", "1.67.0")),
)
NAIVE = RunConfig(strategy="naive")
ACTOR = RunConfig(strategy="actor")
BATCHED = RunConfig(strategy="batched", batch_size=16)
PIPELINED = RunConfig(strategy="pipelined", batch_size=16)
PLAN = """Logical plan
MapBatches(Classifier)
+- ReadBinary

Physical plan
ActorPoolMapOperator
+- TaskPoolMapOperator"""

LOAD_S = 0.31
IMPORT_S = 2.4
FORWARD_S = 0.027
DECODE_S = 0.006
WARMUP_S = {"eager": 0.05, "compile": 2.8, "openvino": 1.4}


def spans_of(config: RunConfig, *, seed: int = 0) -> list[Span]:
    """What the workers, the decoders and one reader of a run would have recorded."""
    dice = random.Random(f"{config}{seed}")
    batches = [
        range(first, min(first + config.batch_size, config.limit))
        for first in range(0, config.limit, config.batch_size)
    ]
    spans = [Span("reader 4700", "read", 0.6 + i * 0.004, 0.603 + i * 0.004, 1) for i in range(config.limit)]
    for number in range(config.concurrency):
        mine = batches[number :: config.concurrency]
        begin_s = 0.9 + 0.15 * number
        if config.strategy in ONE_BY_ONE:
            spans += _one_by_one(config, f"worker {4711 + number}", begin_s, mine, dice)
        else:
            spans += _whole_batches(config, number, begin_s, mine, dice)
    return spans


def _one_by_one(
    config: RunConfig, worker: str, now: float, batches: Sequence[range], dice: random.Random
) -> list[Span]:
    spans = []
    for batch, images in enumerate(batches):
        if batch == 0 or config.strategy == "naive":
            for phase, typical in (("import", IMPORT_S if batch == 0 else 0.0004), ("load", LOAD_S)):
                end = now + typical * dice.uniform(0.9, 1.15)
                spans.append(Span(worker, phase, now, end, 0, batch if config.strategy == "naive" else -1))
                now = end
        for _ in images:
            for phase, typical in (
                ("preprocess", DECODE_S),
                ("forward", FORWARD_S),
                ("postprocess", 0.0006),
            ):
                end = now + typical * dice.uniform(0.9, 1.2)
                spans.append(Span(worker, phase, now, end, 1, batch))
                now = end
        now += dice.uniform(0.004, 0.03)
    return spans


def _whole_batches(
    config: RunConfig, number: int, now: float, batches: Sequence[range], dice: random.Random
) -> list[Span]:
    worker, decoder = f"worker {4711 + number}", f"decoder {4801 + number}"
    spans = []
    for phase, typical in (("import", IMPORT_S), ("load", LOAD_S), ("warmup", WARMUP_S[config.backend])):
        end = now + typical * dice.uniform(0.9, 1.15)
        spans.append(Span(worker, phase, now, end))
        now = end
    decoded_s = now
    for batch, images in enumerate(batches):
        decode_s = DECODE_S * len(images) * dice.uniform(0.9, 1.2)
        forward_s = FORWARD_S * len(images) * _cheaper(config) * dice.uniform(0.9, 1.2)
        if config.strategy == "pipelined":
            spans.append(Span(decoder, "preprocess", decoded_s, decoded_s + decode_s, len(images), batch))
            decoded_s += decode_s
            now = max(now, decoded_s)
        else:
            spans.append(Span(worker, "preprocess", now, now + decode_s, len(images), batch))
            now += decode_s
        spans.append(Span(worker, "forward", now, now + forward_s, len(images), batch))
        spans.append(Span(worker, "postprocess", now + forward_s, now + forward_s + 0.0006, len(images), batch))
        now += forward_s + 0.0006
    return spans


def _cheaper(config: RunConfig) -> float:
    """Share of the forward pass that is left when these options are on."""
    share = 0.7 if config.batch_size < 16 else 0.55
    share *= {"float32": 1.0, "bfloat16": 0.6, "float16": 1.1}[config.dtype]
    share *= 0.99 if config.channels_last else 1.0
    return share * {"eager": 1.0, "compile": 0.9, "openvino": 0.7}[config.backend]


def samples_of(spans: Sequence[Span]) -> list[Sample]:
    """What every process would have said of itself, at its start and at the end of each batch."""
    samples = []
    for lane in dict.fromkeys(span.worker for span in spans):
        of_lane = [span for span in spans if span.worker == lane]
        memory = (640 if runs_model(lane) else 120) * 1024**2
        samples.append(Sample(lane, of_lane[0].start_s, 1.0, memory - 4096))
        cpu_s = 1.0
        for span in of_lane:
            cpu_s += span.seconds
            if span.phase in ("read", "postprocess", "preprocess"):
                samples.append(Sample(lane, span.end_s, cpu_s, memory))
    return samples


def machine_samples_of(spans: Sequence[Span]) -> list[Sample]:
    """What the machine beneath these processes would have said, twice a second: a quarter core is others' work."""
    worked_s = [0.0] * (int(2 * max(span.end_s for span in spans)) + 2)
    first_s: dict[str, float] = {}
    for span in spans:
        first_s[span.worker] = min(span.start_s, first_s.get(span.worker, span.start_s))
        for moment in range(int(2 * span.start_s), int(2 * span.end_s) + 1):
            inside_s = min(span.end_s, moment / 2 + 0.5) - max(span.start_s, moment / 2)
            worked_s[moment + 1] += inside_s * (1.0 if runs_model(span.worker) else 0.3)
    begun = [seconds for lane, seconds in first_s.items() if runs_model(lane)]
    return [
        Sample(
            MACHINE,
            moment / 2,
            0.125 * moment + sum_s,
            (5 * 1024 + 640 * sum(seconds <= moment / 2 for seconds in begun)) * 1024**2,
        )
        for moment, sum_s in enumerate(itertools.accumulate(worked_s))
    ]


def answers_of(
    config: RunConfig, spans: Sequence[Span], *, wrong: Sequence[int] = (), unreadable: Sequence[int] = ()
) -> list[Prediction]:
    """One answer per image, in the order in which the spans finish them."""
    ends = sorted((s.end_s, s.worker) for s in spans if s.phase == "postprocess" for _ in range(s.images))
    predictions = []
    for index, (done_s, worker) in enumerate(ends):
        name = sample_name(index)
        truth = sample_truth(name)
        if index in unreadable:
            reason = "The file is cut off: 1,204 bytes are missing."
            predictions.append(
                Prediction(name, status="error", reason=reason, truth=truth, done_s=done_s, worker=worker)
            )
            continue
        label = LABELS[(LABELS.index(truth) + 1) % 10] if index in wrong else truth
        score = 0.51 + (index * 37 % 48) / 100
        top = ((label, score), *((other, (1 - score) / 9) for other in LABELS if other != label))[:5]
        predictions.append(Prediction(name, label, score, truth=truth, top=top, done_s=done_s, worker=worker))
    return predictions


def engine(store: Store, *, state: str = "ready", message: str = "", alive: bool = True) -> None:
    """The engine's account of itself; where it is alive, this very process stands for it."""
    process = psutil.Process(os.getpid())
    store.save_engine(
        EngineStatus(
            engine_id=ENGINE_ID,
            pid=process.pid if alive else 2**22 - 1,
            process_started_at=process.create_time(),
            state=state,
            message=message,
            heartbeat_at=time.time(),
            hardware=machine.to_dict(HARDWARE),
            dashboard_url=None,
        )
    )


def start_next(store: Store) -> str:
    """Claim the oldest queued run and return its id."""
    record = store.claim(ENGINE_ID, machine.to_dict(HARDWARE))
    assert record is not None
    return record.id


def work(
    store: Store,
    run_id: str,
    *,
    share: float = 1.0,
    seed: int = 0,
    wrong: Sequence[int] = (7, 31, 64),
    unreadable: Sequence[int] = (),
) -> None:
    """Let a running run come this far."""
    record = store.get(run_id)
    assert record is not None
    config = record.config
    spans = spans_of(config, seed=seed)
    predictions = answers_of(config, spans, wrong=wrong, unreadable=unreadable)
    predictions = predictions[: int(len(predictions) * share)]
    until_s = predictions[-1].done_s if predictions else 1.5
    store.save_progress(
        run_id,
        Progress(
            phase="classifying",
            images_done=len(predictions),
            images_total=config.limit,
            elapsed_s=until_s,
        ),
        spans=[span for span in spans if span.end_s <= until_s],
        samples=[s for s in samples_of(spans) + machine_samples_of(spans) if s.at_s <= until_s],
        predictions=predictions,
        operators=[
            OperatorProgress(
                name="MapBatches(Classifier)",
                rows=len(predictions),
                tasks_active=1,
                tasks_finished=len(predictions) // config.batch_size,
                actors=config.concurrency if config.strategy == "actor" else 0,
                actors_restarting=0,
                queued_blocks=2,
            )
        ],
        messages=["Ray is ready."],
    )


def finish(store: Store, run_id: str, *, seed: int = 0, **answers: Sequence[int]) -> str:
    """Let a running run come to its end."""
    work(store, run_id, seed=seed, **answers)
    store.end(run_id, "finished", plan=PLAN)
    record = store.get(run_id)
    assert record is not None
    _lasted(store, run_id, max(p.done_s for p in record.predictions) + 0.8)
    return run_id


def finished(store: Store, config: RunConfig = ACTOR, *, seed: int = 0, **answers: Sequence[int]) -> str:
    """One finished run; nothing else may be queued."""
    store.enqueue([config])
    return finish(store, start_next(store), seed=seed, **answers)


def ended(store: Store, state: str, *, config: RunConfig = ACTOR, share: float = 0.3, error: str = "") -> str:
    """One run that came this far and did not finish; nothing else may be queued."""
    store.enqueue([config])
    run_id = start_next(store)
    work(store, run_id, share=share)
    store.end(run_id, state, error=error or None)
    return run_id


def comparison(
    store: Store,
    configs: Sequence[RunConfig] = (NAIVE, ACTOR, ACTOR, NAIVE),
    *,
    done: int | None = None,
    running_share: float | None = None,
    **answers: Sequence[int],
) -> list[str]:
    """Runs that were launched together: the first `done` finished (all, if not given), one more under way."""
    ids = store.enqueue(configs, compare=True)
    done = len(ids) if done is None else done
    for number in range(done):
        finish(store, start_next(store), seed=number, **answers)
    if running_share is not None:
        work(store, start_next(store), share=running_share, seed=done)
    return ids


def ladder(
    store: Store, configs: Sequence[RunConfig] | None = None, *, repeats: int = 1, **answers: Sequence[int]
) -> list[str]:
    """A finished comparison of every step that the machine of the tests has."""
    if configs is None:
        configs = [step.config for step in steps(ACTOR, HARDWARE)]
    return comparison(store, interleaved(configs, repeats), **answers)


def limit(store: Store, config: RunConfig = ACTOR, *, prepare: float = 420.0, forward: float = 900.0) -> Limit:
    """A limit that was measured on the machine of the tests."""
    measured = Limit(
        measured_at=time.time(),
        prepare_images_per_s=prepare,
        forwards=(
            ForwardRate(
                backend="openvino", channels_last=True, batch_size=16, workers=2, threads=1, images_per_s=forward
            ),
        ),
        shared_cores=True,
        flops_per_image=13_500_000,
    )
    store.limits.save(limit_key(config), measured)
    return measured


def limit_key(config: RunConfig = ACTOR) -> LimitKey:
    """What a limit of this configuration is kept under."""
    return LimitKey(machine.fingerprint(HARDWARE), config.model, config.dataset, config.dtype)


def samples(home: Path, count: int = 100) -> None:
    """The pictures that belong to the answers."""
    ensure_samples(samples_folder(home), count)


def _lasted(store: Store, run_id: str, duration_s: float) -> None:
    """Give an ended run a length; the store itself knows only now."""
    with sqlite3.connect(store.path) as db:
        db.execute(
            "UPDATE runs SET created_at = finished_at - ?, started_at = finished_at - ? WHERE id = ?",
            (duration_s + 1, duration_s, run_id),
        )
    db.close()
