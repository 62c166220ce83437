"""Settings in few words, and which of them tell runs apart. Plain text that may hold names that a person chose."""

from __future__ import annotations

import calendar
import re
import time

from inference.config import RunConfig
from inference.wording import count, moment, shortened

TELLING = (
    "batch_size",
    "concurrency",
    "dtype",
    "channels_last",
    "backend",
    "threads",
    "decoders",
    "cpus_per_worker",
    "gpus_per_worker",
    "limit",
    "model",
    "members",
    "combine",
    "labels",
    "dataset",
    "sample_seed",
)
"""Settings in the order in which they are used to tell runs of one strategy apart."""

OPTIONS = ("members", "combine", "labels", "sample_seed", "dtype", "channels_last", "backend", "threads", "decoders")
"""Settings that are worth a word only where they are not the plain ones."""

MAX_NAME = 30
"""Characters of a model's or a data set's name in a label."""

UPLOAD_TIME = "%Y%m%dT%H%M%SZ"
"""How the name of an upload's folder begins; how many images it has follows: `20251122T140512Z-12`."""
_UPLOAD = re.compile(r"/uploads/(?P<at>\d{8}T\d{6}Z)-(?P<images>\d{1,5})/images\.csv$")

_BACKENDS = {"eager": "eager", "compile": "compiled", "openvino": "OpenVINO"}


def setting_text(name: str, config: RunConfig) -> str:
    """One setting in few words, such as `batch 4`."""
    value = getattr(config, name)
    words = {
        "batch_size": f"batch {value}",
        "concurrency": count(config.concurrency, "worker"),
        "limit": count(config.limit, "image"),
        "cpus_per_worker": f"{config.cpus_per_worker:g} CPU each",
        "gpus_per_worker": f"{config.gpus_per_worker:g} GPU each",
        "threads": count(config.threads, "thread") + " each" if config.threads else "threads auto",
        "decoders": count(config.decoders, "decoder"),
        "channels_last": "channels last" if value else "channels first",
        "backend": _BACKENDS.get(config.backend, config.backend),
        "labels": count(len(config.labels), "label"),
        "members": f"ensemble of {len(config.models)}",
        "combine": f"by {config.combine}",
        "sample_seed": "the first images" if config.sample_seed is None else f"drawn with seed {config.sample_seed}",
    }
    return words.get(name) or shortened(dataset_words(value) if name == "dataset" else value, MAX_NAME)


def dataset_words(dataset: str, *, in_full: bool = False) -> str:
    """A data set as a person knows it: an upload by when it came, another one by its name or path.

    `in_full` tells uploads of the same minute apart, and how many images there were.
    """
    at = uploaded_at(dataset)
    if at is None:
        return dataset
    found = _UPLOAD.search(dataset)
    images = count(int(found["images"]), "image") if found else ""
    return f"Upload of {moment(at, with_seconds=True)} · {images}" if in_full else f"upload of {moment(at)}"


def uploaded_at(dataset: str) -> float | None:
    """When an upload came, in seconds since the epoch, as the path of its list tells; None for another data set."""
    found = _UPLOAD.search(dataset)
    try:
        return float(calendar.timegm(time.strptime(found["at"], UPLOAD_TIME))) if found else None
    except ValueError:  # digits that are no moment
        return None


def option_words(config: RunConfig) -> list[str]:
    """The options that are not as every configuration has them by default, such as `bfloat16`."""
    usual = RunConfig()
    return [setting_text(name, config) for name in OPTIONS if getattr(config, name) != getattr(usual, name)]
