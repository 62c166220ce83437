"""Which folders of this machine a page may read: whoever reaches the server must not be able to roam its disk.

The command line reads what its user can read; these rules are for pages alone. Every check is made on the resolved
path, so that neither `..` nor a link leads out of an allowed folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from inference.errors import DataUnavailable

NAMED = "BATCHSCOPE_FOLDERS"
"""Environment: the folders that pages may read, separated as in PATH. In place of the ones below."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def allowed(home: Path, server_address: str | None) -> tuple[Path, ...]:
    """The folders that pages of a server may read, resolved.

    Those that `BATCHSCOPE_FOLDERS` names; without it a server that only this machine reaches reads the user's own
    folder and the one that it was started in, and any other server none. What the program keeps in its home folder,
    samples and uploads, is always among them.
    """
    own = (home / "datasets", home / "uploads", home / "models")
    named = os.environ.get(NAMED)
    if named is not None:
        chosen = [Path(part).expanduser() for part in named.split(os.pathsep) if part.strip()]
    elif server_address in LOOPBACK:
        chosen = [Path.home(), Path.cwd()]
    else:
        chosen = []
    return tuple(dict.fromkeys(path.resolve() for path in (*chosen, *own)))


def require_allowed(path: Path, folders: Sequence[Path]) -> Path:
    """The path resolved, if it lies in one of the folders.

    Raises `DataUnavailable` with the folders that may be read, and how to add one.
    """
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a null character
        raise DataUnavailable(f"{str(path)!r} is not a path: {str(error).rstrip('.')}. Give another one.") from error
    if any(real.is_relative_to(folder) for folder in folders):
        return real
    names = ", ".join(str(folder) for folder in folders[:2]) or "none"
    raise DataUnavailable(
        f"{path} lies outside the folders that pages may read ({names}). Name its folder in {NAMED} and start the "
        "program again, or use the command line."
    )
