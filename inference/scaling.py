"""How speed went with batch size and with concurrency in the runs of this home folder."""

from __future__ import annotations

import functools
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from inference.config import STRATEGIES, RunConfig
from inference.database import Database
from inference.hardware import fingerprint, from_dict

AXES = ("batch_size", "concurrency")
"""The settings whose effect is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One finished run, no more of it than this needs."""

    run_id: str
    config: RunConfig
    created_at: float
    """Seconds since the epoch."""
    images_per_s: float | None
    """Steady; None for a run that was over before every worker had finished its first batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The runs of one strategy at one value of the setting that is varied."""

    strategy: str
    value: int
    runs: tuple[Measured, ...]
    """At least one, newest first, all with a steady rate."""

    @property
    def rates(self) -> list[float]:
        """Steady images/s of its runs, the slowest first."""
        return sorted(run.images_per_s for run in self.runs if run.images_per_s is not None)

    @property
    def median(self) -> float:
        """Steady images/s of the run in the middle."""
        return statistics.median(self.rates)


def similar(database: Database, config: RunConfig, machine: str) -> list[Measured]:
    """The finished runs of this model on the same images of this machine, newest first; `machine` is its fingerprint.

    Quick with ten thousand runs: their configurations, of which there are few, are read once each.
    """
    with database.reading() as db:
        rows = db.execute("SELECT id, hardware FROM machines")
        machines = json.dumps([row["id"] for row in rows if _fingerprint(row["hardware"]) == machine])
        found = db.execute(
            "SELECT id, config, created_at, metrics ->> 'steady_images_per_s' AS rate FROM runs"
            " WHERE deleted_at IS NULL AND state = 'finished' AND machine IN (SELECT value FROM json_each(?))"
            " AND model = ? AND dataset = ? AND config ->> 'limit' = ? ORDER BY seq DESC",
            (machines, config.model, config.dataset, config.limit),
        ).fetchall()
    configs = {text: RunConfig.from_dict(json.loads(text)) for text in {row["config"] for row in found}}
    return [
        Measured(
            run_id=row["id"], config=configs[row["config"]], created_at=row["created_at"], images_per_s=row["rate"]
        )
        for row in found
    ]


@functools.lru_cache(maxsize=4096)
def _fingerprint(hardware: str) -> str:
    return fingerprint(from_dict(json.loads(hardware)))


def along(axis: str, runs: Sequence[Measured], config: RunConfig) -> list[Measured]:
    """Those of the runs that differ from `config` in nothing but the strategy and the setting `axis`.

    Along `concurrency`, the CPUs that Ray reserves for each worker may differ too, because more workers have to share
    what there is; the threads of each worker are the same.
    """
    wanted = {strategy: _without(axis, config.as_strategy(strategy)) for strategy in STRATEGIES}
    alike = {other: _without(axis, other) == wanted[other.strategy] for other in {run.config for run in runs}}
    return [run for run in runs if alike[run.config]]


def _without(axis: str, config: RunConfig) -> RunConfig:
    if axis == "concurrency":
        return config.with_(concurrency=1, cpus_per_worker=1.0, threads=config.threads_per_worker)
    return config.with_(**{axis: 1})


def settings(axis: str, runs: Sequence[Measured]) -> list[Setting]:
    """The runs with a steady rate by strategy and by their value of `axis`, in the order of both."""
    groups: dict[tuple[int, int], list[Measured]] = {}
    for run in runs:
        if run.images_per_s is not None:
            key = STRATEGIES.index(run.config.strategy), getattr(run.config, axis)
            groups.setdefault(key, []).append(run)
    return [
        Setting(strategy=STRATEGIES[strategy], value=value, runs=tuple(group))
        for (strategy, value), group in sorted(groups.items())
    ]
