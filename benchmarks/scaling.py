"""Does `pipelined` stay as fast and as small when there are more images, and what does a second worker bring?

    python -m benchmarks.scaling [--model digits] [--images 5000] [--limits 100,1000,10000] [--workers 1,2] [--json]

The digits samples are repeated under further names until there are enough. Everything runs in one warm engine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.an_engine import AnEngine
from benchmarks.bench import Bench, link, prepared
from benchmarks.throughput import whole_number
from benchmarks.turns import settings_of
from inference import hardware, preflight
from inference.bundled.samples import SAMPLE_COUNT
from inference.config import BACKENDS, DTYPES, RunConfig
from inference.errors import BatchscopeError
from inference.results import RunRecord, metrics, ready_seconds, runs_model


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerMemory:
    """What one worker had to itself in the steady state of a run."""

    worker: str
    images: int
    """Images that it classified."""
    start_bytes: int
    end_bytes: int
    slope_mib_per_1000_images: float | None
    """Of the straight line through all samples, by the images that the worker had done; None with fewer than two."""


def main() -> int:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        home = options.home or Path(temporary)
        try:
            bench = prepared(
                home,
                model=options.model,
                dataset="digits",
                limit=SAMPLE_COUNT,
                batch_size=options.batch_size,
                backend=options.backend,
                dtype=options.dtype,
            )
            document = measured(bench, options)
        except (BatchscopeError, RuntimeError) as error:
            print(f"scaling: {error}", file=sys.stderr)
            return 1
    if options.json:
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        print(table(document))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of tables")
    parser.add_argument("--model", default="digits", help="a name, a folder or a hub id (%(default)s)")
    parser.add_argument(
        "--images", type=whole_number, default=5000, help="of the run whose memory is watched (%(default)s)"
    )
    parser.add_argument("--limits", type=_counts, default=(100, 1000, 10_000), help="images (100,1000,10000)")
    parser.add_argument("--workers", type=_counts, default=(1, 2), help="numbers of workers (1,2)")
    parser.add_argument(
        "--workers-images", type=whole_number, default=1000, help="images of each of these (%(default)s)"
    )
    parser.add_argument("--batch-size", type=whole_number, default=16, help="(%(default)s)")
    parser.add_argument("--backend", choices=BACKENDS, default="eager", help="(%(default)s)")
    parser.add_argument("--dtype", choices=DTYPES, help="(the best for this machine)")
    parser.add_argument("--home", type=Path, help="where images and models are made and kept (a temporary folder)")
    return parser.parse_args()


def _counts(text: str) -> tuple[int, ...]:
    return tuple(whole_number(part) for part in text.split(","))


def measured(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Run everything, telling of each run on standard error, and return the document."""
    config = bench.configs["pipelined"].with_(
        dataset=str(repeated(bench, max(options.images, options.workers_images, *options.limits)))
    )
    with AnEngine(bench.home) as engine:

        def run(config: RunConfig) -> RunRecord:
            record = engine.run(config).record
            rate, at_work = metrics(record).steady_images_per_s or 0.0, metrics(record).workers
            print(
                f"{config.limit} images, {at_work} of {config.concurrency} workers: {rate:.1f} images/s",
                file=sys.stderr,
            )
            return record

        return {
            "model": bench.model,
            "settings": settings_of(config),
            "hardware": hardware.to_dict(bench.hardware),
            "memory_images": options.images,
            "memory": [asdict(memory) for memory in memory_per_worker(run(config.with_(limit=options.images)))],
            "limits": [{"images": limit, **_rates(run(config.with_(limit=limit)))} for limit in options.limits],
            "workers_images": options.workers_images,
            "workers": [
                {"workers": one.concurrency, "threads": one.threads_per_worker, **_rates(run(one))}
                for one in _with_workers(config.with_(limit=options.workers_images), options.workers, bench)
            ],
        }


def repeated(bench: Bench, count: int) -> Path:
    """A folder with so many images: the samples, again and again, as further names of the same files."""
    folder = bench.home / "repeated" / str(count)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        path = folder / f"{index:06d}.jpg"
        if not path.exists():
            link(bench.images[index % len(bench.images)].path, path)
    return folder


def memory_per_worker(record: RunRecord) -> list[WorkerMemory]:
    """Memory of each worker that ran the model, from when every worker had finished its first batch."""
    ready_s = ready_seconds(record) or 0.0
    lanes = dict.fromkeys(s.worker for s in record.samples if runs_model(s.worker))
    return [memory for lane in lanes if (memory := _memory_of(record, lane, ready_s)) is not None]


def _memory_of(record: RunRecord, lane: str, ready_s: float) -> WorkerMemory | None:
    samples = sorted((s.at_s, s.memory_bytes) for s in record.samples if s.worker == lane and s.at_s >= ready_s)
    if not samples:
        return None
    done_s = np.sort([p.done_s for p in record.predictions if p.worker == lane])
    at_s, memory_bytes = (np.array(column, dtype=float) for column in zip(*samples, strict=True))
    images_by_then = np.searchsorted(done_s, at_s, side="right")
    slope = None
    if len(set(images_by_then)) > 1:
        slope = float(np.polyfit(images_by_then, memory_bytes, 1)[0]) * 1000 / 2**20
    return WorkerMemory(
        worker=lane,
        images=len(done_s),
        start_bytes=int(memory_bytes[0]),
        end_bytes=int(memory_bytes[-1]),
        slope_mib_per_1000_images=slope,
    )


def _with_workers(config: RunConfig, counts: Iterable[int], bench: Bench) -> list[RunConfig]:
    """The same run with these numbers of workers, each with the threads that it had; those that fit this machine."""
    free_cpus = config.concurrency * config.cpus_per_worker
    configs = [
        config.with_(concurrency=count, cpus_per_worker=min(config.cpus_per_worker, free_cpus / count))
        for count in counts
    ]
    return [one for one in configs if preflight.check(one, bench.hardware).fits]


def _rates(record: RunRecord) -> dict[str, Any]:
    found = metrics(record)
    return {
        "images_per_s": found.images_per_s,
        "steady_images_per_s": found.steady_images_per_s,
        "workers_at_work": found.workers,
    }


def table(document: Mapping[str, Any]) -> str:
    """The document for a person."""
    mib = 2**20
    lines = [f"{document['model']}, pipelined", "", f"Memory of each worker over {document['memory_images']} images"]
    for one in document["memory"]:
        slope = one["slope_mib_per_1000_images"]
        lines.append(
            f"  {one['worker']:16} {one['images']:6} images: {one['start_bytes'] / mib:6.0f} to"
            f" {one['end_bytes'] / mib:6.0f} MiB" + ("" if slope is None else f", {slope:+.2f} MiB per 1,000 images")
        )
    lines += ["", "Images/s in steady state, and end to end, by number of images"]
    lines += [f"  {one['images']:6} {_cell(one)}" for one in document["limits"]]
    lines += ["", f"The same by number of workers, {document['workers_images']} images each"]
    lines += [f"  {one['workers']:6} {_cell(one)}   {one['threads']} thread(s) each" for one in document["workers"]]
    return "\n".join(lines)


def _cell(rates: Mapping[str, Any]) -> str:
    numbers = (rates["steady_images_per_s"], rates["images_per_s"])
    steady, whole = ("–" if number is None else f"{number:.1f}" for number in numbers)
    return f"{steady:>8} {whole:>8}   {rates['workers_at_work']} at work"


if __name__ == "__main__":
    sys.exit(main())
