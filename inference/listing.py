"""A data set's name or path → the list of its images, in a fixed order. Nothing is decoded here."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from inference.bundled.samples import SAMPLE_COUNT, sample_name, sample_truth
from inference.errors import DataUnavailable
from inference.images import EXTENSIONS

if TYPE_CHECKING:
    from pyarrow import fs

DIGITS = "digits"
IMAGENETTE = "imagenette"
IMAGENETTE_URI = "s3://ray-benchmark-data/imagenette2/train/"
"""A public bucket, read without credentials: `s3://anonymous@ray-benchmark-data/imagenette2/train/` for Ray."""
IMAGENETTE_REGION = "us-west-2"
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

# ImageNet's sample pictures carry their label in their name: n01443537_goldfish.JPEG
_IMAGENET_NAME = re.compile(r"^n\d{8}_(?P<label>.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """One image of a data set, not read yet."""

    image_id: str
    """Its path below the data set's root, with forward slashes; unique within the data set."""
    uri: str
    """An absolute local path, or `s3://bucket/key`."""
    truth: str | None = None

    @property
    def path(self) -> Path:
        """The local path; meaningless for an image in a bucket."""
        return Path(self.uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageList:
    """The images that a run works on."""

    images: tuple[ImageRef, ...]
    found: int
    """Images that the data set has, at least: listing stops a little beyond what was asked for."""
    skipped: int = 0
    """Entries that were passed over: no regular file, a link that leads out of the folder, a name that is no text,
    a sub-folder that may not be read."""


def samples_folder(home: Path) -> Path:
    """Where the digits samples are kept once they are made."""
    return home / "datasets" / DIGITS


def root_folder(dataset: str, home: Path) -> Path | None:
    """The local folder that holds a data set; None for one in a bucket."""
    if dataset == DIGITS:
        return samples_folder(home)
    return None if dataset == IMAGENETTE else Path(dataset)


def absolute(dataset: str) -> str:
    """The data set as every process understands it: a catalogue name, or an absolute path.

    Raises `DataUnavailable` for an address that is not a local path. A blank name stays one: `RunConfig` refuses it.
    """
    if dataset in (DIGITS, IMAGENETTE) or not dataset.strip():
        return dataset
    if "://" in dataset or dataset.startswith(("\\\\", "//")):
        raise DataUnavailable(
            f"{dataset} is not a data set that can be read: give the path of a local folder, "
            f"or one of {DIGITS}, {IMAGENETTE}."
        )
    try:
        return str(Path(dataset).expanduser().resolve())
    except (OSError, RuntimeError, ValueError) as error:  # no such user, links in a circle, a null character
        raise DataUnavailable(
            f"{dataset!r} is not the path of a folder: {str(error).rstrip('.')}. Give another one."
        ) from error


def list_local(dataset: str, home: Path, limit: int) -> ImageList:
    """The first `limit` images of the digits samples or of a local folder: a folder's files, then its sub-folders'.

    Raises `DataUnavailable` when the folder is missing, unreadable, or holds no image.
    """
    if dataset == DIGITS:
        return list_samples(home, limit)
    root = Path(absolute(dataset))
    _require_readable(root)
    images: list[ImageRef] = []
    skipped: list[object] = []
    for relative in _walk(root, on_error=skipped.append):
        target = _target(root, relative)
        if target is None:
            skipped.append(relative)
        else:
            images.append(ImageRef(image_id=str(relative), uri=str(target), truth=_truth(relative)))
        if len(images) > limit:  # one beyond tells that there are more
            break
    if not images:
        but = f" ({len(skipped)} entries were passed over)" if skipped else ""
        raise DataUnavailable(
            f"The folder {root} holds no images{but}: looked for {', '.join(EXTENSIONS)}, also in sub-folders."
        )
    return ImageList(images=tuple(images[:limit]), found=len(images), skipped=len(skipped))


def _require_readable(root: Path) -> None:
    try:
        with os.scandir(root) as entries:
            next(entries, None)
        os.stat(os.path.join(root, "."))  # listing names needs one permission, opening them another
    except FileNotFoundError:
        raise DataUnavailable(f"There is no folder {root}. Give the path of a folder with images.") from None
    except NotADirectoryError:
        raise DataUnavailable(f"{root} is not a folder. Give the path of the folder that it lies in.") from None
    except PermissionError:
        raise DataUnavailable(f"The folder {root} may not be read: change its permissions or choose another.") from None
    except OSError as error:
        raise DataUnavailable(f"The folder {root} cannot be read: {error.strerror}. Choose another.") from error


def list_samples(home: Path, limit: int) -> ImageList:
    """The first `limit` digits samples, whether they are made yet or not."""
    folder = samples_folder(home)
    names = [sample_name(index) for index in range(min(limit, SAMPLE_COUNT))]
    images = tuple(ImageRef(image_id=name, uri=str(folder / name), truth=sample_truth(name)) for name in names)
    return ImageList(images=images, found=SAMPLE_COUNT)


def list_bucket(root_uri: str, limit: int, labels: dict[str, str], *, region: str | None = None) -> ImageList:
    """The first `limit` images below an `s3://` prefix, sorted by key; read without credentials.

    Raises `DataUnavailable` when the bucket cannot be reached or listed.
    """
    from pyarrow import fs

    prefix = root_uri.removeprefix("s3://").rstrip("/")
    try:
        entries = bucket_filesystem(region).get_file_info(fs.FileSelector(prefix, recursive=True))
    except OSError as error:
        raise DataUnavailable(
            f"{root_uri} could not be listed: {_bucket_reason(error)}. It is read without credentials over "
            f"the network: check that this machine reaches it, or choose {DIGITS}, which needs no network."
        ) from error
    keys = sorted(e.path for e in entries if e.is_file and e.path.lower().endswith(EXTENSIONS))
    if not keys:
        raise DataUnavailable(f"{root_uri} holds no images.")
    images = []
    for key in keys[:limit]:
        relative = PurePosixPath(key).relative_to(prefix)
        truth = labels.get(relative.parts[0], relative.parts[0]) if len(relative.parts) > 1 else None
        images.append(ImageRef(image_id=str(relative), uri=f"s3://{key}", truth=truth))
    return ImageList(images=tuple(images), found=len(keys))


def read_listed(path: Path) -> bytes:
    """The content of a file that was listed before.

    Raises `OSError` also where a link or a FIFO has taken the file's place since: the first is not followed, the
    second does not block.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a link has taken its place", str(path)) from error
        raise
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file any more", str(path))
        return file.read()


def bucket_filesystem(region: str | None = None) -> fs.S3FileSystem:
    """Anonymous access to S3, answering within seconds; `AWS_ENDPOINT_URL` points it at another server."""
    from pyarrow import fs

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return fs.S3FileSystem(
        anonymous=True,
        region=region,
        endpoint_override=endpoint,
        scheme="http" if endpoint and endpoint.startswith("http://") else "https",
        connect_timeout=3,
        request_timeout=5,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
    )


def _bucket_reason(error: OSError) -> str:
    """The part of an Arrow S3 error that tells a person something."""
    text = str(error).partition(" operation: ")[2] or str(error)
    return re.sub(r"^curlCode: \d+, |;? ?\(Request ID: [^)]*\)|\.$", "", text).strip() or "no reason given"


def _walk(root: Path, on_error: Callable[[OSError], None]) -> Iterator[PurePosixPath]:
    """Relative paths of everything that has an image's extension, in a fixed order, links not followed."""
    for folder, subfolders, files in os.walk(root, onerror=on_error):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                yield PurePosixPath(Path(folder, name).relative_to(root).as_posix())


def _target(root: Path, relative: PurePosixPath) -> Path | None:
    """The regular file inside the folder that this stands for: no FIFO that blocks, no link that leads out."""
    try:
        str(relative).encode()  # a name in another encoding could be neither stored nor shown
        path = (root / relative).resolve()
        return path if path.is_relative_to(root) and stat.S_ISREG(path.stat().st_mode) else None
    except (OSError, RuntimeError, UnicodeError):  # RuntimeError: links in a circle
        return None


def _truth(relative: PurePosixPath) -> str | None:
    """The label that the path tells: a sub-folder's name, or the end of an ImageNet file name."""
    if len(relative.parts) > 1:
        return IMAGENETTE_LABELS.get(relative.parts[0], relative.parts[0])
    named = _IMAGENET_NAME.match(relative.stem)
    return named["label"].replace("_", " ") if named else None
