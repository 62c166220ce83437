"""Every optimisation as one step: which steps this hardware has, and what each of them bought.

    naive → load once → whole batches → larger batches → overlap → the options that this hardware has

Each step changes one thing of the one before; the images stay the same.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.capabilities import best_dtype, missing_for
from inference.config import STRATEGIES, RunConfig, differences
from inference.hardware import Hardware
from inference.limits import Limit
from inference.parity import Agreement, agreement
from inference.preflight import all_cores, check
from inference.results import Metrics, RunRecord, Speedup, median_run, metrics, speedup, steady_rate
from inference.wording import percent, significant

MIN_BATCH_SIZE = 16
"""Below this a batch does not fill the units of a processor; a GPU has its own default."""

MIN_AGREEMENT = 0.99
"""A step whose answers agree with the first one's on a smaller share of the images is shown, and never recommended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change."""

    name: str
    """A word or two: `load once`."""
    change: str
    """What it does, as a clause: `the model is loaded once per worker`."""
    config: RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A step that was measured."""

    step: Step
    runs: tuple[RunRecord, ...]
    """Its repeats; finished ones alone."""
    median: RunRecord
    """The repeat in the middle by speed."""
    metrics: Metrics
    """Of `median`."""
    versus_previous: Speedup | None
    """None for the first rung."""
    versus_first: Speedup | None
    agreement: Agreement | None
    """With the first rung's answers; None for the first rung."""

    @property
    def steady_images_per_s(self) -> float | None:
        """The median of the repeats, as in the ratios; None where a run was too short for a steady state."""
        rates = [rate for run in self.runs if (rate := steady_rate(run)) is not None]
        return statistics.median(rates) if rates else None

    @property
    def agrees(self) -> bool:
        """Whether its answers are close enough to the first rung's to be recommended."""
        return self.agreement is None or (self.agreement.share or 0.0) >= MIN_AGREEMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """All rungs in order, and what they amount to."""

    rungs: tuple[Rung, ...]
    limit: Limit | None
    """The highest limit that is known for these runs."""

    @property
    def best(self) -> Rung:
        """The fastest rung in steady state whose answers agree."""
        return max((rung for rung in self.rungs if rung.agrees), key=lambda rung: rung.steady_images_per_s or 0.0)

    @property
    def sentence(self) -> str:
        """What all steps together bought, in plain words."""
        best, first = self.best, self.rungs[0]
        if best is first or best.versus_first is None:
            return f"No step is faster than {first.step.name} here."
        images = best.agreement.images if best.agreement else 0
        agree = best.agreement.agree if best.agreement else 0
        share = ""
        if self.limit is not None and best.steady_images_per_s is not None:
            reached = best.steady_images_per_s / self.limit.images_per_s
            share = f", {percent(reached)} of what this machine could do"
        ratio = significant(best.versus_first.ratio, 2)
        return (
            f"With {_joined(self.rungs, best)} it is {ratio} × as fast as {first.step.name}{share}; "
            f"answers agree on {agree} of {images} images."
        )


def steps(config: RunConfig, hardware: Hardware) -> tuple[Step, ...]:
    """The ladder from `config`'s model, images, batch size and workers; each step fits this hardware."""
    configs = [config.as_strategy("naive").with_(dtype="float32", backend="eager")]

    def climb(**changes: object) -> None:
        changed = configs[-1].with_(**changes)
        if changed != configs[-1] and check(changed, hardware).fits:
            configs.append(changed)

    for strategy in STRATEGIES[1:-1]:
        climb(strategy=strategy)
    climb(batch_size=max(config.batch_size, MIN_BATCH_SIZE))
    climb(strategy=STRATEGIES[-1])
    climb(dtype=best_dtype(hardware))
    climb(channels_last=True)
    cores = all_cores(configs[-1], hardware)
    if (cores.concurrency, cores.threads_per_worker) != (configs[-1].concurrency, configs[-1].threads_per_worker):
        climb(concurrency=cores.concurrency, cpus_per_worker=cores.cpus_per_worker, threads=cores.threads)
    for backend in ("compile", "openvino"):
        if missing_for(backend, hardware, on_gpu=config.gpus_per_worker > 0) is None:
            climb(backend=backend)
    return described(configs)


def described(configs: Sequence[RunConfig]) -> tuple[Step, ...]:
    """Each configuration as a step, named after what it changes of the one before."""
    first = configs[0]
    named = [Step(name=first.strategy, change=_STRATEGY_CHANGES[first.strategy][1], config=first)]
    for before, config in itertools.pairwise(configs):
        named.append(_step(config, {name: pair[1] for name, pair in differences([before, config]).items()}))
    return tuple(named)


_STRATEGY_CHANGES = {
    "naive": ("naive", "the model is loaded for every batch, images go through it one by one"),
    "actor": ("load once", "each worker loads the model once and keeps it"),
    "batched": ("whole batches", "one forward pass for a batch, not for every image"),
    "pipelined": ("overlap", "images are decoded in tasks of their own while the model computes"),
}

_BACKEND_CHANGES = {
    "eager": "PyTorch runs the model layer by layer",
    "compile": "torch.compile fuses layers into kernels made for this processor",
    "openvino": "OpenVINO computes the forward pass",
}


def _step(config: RunConfig, changed: Mapping[str, object]) -> Step:
    if "strategy" in changed:
        name, change = _STRATEGY_CHANGES[config.strategy]
    elif "backend" in changed:
        name, change = config.backend, _BACKEND_CHANGES[config.backend]
    elif "concurrency" in changed or "threads" in changed:
        name = "all cores"
        threads = config.threads_per_worker
        change = f"{config.concurrency} workers of {threads} thread{'s' if threads > 1 else ''} share all cores"
    elif "dtype" in changed:
        name, change = config.dtype, f"weights and activations are {config.dtype}"
    elif "channels_last" in changed:
        name, change = "channels last", "the channels of a pixel lie side by side in memory"
    elif "batch_size" in changed:
        name, change = f"batch {config.batch_size}", f"{config.batch_size} images in a forward pass"
    else:
        name = ", ".join(f"{key} {value}" for key, value in changed.items())
        change = name
    return Step(name=name, change=change, config=config)


def is_ladder(configs: Sequence[RunConfig]) -> bool:
    """Whether runs that were launched together climb from naive to pipelined."""
    return {config.strategy for config in configs} == set(STRATEGIES)


def climbed(runs: Sequence[RunRecord], limit: Limit | None = None) -> Ladder | None:
    """The ladder that these runs of one comparison measured; None unless two steps at least have finished.

    Speeds are those of the steady state, since a step is judged by what it does for many images; what it costs
    before the first one is each rung's `metrics.setup_s`.
    """
    groups: dict[RunConfig, list[RunRecord]] = {}
    for run in runs:
        if run.state == "finished":
            groups.setdefault(run.config, []).append(run)
    # In the order of launch: with repeats every other round is reversed, but the first is not.
    measured = [tuple(group) for group in groups.values()]
    if len(measured) < 2:
        return None
    first = median_run(measured[0])
    rungs: list[Rung] = []
    for step, group in zip(described(list(groups)), measured, strict=True):
        middle = median_run(group)
        rungs.append(
            Rung(
                step=step,
                runs=group,
                median=middle,
                metrics=metrics(middle),
                versus_previous=speedup(rungs[-1].runs, group, steady=True) if rungs else None,
                versus_first=speedup(measured[0], group, steady=True) if rungs else None,
                agreement=agreement(first, middle) if rungs else None,
            )
        )
    return Ladder(rungs=tuple(rungs), limit=limit)


def _joined(rungs: Sequence[Rung], best: Rung) -> str:
    """The names of the steps up to the best one that bought something: `load once, whole batches and overlap`."""
    taken = rungs[1 : rungs.index(best) + 1]
    gains = [rung for rung in taken if rung.versus_previous and rung.versus_previous.low > 1]
    names = [rung.step.name for rung in gains or taken]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
