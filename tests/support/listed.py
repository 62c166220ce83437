"""Folders of files to be listed, and what a listing found in them."""

from __future__ import annotations

from pathlib import Path

from inference import listing


def fill(folder: Path, *names: str) -> None:
    """Put files of these names, which are no pictures, into a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"bytes")


def ids(found: listing.ImageList) -> list[str]:
    """The ids of the images, in order."""
    return [image.image_id for image in found.images]


def truths(found: listing.ImageList) -> dict[str, str | None]:
    """The images' labels by id."""
    return {image.image_id: image.truth for image in found.images}
