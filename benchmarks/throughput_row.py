"""One row of the comparison, in a process of its own.

    python -m benchmarks.throughput_row TASK.json OUTCOME.json

Reads a `Task`, and writes an `Outcome`: files, because libraries print what they like.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.observed import Task

MODULES = {
    "tutorial-naive": "benchmarks.tutorial",
    "tutorial-actor": "benchmarks.tutorial",
    "hf-pipeline": "benchmarks.without_ray",
    "hf-pipeline-batched": "benchmarks.without_ray",
    "torch-dataloader": "benchmarks.without_ray",
    "limit-one-process": "benchmarks.limit",
    "limit-process-per-core": "benchmarks.limit",
}
"""Where each row is; importing the module imports what the row needs."""


def main() -> None:
    """Do what the task says."""
    task_file, outcome_file = map(Path, sys.argv[1:])
    task = Task.from_dict(json.loads(task_file.read_text(encoding="utf-8")))
    start = time.perf_counter()
    module = importlib.import_module(MODULES[task.row])
    import_s = time.perf_counter() - start
    outcome = module.ROWS[task.row](task)
    outcome = replace(outcome, import_s=outcome.import_s + import_s)
    outcome_file.write_text(json.dumps(outcome.to_dict()), encoding="utf-8")


if __name__ == "__main__":
    main()
