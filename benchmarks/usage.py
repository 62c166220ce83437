"""CPU seconds and memory of many processes that belong together, sampled from outside.

Processes are found by a variable in their environment, which children inherit: Ray's are no descendants of whoever
started it, or not for long.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import psutil

from inference.results import RunRecord, metrics, ready_seconds

SAMPLE_S = 0.2
"""A fifth of a second costs the machine about one percent of a core, with Ray's ten processes."""

SETTLED_S = 1.0
"""A younger process may still show its parent's environment."""

GRACE_S = 10.0
"""How long Ray's processes may take to end after their driver has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What processes used together within a stretch of time."""

    seconds: float
    """How long the stretch was."""
    cpu_s: float
    """Of all threads; a process that ends takes up to `SAMPLE_S` seconds of its own with it."""
    peak_memory_bytes: int
    """The most that was seen at once: what each process has resident to itself, and once the largest part that one
    of them shares with others. Libraries and blocks that several map are so not counted several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUsage:
    """What the processes of one run used."""

    whole: Usage
    """From the start of the run's clock to its last answer."""
    steady: Usage | None
    """From when every worker had finished its first batch; None if that is not known."""


def processes_of(variable: str, value: str) -> list[psutil.Process]:
    """Every living process but this one that has this variable in its environment."""
    return [process for process in psutil.process_iter() if _has(process, variable, value)]


def end_processes_of(variable: str, value: str) -> int:
    """End those that do not end by themselves soon, and return how many there were."""
    _, found = psutil.wait_procs(processes_of(variable, value), timeout=GRACE_S)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=5)
    return len(found)


def _has(process: psutil.Process, variable: str, value: str) -> bool:
    try:
        alive = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
        return alive and process.environ().get(variable) == value
    except (psutil.Error, OSError):
        return False


class Meter:
    """Samples processes for as long as the `with` lasts."""

    def __init__(self, variable: str, value: str) -> None:
        self._variable, self._value = variable, value
        self._mine: dict[int, psutil.Process] = {}
        self._others: set[int] = set()
        self._cpu_s: dict[psutil.Process, float] = {}
        self._samples: list[tuple[float, float, int]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_done, daemon=True, name="meter")

    def __enter__(self) -> Meter:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sample()

    def of_run(self, record: RunRecord) -> RunUsage:
        """What a finished run used while this meter was on; raises `RuntimeError` where it has no answers."""
        clock_started_at = record.progress.clock_started_at if record.progress else None
        total_s = metrics(record).total_s
        if clock_started_at is None or total_s is None:
            raise RuntimeError(f"a run that {record.state} without answers has no usage: {record.error}")
        end_at, ready_s = clock_started_at + total_s, ready_seconds(record)
        return RunUsage(
            whole=self.between(clock_started_at, end_at),
            steady=self.between(clock_started_at + ready_s, end_at) if ready_s is not None else None,
        )

    def between(self, start_at: float, end_at: float) -> Usage:
        """What was used between two moments, in seconds since the epoch; CPU seconds are interpolated."""
        at, cpu_s, memory_bytes = (np.array(column) for column in zip(*self._samples, strict=True))
        inside = (at >= start_at - SAMPLE_S) & (at <= end_at + SAMPLE_S)
        before, after = np.interp([start_at, end_at], at, cpu_s)
        return Usage(
            seconds=end_at - start_at,
            cpu_s=float(after - before),
            peak_memory_bytes=int(memory_bytes[inside].max()) if inside.any() else 0,
        )

    def _sample_until_done(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        self._find_new()
        own_bytes, shared_bytes = 0, 0
        for process in list(self._mine.values()):
            try:
                with process.oneshot():
                    times, memory = process.cpu_times(), process.memory_info()
            except psutil.Error:
                continue
            shared = getattr(memory, "shared", 0)
            own_bytes += memory.rss - shared
            shared_bytes = max(shared_bytes, shared)
            self._cpu_s[process] = times.user + times.system
        # The last word of those that have ended stays in the sum.
        self._samples.append((time.time(), sum(self._cpu_s.values()), own_bytes + shared_bytes))

    def _find_new(self) -> None:
        present = set(psutil.pids())
        self._others &= present
        self._mine = {pid: process for pid, process in self._mine.items() if pid in present and process.is_running()}
        for pid in present - self._others - self._mine.keys():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if _has(process, self._variable, self._value):
                    self._mine[pid] = process
                elif time.time() - process.create_time() > SETTLED_S:
                    self._others.add(pid)
