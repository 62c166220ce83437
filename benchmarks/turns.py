"""A turn is one row, run once: rows that need no engine in a fresh process, the others in a warm engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.an_engine import AnEngine
from benchmarks.bench import ENGINE_ROWS, LIMIT_WAYS, ROOT, Bench
from benchmarks.observed import Outcome
from benchmarks.usage import Meter, RunUsage, end_processes_of
from inference.config import RunConfig
from inference.identity import ENGINE_ID_VARIABLE, engine_environment, ray_folder
from inference.results import Metrics, RunRecord, metrics

ROW_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One row, run once."""

    row: str
    record: RunRecord
    metrics: Metrics
    usage: RunUsage
    import_s: float | None
    """Seconds of imports before the clock; None for an engine, whose workers have imported before."""
    settings: Mapping[str, Any]


def in_order(rows: Sequence[str], rounds: int) -> list[str]:
    """The rows of all rounds, every other round backwards, so that a drift falls on all alike."""
    once = [way for row in rows for way in (LIMIT_WAYS if row == "limit" else (row,))]
    return [row for turn in range(rounds) for row in (once if turn % 2 == 0 else reversed(once))]


def taken(rows: Sequence[str], bench: Bench) -> Iterator[Turn]:
    """Every row in this order. There is an engine only while rows need one: even an idle one takes CPU seconds."""
    for needs_engine, group in groupby(rows, key=ENGINE_ROWS.__contains__):
        with AnEngine(bench.home) if needs_engine else nullcontext() as engine:
            for row in group:
                yield _alone(row, bench) if engine is None else _in_engine(row, bench, engine)


def _in_engine(row: str, bench: Bench, engine: AnEngine) -> Turn:
    run = engine.run(bench.configs[row])
    return Turn(
        row=row,
        record=run.record,
        metrics=metrics(run.record),
        usage=run.usage,
        import_s=None,
        settings=settings_of(bench.configs[row]),
    )


def settings_of(config: RunConfig) -> dict[str, Any]:
    """The settings that say how a run is made, without those that say of what."""
    kept = {name: value for name, value in config.to_dict().items() if name not in ("model", "dataset", "limit")}
    return kept | {"threads": config.threads_per_worker}


def _alone(row: str, bench: Bench) -> Turn:
    """Run one row in a fresh process; what it leaves behind is ended. Raises `RuntimeError` with its last words."""
    task = bench.task(row)
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "task.json").write_text(json.dumps(task.to_dict()), encoding="utf-8")
        try:
            with Meter(ENGINE_ID_VARIABLE, mark) as meter:
                _run(folder, mark)
        finally:
            left_over = end_processes_of(ENGINE_ID_VARIABLE, mark)
            shutil.rmtree(ray_folder(mark), ignore_errors=True)
        if left_over:
            print(f"{row} left {left_over} processes behind; they were ended", file=sys.stderr)
        outcome = Outcome.from_dict(json.loads((folder / "outcome.json").read_text(encoding="utf-8")))
    record = outcome.record(task.config)
    if len(record.predictions) != len(task.images):
        raise RuntimeError(f"{row} answered {len(record.predictions)} of {len(task.images)} images")
    return Turn(
        row=row,
        record=record,
        metrics=metrics(record),
        usage=meter.of_run(record),
        import_s=outcome.import_s,
        settings=outcome.settings,
    )


def _run(folder: Path, mark: str) -> None:
    with open(folder / "output.txt", "w+", encoding="utf-8") as output:  # a pipe would be kept open by leftovers
        process = subprocess.run(
            [sys.executable, "-m", "benchmarks.throughput_row", folder / "task.json", folder / "outcome.json"],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=engine_environment(mark),
            cwd=ROOT,
            timeout=ROW_TIMEOUT_S,
        )
        output.seek(0)
        if process.returncode != 0:
            raise RuntimeError(output.read()[-3000:])
