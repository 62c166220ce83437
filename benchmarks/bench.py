"""What all rows of the comparison share: the model, the images, the machine, and the settings of each row."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.observed import Task
from inference import checkpoints, hardware, listing, preflight
from inference.bundled.samples import ensure_samples
from inference.capabilities import best_dtype
from inference.config import RunConfig
from inference.errors import DataUnavailable, DoesNotFit
from inference.hardware import Hardware
from inference.listing import ImageRef

ENGINE_ROWS = ("naive", "actor", "batched", "pipelined")
TUTORIAL_ROWS = ("tutorial-naive", "tutorial-actor")
ROWS = (*TUTORIAL_ROWS, "hf-pipeline", "hf-pipeline-batched", "torch-dataloader", "limit", *ENGINE_ROWS)
"""In the order of a first round."""

LIMIT_WAYS = ("limit-one-process", "limit-process-per-core")
"""Both are tried in every round; the one with the higher median is the row `limit`."""

SLOW_ROWS = ("tutorial-naive", "naive")
MAX_SLOW_IMAGES = 100
"""Rows that load the model for every four images get no more than these: their rate is the same with more."""

NAIVE_BATCH_SIZE = 4
"""The tutorial's."""

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that any row needs, in place."""

    home: Path
    """The engine's home folder."""
    hardware: Hardware
    model: str
    dataset: str
    model_folder: Path
    images: tuple[ImageRef, ...]
    configs: Mapping[str, RunConfig]
    """The run of each of `ENGINE_ROWS`."""

    def num_images(self, row: str) -> int:
        """How many images a row classifies, from the first on."""
        return min(len(self.images), MAX_SLOW_IMAGES) if row in SLOW_ROWS else len(self.images)

    def task(self, row: str) -> Task:
        """What a process of its own is asked to do for a row that needs no engine."""
        images = self.images[: self.num_images(row)]
        folder = self.home / "flat" / str(len(images))
        return Task(
            row=row,
            model_folder=str(self.model_folder),
            images_folder=str(folder),
            images=tuple(zip((image.image_id for image in images), _flat(folder, images), strict=True)),
            cores=self.hardware.cpus,
            config=self.configs["pipelined"],
        )


def prepared(
    home: Path,
    *,
    model: str,
    dataset: str,
    limit: int,
    batch_size: int,
    backend: str = "eager",
    dtype: str | None = None,
) -> Bench:
    """Make or find the images and the model in `home`, and read them once, so that no row pays for the disk.

    `dtype` None is the best for `pipelined` on this machine. A batch size that would leave a worker without a second
    batch is lowered, since the steady state begins after the first. Raises `BatchscopeError` with the reason.
    """
    home.mkdir(parents=True, exist_ok=True)
    here = hardware.detect(home)
    images = _images(dataset, home, limit)
    model = checkpoints.absolute(model)
    folder = checkpoints.folder_of(model, home, make_untrained=_make_untrained)
    for path in [*folder.glob("*.safetensors"), *(image.path for image in images)]:
        path.read_bytes()
    base = preflight.default_config(here).with_(model=model, dataset=listing.absolute(dataset), limit=len(images))
    workers = preflight.all_cores(base, here).concurrency
    base = base.with_(batch_size=min(batch_size, max(1, len(images) // (2 * workers))))
    bench = Bench(
        home=home,
        hardware=here,
        model=model,
        dataset=dataset,
        model_folder=folder,
        images=images,
        configs=_configs(base, here, backend=backend, dtype=dtype or best_dtype(here)),
    )
    for config in bench.configs.values():
        verdict = preflight.check(config, here)
        if not verdict.fits:
            raise DoesNotFit(f"The row {config.strategy} does not fit this machine: {verdict.sentence}.")
    return bench


def _configs(base: RunConfig, here: Hardware, *, backend: str, dtype: str) -> dict[str, RunConfig]:
    """One-by-one rows as someone who changes nothing has them; whole batches on all cores; `pipelined` with all."""
    naive = base.with_(strategy="naive", batch_size=min(NAIVE_BATCH_SIZE, base.batch_size))
    naive = naive.with_(limit=min(naive.limit, MAX_SLOW_IMAGES))
    batched = preflight.all_cores(base.with_(strategy="batched"), here)
    pipelined = preflight.all_cores(
        base.with_(strategy="pipelined", dtype=dtype, channels_last=True, backend=backend), here
    )
    return {"naive": naive, "actor": base.with_(strategy="actor"), "batched": batched, "pipelined": pipelined}


def _images(dataset: str, home: Path, limit: int) -> tuple[ImageRef, ...]:
    if listing.in_bucket(dataset):
        raise DataUnavailable("A bucket's speed is not the machine's: give a local folder, or digits.")
    images = listing.list_images(dataset, home, limit).images
    if dataset == listing.DIGITS:
        ensure_samples(listing.samples_folder(home), len(images))
    return images


def _flat(folder: Path, images: tuple[ImageRef, ...]) -> list[str]:
    """These images and no others in one folder, as further names of the same files; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, image in enumerate(images):
        path = folder / f"{index:06d}{image.path.suffix.lower()}"
        if not path.exists():
            link(image.path, path)
        paths.append(str(path))
    return paths


def link(source: Path, target: Path) -> None:
    """Another name for a file, or a copy where the file system has no such thing."""
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)


def _make_untrained(folder: Path) -> None:
    code = "import sys, pathlib; from inference.models import *; make_untrained_resnet50(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
