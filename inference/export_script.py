"""One run as a Python program of its own: Ray Data and Transformers, without Batchscope.

The program is put together from the pieces in `export_pieces` and `export_workers`. What comes from a record
enters it as a Python literal only, so that no name of a model or of a folder can become code.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from inference import checkpoints, hardware, listing, preflight
from inference import export_pieces as pieces
from inference import export_workers as workers
from inference.bundled import DIGITS_MODEL_DIR
from inference.config import ONE_BY_ONE, RunConfig
from inference.errors import InvalidConfig
from inference.images import EXTENSIONS, FORMATS
from inference.results import RunRecord

_PACKAGES = ("ray[data]", "torch", "transformers", "pillow")
_MAX_LINE = 88
_RELEASE = re.compile(r"\d[0-9A-Za-z.]*")


def script(record: RunRecord, home: Path) -> str:
    """The program that classifies as the run did, as source text.

    The bundled model and what was made in the folder `home` are found by absolute paths. Raises `InvalidConfig`
    for a strategy that has no program of its own.
    """
    config = record.config
    if config.strategy not in workers.STRATEGIES:
        raise InvalidConfig(
            f"a run of the strategy {config.strategy} cannot be written as a program; use json, csv, parquet or html"
        )
    remote = config.dataset == listing.IMAGENETTE
    lesson = workers.LESSONS[config.strategy]
    functions = [
        pieces.MAIN,
        pieces.LIST_BUCKET.substitute(region=_literal(listing.IMAGENETTE_REGION)) if remote else pieces.LIST_FOLDER,
        pieces.READ.substitute(file="BUCKET.open_input_file(path)" if remote else 'open(path, "rb")'),
        workers.STRATEGIES[config.strategy],
        *_model_pieces(config),
        pieces.DECODE,
        pieces.WRITE,
    ]
    head = [
        pieces.HEADER.substitute(lesson=lesson, requirements=_requirements(record)),
        _imports(config, remote=remote),
        _constants(_settings(record, home), config),
    ]
    return "\n\n\n".join(["\n\n".join(_trimmed(head)), *_trimmed(functions)]) + "\n"


def _trimmed(texts: list[str]) -> list[str]:
    return [text.strip("\n") for text in texts]


def _model_pieces(config: RunConfig) -> list[str]:
    """How the workers load and call the model, and what they make of its answers."""
    if config.strategy in ONE_BY_ONE:
        loading = workers.COMPILED_PIPELINE if config.backend == "compile" else workers.PIPELINE
        return [loading, workers.CLASSIFY_BATCH]
    layout = workers.CHANNELS_LAST if config.channels_last else ""
    return [workers.FORWARD[config.backend].substitute(layout=layout), workers.TO_ANSWERS]


def _imports(config: RunConfig, *, remote: bool) -> str:
    """The import statements that the pieces need, in the order that formatters prefer."""
    own = {"import argparse", "import csv", "import io", "import json"}
    foreign = {"import pyarrow as pa", "import ray", "import ray.data"}
    foreign.add("from PIL import Image, ImageOps, UnidentifiedImageError")
    if remote:
        own.add("from pathlib import PurePosixPath")
        foreign.add("from pyarrow import fs")
    else:
        own |= {"import os", "from itertools import islice", "from pathlib import Path"}
    if config.strategy in ONE_BY_ONE:
        foreign.add("from transformers import pipeline")
    else:
        foreign.add("from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification")
    if config.strategy not in ONE_BY_ONE or config.backend == "compile":
        foreign.add("import torch")
    if config.backend == "openvino":
        own.add("import sys")
    return "\n\n".join("\n".join(_wrapped(line) for line in sorted(lines, key=_place)) for lines in (own, foreign))


def _place(statement: str) -> tuple[bool, str]:
    """Where a formatter puts an import statement: plain imports first, then by name."""
    return statement.startswith("from"), statement.lower()


def _wrapped(statement: str) -> str:
    """The import statement, over several lines if it is too long for one."""
    if len(statement) <= _MAX_LINE:
        return statement
    start, _, names = statement.partition("import ")
    return f"{start}import (\n" + "".join(f"    {name},\n" for name in names.split(", ")) + ")"


def _constants(settings: dict[str, Any], config: RunConfig) -> str:
    literals = {name: _literal(value) for name, value in settings.items()}
    text = pieces.CONSTANTS.substitute(
        literals,
        decoders=pieces.DECODERS.substitute(literals) if config.strategy == "pipelined" else "",
        environment="" if config.strategy in ONE_BY_ONE else pieces.ENVIRONMENT,
    ).rstrip("\n")
    return "\n".join(_fitted(line) for line in text.splitlines())


def _fitted(line: str) -> str:
    """A long assignment as formatters write it: a path is as long as it is, and none of them breaks it."""
    if len(line) <= _MAX_LINE:
        return line
    name, _, value = line.partition(" = ")
    in_brackets = f"    {value}"
    return f"{line}  # noqa: E501" if len(in_brackets) > _MAX_LINE else f"{name} = (\n{in_brackets}\n)"


def _settings(record: RunRecord, home: Path) -> dict[str, Any]:
    """The values of the program's constants, by the names that `_CONSTANTS` has for them."""
    config = record.config
    machine = hardware.from_dict(record.hardware) if record.hardware is not None else None
    folder = listing.root_folder(config.dataset, home)
    return {
        "model": _model(config.model, home),
        "images": str(folder.absolute()) if folder else listing.IMAGENETTE_URI.removeprefix("s3://").rstrip("/"),
        "limit": config.limit,
        "batch_size": config.batch_size,
        "concurrency": config.concurrency,
        "cpus_per_worker": config.cpus_per_worker,
        "gpus_per_worker": config.gpus_per_worker,
        "threads_per_worker": config.threads_per_worker,
        "cpus_for_reading": preflight.reader_cpus(machine) if machine else 1.0,
        "decoders": config.decoders,
        "device": _device(config, machine),
        "dtype": config.dtype,
        "formats": FORMATS,
        "endings": EXTENSIONS,
    }


def _device(config: RunConfig, machine: hardware.Hardware | None) -> str:
    """Where PyTorch keeps what the model is given; OpenVINO takes it from ordinary memory."""
    if config.backend == "openvino":
        return "cpu"
    if config.gpus_per_worker > 0:
        return "cuda"
    return "mps" if machine is not None and any(gpu.kind == "mps" for gpu in machine.gpus) else "cpu"


def _model(model: str, home: Path) -> str:
    if model == checkpoints.DIGITS:
        return str(DIGITS_MODEL_DIR)
    if model == checkpoints.RESNET_50_UNTRAINED:
        return str(checkpoints.untrained_folder(home).absolute())
    return model


def _requirements(record: RunRecord) -> str:
    """How to install what it needs: the releases that the run had, where they are on record."""
    machine = hardware.from_dict(record.hardware) if record.hardware is not None else None
    names = []
    extra = ("openvino",) if record.config.backend == "openvino" else ()
    for package in _PACKAGES + extra:
        installed = (machine.version(package.partition("[")[0]) if machine else None) or ""
        release = _RELEASE.match(installed)  # a local build such as 2.13.0+cpu is released as 2.13.0
        names.append(f'"{package}=={release.group()}"' if release else f'"{package}"')
    start = "    pip install "
    lines = textwrap.wrap(" ".join(names), _MAX_LINE - len(start), break_long_words=False, break_on_hyphens=False)
    return "\n".join(start + line for line in lines)


def _literal(value: Any) -> str:
    """A Python literal of a text, a number or a tuple of texts, with the quotes that formatters prefer.

    `repr` escapes line ends, quotes and characters that are invisible or reorder a line.
    """
    if isinstance(value, tuple):
        return f"({', '.join(_literal(item) for item in value)})"
    text = repr(value)
    return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text else text
