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
from typing import TYPE_CHECKING

from inference.bundled import DIGITS_MODEL_DIR
from inference.errors import ModelUnavailable

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

DIGITS = "digits"
RESNET_50_UNTRAINED = "resnet-50-untrained"
RESNET_50 = "microsoft/resnet-50"

_WEIGHTS = ".safetensors"
_WANTED = (".json", _WEIGHTS)
_PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
_HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")
_HUB_TIMEOUT_S = 5.0


def untrained_folder(home: Path) -> Path:
    """Where the untrained ResNet-50 is kept once it is made."""
    return home / "models" / RESNET_50_UNTRAINED


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a configuration and safetensors weights."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def absolute(model: str) -> str:
    """The model as every process understands it: a catalogue name, a hub id, or an absolute path.

    Raises `ModelUnavailable` for a path that no system could have. A blank name stays one: `RunConfig` refuses it.
    """
    if model in (DIGITS, RESNET_50_UNTRAINED) or not model.strip():
        return model
    try:
        path = Path(model).expanduser()
        looks_local = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
        return str(path.resolve()) if looks_local else model
    except (OSError, RuntimeError, ValueError) as error:  # no such user, links in a circle, a null character
        reason = str(error).rstrip(".")
        raise ModelUnavailable(f"{model!r} is neither a folder nor a hub id: {reason}. Give another one.") from error


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
    """Raise `ModelUnavailable` unless the folder holds an image classifier that is safe to load, whole."""
    try:
        config = (folder / "config.json").read_bytes()
    except FileNotFoundError:
        raise _no_config(model) from None
    except OSError as error:
        raise ModelUnavailable(f"The config.json of {model} cannot be read: {error.strerror}.") from error
    _check_config(config, model)
    _check_whole(folder, model)


def _no_config(model: str) -> ModelUnavailable:
    return ModelUnavailable(f"{model} has no config.json: it is not a Transformers model.")


def _check_whole(folder: Path, model: str) -> None:
    _check_files({path.name for path in folder.iterdir() if path.is_file()}, model)
    missing = _missing_shards(folder)
    if missing:
        raise ModelUnavailable(f"{model} is not whole: {missing[0]} is missing. Copy or download it again.")


def _check_config(text: bytes, model: str) -> None:
    try:
        config = json.loads(text)
        architectures = tuple(config.get("architectures") or ())
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelUnavailable(f"The config.json of {model} cannot be read: {error}.") from error
    if "auto_map" in config:
        raise ModelUnavailable(f"{model} brings its own code (auto_map), which is never run here. Choose another.")
    if not any(str(name).endswith("ForImageClassification") for name in architectures):
        named = ", ".join(str(name) for name in architectures) or "nothing that it names"
        raise ModelUnavailable(
            f"{model} is not an image classifier: its architecture is {named}, not one that ends in "
            "ForImageClassification."
        )


def _check_files(names: set[str], model: str) -> None:
    if not any(name.endswith(_WEIGHTS) for name in names):
        raise ModelUnavailable(
            f"{model} has no safetensors weights. Pickled weights can run code and are not loaded: convert them "
            "with save_pretrained, or choose another model."
        )
    if names.isdisjoint(_PREPROCESSORS):
        raise ModelUnavailable(
            f"{model} has no {_PREPROCESSORS[0]}, which says how its images are prepared: save its image processor "
            "beside it, or choose another model."
        )


def _missing_shards(folder: Path) -> list[str]:
    """Weight files that an index in the folder names and the folder lacks; an index that cannot be read itself."""
    missing = []
    for index in folder.glob("*.safetensors.index.json"):
        try:
            named = set(json.loads(index.read_bytes())["weight_map"].values())
            missing += sorted(name for name in named if not (folder / name).is_file())
        except (ValueError, KeyError, AttributeError, TypeError, OSError):
            missing.append(index.name)
    return missing


# -- the hub -----------------------------------------------------------------------------------------------------


def is_cached(model_id: str) -> bool:
    """Whether the hub's cache on this machine holds the model whole; takes no time worth speaking of."""
    return _cached_folder(model_id) is not None


def download_bytes(model_id: str, *, timeout_s: float) -> int:
    """How many bytes a download of the model takes, as the hub says; raises what the hub's client raises."""
    return sum(_wanted_files(_ask_hub(model_id, timeout_s)).values())


def _ask_hub(model_id: str, timeout_s: float) -> ModelInfo:
    from huggingface_hub import HfApi

    return HfApi().model_info(model_id, files_metadata=True, timeout=timeout_s)


def _wanted_files(info: ModelInfo) -> dict[str, int]:
    """Name → bytes of the files that loading takes, the weights last: without them nothing counts as cached."""
    files = {
        file.rfilename: file.size or 0
        for file in info.siblings or ()
        if file.rfilename.endswith(_WANTED) and "/" not in file.rfilename
    }
    return dict(sorted(files.items(), key=lambda file: file[0].endswith(_WEIGHTS)))


def _cached_folder(model_id: str) -> Path | None:
    # The cache's layout is documented; the client's own functions take a quarter of a second to import.
    from huggingface_hub.constants import HF_HUB_CACHE

    repository = Path(HF_HUB_CACHE, f"models--{model_id.replace('/', '--')}")
    try:
        commit = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
        folder = repository / "snapshots" / commit
        _check_whole(folder, model_id)
    except (OSError, ValueError, ModelUnavailable):
        return None
    return folder if (folder / "config.json").is_file() else None


def _from_hub(model: str) -> Path:
    if not _HUB_ID.match(model) or ".." in model:
        raise ModelUnavailable(f"{model} is neither a folder on this machine nor a hub id such as {RESNET_50}.")
    cached = _cached_folder(model)
    if cached is not None:
        return cached
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return _download(model)
    except ModelUnavailable:
        raise
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{model} is gated: accept its terms on the hub, and set HF_TOKEN to a token of yours."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f"The hub has no model {model}, or it is private. Check the spelling.") from error
    except Exception as error:  # the client also raises its HTTP library's own errors, of which there are many
        raise ModelUnavailable(_why_no_download(model, error)) from error


def _download(model: str) -> Path:
    """Fetch the model into the hub's cache; what speaks against loading it is found before its weights are fetched."""
    from huggingface_hub import hf_hub_download

    files = _wanted_files(_ask_hub(model, _HUB_TIMEOUT_S))  # answers within seconds whether the hub is there at all
    if "config.json" not in files:
        raise _no_config(model)
    _check_config(_fetch(model, "config.json"), model)
    _check_files(set(files), model)
    # One by one: `snapshot_download` asks for the list of files without a time limit (huggingface_hub 2.4).
    fetched = [hf_hub_download(model, name, etag_timeout=_HUB_TIMEOUT_S) for name in files]
    return Path(fetched[0]).parent


def _fetch(model: str, name: str) -> bytes:
    """A small file's content, not cached: `hf_hub_download` tries for a minute where nothing answers."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented there
        build_hf_headers,
        hf_raise_for_status,
    )

    answer = get_session().get(hf_hub_url(model, name), headers=build_hf_headers(), timeout=_HUB_TIMEOUT_S)
    hf_raise_for_status(answer)
    return answer.content


def _why_no_download(model: str, error: Exception) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    instead = f"choose {DIGITS} or {RESNET_50_UNTRAINED}"
    if isinstance(error, OSError) and error.filename is not None:  # it is about a file of ours, not about the network
        return f"{model} could not be kept in {HF_HUB_CACHE}: {error.strerror}. Make room there, or {instead}."
    if is_offline():
        return f"{model} is not cached here, and HF_HUB_OFFLINE forbids to download it. Unset it, or {instead}."
    hub = os.environ.get("HF_ENDPOINT", "the Hugging Face hub")
    return (
        f"{model} is not cached here, and {hub} could not be reached ({type(error).__name__}). "
        f"Connect to it, or {instead}."
    )


def is_offline() -> bool:
    """Whether the environment forbids the hub's client to use the network."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return bool(HF_HUB_OFFLINE)
