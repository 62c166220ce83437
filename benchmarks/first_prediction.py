"""Seconds until the first prediction: a bare script, a fresh engine, and a warm one, taking turns.

    python -m benchmarks.first_prediction [--rounds 5] [--json]

Absolute seconds depend on the machine and its neighbours; the ratios to the bare script, taken round by round,
are what to quote.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.an_engine import wait_until_idle
from inference.bundled import DIGITS_MODEL_DIR
from inference.bundled.samples import ensure_samples, sample_name
from inference.config import RunConfig
from inference.listing import samples_folder
from inference.results import metrics
from inference.store import Store
from inference.supervisor import Supervisor

BARE_SCRIPT = """
import sys
from PIL import Image
from transformers import pipeline
print(pipeline("image-classification", model=sys.argv[1])(Image.open(sys.argv[2]).convert("RGB"))[0]["label"])
"""
CONFIG = RunConfig(strategy="actor", limit=8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        ensure_samples(samples_folder(home))
        rounds = [_round(home) for _ in range(options.rounds)]
    if options.json:
        json.dump(rounds, sys.stdout)
        print()
        return
    for name in rounds[0]:
        seconds = [one[name] for one in rounds]
        ratios = [one[name] / one["bare script"] for one in rounds]
        print(
            f"{name:34} {statistics.median(seconds):6.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
            f"   {statistics.median(ratios):5.2f} × bare"
        )


def _round(home: Path) -> dict[str, float]:
    """One of each, in seconds."""
    start = time.perf_counter()
    picture = samples_folder(home) / sample_name(0)
    subprocess.run(
        [sys.executable, "-c", BARE_SCRIPT, str(DIGITS_MODEL_DIR), str(picture)], check=True, capture_output=True
    )
    bare_s = time.perf_counter() - start

    store, supervisor = Store(home), Supervisor(home)
    launched_at = time.time()
    (run_id,) = store.enqueue([CONFIG])
    supervisor.start()
    try:
        ready_s = _wait_for_claim(store, run_id, launched_at)
        cold_s = _first_answer_at(store, run_id) - launched_at
        wait_until_idle(store, since=time.time())
        launched_at = time.time()
        (run_id,) = store.enqueue([CONFIG])
        warm_s = _first_answer_at(store, run_id) - launched_at
    finally:
        supervisor.stop()
    return {
        "bare script": bare_s,
        "fresh engine": cold_s,
        "  of it: until Ray is ready": ready_s,
        "warm engine": warm_s,
    }


def _wait_for_claim(store: Store, run_id: str, launched_at: float) -> float:
    while (summary := store.summary(run_id)) is None or summary.state == "queued":
        time.sleep(0.02)
    return time.time() - launched_at


def _first_answer_at(store: Store, run_id: str) -> float:
    """When the first answer was ready, in seconds since the epoch."""
    while (record := store.get(run_id)) is None or record.active:
        time.sleep(0.05)
    started_at = record.progress.clock_started_at if record.progress else None
    first_s = metrics(record).first_prediction_s
    if record.state != "finished" or started_at is None or first_s is None:
        raise RuntimeError(f"the run ended as {record.state}: {record.error}")
    return started_at + first_s


if __name__ == "__main__":
    main()
