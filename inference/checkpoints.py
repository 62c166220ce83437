"""A model's name, path or hub id → a local folder with a checkpoint that we are willing to load. Light: no torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from inference import folders, hub, model_files
from inference.bundled import DIGITS_MODEL_DIR
from inference.errors import DataUnavailable, ModelUnavailable

DIGITS = "digits"
RESNET_50_UNTRAINED = "resnet-50-untrained"
RESNET_50 = "microsoft/resnet-50"
INSTEAD = f"choose {DIGITS} or {RESNET_50_UNTRAINED}"
"""What can be done without a model that cannot be had."""


def untrained_folder(home: Path) -> Path:
    """Where the untrained ResNet-50 is kept once it is made."""
    return home / "models" / RESNET_50_UNTRAINED


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a configuration and safetensors weights."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def absolute(model: str) -> str:
    """The model as every process understands it: a catalogue name, a hub id, or an absolute path.

    Raises `ModelUnavailable` for a path that no system could have or that may not be read. A blank name stays one:
    `RunConfig` refuses it.
    """
    if model in (DIGITS, RESNET_50_UNTRAINED) or not model.strip():
        return model
    try:
        path = Path(model).expanduser()
        looks_local = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
        return str(folders.resolved(path)) if looks_local else model
    except DataUnavailable as error:
        raise ModelUnavailable(str(error)) from error
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a null character
        reason = str(error).rstrip(".")
        raise ModelUnavailable(
            f"The model {model!r:.80} is neither a folder nor a hub id: {reason:.200}. Give another one."
        ) from error


def local_folder(model: str, home: Path) -> Path | None:
    """Where a model lies on this machine, whether it is made already or not; None for one that is not cached.

    Raises `ModelUnavailable` for one that may not be read.
    """
    if model == DIGITS:
        return DIGITS_MODEL_DIR
    if model == RESNET_50_UNTRAINED:
        return untrained_folder(home)
    return check_place(Path(model)) if Path(model).is_absolute() else hub.cached_folder(model)


def require_obtainable(model: str, home: Path, *, zero_shot: bool = False) -> None:
    """See that a model is on this machine, or can be fetched: then the hub is asked, which has fifteen seconds.

    Raises `ModelUnavailable` with the reason and what to do.
    """
    if local_folder(model, home) is None:
        hub.require(model, zero_shot=zero_shot, instead=INSTEAD)


def check_place(folder: Path) -> Path:
    """The resolved folder of a model; raises `ModelUnavailable` unless it, and what its links lead to, may be read.

    Whoever loads a model asks again, since a folder may have become a link after it was found. What the program keeps
    itself may always be read; the hub's cache consists of links.
    """
    kept = (DIGITS_MODEL_DIR.resolve(), _hub_cache().resolve())
    try:
        real = folder.expanduser().resolve()
        if any(real.is_relative_to(own) for own in kept):
            return real
        real = folders.resolved(folder)
        for entry in os.scandir(real) if real.is_dir() else ():
            path = Path(entry.path)
            if entry.is_symlink() and not any(path.resolve().is_relative_to(own) for own in kept):
                folders.resolved(path)
            if not (entry.is_file() or entry.is_dir()) and path.exists():  # reading a FIFO would never end
                raise ModelUnavailable(f"{path} is no regular file: take it out of the model's folder.")
    except DataUnavailable as error:
        raise ModelUnavailable(str(error)) from error
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a null character
        raise ModelUnavailable(f"The folder {folder} cannot be read: {error}. Choose another.") from error
    return real


def _hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def folder_of(
    model: str,
    home: Path,
    *,
    zero_shot: bool = False,
    make_untrained: Callable[[Path], None],
    on_download: Callable[[int, int], None] | None = None,
) -> Path:
    """The local folder of a model, downloaded or made first where needed, and checked.

    `zero_shot` asks for a model that compares pictures with texts. `make_untrained` fills the folder of the untrained
    ResNet-50; the caller knows a process that has torch. `on_download(done, total)` hears of bytes as they come, and
    may raise to stop. Raises `ModelUnavailable` with the reason and what to do.
    """
    folder = local_folder(model, home)
    if model == RESNET_50_UNTRAINED and not is_checkpoint(untrained_folder(home)):
        make_untrained(untrained_folder(home))
    if folder is None:
        folder = hub.download(model, on_download, zero_shot=zero_shot, instead=INSTEAD)
    elif not folder.is_dir():
        raise ModelUnavailable(f"There is no folder {folder}. Give a folder with a model, or a hub id.")
    model_files.check(folder, model, zero_shot=zero_shot)
    return folder
