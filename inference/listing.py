"""A data set's name or path → the list of its images, in a fixed order. Nothing is decoded here.

A data set is a name from the catalogue, a folder, a pattern such as `photos/**/*.png`, a list in a CSV or Parquet file,
or a folder of a bucket.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from inference import buckets, entries, folders, lists
from inference.bundled.samples import SAMPLE_COUNT, sample_name, sample_truth
from inference.entries import Notes, PassedOver, Unusable
from inference.errors import DataUnavailable
from inference.images import EXTENSIONS, check_file_size

DIGITS = "digits"
IMAGENETTE = "imagenette"
IMAGENETTE_URI = "s3://ray-benchmark-data/imagenette2/train/"
"""A public bucket, read without credentials."""
IMAGENETTE_OBJECTS = IMAGENETTE_URI.replace("s3://", "s3://anonymous@")
IMAGENETTE_LABELS = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}

# ImageNet's sample pictures carry their label in their name, n01443537_goldfish.JPEG; its others just a number.
_IMAGENET_NAME = re.compile(r"^n\d{8}_(?P<label>.*[A-Za-z].*)$")


MOST_LISTED = 1_000_000
"""A data set of more images is cut off here before some are drawn by lot."""

TOLD_EVERY = 1_000
"""So many images are found before somebody hears of it."""

SPLITS = ("train", "training", "val", "valid", "validation", "test", "dev")
"""Folders that part a data set, as in the `imagefolder` layout, and are no labels."""
METADATA = ("metadata.csv", "metadata.parquet")
"""Lists beside the images of an `imagefolder` that tell their labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """One image of a data set, not read yet."""

    image_id: str
    """Its path below the data set's root, with forward slashes; unique within the data set."""
    uri: str
    """An absolute local path, or `s3://bucket/key`."""
    truth: str | None = None
    row: int | None = None
    """Where it lies in the Parquet list at `uri`; None for a file of its own."""
    size_bytes: int | None = None
    """Of its file, where listing tells it."""

    @property
    def path(self) -> Path:
        """The local path; meaningless for an image in a bucket."""
        return Path(self.uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageList:
    """The images that a run works on."""

    images: tuple[ImageRef, ...]
    found: int
    """Images that the data set has, at least: listing the first ones stops a little beyond what was asked for."""
    skipped: tuple[PassedOver, ...] = ()
    """The first entries that were passed over on the way to the last image, each with its reason."""
    num_skipped: int = 0
    """All of them."""


def samples_folder(home: Path) -> Path:
    """Where the digits samples are kept once they are made."""
    return home / "datasets" / DIGITS


def in_bucket(dataset: str) -> bool:
    """Whether the images lie in a bucket."""
    return dataset == IMAGENETTE or dataset.startswith(buckets.SCHEME)


def root_folder(dataset: str, home: Path) -> Path | None:
    """The local folder that holds a data set; None for one in a bucket."""
    if dataset == DIGITS:
        return samples_folder(home)
    if in_bucket(dataset):
        return None
    path = Path(dataset)
    if _is_pattern(dataset):
        return _fixed_part(path)
    return path.parent if _is_list(path) else path


def absolute(dataset: str) -> str:
    """The data set as every process understands it: a catalogue name, an address in S3, or an absolute path.

    Raises `DataUnavailable` for an address of another kind and for a path that may not be read. A blank name stays
    one: `RunConfig` refuses it.
    """
    if dataset in (DIGITS, IMAGENETTE) or not dataset.strip():
        return dataset
    if dataset.startswith(buckets.SCHEME):
        buckets.Address.of(dataset)
        return dataset
    if "://" in dataset or dataset.startswith(("\\\\", "//")):
        raise DataUnavailable(
            f"{dataset} is not a data set that can be read: give the path of a local folder or list, "
            f"s3://bucket/folder, or one of {DIGITS}, {IMAGENETTE}."
        )
    if _is_pattern(dataset):
        root = _fixed_part(Path(dataset).expanduser())
        rest = Path(dataset).expanduser().relative_to(root)
        if ".." in rest.parts:
            raise DataUnavailable(f"{dataset} leads out of its own folder: leave out the `..` behind the pattern.")
        return str(folders.resolved(root) / rest)
    return str(folders.resolved(Path(dataset)))


def list_images(
    dataset: str,
    home: Path,
    limit: int,
    *,
    seed: int | None = None,
    on_found: Callable[[int], None] = lambda found: None,
) -> ImageList:
    """The first `limit` images of a data set, or with a `seed` as many drawn by lot, in the data set's order.

    `on_found` hears now and then how many were found so far, and may raise to stop. Raises `DataUnavailable` when the
    data set is missing, unreadable, unreachable, or holds no image.
    """
    skipped = Notes()
    candidates = _counted(_candidates(absolute(dataset), home, skipped), on_found)
    if seed is None:
        images = list(islice(candidates, limit + 1))  # one beyond tells that there are more
        found, images = len(images), images[:limit]
    else:
        everything = list(islice(candidates, MOST_LISTED))
        found = len(everything)
        drawn = random.Random(seed).sample(range(found), min(limit, found))  # noqa: S311  # a sample, no secret
        images = [everything[place] for place in sorted(drawn)]
    if not images:
        but = f" {entries.told(skipped.named, skipped.number)}." if skipped.number else ""
        where = "also in sub-folders" if not _is_list(Path(dataset)) else "by their paths from the list's folder"
        raise DataUnavailable(f"{dataset} holds no images: looked for {', '.join(EXTENSIONS)}, {where}.{but}")
    if dataset == DIGITS:
        found = SAMPLE_COUNT
    return ImageList(images=tuple(images), found=found, skipped=tuple(skipped.named), num_skipped=skipped.number)


def list_samples(home: Path, limit: int) -> ImageList:
    """The first `limit` digits samples, whether they are made yet or not."""
    return list_images(DIGITS, home, min(limit, SAMPLE_COUNT))


def image_file(dataset: str, image_id: str, home: Path) -> tuple[Path, int | None] | None:
    """Where an image of a data set lies on this machine: a file, and the row in it where that is a Parquet list.

    None if it lies elsewhere, in a folder that may not be read, or nowhere.
    """
    try:
        root = root_folder(absolute(dataset), home)
        if root is None:
            return None
        file, row = (root / image_id), None
        if file.parent.suffix == ".parquet" and file.name.isdecimal():
            file, row = file.parent, int(file.name)
        real = folders.resolved(file)
        inside = _is_list(Path(dataset)) or real.is_relative_to(root.resolve())
        return (real, row) if inside and real.is_file() else None
    except (OSError, RuntimeError, ValueError, DataUnavailable):  # a name too long, links in a circle, a null character
        return None


def _counted(candidates: Iterator[ImageRef], on_found: Callable[[int], None]) -> Iterator[ImageRef]:
    for before, image in enumerate(candidates):
        if before % TOLD_EVERY == 0:
            on_found(before)
        yield image


def _candidates(dataset: str, home: Path, skipped: Notes) -> Iterator[ImageRef]:
    """The images of a data set one after the other; what is passed over is noted in `skipped`."""
    if dataset == DIGITS:
        folder = samples_folder(home)
        names = (sample_name(index) for index in range(SAMPLE_COUNT))
        return (ImageRef(image_id=name, uri=str(folder / name), truth=sample_truth(name)) for name in names)
    if in_bucket(dataset):
        return _of_bucket(dataset, skipped)
    path = Path(dataset)
    if _is_pattern(dataset):
        return _of_pattern(path, skipped)
    if _is_list(path):
        return _of_list(path, skipped)
    return _of_folder(path, skipped)


def bucket_address(dataset: str) -> buckets.Address:
    """Where the images of a data set in a bucket lie. Raises `DataUnavailable` for what is no address."""
    return buckets.Address.of(IMAGENETTE_OBJECTS if dataset == IMAGENETTE else dataset)


def _of_bucket(dataset: str, skipped: Notes) -> Iterator[ImageRef]:
    start = bucket_address(dataset)
    for image in buckets.stored(start, on_skip=skipped.add):
        truth = _truth(PurePosixPath(image.key))
        yield ImageRef(image_id=image.key, uri=f"{start.uri}/{image.key}", truth=truth, size_bytes=image.size_bytes)


def _of_pattern(pattern: Path, skipped: Notes) -> Iterator[ImageRef]:
    root = _fixed_part(pattern)
    _require_readable(root)
    for path in sorted(root.glob(str(pattern.relative_to(root)))):
        if path.name.lower().endswith(EXTENSIONS):
            yield from _checked(root, PurePosixPath(path.relative_to(root).as_posix()), skipped)


def _of_folder(root: Path, skipped: Notes) -> Iterator[ImageRef]:
    """A folder's files, then its sub-folders'; where there are none, the images of the Parquet lists in it."""
    _require_readable(root)
    truths = _metadata(root)
    empty = True
    for relative in _walk(root, skipped):
        for image in _checked(root, relative, skipped):
            empty = False
            truth = truths.get(image.image_id, image.truth)
            yield ImageRef(image_id=image.image_id, uri=image.uri, truth=truth)
    if empty:
        for relative in sorted(PurePosixPath(found.relative_to(root).as_posix()) for found in root.rglob("*.parquet")):
            try:
                file = entries.file_in(root, relative)
            except Unusable as reason:
                skipped.add(relative, reason)
            else:
                yield from _of_list(file, skipped, below=relative)


def _of_list(file: Path, skipped: Notes, *, below: PurePosixPath | None = None) -> Iterator[ImageRef]:
    """The images that a list names or holds; a name that leads nowhere, or comes again, is passed over.

    `below` is the list's own path in its data set; its name, if not given.
    """
    if lists.holds_images(file):
        start = below or file.name
        for listed in lists.rows(file):
            yield ImageRef(image_id=f"{start}/{listed.row:06d}", uri=str(file), truth=listed.truth, row=listed.row)
        return
    seen: set[str] = set()
    for listed in lists.rows(file):
        name = listed.path or f"row {listed.row + 1}"
        try:
            uri = entries.listed_uri(file, listed.path)
            if name in seen:
                raise Unusable("its name comes twice")
        except Unusable as reason:
            skipped.add(name, reason)
            continue
        seen.add(name)
        yield ImageRef(image_id=name, uri=uri, truth=listed.truth)


def _metadata(root: Path) -> dict[str, str]:
    """The labels that a list beside the images tells, by image id; empty without one."""
    for name in METADATA:
        with contextlib.suppress(Unusable, DataUnavailable):  # some other file of that name, or none
            rows = lists.rows(entries.file_in(root, PurePosixPath(name)))
            return {str(PurePosixPath(row.path)): row.truth for row in rows if row.path and row.truth}
    return {}


def _require_readable(root: Path) -> None:
    try:
        with os.scandir(root) as entries:
            next(entries, None)
        os.stat(os.path.join(root, "."))  # listing names needs one permission, opening them another
    except FileNotFoundError:
        raise DataUnavailable(f"There is no folder {root}. Give the path of a folder with images.") from None
    except NotADirectoryError:
        raise DataUnavailable(
            f"{root} is neither a folder nor a list that ends in {' or '.join(lists.ENDINGS)}. Give the path of the "
            "folder that it lies in."
        ) from None
    except PermissionError:
        raise DataUnavailable(f"The folder {root} may not be read: change its permissions or choose another.") from None
    except OSError as error:
        raise DataUnavailable(f"The folder {root} cannot be read: {error.strerror}. Choose another.") from error


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in lists.ENDINGS


def _is_pattern(dataset: str) -> bool:
    """Whether it is a pattern: a folder may have such signs in its name, and is then meant itself."""
    return glob.has_magic(dataset) and not os.path.lexists(os.path.expanduser(dataset))


def _fixed_part(pattern: Path) -> Path:
    """The folder in front of a pattern's first sign that stands for others."""
    fixed = next((parent for parent in pattern.parents if not glob.has_magic(str(parent))), Path())
    return fixed


def _checked(root: Path, relative: PurePosixPath, skipped: Notes) -> Iterator[ImageRef]:
    try:
        file = entries.file_in(root, relative)
    except Unusable as reason:
        skipped.add(relative, reason)
    else:
        yield ImageRef(image_id=str(relative), uri=str(file), truth=_truth(relative))


def read_image(image: ImageRef) -> bytes:
    """The bytes of one image, wherever it lies. Raises `OSError`."""
    if image.row is not None:
        data = lists.image_bytes(image.path, [image.row]).get(image.row)
        if not data:
            raise OSError(errno.ENODATA, "this row of the list holds no image")
        check_file_size(len(data))
        return data
    if image.uri.startswith(buckets.SCHEME):
        return buckets.read(image.uri)
    return read_listed(image.path)


def read_listed(path: Path) -> bytes:
    """The content of a file that was listed before. Raises `OSError` where it may not be read: see `folders.opened`."""
    with folders.opened(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        check_file_size(size_bytes)
        return file.read(size_bytes)  # no more, should somebody still be writing it


def _walk(root: Path, skipped: Notes) -> Iterator[PurePosixPath]:
    """Relative paths of everything that has an image's extension, in a fixed order, links not followed."""
    for folder, subfolders, files in os.walk(root, onerror=lambda error: skipped.add_folder(root, error)):
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in subfolders:
            if os.path.islink(os.path.join(folder, name)):
                skipped.add(f"{here / name}/", "a link to a folder, which is not followed")
        for name in sorted(files):
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                yield here / name


def _truth(relative: PurePosixPath) -> str | None:
    """The label that the path tells: a sub-folder's name, or the end of an ImageNet file name."""
    names = relative.parts[:-1]
    if names and names[0].lower() in SPLITS:
        names = names[1:]
    if names:
        return IMAGENETTE_LABELS.get(names[0], names[0])
    named = _IMAGENET_NAME.match(relative.stem)
    return named["label"].replace("_", " ") if named else None
