"""One file of the Hugging Face hub into its cache: taken up where an earlier attempt stopped, and verified when whole.

The hub's own client fetches into a file that no later attempt knows, sleeps for as long as a busy hub wishes, and hears
no cancel while nothing comes (huggingface_hub 2.4). What lies in the cache in the end is the same: blobs by their ETag,
and links to them by revision.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from threading import Event

from filelock import Timeout
from huggingface_hub import constants, get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.errors import FileMetadataError, HfHubHTTPError, HTTPError  # type: ignore[attr-defined]
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented there
    WeakFileLock,
    build_hf_headers,
    hf_raise_for_status,
)

from inference.errors import ModelUnavailable
from inference.patience import PATIENCE_S, POLL_S, TIMEOUT_S, Patience, attended, wished_wait_s

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"\w[\w.-]*")
_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Remote:
    """A file as the hub tells of it."""

    model: str
    name: str
    address: str
    etag: str
    """The SHA-256 of its content if it has the form of one: the hub names large files so."""
    size_bytes: int | None


def kept_folder(repository: str) -> Path:
    """Where the cache keeps a model, in all revisions."""
    return Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")


def snapshot(repository: str, commit: str) -> Path:
    """Where the cache keeps one revision of a model."""
    return kept_folder(repository) / "snapshots" / commit


def begun_bytes(repository: str) -> int:
    """How much earlier attempts have fetched of files that are not whole yet."""
    return sum(map(_size, (kept_folder(repository) / "blobs").glob("*.incomplete")))


def fetch(repository: str, commit: str, name: str, tell: Callable[[int], None]) -> None:
    """See that the cache holds a file of a model; where it does not, fetch what is missing of it.

    `tell(bytes)` hears how much of it is there whenever that changes, and four times a second while nothing comes; it
    may raise to stop. What is there is kept for the next attempt, in whichever process; it waits while another process
    fetches the same. Raises `ModelUnavailable` for a file that breaks off or arrives broken, and what the hub's client
    raises.
    """
    place = snapshot(repository, commit) / name
    if place.is_file():
        return
    remote = _described(repository, commit, name, tell)
    blob = kept_folder(repository) / "blobs" / remote.etag
    # This name is the hub's own for a file that is not whole: its `hf cache prune` finds what nobody completes.
    partial = blob.with_name(f"{blob.name}.incomplete")
    # The lock is that of the hub's own client, which may be fetching the same file for another program.
    lock = Path(constants.HF_HUB_CACHE, ".locks", kept_folder(repository).name, f"{remote.etag}.lock")
    for folder in (blob.parent, place.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(lock, on_wait=lambda: tell(_size(partial))):
        if not blob.is_file():
            _receive(remote, partial, tell)
            _verify(remote, partial, tell)
            partial.replace(blob)
        _link(blob, place)


def _described(repository: str, commit: str, name: str, tell: Callable[[int], None]) -> _Remote:
    address = hf_hub_url(repository, name, revision=commit)
    found = Patience(lambda: tell(0)).answer(lambda: get_hf_file_metadata(address, timeout=TIMEOUT_S))
    if found.etag is None or not _NAME.fullmatch(found.etag):  # it becomes the name of a file
        raise FileMetadataError(f"{address} has no ETag.")
    return _Remote(repository, name, address, found.etag, found.size)


@contextmanager
def _locked(lock: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(WeakFileLock(lock, timeout=POLL_S))
                break
            except Timeout:
                on_wait()
        yield


def _receive(remote: _Remote, partial: Path, tell: Callable[[int], None]) -> None:
    """Fetch what the partial file lacks of the whole."""
    partial.touch()
    begun = _size(partial)
    at = begun if remote.size_bytes is not None and begun <= remote.size_bytes else 0
    with partial.open("r+b", buffering=0) as file:
        file.truncate(at)
        file.seek(at)
        tell(at)
        if at == remote.size_bytes:
            return
        chunks = attended(lambda alone: _chunks(remote, at, alone), on_wait=lambda: tell(file.tell()))
        try:
            with closing(chunks):
                for offset, chunk in chunks:
                    _write(file, offset, chunk)
                    tell(file.tell())
                    if remote.size_bytes is not None and file.tell() > remote.size_bytes:
                        return  # it is not what the hub told of, and may have no end
        except HfHubHTTPError:
            raise
        except (HTTPError, TimeoutError) as error:
            raise ModelUnavailable(
                f"{remote.name} of {remote.model} broke off after {file.tell() / 1e6:,.0f} MB: nothing more came from "
                f"{_sender(error)} for {PATIENCE_S:.0f} s. What is here is kept: run it again to go on from there."
            ) from error


def _chunks(remote: _Remote, at: int, alone: Event) -> Generator[tuple[int, bytes]]:
    """(offset, bytes) from `at` on, and from 0 where a server cannot do that; asked again where a connection breaks."""
    furthest, gained_at = at, time.monotonic()
    while True:
        try:
            for offset, chunk in _connection(remote.address, at):
                yield offset, chunk
                at = offset + len(chunk)
                if at > furthest:
                    furthest, gained_at = at, time.monotonic()
            if remote.size_bytes is None or at >= remote.size_bytes:
                return
            raise HTTPError("The connection ended early.")
        except HTTPError as error:
            wait_s = wished_wait_s(error) if isinstance(error, HfHubHTTPError) else 1.0
            if wait_s is None or time.monotonic() + wait_s - gained_at > PATIENCE_S or alone.wait(wait_s):
                raise


def _connection(address: str, at: int) -> Iterator[tuple[int, bytes]]:
    # The session follows the hub to wherever it keeps its files, and leaves the token behind when the host changes.
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={at}-"} if at else {})
    with get_session().stream("GET", address, headers=headers, timeout=TIMEOUT_S) as response:
        hf_raise_for_status(response)
        at = at if response.status_code == 206 else 0
        for chunk in response.iter_bytes():
            yield at, chunk
            at += len(chunk)


def _write(file: FileIO, offset: int, chunk: bytes) -> None:
    try:
        if offset != file.tell():
            file.seek(offset)
            file.truncate()
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        # The disk is full: this room is what the program needs now to write down that the run has failed.
        file.truncate(0)
        raise


def _verify(remote: _Remote, partial: Path, tell: Callable[[int], None]) -> None:
    """Remove a file that is not what the hub told of, and say so."""
    size = _size(partial)
    wrong = None
    if remote.size_bytes is not None and size != remote.size_bytes:
        wrong = f"it has {size:,} bytes, and the hub tells of {remote.size_bytes:,}"
    elif _SHA256.fullmatch(remote.etag) and _sha256(partial, on_read=lambda: tell(size)) != remote.etag:
        wrong = "its SHA-256 is not the one that the hub tells"
    if wrong is not None:
        partial.unlink()
        raise ModelUnavailable(
            f"{remote.name} of {remote.model} arrived broken: {wrong}. It was removed: run it again to fetch it anew. "
            f"If that does not help, something between {constants.ENDPOINT} and this disk changes files."
        )


def _sha256(file: Path, on_read: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_READ_BYTES):
            digest.update(chunk)
            on_read()
    return digest.hexdigest()


def _link(blob: Path, place: Path) -> None:
    place.unlink(missing_ok=True)  # a link whose blob had been deleted
    try:
        place.symlink_to(os.path.relpath(blob, place.parent))
    except OSError:  # a file system without links
        blob.replace(place)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _sender(error: Exception) -> str:
    """Who failed to send: the hub, or wherever it keeps the file, which a firewall may know nothing of."""
    try:
        return f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):  # it was not an answer that failed
        return constants.ENDPOINT
