"""Models of the Hugging Face hub: cached, described, downloaded. No repository's own code is ever run.

A model is `owner/name`, or `owner/name@revision` with a branch, tag or commit; without one it is `main`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference import model_files
from inference.errors import BatchscopeError, ModelUnavailable

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

    from inference.patience import Patience

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
    from inference.patience import Patience

    repository, patience = Repository.of(model), Patience()
    with _plain_errors(repository, instead="choose another model"):
        found = _judged(repository, model, patience)
        processor = next(name for name in model_files.PREPROCESSORS if name in found.files)
        return Described(
            files=found.files,
            config=json.loads(found.config),
            processor=model_files.settings(_fetch(repository, processor, patience), processor, model),
        )


def require(model: str, *, zero_shot: bool, instead: str) -> None:
    """See that a model is worth fetching, as far as the hub says within fifteen seconds; nothing is kept.

    Raises `ModelUnavailable` with the reason, and what to do `instead`.
    """
    from inference.patience import Patience

    repository = Repository.of(model)
    with _plain_errors(repository, instead=instead):
        _judged(repository, model, Patience(), zero_shot=zero_shot)


def download(
    model: str, on_progress: Callable[[int, int], None] | None = None, *, zero_shot: bool = False, instead: str
) -> Path:
    """Fetch a model into the hub's cache, and return its folder; what is there already is not fetched again.

    Whether it is worth fetching is known within fifteen seconds, before any weights are asked for. `on_progress(done,
    total)` hears of bytes as they come, and at least every half second while none come; the total is 0 until the hub
    has told it. It may raise to stop: what has come is kept for the next attempt. Raises `ModelUnavailable` with the
    reason, and what to do `instead`.
    """
    from inference.patience import Patience

    repository, tell = Repository.of(model), on_progress or _ignore
    with _plain_errors(repository, instead=instead):
        patience = Patience(on_wait=lambda: tell(0, 0))
        found = _judged(repository, model, patience, zero_shot=zero_shot)
        _check_room(repository, found, instead)
        return _fetch_all(repository, found, tell)


def is_offline() -> bool:
    """Whether the environment forbids the hub's client to use the network."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return bool(HF_HUB_OFFLINE)


def _ignore(done: int, total: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """A model on the hub that is worth fetching, as far as its configuration and the names of its files tell."""

    commit: str
    files: Mapping[str, int]
    """Bytes of the files that loading takes, by name, the weights last: without them nothing counts as cached."""
    config: bytes


def _judged(repository: Repository, model: str, patience: Patience, *, zero_shot: bool | None = None) -> _Judged:
    """Raise `ModelUnavailable` for a model that is not worth fetching."""
    from inference.patience import TIMEOUT_S

    info = patience.answer(lambda: _ask(repository, TIMEOUT_S))
    if not info.sha:
        raise ValueError("it names no commit")
    files = _wanted_files(info)
    if "config.json" not in files:
        raise model_files.no_config(model)
    config = _fetch(repository, "config.json", patience)
    if zero_shot is not None or not model_files.compares_with_texts(config):
        model_files.check_config(config, model, zero_shot=bool(zero_shot))
    model_files.check_files(set(files), model)
    return _Judged(info.sha, files, config)


def _ask(repository: Repository, timeout_s: float) -> ModelInfo:
    from huggingface_hub import HfApi

    revision = None if repository.revision == "main" else repository.revision
    return HfApi().model_info(repository.name, revision=revision, files_metadata=True, timeout=timeout_s)


def _wanted_files(info: ModelInfo) -> dict[str, int]:
    files = {
        file.rfilename: file.size or 0
        for file in info.siblings or ()
        if file.rfilename.endswith(_WANTED) and Path(file.rfilename).name == file.rfilename
    }
    return dict(sorted(files.items(), key=lambda file: file[0].endswith(model_files.WEIGHTS)))


def _check_room(repository: Repository, found: _Judged, instead: str) -> None:
    """Raise `ModelUnavailable` if the hub would not send files of that size, or the disk not take them."""
    from huggingface_hub.constants import HF_HUB_CACHE, MAX_HTTP_DOWNLOAD_SIZE

    from inference import downloads

    large = next((name for name, size in found.files.items() if size > MAX_HTTP_DOWNLOAD_SIZE), None)
    if large is not None:
        raise ModelUnavailable(
            f"{large} of {repository.name} has {_gb(found.files[large])}: that is too large to be fetched here. Fetch "
            f"it in a terminal with: hf download {repository.name}"
        )
    kept = downloads.snapshot(repository.name, found.commit)
    missing = sum(size for name, size in found.files.items() if not (kept / name).is_file())
    needed = missing - downloads.begun_bytes(repository.name)
    Path(HF_HUB_CACHE).mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(HF_HUB_CACHE).free
    if needed > free:
        raise ModelUnavailable(
            f"{repository.name} needs {_gb(needed)} more, and {HF_HUB_CACHE} has room for {_gb(free)}. Make room "
            f"there, set HF_HOME to a folder on another disk, or {instead}."
        )


def _fetch_all(repository: Repository, found: _Judged, tell: Callable[[int, int], None]) -> Path:
    from inference import downloads

    total = sum(found.files.values())
    folder = downloads.snapshot(repository.name, found.commit)

    def told(before: int, done: int) -> None:
        tell(min(total, before + done), total)

    before = 0
    for name, size in found.files.items():
        if name.endswith(model_files.WEIGHTS):  # all settings are there by now, and may forbid to go on
            model_files.check_settings(folder, repository.name)
        downloads.fetch(repository.name, found.commit, name, partial(told, before))
        before += size
        tell(before, total)
    if repository.revision != found.commit:
        ref = downloads.kept_folder(repository.name) / "refs" / repository.revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(found.commit, encoding="utf-8")  # last: until then an earlier commit counts, which may be whole
    return folder


def _fetch(repository: Repository, name: str, patience: Patience) -> bytes:
    """A small file's content, not cached."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented there
        build_hf_headers,
        hf_raise_for_status,
    )

    from inference.patience import TIMEOUT_S

    address = hf_hub_url(repository.name, name, revision=repository.revision)

    def ask() -> bytes:
        answer = get_session().get(address, headers=build_hf_headers(), timeout=TIMEOUT_S)
        hf_raise_for_status(answer)
        return answer.content

    return patience.answer(ask)


@contextmanager
def _plain_errors(repository: Repository, *, instead: str) -> Iterator[None]:
    """Whatever the hub's client raises, as `ModelUnavailable` with what to do."""
    from inference import refusals

    try:
        yield
    except BatchscopeError:
        raise
    except Exception as error:  # the client also raises its HTTP library's own errors, of which there are many
        raise ModelUnavailable(refusals.sentence(error, repository.name, repository.revision, instead)) from error


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB"
