"""Which folders of this machine may be read for whoever reaches the server: nobody must be able to roam its disk.

The rule stands in the environment, so that the engine, a child of the server, keeps to it as well. The command line
has none: it reads what its user can read. Every check is made on the resolved path, so that neither `..` nor a link
leads out of an allowed folder, and made again on the file that was opened, since a folder may have become a link in
between.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from inference.errors import DataUnavailable

NAMED = "BATCHSCOPE_FOLDERS"
"""Environment: the folders that may be read, separated as in PATH."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def restrict(home: Path, server_address: str | None) -> None:
    """Set the rule of a server and of the processes that it starts.

    Folders that are named already stay. Without them, a server that only this machine reaches may read the user's own
    folder and the one that it was started in, and any other server none. What the program keeps in its home folder,
    samples and uploads, is always among them.
    """
    named = os.environ.get(NAMED)
    if named is not None:
        chosen = [Path(part).expanduser() for part in named.split(os.pathsep) if part.strip()]
    elif server_address in LOOPBACK:
        chosen = [Path.home(), Path.cwd()]
    else:
        chosen = []
    kept = [home / name for name in ("datasets", "uploads", "models")]
    os.environ[NAMED] = os.pathsep.join(dict.fromkeys(str(path.resolve()) for path in (*chosen, *kept)))


def resolved(path: Path) -> Path:
    """The path without links and `..`, if it may be read.

    Raises `DataUnavailable` with the folders that may be read, and how to add one.
    """
    try:
        real = path.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # no such user, links in a circle, a null character
        reason = str(error).rstrip(".")
        raise DataUnavailable(
            f"{str(path)!r:.200} is not the path of a folder: {reason:.200}. Give another one."
        ) from error
    if _may_be_read(real):
        return real
    allowed = [part for part in os.environ[NAMED].split(os.pathsep) if part]
    raise DataUnavailable(
        f"{path} lies outside the folders that this server may read ({', '.join(allowed[:-3]) or 'none but its own'}). "
        f"Name its folder in {NAMED} and start the server again, or use the command line."
    )


def opened(path: Path) -> BinaryIO:
    """Open a file that was found, and resolved, before.

    Raises `OSError` also where something else has taken its place since: a FIFO does not block, a link is not followed,
    and a folder on the way that has become one must not lead out of what may be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a link has taken its place", str(path)) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if not _may_be_read(_place_of(handle, path)):
            raise OSError(errno.EACCES, "a link on its way leads out of the folders that may be read", str(path))
        return os.fdopen(handle, "rb")
    except OSError:
        os.close(handle)
        raise


def _place_of(handle: int, path: Path) -> Path:
    """Where an open file lies."""
    if sys.platform == "linux":
        return Path(os.readlink(f"/proc/self/fd/{handle}"))  # of what was opened, whatever has been moved since
    return path.resolve()


def _may_be_read(real: Path) -> bool:
    named = os.environ.get(NAMED)
    return named is None or any(real.is_relative_to(folder) for folder in _folders(named))


@functools.lru_cache(maxsize=4)
def _folders(named: str) -> tuple[Path, ...]:
    """The folders of the rule, resolved once: none of them can be exchanged for a link later."""
    return tuple(Path(part).expanduser().resolve() for part in named.split(os.pathsep) if part.strip())
