"""Images in buckets as pages see them: fetched in the background, and only those that their data set itself holds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from inference import buckets, folders, listing, lists, s3
from inference.errors import DataUnavailable
from inference.fetches import Fetch, Fetches, Latest
from inference.history import History
from inference.listing import ImageRef
from inference.store import Store

WAIT_S = 3.0
"""A page waits so long for what it is the first to ask for, all of it together."""
PICTURE_WAIT_S = 6.0
"""For one picture that is asked for alone, with all its pixels."""
FIRST_KEPT_S = 60.0
"""What a bucket begins with is true for so long."""
PICTURES_KEPT_S = 600.0

_fetches = Fetches()
_pictures = Latest[bytes](2, PICTURES_KEPT_S)
_firsts = Latest[tuple[ImageRef, ...]](16, FIRST_KEPT_S)


def may_be_asked(dataset: str, home: Path) -> bool:
    """Whether pages may have images in buckets fetched for the runs of a data set: one of them was queued here.

    A file of runs from elsewhere would otherwise have this machine ask whatever bucket it names, with its credentials.
    """
    return History(Store(home).database).is_from_here(dataset)


def image_of(dataset: str, image_id: str) -> ImageRef | None:
    """An image that lies in a bucket; None where it lies elsewhere, or is none of the data set's."""
    try:
        if listing.in_bucket(dataset):
            start = listing.bucket_address(dataset)
            image = ImageRef(image_id=image_id, uri=f"{start.uri}/{image_id}")
            return image if buckets.Address.of_object(image.uri).path.startswith(f"{start.path}/") else None
        if image_id.startswith(buckets.SCHEME) and image_id in _listed_in(Path(listing.absolute(dataset))):
            return ImageRef(image_id=image_id, uri=buckets.Address.of(image_id).uri)
    except (OSError, ValueError, DataUnavailable):
        pass
    return None


def _listed_in(file: Path) -> frozenset[str]:
    """The addresses in a bucket that a list names; empty for what is no list."""
    if file.suffix.lower() not in lists.ENDINGS:
        return frozenset()
    state = folders.resolved(file).stat()
    return _addresses(file, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=2)
def _addresses(file: Path, changed_ns: int, size_bytes: int) -> frozenset[str]:
    """Read once for each state of the file."""
    return frozenset(row.path for row in lists.rows(file) if row.path and row.path.startswith(buckets.SCHEME))


def name_of(image: ImageRef) -> str:
    """What an image in a bucket is kept under: its address, and the server that this is an address of."""
    return f"{s3.endpoint() or ''}\0{image.uri}"


def fetch(images: Sequence[ImageRef], keep: Callable[[ImageRef, bytes], None]) -> None:
    """Have these images fetched and handed to `keep`, in other threads; wait a moment for them, and not again.

    `keep` may raise what `images.decode` does.
    """

    def one(image: ImageRef) -> Fetch:
        return Fetch(
            key=name_of(image), server=_server_of(image.uri), work=lambda: keep(image, listing.read_image(image))
        )

    _fetches.fetch([one(image) for image in images], WAIT_S)


def content(image: ImageRef) -> bytes | None:
    """All bytes of an image, if they come in a moment; if they come later, the next call has them."""
    key = _whole(image)

    def work() -> None:
        _pictures.keep(key, listing.read_image(image))

    found = _pictures.get(key)
    if found is None:
        _fetches.fetch([Fetch(key=key, server=_server_of(image.uri), work=work)], PICTURE_WAIT_S)
        found = _pictures.get(key)
    return found


def first_images(dataset: str, home: Path, count: int) -> tuple[ImageRef, ...] | None:
    """The first images of a data set in a bucket; None while they are not known.

    Raises `DataUnavailable` with the reason why they cannot be.
    """
    server = _server_of(listing.bucket_address(dataset).uri)
    key = f"{s3.endpoint() or ''}\0{dataset}\0first {count}"

    def work() -> None:
        _firsts.keep(key, listing.list_images(dataset, home, count).images)

    if _firsts.get(key) is None:
        _fetches.fetch([Fetch(key=key, server=server, work=work)], WAIT_S)
    found = _firsts.get(key)
    why = _fetches.why_not(key, server) if found is None else None
    if why:
        raise DataUnavailable(why)
    return found


def why_not(image: ImageRef) -> str:
    """Why an image is not there: a sentence for a person."""
    server = _server_of(image.uri)
    why = _fetches.why_not(name_of(image), server) or _fetches.why_not(_whole(image), server)
    return f"It could not be had from its bucket: {why}." if why else "It is still on its way from its bucket."


def _whole(image: ImageRef) -> str:
    return f"{name_of(image)}\0whole"


def _server_of(uri: str) -> str:
    return f"{s3.endpoint() or ''}\0{buckets.Address.of_object(uri).bucket}"
