"""Small pictures for the pages, made once and kept in the home folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from threading import get_ident

from PIL import Image

from inference import catalog
from inference.images import Undecodable, decode
from inference.listing import read_listed

SIDE_PIXELS = 320
"""Longest side: sharp at 160 points on a screen with two pixels per point."""


def thumbnail(home: Path, dataset: str, image_id: str) -> bytes | None:
    """A small JPEG of one image of a data set; None when it cannot be shown (gone, or not decodable)."""
    source = catalog.image_path(dataset, image_id, home)
    if source is None:
        return None
    try:
        stat = source.stat()
        key = hashlib.sha256(f"{source}\0{stat.st_mtime_ns}\0{stat.st_size}".encode()).hexdigest()
        kept = home / "thumbnails" / key[:2] / f"{key[2:34]}.jpg"
        if kept.is_file():
            return kept.read_bytes()
        small = decode(read_listed(source))
    except (OSError, Undecodable):
        return None
    small.thumbnail((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82)
    _keep(kept, buffer.getvalue())
    return buffer.getvalue()


def _keep(path: Path, data: bytes) -> None:
    """Write whole or not at all; a full disk costs only the cache."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
