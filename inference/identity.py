"""What an engine and its supervisor must agree on to find each other's traces."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

ENGINE_ID_VARIABLE = "BATCHSCOPE_ENGINE"
"""In the environment of the engine, and so of every process that Ray starts for it: how they are found again."""

EXIT_LOCKED = 75
"""The engine's exit status when another one holds its home folder (EX_TEMPFAIL of sysexits.h)."""

_PROJECT_FOLDER = Path(__file__).resolve().parent.parent

LOCK_NAME = "engine.lock"
LOG_NAME = "engine.log"


def ray_folder(engine_id: str) -> Path:
    """Where an engine's Ray keeps sockets and logs: a short path, since a socket's path ends at about 100 bytes."""
    short = Path("/tmp")  # noqa: S108  # created with mode 0700 under an unguessable name
    return (short if short.is_dir() else Path(tempfile.gettempdir())) / f"batchscope-{engine_id[:12]}"


def engine_environment(engine_id: str) -> dict[str, str]:
    """The environment that an engine must be started with: Ray reads most of this once, when it is imported."""
    environment = os.environ | {
        ENGINE_ID_VARIABLE: engine_id,
        # Ray's processes preload a module of ours before they know the engine's import path.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_PROJECT_FOLDER), os.environ.get("PYTHONPATH")])),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray's ports ask for a token that only the engine's own processes have.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Ray's own switch for a node that is no cluster: every port listens on 127.0.0.1 alone (2.60).
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    # RAY_ADDRESS would be someone's cluster that nobody chose; the path would win over our token.
    return {name: value for name, value in environment.items() if name not in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH")}
