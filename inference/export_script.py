"""One run as a Python program of its own: Ray Data and Transformers, without Batchscope.

The program is put together from the pieces below. What comes from a record enters it as a Python literal only,
so that no name of a model or of a folder can become code.
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Any

from inference import checkpoints, hardware, listing, preflight
from inference.bundled import DIGITS_MODEL_DIR
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
    if config.strategy not in _WORKERS:
        raise InvalidConfig(
            f"a run of the strategy {config.strategy} cannot be written as a program; use json, csv, parquet or html"
        )
    remote = config.dataset == listing.IMAGENETTE
    pieces = [
        _HEADER.substitute(lesson=_LESSONS[config.strategy], requirements=_requirements(record)),
        _IMPORTS.substitute(
            listing="from pathlib import PurePosixPath"
            if remote
            else "import os\nfrom itertools import islice\nfrom pathlib import Path",
            torch="import torch\n" if config.compile else "",
            filesystem="from pyarrow import fs\n" if remote else "",
        ),
        _constants(_settings(record, home)),
        _MAIN,
        _LIST_BUCKET.substitute(region=_literal(listing.IMAGENETTE_REGION)) if remote else _LIST_FOLDER,
        _READ.substitute(file="BUCKET.open_input_file(path)" if remote else 'open(path, "rb")'),
        _WORKERS[config.strategy],
        _CLASSIFY_BATCH.substitute(compiled=_COMPILED if config.compile else _PLAIN),
        _WRITE,
    ]
    header, imports, constants, *functions = (piece.strip("\n") for piece in pieces)
    return "\n\n".join([header, imports, constants]) + "\n\n\n" + "\n\n\n".join(functions) + "\n"


def _constants(settings: dict[str, Any]) -> str:
    text = _CONSTANTS.substitute({name: _literal(value) for name, value in settings.items()})
    # A path is as long as it is, and no formatter breaks it.
    return "\n".join(line + "  # noqa: E501" if len(line) > _MAX_LINE else line for line in text.splitlines())


def _settings(record: RunRecord, home: Path) -> dict[str, Any]:
    """The values of the program's constants, by the names that `_CONSTANTS` has for them."""
    config = record.config
    machine = hardware.from_dict(record.hardware) if record.hardware is not None else None
    shared_memory_gpu = machine is not None and any(gpu.kind == "mps" for gpu in machine.gpus)
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
        "device": "cuda" if config.gpus_per_worker > 0 else "mps" if shared_memory_gpu else "cpu",
        "dtype": config.dtype,
        "formats": FORMATS,
        "endings": EXTENSIONS,
    }


def _model(model: str, home: Path) -> str:
    if model == checkpoints.DIGITS:
        return str(DIGITS_MODEL_DIR)
    if model == checkpoints.RESNET_50_UNTRAINED:
        return str(checkpoints.untrained_folder(home).absolute())
    return model


def _requirements(record: RunRecord) -> str:
    """What to install: the releases that the run had, where they are on record."""
    machine = hardware.from_dict(record.hardware) if record.hardware is not None else None
    names = []
    for package in _PACKAGES:
        installed = (machine.version(package.partition("[")[0]) if machine else None) or ""
        release = _RELEASE.match(installed)  # a local build such as 2.13.0+cpu is released as 2.13.0
        names.append(f'"{package}=={release.group()}"' if release else f'"{package}"')
    return " ".join(names)


def _literal(value: Any) -> str:
    """A Python literal of a text, a number or a tuple of texts, with the quotes that formatters prefer.

    `repr` escapes line ends, quotes and characters that are invisible or reorder a line.
    """
    if isinstance(value, tuple):
        return f"({', '.join(_literal(item) for item in value)})"
    text = repr(value)
    return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text else text


# -- the pieces of the program -------------------------------------------------------------------------------------

_LESSONS = {
    "naive": """\
This is the naive way, kept to be measured: every batch goes to a task that loads the
model again. Loading it once for each worker is one change away: see ray.data's
ActorPoolStrategy.""",
    "actor": """\
Every worker is an actor that loads the model once and keeps it for all its batches.""",
}

_HEADER = Template('''\
"""Classify images with Ray Data, with the settings of a run that Batchscope measured.

    python this_file.py                  prints one line of JSON for each image
    python this_file.py --out FILE.csv   writes a table instead

$lesson

MODEL and IMAGES are where they were on the machine that exported this program; edit
them, and whatever else is written in capitals, to suit yours. It needs:

    pip install $requirements
"""
''')

_IMPORTS = Template("""\
import argparse
import csv
import io
import json
$listing

import pyarrow as pa
import ray
import ray.data
${torch}from PIL import Image, ImageOps, UnidentifiedImageError
${filesystem}from transformers import pipeline
""")

_CONSTANTS = Template("""\
MODEL = $model
IMAGES = $images
LIMIT = $limit  # images, from the first on, in sorted order
BATCH_SIZE = $batch_size  # images that a worker gets in one call
CONCURRENCY = $concurrency  # workers at the same time
CPUS_PER_WORKER = $cpus_per_worker
GPUS_PER_WORKER = $gpus_per_worker
THREADS_PER_WORKER = $threads_per_worker
CPUS_FOR_READING = $cpus_for_reading  # must be free beside the workers, or the run hangs
DEVICE = $device
DTYPE = $dtype

FORMATS = $formats
ENDINGS = $endings
ANSWER = pa.schema(
    {
        "image_id": pa.string(),
        "label": pa.string(),
        "score": pa.float64(),
        "reason": pa.string(),  # why there is no label
    }
)
""")

_MAIN = '''
def main():
    """Classify the images and write each answer as it comes, in whatever order."""
    parser = argparse.ArgumentParser(description="Classify images with Ray Data.")
    parser.add_argument("--out", metavar="FILE.csv", help="write a table to this file")
    out = parser.parse_args().out
    images = list_images()
    if not images:
        parser.error(f"there are no images in {IMAGES}")
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    answers = classify(read(images)).iter_rows()
    if out is None:
        for answer in answers:
            print(json.dumps(answer), flush=True)
    else:
        write_csv(answers, out)
'''

_LIST_FOLDER = '''
def list_images():
    """Pairs of an image's id and its path: the first LIMIT, also in sub-folders."""
    return list(islice(walk(Path(IMAGES).resolve()), LIMIT))


def walk(root):
    """Images below a folder in sorted order; no hidden ones, no links that lead out."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if name.startswith(".") or not name.lower().endswith(ENDINGS):
                continue
            image_id = path.relative_to(root).as_posix()
            is_text = image_id == image_id.encode(errors="ignore").decode()
            if is_text and path.is_file() and path.resolve().is_relative_to(root):
                yield image_id, str(path)
'''

_LIST_BUCKET = Template('''
BUCKET = fs.S3FileSystem(anonymous=True, region=$region)


def list_images():
    """Pairs of an image's id and its key: the first LIMIT images in sorted order."""
    entries = BUCKET.get_file_info(fs.FileSelector(IMAGES, recursive=True))
    keys = sorted(entry.path for entry in entries if entry.is_file)
    images = [key for key in keys if key.lower().endswith(ENDINGS)][:LIMIT]
    return [(str(PurePosixPath(key).relative_to(IMAGES)), key) for key in images]
''')

_READ = Template('''
def read(images):
    """A lazy data set of the images' bytes, read by one task at a time."""
    size = rows_per_block(len(images))
    blocks = []
    for start in range(0, len(images), size):
        image_ids, paths = zip(*images[start : start + size], strict=True)
        blocks.append(pa.table({"image_id": image_ids, "path": paths}))
    return ray.data.from_arrow(blocks).map_batches(
        read_block,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.TaskPoolStrategy(size=1),
        num_cpus=CPUS_FOR_READING,
    )


def rows_per_block(num_images):
    """Whole batches, about 32 images, and so few that there are at least ten blocks."""
    return BATCH_SIZE * max(1, min(32 // BATCH_SIZE, num_images // (10 * BATCH_SIZE)))


def read_block(block):
    """The bytes of every file, or the reason why it could not be read."""
    contents, reasons = [], []
    for path in block["path"].to_pylist():
        try:
            with $file as file:
                content, reason = file.read(), None
        except OSError as error:
            content, reason = None, str(error)
        contents.append(content)
        reasons.append(reason)
    columns = {
        "image_id": block["image_id"],
        "bytes": pa.array(contents, pa.binary()),
        "reason": pa.array(reasons, pa.string()),
    }
    return pa.table(columns)
''')

_RESOURCES = """\
        batch_size=BATCH_SIZE,
        batch_format="pyarrow",
        compute=ray.data.{strategy}(size=CONCURRENCY),
        num_cpus=CPUS_PER_WORKER,
        num_gpus=GPUS_PER_WORKER or None,
        # Also keeps Ray from fusing reading into the model's worker.
        runtime_env={{"env_vars": {{"OMP_NUM_THREADS": str(THREADS_PER_WORKER)}}}},
"""

_WORKERS = {
    "naive": f'''
def classify(images):
    """Run every batch through a task that knows nothing of the one before."""
    return images.map_batches(
        load_and_classify,
{_RESOURCES.format(strategy="TaskPoolStrategy")}    )


def load_and_classify(batch):
    """Load the model, use it for a handful of images, and forget it."""
    return classify_batch(load_model(), batch)
''',
    "actor": f'''
def classify(images):
    """Run every batch through one of CONCURRENCY long-lived workers."""
    return images.map_batches(
        Classifier,
{_RESOURCES.format(strategy="ActorPoolStrategy")}    )


class Classifier:
    """A worker that holds the model."""

    def __init__(self):
        """Runs once for each worker."""
        self.model = load_model()

    def __call__(self, batch):
        """Runs once for each batch, with the model in place."""
        return classify_batch(self.model, batch)
''',
}
"""The programs' middle part by strategy: a function `classify` from a data set of bytes to one of answers."""

_PLAIN = """\
    return pipeline("image-classification", model=MODEL, device=DEVICE, dtype=DTYPE)
"""

_COMPILED = """\
    model = pipeline("image-classification", model=MODEL, device=DEVICE, dtype=DTYPE)
    model.model = torch.compile(model.model)
    return model
"""

_CLASSIFY_BATCH = Template('''
def load_model():
    """The pipeline of an image classifier."""
$compiled

def classify_batch(model, batch):
    """One answer for every image; one that cannot be read costs no other its label."""
    answers = []
    for row in batch.to_pylist():
        answer = {"image_id": row["image_id"], "reason": row["reason"]}
        answers.append(answer)
        if row["bytes"] is None:
            continue
        try:
            image = decode(row["bytes"])
        except UnidentifiedImageError:
            answer["reason"] = "not an image of a known format"
            continue
        except Exception as error:  # noqa: BLE001  # a broken file may raise anything
            answer["reason"] = f"broken: {error}"
            continue
        best = model(image, top_k=1)[0]
        answer["label"], answer["score"] = best["label"], best["score"]
    return pa.Table.from_pylist(answers, schema=ANSWER)


def decode(data):
    """An upright RGB image: what is transparent lies over white, 16 bits become 8."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as file:
        image = ImageOps.exif_transpose(file)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            image = image.convert("I").point(lambda value: value / 257).convert("L")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            paper = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(paper, image)
        return image.convert("RGB")
''')

_WRITE = r'''
def write_csv(answers, path):
    """One line for each image; no cell looks like a formula to a spreadsheet."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ANSWER.names)
        writer.writeheader()
        for answer in answers:
            writer.writerow({name: harmless(value) for name, value in answer.items()})


def harmless(value):
    """The value, with an apostrophe before a text that begins like a formula."""
    if not isinstance(value, str):
        return value
    text = value.lstrip(" ")
    return "'" + value if text.startswith(("=", "+", "-", "@", "\t", "\r")) else value


if __name__ == "__main__":
    main()
'''
