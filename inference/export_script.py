"""One run as a Python program of its own: Ray Data and Transformers, without Batchscope.

The program is put together from the pieces in `export_pieces`. What comes from a record enters it as a Python literal
only, so that no name of a model or of a folder can become code.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from inference import buckets, checkpoints, hardware, listing, preflight
from inference import export_pieces as pieces
from inference.bundled import DIGITS_MODEL_DIR
from inference.config import ONE_BY_ONE, RunConfig
from inference.errors import InvalidConfig
from inference.images import EXTENSIONS, FORMATS
from inference.results import RunRecord

IMAGENETTE_REGION = "us-west-2"
"""Arrow does not find out where a bucket lies (26.0)."""
_PACKAGES = ("ray[data]", "torch", "transformers", "pillow")
_MAX_LINE = 88
_RELEASE = re.compile(r"\d[0-9A-Za-z.]*")


def script(record: RunRecord, home: Path) -> str:
    """The program that classifies as the run did, as source text.

    The bundled model and what was made in the folder `home` are found by absolute paths. Raises `InvalidConfig`
    for a run that has no program of its own.
    """
    config = record.config
    why_not = why_no_script(config)
    if why_not:
        raise InvalidConfig(f"{why_not}; use json, csv, parquet or html")
    remote = listing.in_bucket(config.dataset)
    functions = [
        pieces.MAIN.substitute(found=pieces.FIRST if config.sample_seed is None else pieces.DRAWN),
        *([] if config.sample_seed is None else [pieces.DRAW]),
        _listing(config),
        pieces.STRATEGIES[config.strategy],
        *_model_pieces(config),
        pieces.DECODE.substitute(fetched=pieces.FETCHED if remote else "", file="data" if remote else "path"),
        pieces.END,
    ]
    head = [
        pieces.HEADER.substitute(lesson=pieces.LESSONS[config.strategy], requirements=_requirements(record)),
        _imports(config),
        _constants(_settings(record, home), config),
    ]
    return "\n\n\n".join(["\n\n".join(_trimmed(head)), *_trimmed(functions)]) + "\n"


def why_no_script(config: RunConfig) -> str:
    """Why a run of this configuration cannot be written as a program; empty if it can."""
    if config.strategy not in pieces.STRATEGIES:
        return f"a run of the strategy {config.strategy} cannot be written as a program"
    if config.members or config.labels:
        return "an ensemble, or a model that is given its labels, cannot be written as a program"
    folder = listing.root_folder(config.dataset, Path())
    if config.dataset != listing.DIGITS and folder not in (None, Path(config.dataset)):
        return "a program can take a folder or a bucket of images, not a pattern or a list"
    return ""


def _listing(config: RunConfig) -> str:
    """How the program finds its images."""
    if not listing.in_bucket(config.dataset):
        return pieces.LIST_FOLDER
    access = []
    if _address(config.dataset).anonymous:
        access.append("anonymous=True")
    if config.dataset == listing.IMAGENETTE:
        access.append(f"region={_literal(IMAGENETTE_REGION)}")
    return pieces.LIST_BUCKET.substitute(access=", ".join(access))


def _address(dataset: str) -> buckets.Address:
    return buckets.Address.of(listing.IMAGENETTE_OBJECTS if dataset == listing.IMAGENETTE else dataset)


def _trimmed(texts: list[str]) -> list[str]:
    return [text.strip("\n") for text in texts]


def _model_pieces(config: RunConfig) -> list[str]:
    """The worker, how it loads and calls the model, and what it makes of the answers."""
    if config.strategy in ONE_BY_ONE:
        compiled = pieces.COMPILE_PIPE if config.backend == "compile" else ""
        return [pieces.ONE_BY_ONE.substitute(compile=compiled)]
    layout = pieces.CHANNELS_LAST if config.channels_last else ""
    forward = pieces.FORWARD[config.backend].substitute(layout=layout)
    return [pieces.WHOLE_BATCHES[config.strategy], forward, pieces.TO_ANSWERS]


def _imports(config: RunConfig) -> str:
    """The import statements that the pieces need, in the order that formatters prefer."""
    own = {"import json", "from itertools import islice" if config.sample_seed is None else "import random"}
    foreign = {"import pyarrow as pa", "import ray", "import ray.data", "from PIL import Image, ImageOps"}
    if listing.in_bucket(config.dataset):
        own.add("import io")
        foreign.add("from pyarrow import fs")
    else:
        own |= {"import os", "from pathlib import Path"}
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
        seed="" if config.sample_seed is None else f"SEED = {_literal(config.sample_seed)}\n",
        which="from the first on, in sorted order" if config.sample_seed is None else "drawn by lot",
        environment=pieces.ENVIRONMENT if config.strategy in ONE_BY_ONE else pieces.ENVIRONMENT_WITH_MEMORY,
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
    """The values of the program's constants, by the names that `pieces.CONSTANTS` has for them."""
    config = record.config
    machine = hardware.from_dict(record.hardware) if record.hardware is not None else None
    folder = listing.root_folder(config.dataset, home)
    return {
        "model": _model(config.model, home),
        "images": str(folder.absolute()) if folder else _address(config.dataset).path,
        "limit": config.limit,
        "batch_size": config.batch_size,
        "concurrency": config.concurrency,
        "cpus_per_worker": config.cpus_per_worker,
        "gpus_per_worker": config.gpus_per_worker,
        "threads_per_worker": config.threads_per_worker,
        "cpus_per_decoder": preflight.reader_cpus(machine) if machine else 1.0,
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
