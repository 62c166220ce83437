"""Which files are a model that we are willing to load: an image classifier, whole, in safetensors, without code.

Settings are read as data, before any class is chosen.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from inference.errors import ModelUnavailable

WEIGHTS = ".safetensors"
COMPARING = ("CLIPModel", "SiglipModel")
"""Architectures that compare pictures with texts, and are checked to do so as Transformers' pipeline does."""
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
_SETTINGS = (*PREPROCESSORS, "tokenizer_config.json")
"""Where a model may ask for code of its own, besides `config.json`."""
_KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation")
"""Where a configuration may ask for compiled code of the hub, as `owner/kernel` (Transformers 5.23)."""
_LOADED = (f"model{WEIGHTS}", f"model{WEIGHTS}.index.json")
"""Either of them Transformers looks for, before it looks for pickled weights."""


def check(folder: Path, model: str, *, zero_shot: bool = False) -> None:
    """Raise `ModelUnavailable` unless the folder holds an image classifier that is safe to load, whole.

    With `zero_shot` it must be a model that compares pictures with texts.
    """
    try:
        config = (folder / "config.json").read_bytes()
    except FileNotFoundError:
        raise no_config(model) from None
    except OSError as error:
        raise ModelUnavailable(f"The config.json of {model} cannot be read: {error.strerror}.") from error
    check_config(config, model, zero_shot=zero_shot)
    check_settings(folder, model)
    check_whole(folder, model)
    parameters(folder, model)


def compares_with_texts(config: bytes) -> bool:
    """Whether a `config.json` is that of a model that compares pictures with texts."""
    try:
        return any(name in COMPARING for name in json.loads(config).get("architectures") or ())
    except (ValueError, AttributeError, TypeError):
        return False


def no_config(model: str) -> ModelUnavailable:
    """What to say of a model without its configuration."""
    return ModelUnavailable(f"{model} has no config.json: it is not a Transformers model.")


def check_whole(folder: Path, model: str) -> None:
    """Raise `ModelUnavailable` unless everything that loading takes is there."""
    check_files({path.name for path in folder.iterdir() if path.is_file()}, model)
    missing = _missing_shards(folder)
    if missing:
        raise ModelUnavailable(f"{model} is not whole: {missing[0]} is missing. Copy or download it again.")


def check_config(text: bytes, model: str, *, zero_shot: bool = False) -> None:
    """Raise `ModelUnavailable` unless a `config.json` asks for a classifier of Transformers' own of that kind."""
    config = settings(text, "config.json", model)
    architectures = config.get("architectures") or ()
    if "transformers_weights" in config or not isinstance(architectures, list | tuple):
        raise ModelUnavailable(
            f"The config.json of {model} is none that is understood here: save the model with save_pretrained, or "
            "choose another."
        )
    compares = any(name in COMPARING for name in architectures)
    if zero_shot and not compares:
        raise ModelUnavailable(
            f"{model} has labels of its own and chooses among them: take the typed labels away, or choose a model that "
            f"compares pictures with texts ({', '.join(COMPARING)})."
        )
    if compares and not zero_shot:
        raise ModelUnavailable(
            f"{model} compares pictures with texts and has no labels of its own: type two or more to choose from."
        )
    if not zero_shot and not any(str(name).endswith("ForImageClassification") for name in architectures):
        named = ", ".join(str(name) for name in architectures) or "nothing that it names"
        raise ModelUnavailable(
            f"{model} is not an image classifier: its architecture is {named}, not one that ends in "
            "ForImageClassification."
        )


def settings(text: bytes, name: str, model: str) -> dict[str, Any]:
    """Settings as data. Raises `ModelUnavailable` if they are none, or want code of the model's own, at any depth."""
    own_code = ""

    def look(found: dict[str, Any]) -> dict[str, Any]:
        nonlocal own_code
        wanted = [name for name in _KERNELS if "/" in str(found.get(name, ""))]
        own_code = own_code or ("auto_map" if "auto_map" in found else next(iter(wanted), ""))
        return found

    try:
        read = json.loads(text, object_hook=look)
    except (ValueError, RecursionError) as error:
        raise ModelUnavailable(f"The {name} of {model} cannot be read: {error}.") from error
    if not isinstance(read, dict):
        raise ModelUnavailable(f"The {name} of {model} cannot be read: it holds no settings.")
    if own_code:
        raise ModelUnavailable(f"{model} brings its own code ({own_code}), which is never run here. Choose another.")
    return read


def check_settings(folder: Path, model: str) -> None:
    """Raise `ModelUnavailable` if the settings of image processor or tokenizer cannot be read or ask for own code."""
    for name in _SETTINGS:
        try:
            text = (folder / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ModelUnavailable(f"The {name} of {model} cannot be read: {error.strerror}.") from error
        settings(text, name, model)


def check_files(names: set[str], model: str) -> None:
    """Raise `ModelUnavailable` unless weights and image processor are among these files."""
    if not any(name.endswith(WEIGHTS) for name in names):
        raise ModelUnavailable(
            f"{model} has no safetensors weights. Pickled weights can run code and are not loaded: convert them "
            "with save_pretrained, or choose another model."
        )
    if names.isdisjoint(_LOADED):
        raise ModelUnavailable(
            f"{model} has neither {_LOADED[0]} nor {_LOADED[1]}, and Transformers loads no others: save it with "
            "save_pretrained, or choose another model."
        )
    if names.isdisjoint(PREPROCESSORS):
        raise ModelUnavailable(
            f"{model} has no {PREPROCESSORS[0]}, which says how its images are prepared: save its image processor "
            "beside it, or choose another model."
        )


def _missing_shards(folder: Path) -> list[str]:
    """Weight files that an index in the folder names and the folder lacks; an index that cannot be read itself."""
    missing = []
    for index in folder.glob("*.safetensors.index.json"):
        try:
            named = set(json.loads(index.read_bytes())["weight_map"].values())
            elsewhere = [name for name in named if Path(name).name != name]
            if elsewhere:
                raise ModelUnavailable(
                    f"{index} names weights in another folder, {elsewhere[0]!r:.80}: put them into its own."
                )
            missing += sorted(name for name in named if not (folder / name).is_file())
        except (ValueError, KeyError, AttributeError, TypeError, OSError):
            missing.append(index.name)
    return missing


def parameters(folder: Path, model: str) -> tuple[int, str | None]:
    """How many parameters the weights have, and the precision of most of them as safetensors calls it: `F32`.

    From the headers alone. Raises `ModelUnavailable` where one is broken.
    """
    from safetensors import SafetensorError, safe_open

    counts: dict[str, int] = {}
    for file in sorted(folder.glob(f"*{WEIGHTS}")):
        try:
            with safe_open(file, framework="numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118  # it is no mapping
                    tensor = tensors.get_slice(name)
                    counts[tensor.get_dtype()] = counts.get(tensor.get_dtype(), 0) + math.prod(tensor.get_shape())
        except (SafetensorError, OSError) as error:
            raise ModelUnavailable(
                f"{file.name} of {model} is broken: {error}. Delete {file.resolve()} and download or copy it again."
            ) from error
    return sum(counts.values()), max(counts, key=counts.__getitem__, default=None)
