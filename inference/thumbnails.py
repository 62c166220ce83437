"""Small pictures for the pages, made once and kept in the home folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import get_ident

from PIL import Image

from inference import listing, remote
from inference.fetches import Latest
from inference.geometry import Geometry
from inference.images import Undecodable, decode
from inference.listing import ImageRef, read_listed
from inference.lists import image_bytes

SIDE_PIXELS = 320
"""Longest side: sharp at 160 points on a screen with two pixels per point."""

MAX_KEPT = 80
"""Thumbnails that one of the 256 folders keeps, the oldest going first: 20,480 in all, about half a gigabyte."""
LARGEST_PIXELS = 1600
"""Longest side of a picture that is shown alone."""
MIN_SEEN_PIXELS = 448
"""What a model sees is enlarged by a whole number up to this, so that a browser does not smooth it."""
THREADS = 4

_fetched = Latest[bytes](512, 600.0)
"""The latest thumbnails of images in buckets, by the file that they are kept in."""

_Place = tuple[Path, int | None]
"""The file of an image, and the row in it where that is a Parquet list: see `listing.image_file`."""


def thumbnails(home: Path, dataset: str, image_ids: Sequence[str], *, chosen: bool = False) -> list[bytes | None]:
    """What `thumbnail` gives for each of these images; new ones are made side by side.

    `chosen` says that a person has just chosen the data set: see `remote.may_be_asked`.
    """
    places = [listing.image_file(dataset, image_id, home) for image_id in image_ids]
    contents = _of_lists([place for place in places if place is not None and not _is_kept(home, place)])
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda place: _thumbnail(home, place, contents) if place else None, places))
    far = [None if place else remote.image_of(dataset, image) for place, image in zip(places, image_ids, strict=True)]
    wanted = [image for image in far if image is not None]
    fetched = _of_buckets(home, wanted) if wanted and (chosen or remote.may_be_asked(dataset, home)) else {}
    return [fetched.get(image.uri) if image else near for image, near in zip(far, found, strict=True)]


def thumbnail(home: Path, dataset: str, image_id: str) -> bytes | None:
    """A small JPEG of one image of a data set; None when it cannot be shown: gone, not decodable, or not there yet.

    One in a bucket is fetched for it, and kept as it was then.
    """
    return thumbnails(home, dataset, [image_id])[0]


def keep(home: Path, image: ImageRef, data: bytes) -> None:
    """Make and keep the thumbnail of an image in a bucket, of which these are the bytes. Raises `Undecodable`."""
    small, place = _small(data), _kept_of_bucket(home, image)
    _fetched.keep(str(place), small)  # on a full disk nothing else is kept of it, and it must not be fetched again
    _keep(place, small)


def _of_buckets(home: Path, images: Sequence[ImageRef]) -> dict[str, bytes]:
    """The thumbnails of these images that are kept, by address; the others are fetched if that is quick."""
    found = _kept_among(home, images)
    missing = [image for image in images if image.uri not in found]
    remote.fetch(missing, lambda image, data: keep(home, image, data))
    return found | _kept_among(home, missing)


def _kept_among(home: Path, images: Iterable[ImageRef]) -> dict[str, bytes]:
    found = {}
    for image in images:
        place = _kept_of_bucket(home, image)
        with contextlib.suppress(OSError):
            found[image.uri] = _fetched.get(str(place)) or place.read_bytes()
    return found


def forget(home: Path, files: Iterable[Path]) -> None:
    """Remove the thumbnails of these files, as the files are now."""
    for file in files:
        with contextlib.suppress(OSError):
            _kept(home, (file.resolve(), None)).unlink()


def _thumbnail(home: Path, place: _Place, contents: Mapping[_Place, bytes]) -> bytes | None:
    try:
        kept = _kept(home, place)
        if kept.is_file():
            return kept.read_bytes()
        data = _small(_content(place, contents))
    except (OSError, Undecodable):
        return None
    _keep(kept, data)
    return data


def _small(content: bytes) -> bytes:
    # Twice as large as needed, so that the filter below and not the decoder decides how it looks.
    small = decode(content, at_least_pixels=2 * SIDE_PIXELS)
    small.thumbnail((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)
    return _written(small, "JPEG", quality=82)


def _kept(home: Path, place: _Place) -> Path:
    """Where the thumbnail of an image is kept, as the image is now."""
    file, row = place
    stat = file.stat()
    return _place_of(home, f"{file}\0{stat.st_mtime_ns}\0{stat.st_size}" + ("" if row is None else f"\0{row}"))


def _kept_of_bucket(home: Path, image: ImageRef) -> Path:
    """Where the thumbnail of an image in a bucket is kept."""
    return _place_of(home, remote.name_of(image))


def _place_of(home: Path, name: str) -> Path:
    key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return home / "thumbnails" / key[:2] / f"{key[2:34]}.jpg"


def _is_kept(home: Path, place: _Place) -> bool:
    try:
        return _kept(home, place).is_file()
    except OSError:
        return False


def _content(place: _Place, contents: Mapping[_Place, bytes]) -> bytes:
    return read_listed(place[0]) if place[1] is None else contents.get(place, b"")


def _of_lists(places: Iterable[_Place]) -> dict[_Place, bytes]:
    """The images among these that lie in Parquet lists; each list is opened once, and read where they are."""
    rows: dict[Path, list[int]] = {}
    for file, row in places:
        if row is not None:
            rows.setdefault(file, []).append(row)
    found: dict[_Place, bytes] = {}
    for file, wanted in rows.items():
        with contextlib.suppress(OSError):
            found |= {(file, row): data for row, data in image_bytes(file, wanted).items() if data is not None}
    return found


def picture(home: Path, dataset: str, image_id: str) -> Image.Image | None:
    """One image of a data set with all its pixels; None when it cannot be shown, or is not there yet."""
    place = listing.image_file(dataset, image_id, home)
    far = remote.image_of(dataset, image_id) if place is None else None
    if far is not None and not remote.may_be_asked(dataset, home):
        return None
    try:
        data = _content(place, _of_lists([place])) if place else remote.content(far) if far else None
        return decode(data) if data is not None else None
    except (OSError, Undecodable):
        return None


def as_it_is(image: Image.Image) -> bytes:
    """A picture as a JPEG that fits a screen."""
    small = image.copy()
    small.thumbnail((LARGEST_PIXELS, LARGEST_PIXELS), Image.Resampling.LANCZOS)
    return _written(small, "JPEG", quality=90)


def as_seen(image: Image.Image, geometry: Geometry) -> bytes:
    """The pixels of a picture that a model sees as a PNG; few pixels are drawn as squares, for the eye."""
    seen = geometry.picture(image)
    times = max(1, MIN_SEEN_PIXELS // max(seen.size))
    return _written(seen.resize((seen.width * times, seen.height * times), Image.Resampling.NEAREST), "PNG")


def _written(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _keep(path: Path, data: bytes) -> None:
    """Write whole or not at all; a full disk costs only the cache."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, path)
        _trim(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _trim(folder: Path) -> None:
    """Remove the oldest thumbnails of a folder that holds too many."""
    files = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(folder) if entry.name.endswith(".jpg")]
    for _, path in sorted(files)[:-MAX_KEPT]:
        with contextlib.suppress(FileNotFoundError):  # another page was quicker
            os.unlink(path)
