"""What one image costs a model, before anything is run with it: counted in a process of its own, and remembered.

Light: no torch. That process has it: `inference.forward_cost`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any

TIMEOUT_S = 60.0
"""By the clock; a count takes four seconds, and the longer the busier the machine is."""
CPU_S = 15
"""Of a processor's time: importing torch takes four, building and following a model one."""
RETRY_S = 60.0
"""A count that failed is tried again after that: the machine may have been busy."""
MAX_REMEMBERED = 64

Settings = tuple[tuple[str, str], ...]
"""Name and content of the files that say how a model is built and how its pictures are prepared: `config.json`, …"""

_PROJECT_FOLDER = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardCost:
    """What a model's architecture has, and does for one image; None where it could not be counted."""

    parameters: int | None = None
    """What training adjusts: running averages of normalisation are none, shared ones count once."""
    input_pixels: tuple[int, int] | None = None
    """(height, width) of what its image processor makes of a picture."""
    input_varies: bool = False
    """Whether that depends on the picture's shape; then this is for one of 500 × 375 pixels."""
    flops_per_image: int | None = None
    """As `models.count_flops` has it; of a model that compares pictures with texts, the side of the pictures."""
    reason: str = ""
    """Why something is missing, as a sentence; empty if nothing is."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ForwardCost:
        """The inverse of `dataclasses.asdict` after a journey through JSON."""
        pixels = values["input_pixels"]
        return cls(**{**values, "input_pixels": None if pixels is None else tuple(pixels)})


def count(settings: Settings, *, timeout_s: float = TIMEOUT_S) -> ForwardCost:
    """Count a model from its settings; takes seconds, at most `timeout_s`. If it fails, its `reason` says why."""
    try:
        with tempfile.TemporaryDirectory(prefix="batchscope-count-") as folder:
            for name, text in settings:
                Path(folder, name).write_text(text, encoding="utf-8")
            return _counted(folder, timeout_s)
    except OSError as error:
        return ForwardCost(reason=f"Counting needs a temporary folder and a process: {error.strerror or error}.")


def _counted(folder: str, timeout_s: float) -> ForwardCost:
    # The other end of its standard input closes when this process ends, however it ends: it ends then as well.
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "inference.forward_cost", folder],
            stdin=reading,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=_PROJECT_FOLDER,
            # A configuration may name a backbone or a kernel on the hub: nothing is fetched for a count.
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
    except subprocess.TimeoutExpired:
        return ForwardCost(
            reason=f"Counting took more than {timeout_s:.0f} s and was stopped: this machine is busy. Look again later."
        )
    finally:
        os.close(reading)
        os.close(writing)
    if done.returncode == 0:
        return ForwardCost.from_dict(json.loads(done.stdout))
    return ForwardCost(reason=_why_ended(done.returncode, done.stderr))


def _why_ended(status: int, errors: str) -> str:
    if status > 0:
        lines = errors.strip().splitlines() or [f"exit status {status}"]
        return f"Counting failed: {lines[-1]:.300}"
    ended_by = signal.Signals(-status).name
    if ended_by == "SIGXCPU":
        return (
            f"Counting took more than {CPU_S} s of a processor's time and was stopped: its configuration asks for very "
            "much, or for very many layers."
        )
    return f"The system ended the count ({ended_by}): memory may have run out."


class Counts:
    """What models cost, counted in the background one after the other; for all sessions of a server."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._turn = Lock()
        self._known: dict[Settings, tuple[ForwardCost, float] | None] = {}
        """None while it is being counted; else what came of it, and when."""

    def known(self, settings: Settings) -> ForwardCost | None:
        """What a model costs, if it has been counted lately."""
        with self._lock:
            found = self._known.get(settings)
        if found is None or (found[0].reason and time.monotonic() - found[1] > RETRY_S):
            return None
        return found[0]

    def begin(self, settings: Settings) -> None:
        """Have a model counted that is not; returns at once."""
        if self.known(settings) is not None:
            return
        with self._lock:
            if settings in self._known and self._known[settings] is None:
                return
            self._known.pop(settings, None)
            while len(self._known) >= MAX_REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[settings] = None
        # A daemon, so that a server that ends does not wait for it.
        Thread(target=self._count, args=(settings,), daemon=True, name="count").start()

    def _count(self, settings: Settings) -> None:
        with self._turn:
            cost = count(settings)
        with self._lock:
            self._known[settings] = (cost, time.monotonic())
