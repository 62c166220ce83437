"""Settings of the surrounding environment that could surprise, and what Batchscope does about each."""

import os
from collections.abc import Mapping

_LONGEST_VALUE = 80


def environment_notes(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """One sentence for each foreign setting, ignored or in effect; credentials are never repeated."""
    notes = [
        f"{name}={_short(environ[name])} is set in the environment; "
        "Batchscope sets threads per worker itself and ignores it."
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
        if environ.get(name)
    ]
    if environ.get("RAY_ADDRESS"):
        address = _without_credentials(environ["RAY_ADDRESS"])
        notes.append(
            f"RAY_ADDRESS={address} is set in the environment; "
            "Batchscope starts its own Ray on this machine and ignores it."
        )
    notes += _proxy_notes(environ)
    if "CUDA_VISIBLE_DEVICES" in environ:
        notes.append(_gpu_note(environ["CUDA_VISIBLE_DEVICES"]))
    return tuple(notes)


def _proxy_notes(environ: Mapping[str, str]) -> list[str]:
    notes = []
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        # Both spellings are in use; where both are set, the lower-case one is the one that clients follow.
        name = next((name for name in (upper.lower(), upper) if environ.get(name)), None)
        if name is not None:
            shown = _without_credentials(environ[name])
            notes.append(f"{name}={shown} is set in the environment; downloads from the model hub go through it.")
    return notes


def _gpu_note(setting: str) -> str:
    if setting.strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES is set in the environment to no device; runs use no NVIDIA GPU."
    return f"CUDA_VISIBLE_DEVICES={_short(setting)} is set in the environment; only the GPUs it names are used."


def _without_credentials(url: str) -> str:
    """Scheme, host and port of an address; a name, a password, a path and a query are left out."""
    scheme, separator, rest = url.rpartition("://")
    # The last "@" counts: a password may contain one, or a "/", without being escaped.
    credentials, _, host = rest.rpartition("@")
    for mark in "/?#":
        host = host.partition(mark)[0]
    # What stands before the last "://" must be a plain scheme; in a malformed address it may hold a secret.
    scheme = scheme if scheme.replace("+", "").isalnum() else ""
    hidden = " (credentials hidden)" if credentials else ""
    return _short(f"{scheme}{separator if scheme else ''}{host}") + hidden


def _short(value: str) -> str:
    """The value on one line, cut where it is long."""
    line = " ".join("".join(character if character.isprintable() else " " for character in value).split())
    return line if len(line) <= _LONGEST_VALUE else line[:_LONGEST_VALUE] + "…"
