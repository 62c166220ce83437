"""What a model is, before anything is run with it: architecture, labels, what its pictures look like, its weights.

Everything is read as data, from `config.json`, the image processor's settings and the headers of the weights; no class
of the model is ever made for it. What one image costs is counted elsewhere, from the same settings: see `counting`.
Light: no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference import checkpoints, hub, model_files, untrained
from inference.counting import ForwardCost, Settings
from inference.errors import ModelUnavailable

MAX_SETTINGS_BYTES = 16 * 1024**2
"""A file of settings has kilobytes; one with ten thousand labels has a megabyte."""
MAX_UNNAMED_LABELS = 100_000
_SIZES = ("crop_size", "size")
_CONFIG, _PREPROCESSOR, _PROCESSOR = "config.json", *model_files.PREPROCESSORS
_PRECISIONS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of a model without loading it; None is unknown."""

    architecture: str
    """The class of Transformers that it asks for."""
    labels: tuple[str, ...]
    """Those that it chooses from; none for a model that compares pictures with texts."""
    compares_with_texts: bool
    stored_values: int | None
    """So many numbers are in its weights: parameters, and running averages of normalisation."""
    precision: str | None
    """That of most of its weights: `float32`, `bfloat16`."""
    stated_pixels: tuple[int, int] | None
    """(height, width) of what the model sees, as far as its image processor's settings say it plainly."""
    weights_bytes: int | None
    """None for a model that is made on this machine, and has not been yet."""
    cached: bool
    """Whether it is on this machine already."""
    settings: Settings
    """What `counting.count` counts from."""

    @property
    def place(self) -> str:
        """Where its weights are, in a few words."""
        if self.cached:
            return "on this machine"
        return "made at its first use" if self.weights_bytes is None else "to be downloaded"


def card(model: str, home: Path) -> ModelCard:
    """The card of a model on this machine, or, if it is not, of one on the hub, which has fifteen seconds to answer.

    Raises `ModelUnavailable` with the reason and what to do, also for what is no image classifier that is safe to load.
    """
    folder = checkpoints.local_folder(checkpoints.absolute(model), home)
    if folder is None:
        return _of_hub(model)
    if model == checkpoints.RESNET_50_UNTRAINED and not checkpoints.is_checkpoint(folder):
        return _told(_written(untrained.CONFIG, untrained.PROCESSOR), weights_bytes=None, cached=False)
    if not folder.is_dir():
        raise ModelUnavailable(f"There is no folder {folder}. Give a folder with a model, or a hub id.")
    settings = _read(folder)
    compares = model_files.compares_with_texts(dict(settings).get(_CONFIG, "").encode())
    model_files.check(folder, model, zero_shot=compares)
    stored_values, precision = model_files.parameters(folder, model)
    return _told(
        settings,
        stored_values=stored_values,
        precision=_PRECISIONS.get(precision or "", precision),
        weights_bytes=sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        cached=True,
    )


def document(model: str, found: ModelCard, cost: ForwardCost) -> dict[str, Any]:
    """A model's card and cost as JSON types."""
    pixels = cost.input_pixels or found.stated_pixels
    return {
        "model": model,
        "architecture": found.architecture,
        "parameters": cost.parameters,
        "flops_per_image": cost.flops_per_image,
        "gflop_per_image": None if cost.flops_per_image is None else cost.flops_per_image / 1e9,
        "input_pixels": None if pixels is None else {"height": pixels[0], "width": pixels[1]},
        "input_varies": cost.input_varies,
        "num_labels": len(found.labels),
        "labels": list(found.labels),
        "compares_with_texts": found.compares_with_texts,
        "weights_bytes": found.weights_bytes,
        "precision": found.precision,
        "cached": found.cached,
        "not_counted": cost.reason or None,
    }


def _of_hub(model: str) -> ModelCard:
    found = hub.describe(model)
    return _told(
        _written(found.config, found.processor),
        weights_bytes=sum(size for name, size in found.files.items() if name.endswith(model_files.WEIGHTS)),
        cached=False,
    )


def _told(
    settings: Settings,
    *,
    stored_values: int | None = None,
    precision: str | None = None,
    weights_bytes: int | None,
    cached: bool,
) -> ModelCard:
    parsed = {name: _parsed(name, text) for name, text in settings}
    config = parsed.get(_CONFIG, {})
    # The order is that of Transformers (5.23).
    processor = parsed.get(_PROCESSOR, {}).get("image_processor") or parsed.get(_PREPROCESSOR) or {}
    compares = model_files.compares_with_texts(dict(settings)[_CONFIG].encode())
    return ModelCard(
        architecture=str((config.get("architectures") or ("unknown",))[0]),
        labels=() if compares else _labels(config),
        compares_with_texts=compares,
        stored_values=stored_values,
        precision=precision,
        stated_pixels=_stated_pixels(processor) if isinstance(processor, Mapping) else None,
        weights_bytes=weights_bytes,
        cached=cached,
        settings=settings,
    )


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of a configuration, or the names that Transformers gives to labels without one."""
    names = config.get("id2label")
    if isinstance(names, Mapping):
        return tuple(str(name) for name in names.values())
    number = config.get("num_labels", 2)
    return tuple(f"LABEL_{index}" for index in range(min(number, MAX_UNNAMED_LABELS) if isinstance(number, int) else 0))


def _stated_pixels(processor: Mapping[str, Any]) -> tuple[int, int] | None:
    """What resizing and cropping end with, in the several ways in which processors write it."""
    for name in _SIZES:
        size = processor.get(name)
        if name == "crop_size" and processor.get("do_center_crop") is False:
            continue
        if isinstance(size, int):
            return size, size
        if isinstance(size, Mapping):
            sides = [size.get(side, size.get("shortest_edge")) for side in ("height", "width")]
            if all(isinstance(side, int) for side in sides):
                return sides[0], sides[1]
    return None


def _written(config: Mapping[str, Any], processor: Any) -> Settings:
    nested = isinstance(processor, Mapping) and "image_processor" in processor
    return (_CONFIG, json.dumps(config)), (_PROCESSOR if nested else _PREPROCESSOR, json.dumps(processor))


def _read(folder: Path) -> Settings:
    """The files of settings that a folder has."""
    files = [folder / name for name in (_CONFIG, _PREPROCESSOR, _PROCESSOR)]
    settings = tuple((file.name, _text(file)) for file in files if file.is_file())
    for name, text in settings:
        _parsed(name, text)  # says what is broken before anybody else stumbles over it
    return settings


def _text(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size > MAX_SETTINGS_BYTES:
            raise ModelUnavailable(
                f"{file} has {size / 1024**2:,.0f} MiB, and settings have less than one: it is not what its name says."
            )
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise _unreadable(file.name, error) from error


def _parsed(name: str, text: str) -> Mapping[str, Any]:
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(name, error) from error
    return settings if isinstance(settings, Mapping) else {}


def _unreadable(name: str, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(f"{name} cannot be read: {error}. Copy or download the model again.")
