"""Which folders of this machine may be read for whoever reaches the server: nobody must be able to roam its disk.

The rule stands in the environment, so that the engine, a child of the server, keeps to it as well. The command line
has none: it reads what its user can read. Every check is made on the resolved path, so that neither `..` nor a link
leads out of an allowed folder.
"""

from __future__ import annotations

import os
from pathlib import Path

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
        raise DataUnavailable(f"{str(path)!r} is not the path of a folder: {reason}. Give another one.") from error
    named = os.environ.get(NAMED)
    if named is None:
        return real
    allowed = [part for part in named.split(os.pathsep) if part]
    if any(real.is_relative_to(folder) for folder in allowed):
        return real
    raise DataUnavailable(
        f"{path} lies outside the folders that this server may read ({', '.join(allowed[:-3]) or 'none but its own'}). "
        f"Name its folder in {NAMED} and start the server again, or use the command line."
    )
