"""A folder with a checkpoint → a classifier in memory. The only module that imports torch and transformers.

It is imported inside workers, never in the web server nor in the engine itself.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from transformers import ResNetConfig, ResNetForImageClassification

# Their bars would fill the workers' logs: one for every load of the naive strategy.
transformers.utils.logging.disable_progress_bar()

TOP_K = 5

Timer = Callable[[str, int], AbstractContextManager[None]]
"""`timer(phase, images)` times the body of a `with`: `Recorder.span` is one."""


def device_for(gpus_per_worker: float) -> str:
    """Where a worker's model runs: the GPU that Ray gave it, else Apple's, else the processor."""
    if gpus_per_worker > 0:
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def set_threads(count: int) -> None:
    """Let PyTorch use this many threads, whatever OMP_NUM_THREADS the process was started with."""
    torch.set_num_threads(count)


def load_pipeline(folder: str, *, device: str, dtype: str, compiled: bool) -> transformers.Pipeline:
    """The image-classification pipeline of a checkpoint, as a Transformers user would build it."""
    pipe = transformers.pipeline("image-classification", model=folder, device=device, dtype=getattr(torch, dtype))
    if compiled:
        pipe.model = torch.compile(pipe.model)
    return pipe


def time_stages(pipe: transformers.Pipeline, timer: Timer) -> None:
    """Have the pipeline's own three stages timed wherever it is called."""
    for phase, stage in (
        ("preprocess", "preprocess"),
        ("forward", "forward"),
        ("postprocess", "postprocess"),
    ):
        setattr(pipe, stage, _timed(getattr(pipe, stage), phase, timer))


def _timed(stage: Callable[..., Any], phase: str, timer: Timer) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with timer(phase, 1):
            return stage(*args, **kwargs)

    return run


def classify_one(pipe: transformers.Pipeline, image: Image.Image) -> tuple[tuple[str, float], ...]:
    """The most probable labels of one RGB image with their scores, best first, at most five."""
    return tuple((answer["label"], float(answer["score"])) for answer in pipe(image, top_k=TOP_K))


def make_untrained_resnet50(folder: Path) -> None:
    """Write a ResNet-50 with random weights (seed 0) and its image processor; whole or not at all.

    Shapes, precision and cost are those of microsoft/resnet-50: 224 × 224 pixels, 1,000 labels.
    """
    torch.manual_seed(0)
    labels = {index: f"class {index}" for index in range(1000)}
    model = ResNetForImageClassification(ResNetConfig(id2label=labels))
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875, resample=3)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        whole = Path(temporary, "whole")
        model.save_pretrained(whole)
        processor.save_pretrained(whole)
        os.replace(whole, folder)
