"""What the settings of a run are called, what each of them does, and how a configuration reads in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inference.config import RunConfig
from inference.setting_words import dataset_words, option_words, setting_text

FIRST_IMAGES = "the first images"
DRAWN = "drawn by lot, seed "
"""How a sample is written, by the widget and in the address."""

WORDS: Mapping[str, str] = {
    "strategy": "strategy",
    "model": "model",
    "labels": "labels to choose from",
    "members": "further models",
    "combine": "combined by",
    "dataset": "data set",
    "limit": "images",
    "sample_seed": "sample",
    "batch_size": "batch size",
    "concurrency": "concurrency",
    "cpus_per_worker": "CPUs per worker",
    "threads": "threads per worker",
    "decoders": "decoders",
    "gpus_per_worker": "GPUs per worker",
    "dtype": "precision",
    "channels_last": "channels last",
    "backend": "backend",
    "repeats": "repeats",
}

LABELS: Mapping[str, str] = {"limit": "Number of images", "concurrency": "Concurrency (workers)"}
"""Of the widgets, where the capitalized word alone would not do."""

HELP: Mapping[str, str] = {
    "model": "Choose one, or type a folder's path or the id of an image classifier on the Hugging Face hub.",
    "dataset": (
        "Choose one, or type where the images are:\n\n"
        "- a folder, whose sub-folders are labels: `~/photos`\n"
        "- a pattern: `~/photos/**/*.png`\n"
        "- a CSV or Parquet list of paths, or of images: `~/list.csv`\n"
        "- a bucket: `s3://bucket/folder`, or `s3://anonymous@bucket/folder` for a public one"
    ),
    "labels": "What the model chooses from, separated by commas: it compares the pictures with these words.",
    "members": "Further models: together they are an ensemble, which gives one answer for each image.",
    "combine": (
        "How the models' answers become one.\n\n"
        "- **mean** takes the label with the best mean score.\n"
        "- **highest** takes the label that any model is surest of.\n"
        "- **vote** takes the label that most models put first."
    ),
    "limit": "How many images of the data set.",
    "sample_seed": "The first images of the data set, or as many drawn by lot; the same number draws the same ones.",
    "strategy": (
        "Each adds one change to the one before.\n\n"
        "- **naive** builds the model again for every batch, in stateless tasks.\n"
        "- **actor** builds it once in each worker and keeps it.\n"
        "- **batched** sends a whole batch through it at once, not image by image.\n"
        "- **pipelined** also decodes images in tasks of their own while the model computes."
    ),
    "batch_size": "Images that a worker's model gets in one call.",
    "concurrency": "Workers that run the model at the same time.",
    "cpus_per_worker": "CPUs that Ray reserves for each worker.",
    "threads": "Threads that the forward pass uses in each worker; auto is as many as the CPUs reserved for it.",
    "decoders": "Tasks that decode images at the same time, beside the workers; each takes a CPU of its own.",
    "gpus_per_worker": "GPUs that Ray reserves for each worker; 0.5 puts two workers on one GPU, 2 gives each two.",
    "dtype": "Precision of weights and activations.",
    "channels_last": "Lay weights and pixels out in memory with the channels of a pixel side by side.",
    "backend": (
        "What computes the forward pass.\n\n"
        "- **eager** is PyTorch, layer by layer.\n"
        "- **compile** is torch.compile: starts later, may then be faster.\n"
        "- **openvino** is Intel's OpenVINO, on the processor alone."
    ),
    "repeats": "How often each run is repeated, strategies interleaved, to tell chance from speed.",
}


def summary_line(config: RunConfig) -> str:
    """Settings in one line: `digits · 100 images · batch 4 · 1 worker`; not yet fit for Markdown."""
    words = [config.model]
    if config.dataset != config.model:
        words.append(dataset_words(config.dataset))
    words += [setting_text(name, config) for name in ("limit", "batch_size", "concurrency")]
    return " · ".join(words + option_words(config))


def label(name: str) -> str:
    """What a setting's widget is called."""
    return LABELS.get(name, WORDS[name][0].upper() + WORDS[name][1:])


def written(name: str, value: Any) -> str:
    """A setting's value as the address and the widgets write it."""
    if name == "threads" and value == 0:
        return "auto"
    if name == "sample_seed" and not isinstance(value, str):
        return FIRST_IMAGES if value is None else f"{DRAWN}{value}"
    if name == "dataset":
        return dataset_words(value, in_full=True)
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def changes_text(changed: Mapping[str, Sequence[Any]]) -> str:
    """What to set instead, from `differences` of two configurations: `concurrency 1, backend eager`."""
    return ", ".join(f"{WORDS[name]} {written(name, values[-1])}" for name, values in changed.items())


def joined(names: Sequence[str]) -> str:
    """`naive`, `naive and actor`, `naive, actor and pipelined`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
