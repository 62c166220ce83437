"""What an entry of a folder, or a row of a list, stands for: a file that may be read, or the reason why not."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inference import buckets, folders
from inference.errors import DataUnavailable
from inference.wording import shortened

MOST_NAMED = 200
"""So many entries that were passed over are named; the others are counted."""
MOST_TOLD = 3
"""In one sentence."""
LONGEST_NAME = 1_000

_NO_FILES = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class Unusable(Exception):
    """This entry is no file of its data set; the message is the reason, in words for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """An entry that is no image of its data set, though it looks like one."""

    name: str
    """Its path below the data set's root, or what a list says; what is no text in it is written as `\\xe9`."""
    reason: str


class Notes:
    """Takes down what is passed over while a data set is listed: the first entries by name, all by number."""

    def __init__(self) -> None:
        self.named: list[PassedOver] = []
        self.number = 0

    def add(self, name: object, reason: object) -> None:
        """Note one entry."""
        self.number += 1
        if len(self.named) < MOST_NAMED:
            text = str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            self.named.append(PassedOver(name=text[:LONGEST_NAME], reason=str(reason)))

    def add_folder(self, root: Path, error: OSError) -> None:
        """Note a folder that could not be listed, as `os.walk` tells it."""
        denied = isinstance(error, PermissionError)
        reason = "may not be read" if denied else f"cannot be read: {error.strerror or error}"
        self.add(f"{os.path.relpath(error.filename or root, root)}/", f"a folder that {reason}")


def told(named: Sequence[PassedOver], number: int) -> str:
    """How many entries were passed over, and the first few of them with their reasons."""
    first = [f"{shortened(entry.name)} ({entry.reason})" for entry in named[:MOST_TOLD]]
    more = f" and {number - len(first):,} more" if number > len(first) else ""
    return f"{'1 entry was' if number == 1 else f'{number:,} entries were'} passed over: {', '.join(first)}{more}"


def file_in(root: Path, relative: PurePosixPath) -> Path:
    """The regular file inside a folder that a path below it stands for: no FIFO that blocks, no link that leads out.

    Raises `Unusable` with the reason.
    """
    try:
        str(relative).encode()  # a name in another encoding could be neither stored nor shown
    except UnicodeError:
        raise Unusable("its name is no text in UTF-8") from None
    entry = root / relative
    try:
        path = entry.resolve()
        if not path.is_relative_to(root):
            raise Unusable("a link that leads out of the folder")
        _require_file(path)
    except (OSError, RuntimeError) as error:  # RuntimeError: Python's own word for links in a circle
        raise Unusable(_why_not(error, is_link=entry.is_symlink())) from None
    return path


def listed_uri(file: Path, written: str | None) -> str:
    """What a list in `file` means by a path: an absolute path of a regular file, or an address in S3.

    Raises `Unusable` with the reason.
    """
    if not written:
        raise Unusable("it names no file")
    if written.startswith(buckets.SCHEME):
        try:
            buckets.Address.of(written)
        except DataUnavailable:
            raise Unusable("not the address of a bucket: s3://bucket/folder/image.jpg") from None
        return written
    if "://" in written:
        raise Unusable("an address of a kind that is not read")
    try:
        path = folders.resolved(file.parent / written)
        _require_file(path)
    except DataUnavailable as error:
        cause = error.__cause__
        why = _why_not(cause, is_link=False) if cause is not None else "outside the folders that may be read"
        raise Unusable(why) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise Unusable(_why_not(error, is_link=False)) from None
    return str(path)


def _require_file(path: Path) -> None:
    kind = stat.S_IFMT(path.stat().st_mode)
    if kind != stat.S_IFREG:
        raise Unusable(f"no regular file: {_NO_FILES.get(kind, 'something else')}")


def _why_not(error: BaseException, *, is_link: bool) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, RuntimeError) or code == errno.ELOOP:
        return "links in a circle"
    if code in (errno.ENOENT, errno.ENOTDIR):
        return "a link to a file that is not there" if is_link else "there is no such file"
    if code in (errno.EACCES, errno.EPERM):
        return "may not be read"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"
