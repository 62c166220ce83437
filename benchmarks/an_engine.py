"""A real engine in a home folder, warm and idle before each run, as the app and the command line use it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.usage import Meter, RunUsage
from inference.config import RunConfig
from inference.identity import ENGINE_ID_VARIABLE
from inference.results import RunRecord
from inference.store import Store
from inference.supervisor import Supervisor

IDLE_WITHIN_S = 180.0


def wait_until_idle(store: Store, *, since: float = 0.0) -> str:
    """Wait until the engine has workers warm and nothing to do, and has said so after `since`; its id."""
    deadline = time.monotonic() + IDLE_WITHIN_S
    while True:
        status = store.engine()
        # Its last word may be older than the run that has just ended.
        if status and status.heartbeat_at > since and (status.state, status.message) == ("ready", "idle"):
            return status.engine_id
        if time.monotonic() > deadline:
            raise RuntimeError("the engine did not become idle")
        time.sleep(0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRun:
    """A finished run, and what all processes of the engine used for it."""

    record: RunRecord
    usage: RunUsage
    """Of the engine itself, Ray's processes, readers and workers. The workers that it keeps warm for the next run
    are part of its memory."""


class AnEngine:
    """An engine that lives as long as the `with` lasts."""

    def __init__(self, home: Path) -> None:
        self._store = Store(home)
        self._supervisor = Supervisor(home)
        self._since = 0.0

    def __enter__(self) -> AnEngine:
        self._since = time.time()
        self._supervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.stop()

    def run(self, config: RunConfig) -> EngineRun:
        """Wait until the engine is idle, and have it do one run; raises `RuntimeError` if that does not finish."""
        engine_id = wait_until_idle(self._store, since=self._since)
        with Meter(ENGINE_ID_VARIABLE, engine_id) as meter:
            (run_id,) = self._store.enqueue([config])
            while (summary := self._store.summary(run_id)) is None or summary.active:
                time.sleep(0.1)
        self._since = time.time()
        record = self._store.get(run_id)
        assert record is not None
        if record.state != "finished":
            raise RuntimeError(f"the run with {config.strategy} ended as {record.state}: {record.error}")
        return EngineRun(record=record, usage=meter.of_run(record))
