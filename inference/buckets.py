"""Images in S3: `s3://bucket/folder` with the credentials of the environment, `s3://anonymous@bucket/folder` without.

Only such an address is taken: see `inference.s3` for who is asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from operator import itemgetter
from threading import Event, Lock
from typing import TYPE_CHECKING

from inference import s3
from inference.errors import DataUnavailable
from inference.images import EXTENSIONS, check_file_size

if TYPE_CHECKING:
    from pyarrow import fs

SCHEME = "s3://"
MOST_FOLDERS = 1_000
"""So many are listed one after the other; whatever lies below a folder that has more is listed at once."""
LISTED_S = 300.0
"""For everything below one folder: a request brings a thousand names."""
PIECE_BYTES = 512 * 1024
"""One request brings so much of an object: a line is slow, not dead, while the next comes within `s3.ANSWER_S`."""
MOST_SILENCES = 8
SILENT_S = 30.0
"""A bucket that has not answered so often in a row is not asked for so many seconds."""

_ADDRESS = re.compile(r"s3://(?P<anonymous>anonymous@)?(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<key>/.*)?", re.S)
_FORBIDDEN = re.compile(r"denied|credentials")
_NO_BUCKET = re.compile(r"[0-9.]+|localhost")
"""Amazon has no bucket whose name looks like the address of a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A folder of a bucket, or one object in it."""

    bucket: str
    key: str
    """Without a slash at either end; may be empty."""
    anonymous: bool

    @classmethod
    def of(cls, text: str) -> Address:
        """Take apart what somebody wrote. Raises `DataUnavailable` for what is no address of a bucket."""
        try:
            address = cls.of_object(text)
        except ValueError:
            address = None
        if address is None or set("?#") & set(text):  # what other programs take options from
            raise DataUnavailable(
                f"{text} is not the address of a bucket: write s3://bucket/folder, or s3://anonymous@bucket/folder for "
                "a public one."
            )
        return address

    @classmethod
    def of_object(cls, uri: str) -> Address:
        """Take apart the address of something that was listed. Raises `ValueError` for what is none."""
        found = _ADDRESS.fullmatch(uri)
        key = (found["key"] or "").removeprefix("/").removesuffix("/") if found else ""
        if found is None or _NO_BUCKET.fullmatch(found["bucket"]) or not _is_plain(key):
            raise ValueError(f"{uri!r:.200} is not the address of an object")
        return cls(bucket=found["bucket"], key=key, anonymous=bool(found["anonymous"]))

    @property
    def path(self) -> str:
        """As Arrow's file system takes it: `bucket/folder`."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @property
    def uri(self) -> str:
        """As it is written."""
        return f"{SCHEME}{'anonymous@' if self.anonymous else ''}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An image in a bucket."""

    key: str
    """Relative to the address that was listed."""
    size_bytes: int


def stored(
    address: Address, *, region: str | None = None, on_skip: Callable[[str, str], None] = lambda name, reason: None
) -> Iterator[Stored]:
    """The images below an address by key, as they are found: whoever takes the first few waits for no others.

    `on_skip` is told the name of what cannot be read, and the reason. Hidden files and folders are passed over. Raises
    `DataUnavailable`, within ten seconds where nobody answers.
    """
    found = False
    try:
        for entry in _walk(_answering(address, region), address.path):
            key = entry.path.removeprefix(f"{address.path}/")
            if not _is_plain(key):
                on_skip(key, "a part of its name is empty or dots, so it cannot be asked for")
            elif key.lower().endswith(EXTENSIONS) and not any(part.startswith(".") for part in key.split("/")):
                found = True
                yield Stored(key=key, size_bytes=entry.size)
    except OSError as error:
        raise DataUnavailable(_why_not_listed(address, error)) from error
    if not found:
        raise DataUnavailable(f"s3://{address.path} holds no images: looked for {', '.join(EXTENSIONS)}.")


def _answering(address: Address, region: str | None) -> fs.S3FileSystem:
    """The connection to a bucket, once somebody has answered there.

    Listing may take minutes, so it cannot tell that a server is dead; a small question can. What is answered does not
    matter: whoever may list a folder need not be allowed to ask for one object.
    """
    try:
        found = s3.asked(
            address.bucket,
            address.anonymous,
            region,
            lambda files: s3.answer(lambda: files.get_file_info(address.path)),
        )
    except OSError as error:
        if s3.is_silence(error):
            raise
    else:
        if found.is_file and address.key.lower().endswith(EXTENSIONS):
            raise DataUnavailable(f"s3://{address.path} is one object: give the folder that it lies in.")
    return s3.connection(address.bucket, address.anonymous, region)


def _walk(files: fs.S3FileSystem, root: str) -> Iterator[fs.FileInfo]:
    """The objects below a folder by key; each folder is listed when its turn comes, unless there are too many."""
    left = MOST_FOLDERS
    waiting: list[fs.FileInfo | str] = [root]
    while waiting:
        entry = waiting.pop()
        if not isinstance(entry, str):
            yield entry
            continue
        inside = _listed(files, entry, recursive=False)
        folders = [each for each in inside if not each.is_file]
        # A folder without a name is called like the one that it lies in.
        if len(folders) > left or any(each.path == entry for each in folders):
            folders, inside = [], _listed(files, entry, recursive=True)
        left -= len(folders)
        below = [(f"{each.path}/", each.path) for each in folders if not each.base_name.startswith(".")]
        objects = [(each.path, each) for each in inside if each.is_file]
        waiting += [each for _, each in sorted([*below, *objects], key=itemgetter(0), reverse=True)]


def _listed(files: fs.S3FileSystem, folder: str, *, recursive: bool) -> list[fs.FileInfo]:
    from pyarrow import fs

    return s3.answer(lambda: files.get_file_info(fs.FileSelector(folder, recursive=recursive)), LISTED_S)


def read(uri: str, region: str | None = None) -> bytes:
    """The object at an `s3://` address.

    Raises `OSError` with the reason, which is a `ConnectionError` where nobody answers: within ten seconds of the last
    byte that came, and at once while the bucket has been silent for long.
    """
    try:
        address = Address.of_object(uri)
        _silences.check(address)
        content = s3.asked(address.bucket, address.anonymous, region, lambda files: _content(files, address.path))
    except ConnectionError:
        raise
    except ValueError as error:  # Arrow's own word for a name that it does not take
        raise OSError(f"it has no name that can be asked for: {error}") from error
    except OSError as error:
        if not s3.is_silence(error):
            _silences.forget(address)
            raise OSError(s3.reason(error)) from error
        _silences.note(address)
        raise ConnectionError(s3.reason(error)) from error
    _silences.forget(address)
    return content


def _content(files: fs.S3FileSystem, path: str) -> bytes:
    def pieces(alone: Event) -> Generator[bytes]:
        with files.open_input_file(path) as file:
            check_file_size(file.size())
            yield b""
            while piece := file.read(PIECE_BYTES):
                yield piece

    with closing(s3.answers(pieces)) as found:
        return b"".join(found)


class _Silences:
    """How often each bucket has not answered in a row: a run of thousands of images must not wait for each of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._silent: dict[tuple[str | None, str], tuple[int, float]] = {}

    def check(self, address: Address) -> None:
        """Raises `ConnectionError` while it makes no sense to ask again."""
        with self._lock:
            times, last_at = self._silent.get((s3.endpoint(), address.bucket), (0, 0.0))
        if times >= MOST_SILENCES and time.monotonic() - last_at < SILENT_S:
            raise ConnectionError(f"its bucket has not answered {times} times in a row")

    def note(self, address: Address) -> None:
        """Another question has remained without an answer."""
        key = (s3.endpoint(), address.bucket)
        with self._lock:
            self._silent[key] = (self._silent.get(key, (0, 0.0))[0] + 1, time.monotonic())

    def forget(self, address: Address) -> None:
        """It has answered."""
        with self._lock:
            self._silent.pop((s3.endpoint(), address.bucket), None)


_silences = _Silences()


def _is_plain(key: str) -> bool:
    """Whether a key means itself: Arrow refuses empty parts, and dots would lead to other objects on the way (26.0)."""
    return not key or not {"", ".", ".."} & set(key.split("/"))


def _why_not_listed(address: Address, error: OSError) -> str:
    """What went wrong, and what to do about it."""
    reason = s3.reason(error)
    if _FORBIDDEN.search(reason):
        whose = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to those of somebody who may read it"
        public = f"write s3://anonymous@{address.path} if it is public"
        advice = f"{whose}, and leave out anonymous@" if address.anonymous else f"{whose}, or {public}"
    elif s3.is_silence(error):
        advice = "Check that this machine reaches it, or choose digits, which needs no network"
    else:
        advice = "Check the name"
    if not address.anonymous and "anonymous@" not in advice:
        advice += f"; a public bucket is read as s3://anonymous@{address.path}"
    return f"s3://{address.path} could not be listed: {reason}. {advice}."
