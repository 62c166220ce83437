"""Uploaded images → a folder of the program's own, with a list that says what is in it.

Nothing of what comes in is trusted: files get names made here, sizes are counted while they are written, whatever an
archive claims, and an upload is kept whole or not at all.
"""

from __future__ import annotations

import csv
import errno
import os
import re
import shutil
import stat
import struct
import time
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from inference import thumbnails
from inference.errors import DataUnavailable
from inference.images import EXTENSIONS
from inference.setting_words import UPLOAD_TIME, dataset_words, uploaded_at
from inference.wording import bytes_, plain, shortened

MAX_IMAGES = 10_000
MAX_IMAGE_BYTES = 50 * 1024**2
MAX_FILE_BYTES = 500 * 1024**2
"""Of one file as it comes, an archive too: the server holds it in memory until it is kept. `server.maxUploadSize` in
`.streamlit/config.toml` is the same."""
MAX_TOTAL_BYTES = 2 * 1024**3
"""Of all images together, unpacked."""
MAX_DIRECTORY_BYTES = 8 * 1024**2
"""Of an archive's list of its files, which is read before anything else: room for 20,000 with long names."""
LEFT_FREE_BYTES = 1024**3
"""An upload leaves this much room on the disk."""
LIMITS = (
    f"at most {MAX_IMAGES:,} images of {bytes_(MAX_IMAGE_BYTES)} each, {MAX_TOTAL_BYTES // 1024**3} GiB together once "
    f"unpacked, in files of at most {bytes_(MAX_FILE_BYTES)}"
)

LIST_NAME = "images.csv"
MAX_LABEL = 200
_CHUNK_BYTES = 1024**2
_STALE_S = 24 * 3600
"""What is left of an upload that long ago was broken off: its server ended."""
_UNREADABLE_ARCHIVE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,  # a password is asked for
    NotImplementedError,  # a compression that Python lacks
    ValueError,  # names that are not the UTF-8 that they claim to be, places before the file's start
    OverflowError,
)
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others unpack a piece whole, however large it becomes (Python 3.13)."""
_ODD = re.compile(r"[^A-Za-z0-9]+")
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What was kept of an upload."""

    dataset: str
    """What `RunConfig` calls it: the path of its list."""
    images: int
    skipped: tuple[str, ...]
    """Names of files that are no images, as they were given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An upload that is still here."""

    name: str
    """Of its folder; what `remove` takes."""
    dataset: str
    """What `RunConfig` calls it: the path of its list."""
    at: float
    """When it came, in seconds since the epoch."""
    images: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Incoming:
    """One file that came in, by itself or in an archive."""

    name: str
    content: IO[bytes]
    label: str | None


def keep(home: Path, files: Sequence[tuple[str, IO[bytes]]]) -> Upload:
    """Keep uploaded images and the images of uploaded zip archives; a folder in an archive is its images' label.

    Raises `DataUnavailable` where there is no image among them, where an archive cannot be read, and beyond `LIMITS`.
    """
    uploads = _place(home)
    part = uploads / f".{uuid.uuid4().hex}.part"
    try:
        part.mkdir(parents=True)
        _clear_up(uploads)
        kept, skipped = _write(part, files)
        if not kept:
            raise DataUnavailable(
                f"There is no image among the {len(skipped)} uploaded files: looked for {', '.join(EXTENSIONS)}."
            )
        with (part / LIST_NAME).open("w", newline="", encoding="utf-8") as listing:
            csv.writer(listing).writerows([("path", "label"), *kept])
        folder = _named(part, len(kept))
    except OSError as error:
        raise DataUnavailable(
            f"The upload could not be kept in {uploads}: {error.strerror or error}. Free some space, or choose "
            "a folder on this machine instead."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Upload(dataset=str(folder / LIST_NAME), images=len(kept), skipped=tuple(skipped))


def kept_uploads(home: Path) -> tuple[Kept, ...]:
    """The uploads that are still here, the latest first."""
    try:
        folders = [entry for entry in os.scandir(_place(home)) if not entry.name.startswith(".")]
        found = [_kept(Path(entry.path)) for entry in folders if entry.is_dir(follow_symlinks=False)]
    except OSError:  # there have been none; or one was removed meanwhile, and the next look shows the others
        return ()
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.at, reverse=True))


def datasets(home: Path) -> tuple[str, ...]:
    """The data sets of the uploads that are still here, the latest first; told without a look at their files."""
    try:
        names = [entry.name for entry in os.scandir(_place(home)) if not entry.name.startswith(".")]
    except OSError:
        return ()
    return tuple(str(_place(home) / name / LIST_NAME) for name in sorted(names, reverse=True))


def called(home: Path, words: str) -> str | None:
    """The data set of the upload that `dataset_words` writes like this in full; None if there is none any more."""
    return next((dataset for dataset in datasets(home) if dataset_words(dataset, in_full=True) == words), None)


def remove(home: Path, name: str) -> None:
    """Remove an upload and the small pictures that were made of it; runs that used it keep their results.

    Raises `DataUnavailable` where it cannot be removed. One that is not there is removed already.
    """
    kept = next((one for one in kept_uploads(home) if one.name == name), None)
    if kept is None:
        return
    folder = _place(home) / kept.name
    gone = folder.with_name(f".{uuid.uuid4().hex}.part")
    try:
        thumbnails.forget(home, (Path(entry.path) for entry in os.scandir(folder)))
        os.replace(folder, gone)  # at once for whoever lists it
        shutil.rmtree(gone)
    except OSError as error:
        raise DataUnavailable(f"The upload {folder} could not be removed: {error.strerror}.") from error


def _place(home: Path) -> Path:
    """Resolved, as runs know their data sets."""
    return (home / "uploads").resolve()


def _kept(folder: Path) -> Kept | None:
    listing = folder / LIST_NAME
    if not listing.is_file():
        return None
    sizes = [entry.stat(follow_symlinks=False).st_size for entry in os.scandir(folder) if entry.name != LIST_NAME]
    at = uploaded_at(str(listing))
    return Kept(
        name=folder.name,
        dataset=str(listing),
        at=listing.stat().st_mtime if at is None else at,
        images=len(sizes),
        size_bytes=sum(sizes),
    )


def _named(part: Path, images: int) -> Path:
    """Give an upload its name, which tells when it came and how many images it has, and tells it from all others."""
    at = int(time.time())
    while True:
        folder = part.with_name(f"{time.strftime(UPLOAD_TIME, time.gmtime(at))}-{images}")
        try:
            os.rename(part, folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            at += 1
        else:
            return folder


def _clear_up(uploads: Path) -> None:
    for part in uploads.glob(".*.part"):
        if time.time() - part.stat().st_mtime > _STALE_S:
            shutil.rmtree(part, ignore_errors=True)


# -- what comes in -------------------------------------------------------------------------------------------------


def _write(folder: Path, files: Sequence[tuple[str, IO[bytes]]]) -> tuple[list[tuple[str, str]], list[str]]:
    """Write the images into the folder; their new names with their labels, and the names of what is no image."""
    kept: list[tuple[str, str]] = []
    skipped: list[str] = []
    left = MAX_TOTAL_BYTES
    for incoming in _images(files, skipped):
        if len(kept) == MAX_IMAGES:
            raise _too_many()
        if shutil.disk_usage(folder).free < LEFT_FREE_BYTES:
            raise DataUnavailable(
                f"The disk that holds {folder.parent} has less than {bytes_(LEFT_FREE_BYTES)} left: remove earlier "
                "uploads, or free some space."
            )
        name = _own_name(len(kept) + 1, incoming.name)
        left -= _copy(incoming, folder / name, min(MAX_IMAGE_BYTES, left))
        kept.append((name, incoming.label or ""))
    return kept, skipped


def _images(files: Sequence[tuple[str, IO[bytes]]], skipped: list[str]) -> Iterator[_Incoming]:
    """All images that came in, those of archives unpacked."""
    for name, content in files:
        if name.lower().endswith(".zip"):
            yield from _unpacked(name, content, skipped)
        elif _is_image(name):
            yield _Incoming(name=name, content=content, label=None)
        else:
            skipped.append(name)


def _unpacked(name: str, content: IO[bytes], skipped: list[str]) -> Iterator[_Incoming]:
    try:
        with zipfile.ZipFile(cast(IO[bytes], _SmallReads(name, content))) as archive:
            for entry, path in _wanted(archive, skipped):
                with archive.open(entry) as file:
                    yield _Incoming(name=path.name, content=file, label=_label(path))
    except _UNREADABLE_ARCHIVE as error:
        raise _cannot_unpack(name, error) from error


class _SmallReads:
    """An archive whose list of files cannot fill the memory: `zipfile` reads that list at once, whatever it holds."""

    def __init__(self, name: str, content: IO[bytes]) -> None:
        self._name = name
        self._content = content

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise DataUnavailable(f"{shortened(self._name)} holds too many files: an upload may hold {LIMITS}.")
        return self._content.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)


def _wanted(archive: zipfile.ZipFile, skipped: list[str]) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The images of an archive, with their paths in it; refused at once if they say that they are too much."""
    wanted = []
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if entry.is_dir() or path.name.startswith(".") or "__MACOSX" in path.parts:
            continue
        if not _is_image(path.name) or stat.S_ISLNK(entry.external_attr >> 16):
            skipped.append(entry.filename)
            continue
        if entry.compress_type not in _KINDS:
            raise NotImplementedError(f"the compression of {shortened(path.name)} is not that of an ordinary archive")
        if entry.file_size > MAX_IMAGE_BYTES:
            raise _too_large(path.name)
        wanted.append((entry, path))
    if len(wanted) > MAX_IMAGES:
        raise _too_many()
    total = sum(entry.file_size for entry, _ in wanted)
    if total > MAX_TOTAL_BYTES:
        raise DataUnavailable(f"The archive unpacks to {bytes_(total)}: an upload may hold {LIMITS}.")
    return wanted


def _copy(incoming: _Incoming, path: Path, most: int) -> int:
    """Write one file of at most so many bytes, counted as they come; how many there were."""
    written = 0
    try:
        with path.open("xb") as file:
            while chunk := incoming.content.read(_CHUNK_BYTES):
                written += len(chunk)
                if written > most:
                    raise _too_large(incoming.name)
                file.write(chunk)
    except _UNREADABLE_ARCHIVE as error:
        raise _cannot_unpack(incoming.name, error) from error
    return written


def _too_many() -> DataUnavailable:
    return DataUnavailable(f"More than {MAX_IMAGES:,} images: an upload may hold {LIMITS}.")


def _too_large(name: str) -> DataUnavailable:
    return DataUnavailable(f"{shortened(name)} is too large: an upload may hold {LIMITS}.")


def _cannot_unpack(name: str, error: BaseException) -> DataUnavailable:
    reason = shortened(str(error).rstrip(".") or type(error).__name__, 120)
    return DataUnavailable(
        f"{shortened(name)} cannot be unpacked: {reason}. Pack it again as an ordinary zip without a password."
    )


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def _label(path: PurePosixPath) -> str | None:
    """The folder that an image of an archive lies in, in one line and not longer than a label needs to be."""
    folders = [part for part in path.parts[:-1] if part not in ("/", ".", "..") and not _DRIVE.fullmatch(part)]
    return plain(folders[-1])[:MAX_LABEL] if folders else None


def _own_name(number: int, name: str) -> str:
    """A name made here that still tells the person which file it was: `00001-my-cat.jpg`."""
    stem, ending = os.path.splitext(PurePosixPath(name.replace("\\", "/")).name)
    told = _ODD.sub("-", stem).strip("-")[:40]
    return f"{number:05d}{f'-{told}' if told else ''}{ending.lower()}"
