"""Counts what one image costs a model, from its settings alone: no weights are read, and none are made.

    python -m inference.forward_cost FOLDER > cost.json

A process of its own, because it loads torch, and because settings are foreign: they may ask for a million layers. It
takes no more memory and time than a model's skeleton needs, lets everything else go first, and ends when its standard
input does, since whoever asked is gone then.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from inference import model_files
from inference.counting import CPU_S, ForwardCost
from inference.errors import ModelUnavailable

try:
    import resource
except ImportError:  # Windows: there the clock alone bounds it
    resource = None  # type: ignore[assignment]

MEMORY_BYTES = 2 * 1024**3
"""What counting may take beside torch itself; a model of a billion parameters takes a hundredth of it."""
NICENESS = 10
MOST_TOLD = 300
"""Characters of what a library says went wrong."""
PICTURE, TURNED = (500, 375), (375, 500)
"""(width, height) of the pictures that are prepared to learn what the model sees."""
_NO_MEMORY = ("allocate memory", "not enough memory", "bad_alloc")


def main() -> None:
    """Count the model of a folder, and print the cost as one JSON object."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    if resource is not None:
        os.nice(NICENESS)  # a run that is being measured goes first
        _limit(resource.RLIMIT_CPU, CPU_S)
    with contextlib.redirect_stdout(sys.stderr):
        cost = count(Path(sys.argv[1]))
    json.dump(asdict(cost), sys.stdout)


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def count(folder: Path) -> ForwardCost:
    """What the model whose settings lie in `folder` costs for one image; what fails is its `reason`."""
    try:
        text = (folder / "config.json").read_bytes()
        compares = model_files.compares_with_texts(text)
        model_files.check_config(text, "This model", zero_shot=compares)
    except ModelUnavailable as error:
        return ForwardCost(reason=str(error))
    import transformers

    from inference import models

    known: dict[str, Any] = {}
    obstacle = f"Transformers {transformers.__version__} cannot build this model from its configuration"
    try:
        with _bounded_memory():
            model = _skeleton(folder, compares=compares)
            known["parameters"] = sum(parameter.numel() for parameter in model.parameters())
            obstacle = "Its image processor cannot prepare a picture"
            channels, *pixels = _prepared(folder, PICTURE)
            known["input_pixels"] = tuple(pixels)
            known["input_varies"] = _prepared(folder, TURNED) != (channels, *pixels)
            obstacle = "Its forward pass cannot be followed without weights"
            known["flops_per_image"] = models.count_flops(lambda: _forward(model, (1, channels, *pixels)))
    except Exception as error:  # noqa: BLE001  # whatever foreign settings lead to is told
        known["reason"] = f"{obstacle}: {_why(error, folder)}"
    return ForwardCost(**known)


def _skeleton(folder: Path, *, compares: bool) -> Any:
    """The model with shapes and without values, as a run would load it."""
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    kind = transformers.AutoModelForImageClassification
    if compares:
        kind = transformers.AutoModelForZeroShotImageClassification
    with torch.device("meta"):
        return kind.from_config(config, dtype=torch.float32, trust_remote_code=False).eval()


def _prepared(folder: Path, size: tuple[int, int]) -> tuple[int, int, int]:
    """(channels, height, width) of what the model sees of a picture."""
    import transformers

    from inference import models

    processor = transformers.AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    shape = models.processed(processor, Image.new("RGB", size)).shape
    if len(shape) != 3:
        raise ValueError("what it makes is no picture of rows, columns and colours")
    height, width, channels = shape
    return channels, height, width


def _forward(model: Any, shape: tuple[int, ...]) -> None:
    """One picture's way through the model; through the pictures' side alone where texts are compared with."""
    import torch

    getattr(model, "get_image_features", model)(pixel_values=torch.empty(shape, device="meta"))


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    """No more memory than there is taken now and `MEMORY_BYTES`, where the system can bound it."""
    if resource is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)[0]
    _limit(resource.RLIMIT_AS, psutil.Process().memory_info().vms + MEMORY_BYTES)
    try:
        yield
    finally:
        _limit(resource.RLIMIT_AS, before)


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    with contextlib.suppress(ValueError, OSError):  # not every system obeys
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _why(error: Exception, folder: Path) -> str:
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return f"that takes more than {MEMORY_BYTES / 1024**3:.0f} GiB of memory."
    told = str(error).replace(str(folder), "its folder") or type(error).__name__
    shortened = textwrap.shorten(told, MOST_TOLD, placeholder=" …")
    return shortened if shortened.endswith("…") else f"{shortened.rstrip('.')}."


if __name__ == "__main__":
    main()
