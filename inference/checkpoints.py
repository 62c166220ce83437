"""A model's name, path or hub id → a local folder with a checkpoint that we are willing to load.

Light: no torch. `config.json` is read as data; only safetensors weights are accepted, and no repository's own
code is ever run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from inference.bundled import DIGITS_MODEL_DIR
from inference.errors import ModelUnavailable

DIGITS = "digits"
RESNET_50_UNTRAINED = "resnet-50-untrained"
RESNET_50 = "microsoft/resnet-50"

_WANTED_FILES = ["*.json", "*.safetensors"]
_HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")
_HUB_TIMEOUT_S = 5.0


def untrained_folder(home: Path) -> Path:
    """Where the untrained ResNet-50 is kept once it is made."""
    return home / "models" / RESNET_50_UNTRAINED


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a configuration and safetensors weights."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def absolute(model: str) -> str:
    """The model as every process understands it: a catalogue name, a hub id, or an absolute path."""
    if model in (DIGITS, RESNET_50_UNTRAINED):
        return model
    path = Path(model).expanduser()
    looks_local = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
    return str(path.resolve()) if looks_local else model


def folder_of(model: str, home: Path, *, make_untrained: Callable[[Path], None]) -> Path:
    """The local folder of a model, downloaded or made first where needed, and checked.

    `make_untrained` fills the folder of the untrained ResNet-50; the caller knows a process that has torch.
    Raises `ModelUnavailable` with the reason and what to do.
    """
    if model == DIGITS:
        folder = DIGITS_MODEL_DIR
    elif model == RESNET_50_UNTRAINED:
        folder = untrained_folder(home)
        if not is_checkpoint(folder):
            make_untrained(folder)
    elif Path(model).is_absolute():
        folder = Path(model)
        if not folder.is_dir():
            raise ModelUnavailable(f"There is no folder {folder}. Give a folder with a model, or a hub id.")
    else:
        folder = _from_hub(model)
    check(folder, model)
    return folder


def check(folder: Path, model: str) -> None:
    """Raise `ModelUnavailable` unless the folder holds an image classifier that is safe to load."""
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(f"{model} has no config.json: it is not a Transformers model.")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architectures = tuple(config.get("architectures") or ())
    except (ValueError, AttributeError, TypeError, OSError) as error:
        raise ModelUnavailable(f"The config.json of {model} cannot be read: {error}.") from error
    if "auto_map" in config:
        raise ModelUnavailable(f"{model} brings its own code (auto_map), which is never run here. Choose another.")
    if not any(str(name).endswith("ForImageClassification") for name in architectures):
        named = ", ".join(str(name) for name in architectures) or "nothing that it names"
        raise ModelUnavailable(
            f"{model} is not an image classifier: its architecture is {named}, not one that ends in "
            "ForImageClassification."
        )
    if not is_checkpoint(folder):
        raise ModelUnavailable(
            f"{model} has no safetensors weights. Pickled weights can run code and are not loaded: convert them "
            "with save_pretrained, or choose another model."
        )


def is_cached(model_id: str) -> bool:
    """Whether the hub's cache on this machine holds the model whole."""
    return _cached_folder(model_id) is not None


def download_bytes(model_id: str, *, timeout_s: float) -> int:
    """How many bytes a download of the model takes, as the hub says; raises what the hub's client raises."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(model_id, files_metadata=True, timeout=timeout_s)
    return sum(file.size or 0 for file in info.siblings or () if file.rfilename.endswith((".json", ".safetensors")))


def _cached_folder(model_id: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model_id, allow_patterns=_WANTED_FILES, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    return folder if is_checkpoint(folder) else None


def _from_hub(model: str) -> Path:
    if not _HUB_ID.match(model) or ".." in model:
        raise ModelUnavailable(f"{model} is neither a folder on this machine nor a hub id such as {RESNET_50}.")
    cached = _cached_folder(model)
    if cached is not None:
        return cached
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    # The size first: it answers within seconds whether the hub and the model are there at all.
    try:
        download_bytes(model, timeout_s=_HUB_TIMEOUT_S)
        return Path(snapshot_download(model, allow_patterns=_WANTED_FILES, etag_timeout=_HUB_TIMEOUT_S))
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{model} is gated: accept its terms on the hub, and set HF_TOKEN to a token of yours."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f"The hub has no model {model}, or it is private. Check the spelling.") from error
    except Exception as error:  # the client also raises its HTTP library's own errors, of which there are many
        raise ModelUnavailable(
            f"{model} is not cached here, and {os.environ.get('HF_ENDPOINT', 'the Hugging Face hub')} could not be "
            f"reached ({type(error).__name__}). Connect to it, or choose {DIGITS} or {RESNET_50_UNTRAINED}."
        ) from error
