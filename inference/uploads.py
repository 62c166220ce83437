"""Uploaded images → a folder of the program's own, with a list that says what is in it.

Nothing of what comes in is trusted: files get names made here, sizes are counted while they are written, whatever an
archive claims, and an upload is kept whole or not at all.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from inference.errors import DataUnavailable
from inference.images import EXTENSIONS

MAX_IMAGES = 10_000
MAX_IMAGE_BYTES = 50 * 1024**2
MAX_TOTAL_BYTES = 2 * 1024**3
"""Of all images together, unpacked."""
LIMITS = "at most 10,000 images of 50 MiB each, 2 GiB together"

LIST_NAME = "images.csv"
_CHUNK_BYTES = 1024**2
# RuntimeError: a password is asked for; NotImplementedError: a compression that Python lacks.
_BROKEN_ARCHIVE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_ODD = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What was kept of an upload."""

    dataset: str
    """What `RunConfig` calls it: the path of its list."""
    images: int
    skipped: tuple[str, ...]
    """Names of files that are no images, as they were given."""


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
    folder = home / "uploads" / uuid.uuid4().hex[:12]
    part = folder.with_name(f".{folder.name}.part")
    try:
        part.mkdir(parents=True)
        kept, skipped = _write(part, files)
        if not kept:
            raise DataUnavailable(
                f"There is no image among the {len(skipped)} uploaded files: looked for {', '.join(EXTENSIONS)}."
            )
        with (part / LIST_NAME).open("w", newline="", encoding="utf-8") as listing:
            csv.writer(listing).writerows([("path", "label"), *kept])
        os.replace(part, folder)
    except OSError as error:
        raise DataUnavailable(
            f"The upload could not be kept in {folder.parent}: {error.strerror or error}. Free some space, or choose "
            "a folder on this machine instead."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Upload(dataset=str(folder / LIST_NAME), images=len(kept), skipped=tuple(skipped))


def _write(folder: Path, files: Sequence[tuple[str, IO[bytes]]]) -> tuple[list[tuple[str, str]], list[str]]:
    """Write the images into the folder; their new names with their labels, and the names of what is no image."""
    kept: list[tuple[str, str]] = []
    skipped: list[str] = []
    left = MAX_TOTAL_BYTES
    for incoming in _images(files, skipped):
        if len(kept) == MAX_IMAGES:
            raise DataUnavailable(f"More than {MAX_IMAGES:,} images: an upload may hold {LIMITS}.")
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
        with zipfile.ZipFile(content) as archive:
            for entry in archive.infolist():
                path = PurePosixPath(entry.filename.replace("\\", "/"))
                if entry.is_dir() or path.name.startswith(".") or "__MACOSX" in path.parts:
                    continue
                if not _is_image(path.name):
                    skipped.append(entry.filename)
                    continue
                folders = [part for part in path.parts[:-1] if part not in ("", "/", ".", "..")]
                with archive.open(entry) as file:
                    yield _Incoming(name=path.name, content=file, label=folders[-1] if folders else None)
    except _BROKEN_ARCHIVE as error:
        raise _cannot_unpack(name, error) from error


def _copy(incoming: _Incoming, path: Path, most: int) -> int:
    """Write one file of at most so many bytes, counted as they come; how many there were."""
    written = 0
    try:
        with path.open("xb") as file:
            while chunk := incoming.content.read(_CHUNK_BYTES):
                written += len(chunk)
                if written > most:
                    raise DataUnavailable(f"{incoming.name} is too large: an upload may hold {LIMITS}.")
                file.write(chunk)
    except _BROKEN_ARCHIVE as error:
        raise _cannot_unpack(incoming.name, error) from error
    return written


def _cannot_unpack(name: str, error: Exception) -> DataUnavailable:
    return DataUnavailable(f"{name} cannot be unpacked: {str(error).rstrip('.')}. Pack it again without a password.")


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def _own_name(number: int, name: str) -> str:
    """A name made here that still tells the person which file it was: `00001-my-cat.jpg`."""
    stem, ending = os.path.splitext(PurePosixPath(name.replace("\\", "/")).name)
    told = _ODD.sub("-", stem).strip("-")[:40]
    return f"{number:05d}{f'-{told}' if told else ''}{ending.lower()}"
