"""The models and data sets that the program knows by name, each with its state; never waits for a network.

What the network says is asked in the background and kept for a minute: until the first answer a remote entry
is `checking`.
"""

from __future__ import annotations

import math
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inference import checkpoints, folders, hub, listing, model_files, remote, s3
from inference.errors import DataUnavailable, ModelUnavailable
from inference.listing import ImageRef

PROBE_TIMEOUT_S = 4.0
PROBE_KEPT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model or data set of the catalogue."""

    name: str
    """What `RunConfig` calls it."""
    title: str
    description: str
    state: str
    """`ready`, `cached`, `download` (reachable, needs one), `unreachable`, or `checking`."""
    note: str
    """The state as a sentence for a person."""


def models(home: Path) -> tuple[Entry, ...]:
    """The catalogue's models, those that work offline first."""
    state, note = _hub_state(checkpoints.RESNET_50)
    return (
        Entry(
            name=checkpoints.DIGITS,
            title="digits",
            description="A small residual network that reads handwritten digits in photographs; bundled.",
            state="ready",
            note="Bundled: works with no network.",
        ),
        Entry(
            name=checkpoints.RESNET_50_UNTRAINED,
            title="ResNet-50, untrained",
            description="The true cost of ResNet-50 with random weights: its labels are meaningless.",
            state="ready",
            note=(
                "Ready."
                if checkpoints.is_checkpoint(checkpoints.untrained_folder(home))
                else "Made on this machine at first use; needs no network."
            ),
        ),
        Entry(
            name=checkpoints.RESNET_50,
            title="ResNet-50",
            description="microsoft/resnet-50 from the Hugging Face hub, trained on ImageNet.",
            state=state,
            note=note,
        ),
    )


def datasets(home: Path) -> tuple[Entry, ...]:
    """The catalogue's data sets, those that work offline first."""
    made = listing.samples_folder(home).is_dir()
    state, note = _bucket_state(listing.IMAGENETTE_URI)
    return (
        Entry(
            name=listing.DIGITS,
            title="digits",
            description="1,000 photographs with a handwritten digit, labelled.",
            state="ready",
            note="Ready." if made else "Made on this machine at first use; needs no network.",
        ),
        Entry(
            name=listing.IMAGENETTE,
            title="Imagenette",
            description="Photographs of ten ImageNet classes, in a public bucket.",
            state=state,
            note=note,
        ),
    )


def require(model: str, dataset: str, home: Path, *, zero_shot: bool = False) -> tuple[str, str]:
    """The model and the data set as every process understands them, if there is something to run; asks no network.

    Raises `DataUnavailable` or `ModelUnavailable` with what to do.
    """
    model, dataset = checkpoints.absolute(model), listing.absolute(dataset)
    folder = checkpoints.local_folder(model, home)
    if folder is not None and model not in (checkpoints.DIGITS, checkpoints.RESNET_50_UNTRAINED):
        if not folder.is_dir():
            raise ModelUnavailable(f"There is no folder {folder}. Give a folder with a model, or a hub id.")
        model_files.check(folder, model, zero_shot=zero_shot)
    if not listing.in_bucket(dataset):
        listing.list_images(dataset, home, 1)
    return model, dataset


def preview(dataset: str, home: Path, count: int = 4) -> list[ImageRef]:
    """The first images of a data set that lies on this machine; empty for one in a bucket.

    Raises `DataUnavailable` with the reason.
    """
    return [] if listing.in_bucket(dataset) else list(listing.list_images(dataset, home, count).images)


def image_path(dataset: str, image_id: str, home: Path) -> Path | None:
    """Where an image of a data set lies on this machine; None if it lies elsewhere, or outside its folder."""
    found = listing.image_file(dataset, image_id, home)
    return found[0] if found and found[1] is None else None


def why_no_picture(dataset: str, image_id: str, home: Path, *, chosen: bool = False) -> str | None:
    """Why the picture of an image cannot be shown, as a sentence; None where it is not to be had from its file.

    `chosen` is what `thumbnails` was told.
    """
    try:
        root = listing.root_folder(listing.absolute(dataset), home)
        in_bucket = remote.image_of(dataset, image_id)
        if in_bucket is not None and not chosen and not remote.may_be_asked(dataset, home):
            return "It lies in a bucket, and the run came from elsewhere: run it again here to have it fetched."
        if in_bucket is not None:
            return remote.why_not(in_bucket)
        if root is None:
            return "It is none of the data set's."
        file = root / image_id
        if file.parent.suffix == ".parquet":
            file = file.parent
        if folders.resolved(file).exists():
            return None
    except DataUnavailable as error:
        return str(error)
    if dataset == listing.DIGITS:
        return "The next run on this machine makes them."
    return f"There is no {file} any more."


def _hub_state(model_id: str) -> tuple[str, str]:
    if hub.is_cached(model_id):
        return "cached", "Cached: works with no network."
    if hub.is_offline():
        return "unreachable", "Not cached, and HF_HUB_OFFLINE is set."
    return _probed(
        f"model {model_id}",
        lambda: _ask_hub(model_id),
        unreachable="Not reachable: the Hugging Face hub does not answer.",
    )


def _ask_hub(model_id: str) -> tuple[str, str]:
    size = hub.download_bytes(model_id, timeout_s=PROBE_TIMEOUT_S)
    return "download", f"Needs a download of {size / 1e6:.0f} MB."


def _bucket_state(uri: str) -> tuple[str, str]:
    return _probed(f"bucket {uri}", lambda: _ask_bucket(uri), unreachable="Not reachable: the bucket does not answer.")


def _ask_bucket(uri: str) -> tuple[str, str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    endpoint = s3.endpoint()
    base = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.s3.amazonaws.com"
    address = f"{base}?list-type=2&max-keys=1&prefix={prefix}"
    with urllib.request.urlopen(address, timeout=PROBE_TIMEOUT_S):  # noqa: S310  # our own https or endpoint
        return "download", "Reachable: each run reads it over the network."


_answers: dict[str, tuple[float, tuple[str, str]]] = {}
_asking: set[str] = set()
_lock = threading.Lock()


def _probed(key: str, ask: Callable[[], tuple[str, str]], *, unreachable: str) -> tuple[str, str]:
    """The latest answer to a slow question; asks again in the background when it is older than a minute.

    Where asking raises, whatever it was, the answer is `unreachable`.
    """
    with _lock:
        # Minus infinity, not 0: the monotonic clock of a machine that has just started is below a minute itself.
        asked_at, answer = _answers.get(key, (-math.inf, ("checking", "Asking the network.")))
        if time.monotonic() - asked_at > PROBE_KEPT_S and key not in _asking:
            _asking.add(key)
            thread = threading.Thread(target=_ask, args=(key, ask, unreachable), daemon=True, name=f"probe {key}")
            thread.start()
    return answer


def _ask(key: str, ask: Callable[[], tuple[str, str]], unreachable: str) -> None:
    try:
        answer = ask()
    except Exception:  # noqa: BLE001  # the entry's state says so, and a thread that died would leave it checking
        answer = "unreachable", unreachable
    with _lock:
        _answers[key] = (time.monotonic(), answer)
        _asking.discard(key)
