"""Watches a Ray Data execution from inside its executor, and stops it.

Workers import this module, because Ray sends the callback's class to them with the data context: it stays small.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ray.data import DataContext, ExecutionOptions
from ray.data._internal.execution.execution_callback import ExecutionCallback

from inference.errors import RunCancelled, RunFailed
from inference.results import OperatorProgress


class Watch:
    """What the executor's step callback sees, and the way to stop the executor."""

    def __init__(self, stall_s: float) -> None:
        self.operators: tuple[OperatorProgress, ...] = ()
        self.reason: RunFailed | RunCancelled | None = None
        self._stall_s = stall_s
        self._executor: Any = None
        self._cancelled = threading.Event()
        self._last_change = time.monotonic()

    def stop(self) -> None:
        """Stop the executor and end its actors, wherever it is; changes nothing after it has finished."""
        self._cancelled.set()
        if self._executor is not None:
            # Without force the actors live on until their handles are collected (2.60).
            self._executor.shutdown(force=True, exception=RunCancelled("The run was cancelled."))
            self._executor = None

    def step(self, executor: Any) -> None:
        """Called by the executor's loop at every step; raising ends the execution."""
        self._executor = executor
        if self._cancelled.is_set():
            raise self._because(RunCancelled("The run was cancelled."))
        # Ray Data shows progress per operator only as bars or on the dashboard; this is its source (2.60).
        seen = tuple(_operator(op, state) for op, state in executor._topology.items())[1:]
        if seen != self.operators:
            self.operators, self._last_change = seen, time.monotonic()
        elif time.monotonic() - self._last_change > self._stall_s:
            raise self._because(
                RunFailed(
                    f"Nothing moved for {self._stall_s:.0f} seconds, so the run was stopped. The workers may be "
                    "waiting for CPUs or memory that never get free: lower concurrency or CPUs per worker."
                )
            )

    def _because(self, error: RunFailed | RunCancelled) -> RunFailed | RunCancelled:
        """Keep the reason, and give back a twin to raise: a raised error holds on to the executor and its actors."""
        self.reason = error
        return type(error)(str(error))


def _operator(op: Any, state: Any) -> OperatorProgress:
    actors = op.get_actor_info()
    return OperatorProgress(
        name=op.name,
        rows=op.metrics.rows_task_outputs_generated,
        tasks_active=op.num_active_tasks(),
        tasks_finished=op.metrics.num_tasks_finished,
        actors=actors.running,
        actors_restarting=actors.restarting,
        queued_blocks=state.total_enqueued_input_blocks(),
    )


_watch: Watch | None = None
"""The watch of the run in progress; there is one at a time."""


class _StepCallback(ExecutionCallback):
    """Ray sends the context, with this class, to every worker: it must hold nothing that cannot be pickled."""

    def on_execution_step(self, executor: Any) -> None:
        if _watch is not None:
            _watch.step(executor)


def forget() -> None:
    """Let go of the watch, and with it of the executor that it saw."""
    global _watch
    _watch = None


def watched_context(watch: Watch) -> DataContext:
    """A copy of the current data context whose executions report to `watch`, silently."""
    global _watch
    _watch = watch
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options = ExecutionOptions()
    context.custom_execution_callback_classes = [_StepCallback]
    return context
