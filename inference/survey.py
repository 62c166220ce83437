"""What is in a data set, before anything is run on it: how many images, how large, of which kinds, which are broken.

Listing is complete up to `listing.MOST_LISTED`; pixels are decoded of some images spread evenly over all, because
decoding everything would take as long as a run.
"""

from __future__ import annotations

import io
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from inference import listing, thumbnails
from inference.buckets import SCHEME
from inference.bundled.samples import SAMPLE_COUNT, ensure_samples
from inference.entries import PassedOver
from inference.errors import DataUnavailable
from inference.images import FORMATS, Undecodable, decode
from inference.listing import ImageRef

LOOKED_AT = 200
LOOKED_AT_REMOTELY = 8
"""Each of them is fetched over the network."""
SHOWN = 8
_THREADS = 4

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The extremes and the middle of some numbers."""

    least: int
    median: int
    most: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Range | None:
        """Of these; None of none."""
        return cls(least=min(values), median=statistics.median_low(values), most=max(values)) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a data set holds."""

    images: int
    size_bytes: int | None
    """Of all files together; None where listing does not tell."""
    skipped: tuple[PassedOver, ...]
    """The first entries that were passed over while listing, each with its reason."""
    num_skipped: int
    """All of them."""
    labels: Mapping[str, int]
    """Images by label, the most frequent first; empty without labels."""
    looked_at: int
    """So many images were decoded; what follows is about them."""
    formats: Mapping[str, int]
    widths: Range | None
    heights: Range | None
    unreadable: tuple[tuple[str, str], ...]
    """Ids and reasons."""
    shown: tuple[str, ...]
    """Ids of some readable images, spread evenly."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one image turned out to be."""

    image_id: str
    size_bytes: int = 0
    format: str | None = None
    width: int = 0
    height: int = 0
    reason: str | None = None


def survey(dataset: str, home: Path) -> Survey:
    """List a data set whole and look at some of its images.

    Raises `DataUnavailable` when it is missing, unreadable, unreachable, or holds no image.
    """
    if dataset == listing.DIGITS:
        _make_samples(home)
    found = listing.list_images(dataset, home, listing.MOST_LISTED)
    remote = any(image.uri.startswith(SCHEME) for image in found.images)
    some = _spread(found.images, LOOKED_AT_REMOTELY if remote else LOOKED_AT)
    with ThreadPoolExecutor(LOOKED_AT_REMOTELY if remote else _THREADS) as pool:  # Pillow decodes outside Python's lock
        looks = list(pool.map(lambda image: _look(image, home), some))
    readable = [look for look in looks if look.reason is None]
    labels = Counter(image.truth for image in found.images if image.truth is not None)
    return Survey(
        images=len(found.images),
        size_bytes=_total_bytes(found.images),
        skipped=found.skipped,
        num_skipped=found.num_skipped,
        labels=dict(labels.most_common()),
        looked_at=len(looks),
        formats=dict(Counter(look.format or "unknown" for look in readable).most_common()),
        widths=Range.of([look.width for look in readable]),
        heights=Range.of([look.height for look in readable]),
        unreadable=tuple((look.image_id, look.reason) for look in looks if look.reason is not None),
        shown=tuple(look.image_id for look in _spread(readable, SHOWN)),
    )


def _make_samples(home: Path) -> None:
    try:
        ensure_samples(listing.samples_folder(home), SAMPLE_COUNT)
    except OSError as error:
        raise DataUnavailable(
            f"The sample images could not be made in {home}: {error.strerror}. Free some space or make the folder "
            "writable."
        ) from error


def _look(image: ImageRef, home: Path) -> _Look:
    try:
        data = listing.read_image(image)
    except (OSError, DataUnavailable) as error:
        said = getattr(error, "strerror", None) or str(error)
        # In the words of a run.
        return _Look(image.image_id, reason=said if image.row is not None else f"the file could not be read: {said}")
    try:
        decode(data)
        if image.uri.startswith(SCHEME):
            thumbnails.keep(home, image, data)  # who looks inside wants to see it next, and it has been fetched now
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            return _Look(image.image_id, len(data), opened.format, opened.width, opened.height)
    except Undecodable as error:
        return _Look(image.image_id, len(data), reason=str(error))


def _total_bytes(images: Sequence[ImageRef]) -> int | None:
    """The size of all files, each counted once; None where one cannot be told."""
    total = 0
    files: set[str] = set()
    for image in images:
        if image.size_bytes is not None:
            total += image.size_bytes
        elif image.uri not in files:
            files.add(image.uri)
            try:
                total += image.path.stat().st_size
            except OSError:
                return None
    return total


def _spread(items: Sequence[_T], number: int) -> Sequence[_T]:
    """So many of them, evenly spread from the first one on."""
    if len(items) <= number:
        return items
    return [items[index * len(items) // number] for index in range(number)]
