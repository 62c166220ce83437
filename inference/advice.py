"""The one change that is most likely to help, from what a run measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.capabilities import best_dtype, missing_for
from inference.config import RunConfig
from inference.hardware import Hardware, fingerprint, from_dict
from inference.ladder import MIN_BATCH_SIZE
from inference.preflight import all_cores, check
from inference.results import Metrics, RunRecord, metrics, phase_shares
from inference.store import RunSummary
from inference.wording import count, percent, seconds, significant

WORTH_SAYING = 1.05
"""A change that promises less than this is not advised."""

HALF_PRECISION_SAVES = BATCH_SAVES = 0.5
ENGINE_SAVES = 0.3
LAYOUT_SAVES = 0.2
"""Shares of the forward pass that a change saves where it works well (docs/performance.md has what was measured). They
only rank the advice; what a change really buys is measured by the run that the button starts."""

NO_FASTER = 1.03
MUCH_MORE_MEMORY = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A change and the measurement that speaks for it."""

    action: str
    """What a button says: `Load the model once`."""
    evidence: str
    """Why, with the numbers, as a sentence."""
    config: RunConfig
    """The run with that one change; it fits the hardware."""
    promise: float
    """How many times faster the run could become, by which one advice comes before another; 1 where it saves
    something else than time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What the rules look at."""

    config: RunConfig
    hardware: Hardware
    figures: Metrics
    shares: dict[str, float]
    """Of the time of the workers that hold the model, by phase."""

    def advice(self, action: str, evidence: str, saved: float, **changes: object) -> Advice:
        """An advice that saves a share of the workers' time."""
        promise = 1 / max(0.01, 1 - saved)
        return Advice(action=action, evidence=evidence, config=self.config.with_(**changes), promise=promise)


def advise(
    record: RunRecord,
    hardware: Hardware,
    history: Sequence[RunSummary] = (),
    *,
    figures: Metrics | None = None,
) -> Advice | None:
    """The change that the spans of a finished run speak for; None where nothing stands out.

    `history` are other runs; those with the same settings but for the batch size tell whether a smaller one does.
    `figures` are the run's metrics, where they are known already.
    """
    shares = phase_shares(record.spans)
    if record.state != "finished" or not shares:
        return None
    case = _Case(config=record.config, hardware=hardware, figures=figures or metrics(record), shares=shares)
    frugal = _smaller_batch(case, record, history)
    if frugal is not None:
        return frugal
    found = [advice for rule in _RULES if (advice := rule(case)) is not None]
    fitting = [a for a in found if a.promise >= WORTH_SAYING and check(a.config, hardware).fits]
    return max(fitting, key=lambda advice: advice.promise, default=None)


def _load_once(case: _Case) -> Advice | None:
    if case.config.strategy != "naive":
        return None
    loads, seconds_ = case.figures.model_loads, case.figures.model_load_s
    share = case.shares["load"]
    evidence = (
        f"{percent(share)} of the workers' time is model loading: {loads} loads, {seconds(seconds_)} together. "
        "A pool of actors loads the model once per worker."
    )
    return case.advice("Load the model once", evidence, share, strategy="actor")


def _whole_batches(case: _Case) -> Advice | None:
    if case.config.strategy != "actor":
        return None
    share = case.shares["forward"]
    evidence = (
        f"{percent(share)} of the workers' time are forward passes of one image each. "
        f"One pass for a whole batch of {case.config.batch_size} uses the hardware better."
    )
    return case.advice("Classify whole batches", evidence, share * BATCH_SAVES, strategy="batched")


def _overlap(case: _Case) -> Advice | None:
    if case.config.strategy != "batched":
        return None
    share = case.shares["preprocess"]
    evidence = (
        f"{percent(share)} of the workers' time goes into decoding and resizing, and the model computes nothing "
        "meanwhile. Tasks of their own can decode while it does."
    )
    return case.advice("Decode beside the model", evidence, share, strategy="pipelined")


def _more_decoders(case: _Case) -> Advice | None:
    if case.config.strategy != "pipelined":
        return None
    share, decoders = case.shares["wait"], case.config.decoders + 1
    evidence = (
        f"The workers wait {percent(share)} of the time for decoded images: "
        f"{decoders} tasks that decode at the same time would feed them faster."
    )
    return case.advice(f"Decode in {decoders} tasks", evidence, share, decoders=decoders)


def _fewer_workers_wait(case: _Case) -> Advice | None:
    """Where there is no CPU for another decoder, a worker that mostly waits can give up its own."""
    config, share = case.config, case.shares["wait"]
    if config.strategy != "pipelined" or config.concurrency < 2 or share < 0.5:
        return None
    changes = {"decoders": config.decoders + 1, "concurrency": config.concurrency - 1}
    if check(config.with_(decoders=config.decoders + 1), case.hardware).fits:
        return None
    evidence = (
        f"The workers wait {percent(share)} of the time for decoded images, and no CPU is free to decode more: "
        f"{changes['concurrency']} workers and {changes['decoders']} decoding tasks would be in better balance."
    )
    return case.advice("Give a worker's CPU to decoding", evidence, share / 2, **changes)


def _larger_batch(case: _Case) -> Advice | None:
    config = case.config
    if config.strategy not in ("batched", "pipelined") or config.batch_size >= MIN_BATCH_SIZE:
        return None
    share = case.shares["forward"]
    evidence = (
        f"{percent(share)} of the workers' time are forward passes of {config.batch_size} images; "
        f"{MIN_BATCH_SIZE} at a time keep more of the processor busy."
    )
    return case.advice(f"Batch {MIN_BATCH_SIZE}", evidence, share * ENGINE_SAVES, batch_size=MIN_BATCH_SIZE)


def _lower_precision(case: _Case) -> Advice | None:
    dtype = best_dtype(case.hardware)
    if case.config.strategy in ("naive", "actor") or case.config.dtype != "float32" or dtype == "float32":
        return None
    share = case.shares["forward"]
    evidence = (
        f"{percent(share)} of the workers' time is the forward pass in float32, and this hardware computes {dtype}."
    )
    return case.advice(f"Compute in {dtype}", evidence, share * HALF_PRECISION_SAVES, dtype=dtype)


def _channels_last(case: _Case) -> Advice | None:
    config = case.config
    if config.strategy in ("naive", "actor") or config.channels_last or config.backend != "eager":
        return None
    share = case.shares["forward"]
    evidence = (
        f"{percent(share)} of the workers' time is the forward pass. Pixels arrive with their channels side by side: "
        "a model that wants them so saves turning them round at every convolution."
    )
    return case.advice("Lay memory out channels last", evidence, share * LAYOUT_SAVES, channels_last=True)


def _use_all_cores(case: _Case) -> Advice | None:
    spread, used, total = all_cores(case.config, case.hardware), case.figures.cpu_s, case.figures.total_s
    if case.config.strategy in ("naive", "actor") or spread == case.config or not used or not total:
        return None
    busy = used / total
    evidence = (
        f"The run kept {busy:.1f} of {case.hardware.cpus} cores busy: "
        f"{spread.concurrency} workers of {count(spread.threads_per_worker, 'thread')} would share all of them."
    )
    changes = {"concurrency": spread.concurrency, "cpus_per_worker": spread.cpus_per_worker, "threads": spread.threads}
    return case.advice("Use all cores", evidence, 1 - min(1.0, busy / case.hardware.cpus), **changes)


def _faster_engine(case: _Case) -> Advice | None:
    config = case.config
    on_gpu = config.gpus_per_worker > 0
    if config.strategy in ("naive", "actor") or config.backend != "eager":
        return None
    share = case.shares["forward"]
    for backend, words in (("openvino", "OpenVINO is installed"), ("compile", "torch.compile can be used here")):
        if missing_for(backend, case.hardware, on_gpu=on_gpu) is None:
            evidence = f"{percent(share)} of the workers' time is the forward pass of PyTorch as it is, and {words}."
            action = "Compute with OpenVINO" if backend == "openvino" else "Compile the model"
            return case.advice(action, evidence, share * ENGINE_SAVES, backend=backend)
    return None


_RULES: tuple[Callable[[_Case], Advice | None], ...] = (
    _load_once,
    _whole_batches,
    _overlap,
    _more_decoders,
    _fewer_workers_wait,
    _larger_batch,
    _lower_precision,
    _channels_last,
    _use_all_cores,
    _faster_engine,
)


def _smaller_batch(case: _Case, record: RunRecord, history: Sequence[RunSummary]) -> Advice | None:
    """A smaller batch that was measured to be as fast on much less memory."""
    mine, here = case.figures, fingerprint(case.hardware)
    if mine.steady_images_per_s is None or not mine.peak_worker_memory_bytes:
        return None
    if record.hardware is not None and fingerprint(from_dict(record.hardware)) != here:
        return None
    for other in sorted(history, key=lambda run: run.config.batch_size):
        theirs = other.metrics
        if (
            other.state != "finished"
            or other.config.batch_size >= case.config.batch_size
            or other.config.with_(batch_size=case.config.batch_size) != case.config
            or theirs is None
            or not theirs.steady_images_per_s
            or not theirs.peak_worker_memory_bytes
        ):
            continue
        times = mine.peak_worker_memory_bytes / theirs.peak_worker_memory_bytes
        if mine.steady_images_per_s <= NO_FASTER * theirs.steady_images_per_s and times >= MUCH_MORE_MEMORY:
            small, large = other.config.batch_size, case.config.batch_size
            evidence = (
                f"Batch {large} is no faster than {small} "
                f"({significant(mine.steady_images_per_s)} and {significant(theirs.steady_images_per_s)} images/s) and "
                f"takes {times:.1f} × the memory ({mine.peak_worker_memory_bytes / 2**20:,.0f} MiB per worker)."
            )
            config = case.config.with_(batch_size=small)
            return Advice(action=f"Batch {small}", evidence=evidence, config=config, promise=1.0)
    return None
