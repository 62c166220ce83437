"""Make the labelled sample images, on first use, in a folder of the user's."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from threading import get_ident

from inference.bundled import LABELS
from inference.bundled.drawing import render
from inference.bundled.scenes import load_sources, sample_digit, sample_scene

SAMPLE_COUNT = 1000
"""Images in the full sample set."""

SAMPLE_VERSION = 1
"""Raised whenever the pictures change, so that folders made earlier are made again."""

_MAX_COUNT = 10_000  # four figures in a name, so that names sort in order
_MARKER_NAME = ".batchscope-samples"
_JPEG_QUALITY = 88


def sample_name(index: int) -> str:
    """File name of sample `index`, such as `0007_three.jpg`."""
    return f"{index:04d}_{LABELS[sample_digit(index)]}.jpg"


def sample_truth(name: str) -> str:
    """Label in the name (or path) of a sample: `three` for `0007_three.jpg`.

    Raises ValueError when the name is not that of a sample.
    """
    stem, _, suffix = Path(name).name.partition(".")
    index, _, truth = stem.partition("_")
    if suffix != "jpg" or not index.isdecimal() or truth not in LABELS:
        raise ValueError(f"name must look like 0007_three.jpg, got {name!r}")
    return truth


def ensure_samples(
    folder: Path, count: int = SAMPLE_COUNT, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """Make sure that `folder` holds at least samples 0 to `count` - 1 as JPEG files, and return it.

    Only missing files are made, each one whole or not at all, so an interrupted call can be repeated and
    two callers may share a folder. Sample i is the same picture whatever `count` is, byte for byte with the
    same Pillow and numpy. `on_progress(done, count)` is called from this thread, first with what is there
    already, then after each image.

    Raises ValueError for a `count` outside 1 to 10,000, and OSError when the folder cannot be written or the
    disk is full.
    """
    if not 1 <= count <= _MAX_COUNT:
        raise ValueError(f"count must be between 1 and {_MAX_COUNT}, got {count}")
    folder.mkdir(parents=True, exist_ok=True)
    present = _present_names(folder)
    missing = [index for index in range(count) if sample_name(index) not in present]
    report = on_progress or (lambda done, total: None)
    report(count - len(missing), count)
    if not missing:
        return folder
    load_sources()
    # Threads are enough: Pillow releases the GIL while it resizes, filters and compresses.
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="samples")
    try:
        made = pool.map(lambda index: _write_sample(folder, index), missing)
        for done, _ in enumerate(made, start=count - len(missing) + 1):
            report(done, count)
    finally:
        # Someone who raises from `on_progress` wants to stop, not to wait for the hundreds still queued.
        pool.shutdown(cancel_futures=True)
    return folder


def _present_names(folder: Path) -> set[str]:
    """Names of the samples in `folder`, after removing those of another version."""
    marker = folder / _MARKER_NAME
    version = f"{SAMPLE_VERSION}\n"
    names = set(os.listdir(folder))
    if _MARKER_NAME in names and marker.read_text(encoding="ascii", errors="replace") == version:
        return names
    for name in names:
        if _is_sample(name):
            (folder / name).unlink(missing_ok=True)
    _write_whole(marker, version.encode("ascii"))
    return set()


def _is_sample(name: str) -> bool:
    """Whether `name` is one that `sample_name` gives in some version."""
    try:
        sample_truth(name)
    except ValueError:
        return False
    return True


def _write_sample(folder: Path, index: int) -> None:
    """Draw sample `index` and put it in `folder`."""
    jpeg = BytesIO()
    render(sample_scene(index)).save(jpeg, format="JPEG", quality=_JPEG_QUALITY)
    _write_whole(folder / sample_name(index), jpeg.getvalue())


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name never stands for a part of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
