"""Models of the Hugging Face hub: cached, described, downloaded. No repository's own code is ever run.

A model is `owner/name`, or `owner/name@revision` with a branch, tag or commit; without one it is `main`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference import model_files
from inference.errors import BatchscopeError, ModelUnavailable

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

TIMEOUT_S = 5.0
"""For every single answer of the hub."""
CHUNK_BYTES = 256 * 1024
_WANTED = (".json", "merges.txt", model_files.WEIGHTS)
_ID = re.compile(r"^(?P<repository>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w][\w./-]*))?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True, slots=True)
class Repository:
    """A model on the hub."""

    name: str
    revision: str

    @classmethod
    def of(cls, model: str) -> Repository:
        """Take an id apart. Raises `ModelUnavailable` for what is none."""
        found = _ID.match(model)
        if found is None or ".." in model:
            raise ModelUnavailable(
                f"{model} is neither a folder on this machine nor a hub id such as microsoft/resnet-50 or "
                "microsoft/resnet-50@main."
            )
        return cls(found["repository"], found["revision"] or "main")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the hub says of a model that is not on this machine."""

    files: Mapping[str, int]
    """Bytes of the files that loading takes, by name."""
    config: Mapping[str, Any]
    processor: Mapping[str, Any]


def is_cached(model: str) -> bool:
    """Whether the hub's cache on this machine holds the model whole; takes no time worth speaking of."""
    return cached_folder(model) is not None


def cached_folder(model: str) -> Path | None:
    """Where the hub's cache holds the model whole; None if it does not."""
    # The cache's layout is documented; the client's own functions take a quarter of a second to import.
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        repository = Repository.of(model)
        kept = Path(HF_HUB_CACHE, f"models--{repository.name.replace('/', '--')}")
        commit = repository.revision
        if not _COMMIT.match(commit):
            commit = (kept / "refs" / commit).read_text(encoding="utf-8").strip()
        folder = kept / "snapshots" / commit
        model_files.check_whole(folder, model)
    except (OSError, ValueError, ModelUnavailable):
        return None
    return folder if (folder / "config.json").is_file() else None


def download_bytes(model: str, *, timeout_s: float) -> int:
    """How many bytes a download of the model takes, as the hub says; raises what the hub's client raises."""
    return sum(_wanted_files(_ask(Repository.of(model), timeout_s)).values())


def describe(model: str) -> Described:
    """What the hub says of a model, within fifteen seconds. Raises `ModelUnavailable` with the reason."""
    repository = Repository.of(model)
    with _plain_errors(model, instead="choose another model"):
        files = _checked_files(repository, model)
        processor = next((name for name in model_files.PREPROCESSORS if name in files), None)
        return Described(
            files=files,
            config=json.loads(_fetch(repository, "config.json")),
            processor=json.loads(_fetch(repository, processor)) if processor else {},
        )


def download(
    model: str, on_progress: Callable[[int, int], None] | None = None, *, zero_shot: bool = False, instead: str
) -> Path:
    """Fetch a model into the hub's cache, and return its folder; files that are there already are not fetched again.

    A connection that breaks is taken up where it broke. What speaks against loading the model is found before its
    weights are fetched. `on_progress(done, total)` hears of bytes as they come, and may raise to stop. Raises
    `ModelUnavailable` with the reason, and what to do `instead`.
    """
    repository = Repository.of(model)
    with _plain_errors(model, instead=instead):
        files = _checked_files(repository, model, zero_shot=zero_shot)
        return _fetch_all(repository, files, on_progress)


def is_offline() -> bool:
    """Whether the environment forbids the hub's client to use the network."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return bool(HF_HUB_OFFLINE)


def _checked_files(repository: Repository, model: str, *, zero_shot: bool | None = None) -> dict[str, int]:
    """The files that loading takes, of a model that is worth fetching; answers within seconds whether it is there."""
    files = _wanted_files(_ask(repository, TIMEOUT_S))
    if "config.json" not in files:
        raise model_files.no_config(model)
    config = _fetch(repository, "config.json")
    if zero_shot is not None or not model_files.compares_with_texts(config):
        model_files.check_config(config, model, zero_shot=bool(zero_shot))
    model_files.check_files(set(files), model)
    return files


def _ask(repository: Repository, timeout_s: float) -> ModelInfo:
    from huggingface_hub import HfApi

    revision = None if repository.revision == "main" else repository.revision
    return HfApi().model_info(repository.name, revision=revision, files_metadata=True, timeout=timeout_s)


def _wanted_files(info: ModelInfo) -> dict[str, int]:
    """Name → bytes of the files that loading takes, the weights last: without them nothing counts as cached."""
    files = {
        file.rfilename: file.size or 0
        for file in info.siblings or ()
        if file.rfilename.endswith(_WANTED) and "/" not in file.rfilename
    }
    return dict(sorted(files.items(), key=lambda file: file[0].endswith(model_files.WEIGHTS)))


def _fetch_all(
    repository: Repository, files: Mapping[str, int], on_progress: Callable[[int, int], None] | None
) -> Path:
    from huggingface_hub import constants, hf_hub_download
    from tqdm.auto import tqdm

    # Its 10 MB are told of, written and kept for a next try only when all of them are there (huggingface_hub 2.4).
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES

    total, done = sum(files.values()), 0

    class Told(tqdm):  # the client's own way to tell how far a file is
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **(kwargs | {"disable": True}))
            self.n = kwargs.get("initial") or 0

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if on_progress is not None:
                on_progress(min(total, int(done + self.n)), total)
            return None

    folder = None
    # One by one: `snapshot_download` asks for the list of files without a time limit (huggingface_hub 2.4).
    for name, size in files.items():
        kept = hf_hub_download(
            repository.name, name, revision=repository.revision, etag_timeout=TIMEOUT_S, tqdm_class=Told
        )
        folder, done = Path(kept).parent, done + size
    if folder is None:
        raise ValueError("there is nothing to fetch")
    return folder


def _fetch(repository: Repository, name: str) -> bytes:
    """A small file's content, not cached: `hf_hub_download` tries for a minute where nothing answers."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented there
        build_hf_headers,
        hf_raise_for_status,
    )

    address = hf_hub_url(repository.name, name, revision=repository.revision)
    answer = get_session().get(address, headers=build_hf_headers(), timeout=TIMEOUT_S)
    hf_raise_for_status(answer)
    return answer.content


@contextmanager
def _plain_errors(model: str, *, instead: str) -> Iterator[None]:
    """Whatever the hub's client raises, as `ModelUnavailable` with what to do."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except BatchscopeError:
        raise
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{model} is gated: accept its terms on the hub, and set HF_TOKEN to a token of yours."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelUnavailable(f"The hub has no such revision of {model.partition('@')[0]}: {model}.") from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f"The hub has no model {model}, or it is private. Check the spelling.") from error
    except Exception as error:  # the client also raises its HTTP library's own errors, of which there are many
        raise ModelUnavailable(_why_not(model, error, instead)) from error


def _why_not(model: str, error: Exception, instead: str) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    if isinstance(error, OSError) and error.filename is not None:  # it is about a file of ours, not about the network
        return f"{model} could not be kept in {HF_HUB_CACHE}: {error.strerror}. Make room there, or {instead}."
    if is_offline():
        return f"{model} is not cached here, and HF_HUB_OFFLINE forbids to download it. Unset it, or {instead}."
    address = os.environ.get("HF_ENDPOINT", "the Hugging Face hub")
    return (
        f"{model} is not cached here, and {address} could not be reached ({type(error).__name__}). "
        f"Connect to it, or {instead}."
    )
