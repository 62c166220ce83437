"""Takes down how busy the machine is while a run's clock runs: its processors, its memory, and each NVIDIA GPU.

What it finds are ordinary samples, in lanes of their own: see `inference.usage` for what is derived from them.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from types import TracebackType

import psutil

from inference import cpu
from inference.gpu import detect_gpus
from inference.recorder import now_s
from inference.results import GPU, MACHINE, Sample

EVERY_S = 0.5
_STOP_TIMEOUT_S = 2.0
_MIB = 1024 * 1024
_WORK = ("user", "nice", "system", "irq", "softirq")
"""What counts as busy; not `iowait` and `steal`, in which nobody here computes, nor `guest`, which is in `user`."""

# psutil raises its own errors, and others where a kernel's file lacks what it expects.
_PROBE_ERRORS = (OSError, RuntimeError, ValueError, KeyError, AttributeError, NotImplementedError, psutil.Error)


class Meter:
    """Samples of the machine and its GPUs, taken inside a `with` block and handed out by `take`.

    `run_started_at` is in seconds since the epoch; `environ` says which GPUs may be used, and where their tool is.
    A probe that fails costs its own samples and nothing else.
    """

    def __init__(self, run_started_at: float, environ: Mapping[str, str] = os.environ) -> None:
        self._run_started_at = run_started_at
        self._cpu_s_before: float | None = None
        self._sampled_s = 0.0
        self._first: list[Sample] = []
        self._gpus = _GpuMeter(run_started_at, environ)

    def __enter__(self) -> Meter:
        self._gpus.start()
        self._first = self._machine(now_s() - self._run_started_at)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._gpus.stop()

    def take(self, *, last: bool = False) -> tuple[Sample, ...]:
        """What is new since the call before; samples the machine if it is time to, and always if this is the `last`.

        To be called more often than every `EVERY_S` seconds: what costs next to nothing needs no thread.
        """
        at_s = now_s() - self._run_started_at
        samples = self._first + self._gpus.take()
        self._first = []
        if last or at_s - self._sampled_s >= EVERY_S:
            self._sampled_s = at_s
            samples += self._machine(at_s)
        return tuple(samples)

    def _machine(self, at_s: float) -> list[Sample]:
        try:
            cpu_s, memory_bytes = busy_cpu_s(), memory_in_use_bytes()
        except _PROBE_ERRORS:
            return []
        if self._cpu_s_before is None:
            self._cpu_s_before = cpu_s
        return [Sample(MACHINE, at_s, max(0.0, cpu_s - self._cpu_s_before), memory_bytes)]


def busy_cpu_s() -> float:
    """CPU seconds that everybody has used on the processors that this process may use, since some moment.

    Under a quota of a control group, those of that group: its neighbours' work is none of this run's business.
    """
    under_quota = cpu.quota_group_cpu_s()
    if under_quota is not None:
        return under_quota
    of_each = psutil.cpu_times(percpu=True)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    if allowed and max(allowed) < len(of_each):
        of_each = [of_each[number] for number in allowed]
    return float(sum(getattr(times, name, 0.0) for times in of_each for name in _WORK))


def memory_in_use_bytes() -> int:
    """Memory that is in use and could not be had without swapping, within the limits of control groups."""
    memory, limit, headroom = psutil.virtual_memory(), cpu.memory_limit(), cpu.memory_headroom()
    total, available = min(memory.total, limit or memory.total), memory.available
    return int(total - min(available if headroom is None else min(available, headroom), total))


class _GpuMeter(threading.Thread):
    """Reads one `nvidia-smi` that reports until it is stopped: starting one every half second would cost far more."""

    def __init__(self, run_started_at: float, environ: Mapping[str, str]) -> None:
        super().__init__(daemon=True, name="gpu-meter")
        self._run_started_at = run_started_at
        self._environ = environ
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._latest: dict[str, Sample] = {}
        self._tool: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self) -> None:
        path = self._environ.get("PATH")
        indices = _gpu_indices(path, self._environ.get("CUDA_VISIBLE_DEVICES"))
        command = shutil.which("nvidia-smi", path=path)
        if command is None or not indices:
            return
        try:
            tool = self._open(command, indices)
        except OSError:
            return
        if tool is not None and tool.stdout is not None:
            with tool:
                for line in tool.stdout:
                    self._note(line, now_s() - self._run_started_at)

    def _open(self, command: str, indices: tuple[int, ...]) -> subprocess.Popen[str] | None:
        """The tool at work; None if the run has ended before it could start."""
        arguments = [
            command,
            f"--id={','.join(map(str, indices))}",
            "--query-gpu=index,utilization.gpu,memory.used",
            "--format=csv,noheader,nounits",
            f"--loop-ms={EVERY_S * 1000:.0f}",
        ]
        with self._lock:
            if self._stopped:
                return None
            self._tool = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
            )
            return self._tool

    def _note(self, line: str, at_s: float) -> None:
        """Keep one line such as `0, 43, 1024`: index, percent busy, MiB used; what else there may be is passed over."""
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 3 or not all(field.isdecimal() for field in fields):
            return
        index, percent, used_mib = (int(field) for field in fields)
        lane = f"{GPU} {index}"
        before = self._latest.get(lane)
        busy_s = before.cpu_s + percent / 100 * (at_s - before.at_s) if before else 0.0
        self._latest[lane] = Sample(lane, at_s, busy_s, used_mib * _MIB)
        with self._lock:
            self._samples.append(self._latest[lane])

    def take(self) -> list[Sample]:
        """The samples since the call before."""
        with self._lock:
            samples, self._samples = self._samples, []
        return samples

    def stop(self) -> None:
        """End the tool, and with it the thread."""
        with self._lock:
            self._stopped = True
        if self._tool is not None:
            self._tool.terminate()
            try:
                self._tool.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._tool.kill()
        self.join(_STOP_TIMEOUT_S)


@functools.cache
def _gpu_indices(path: str | None, visible: str | None) -> tuple[int, ...]:
    """The driver's numbers of the GPUs that these variables leave; asked once, because it starts a tool."""
    environ = {name: value for name, value in (("PATH", path), ("CUDA_VISIBLE_DEVICES", visible)) if value is not None}
    return tuple(gpu.index for gpu in detect_gpus(environ) if gpu.kind == "cuda")
