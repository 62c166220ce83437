"""What a model is, before anything is run with it: architecture, size, labels, what its pictures look like.

Everything is read as data, from `config.json`, the image processor's settings and the headers of the weights; no class
of the model is ever made for it. Light: no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference import checkpoints, hub, model_files
from inference.errors import ModelUnavailable

_SIZES = ("crop_size", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of a model without loading it; None is unknown."""

    architecture: str
    """The class of Transformers that it asks for."""
    labels: tuple[str, ...]
    parameters: int | None
    precision: str | None
    """That of most of its weights, as safetensors calls it: `F32`, `BF16`."""
    input_pixels: tuple[int, int] | None
    """(height, width) of what the model sees."""
    size_bytes: int
    """Of its weights."""
    cached: bool
    """Whether it is on this machine already."""


def card(model: str, home: Path) -> ModelCard:
    """The card of a model on this machine, or, if it is not, of one on the hub, which has five seconds to answer.

    Raises `ModelUnavailable` with the reason and what to do, also for what is no image classifier that is safe to load.
    """
    folder = checkpoints.local_folder(checkpoints.absolute(model), home)
    if folder is None:
        return _of_hub(model)
    if model == checkpoints.RESNET_50_UNTRAINED and not checkpoints.is_checkpoint(folder):
        raise ModelUnavailable("This model is made on this machine at its first use; there is nothing to tell yet.")
    compares = model_files.compares_with_texts((folder / "config.json").read_bytes()) if folder.is_dir() else False
    model_files.check(folder, model, zero_shot=compares)
    parameters, precision = model_files.parameters(folder, model)
    return ModelCard(
        **_told(_settings(folder / "config.json"), _processor(folder)),
        parameters=parameters,
        precision=precision,
        size_bytes=sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        cached=True,
    )


def _of_hub(model: str) -> ModelCard:
    found = hub.describe(model)
    return ModelCard(
        **_told(found.config, found.processor),
        parameters=None,
        precision=None,
        size_bytes=sum(size for name, size in found.files.items() if name.endswith(model_files.WEIGHTS)),
        cached=False,
    )


def _told(config: Mapping[str, Any], processor: Mapping[str, Any]) -> dict[str, Any]:
    names = config.get("id2label")
    labels = tuple(str(name) for name in names.values()) if isinstance(names, Mapping) else ()
    architectures = config.get("architectures") or ("unknown",)
    return {"architecture": str(architectures[0]), "labels": labels, "input_pixels": _input_pixels(processor)}


def _input_pixels(processor: Mapping[str, Any]) -> tuple[int, int] | None:
    """What resizing and cropping end with, in the several ways in which processors write it."""
    for name in _SIZES:
        size = processor.get(name)
        if name == "crop_size" and processor.get("do_center_crop") is False:
            continue
        if isinstance(size, int):
            return size, size
        if isinstance(size, Mapping):
            if {"height", "width"} <= size.keys():
                return int(size["height"]), int(size["width"])
            if isinstance(size.get("shortest_edge"), int):
                return size["shortest_edge"], size["shortest_edge"]
    return None


def _processor(folder: Path) -> Mapping[str, Any]:
    for name in model_files.PREPROCESSORS:
        if (folder / name).is_file():
            settings = _settings(folder / name)
            return dict(settings.get("image_processor") or settings)
    return {}


def _settings(file: Path) -> Mapping[str, Any]:
    try:
        settings = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{file.name} cannot be read: {error}. Copy or download the model again.") from error
    return settings if isinstance(settings, Mapping) else {}
