"""Why the Hugging Face hub did not give a model, from what its client raised: what happened, why, and what to do."""

from __future__ import annotations

import math
import re

from huggingface_hub import constants
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")


def sentence(error: Exception, model: str, revision: str, instead: str) -> str:
    """What to tell a person; `instead` is what they may do without this model."""
    hub = constants.ENDPOINT
    if isinstance(error, HfHubHTTPError):
        return _refusal(error, model, revision, instead)
    if isinstance(error, OSError) and error.errno is not None:  # about a file of ours: the network's have no number
        return (
            f"{model} could not be kept in {constants.HF_HUB_CACHE}: {error.strerror}. Make room there, make it "
            f"writable, set HF_HOME to another folder, or {instead}."
        )
    if constants.HF_HUB_OFFLINE:
        return f"{model} is not cached here, and HF_HUB_OFFLINE forbids to download it. Unset it, or {instead}."
    if isinstance(error, (ValueError, FileMetadataError)):
        return (
            f"{hub} does not answer as a Hugging Face hub does. Check HF_ENDPOINT, and whether the network wants you "
            f"to log in first; or {instead}."
        )
    silent = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
    told = _ERROR_NUMBER.sub("", str(error)).rstrip(".") or type(error).__name__
    why = "it does not answer in time" if silent else told
    return (
        f"{model} is not cached here, and {hub} could not be reached: {why}. Check the connection and run it again, "
        f"or {instead}."
    )


def _refusal(error: HfHubHTTPError, model: str, revision: str, instead: str) -> str:
    hub, status = constants.ENDPOINT, error.response.status_code
    if isinstance(error, GatedRepoError):
        return (
            f"{model} is gated: accept its terms on the hub, at {hub}/{model}, then log in here with `hf auth login`, "
            f"or set HF_TOKEN, and run it again."
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"The hub has no model {model}, or it is private. Check the spelling; if it is yours, log in here with "
            "`hf auth login`."
        )
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{model} has no branch, tag or commit {revision} on the hub. Check its spelling, or leave out @{revision}."
        )
    if status in (401, 403):
        return (
            f"{hub} does not let this machine read {model}. Log in here with `hf auth login`, or set HF_TOKEN to a "
            "token that may read it; if the model is public, log out or unset HF_TOKEN."
        )
    if status == 429:
        wished = error.response.headers.get("Retry-After", "")
        later = f"in {math.ceil(int(wished) / 60)} min" if wished.isdigit() else "in some minutes"
        return (
            f"{hub} has had too many requests from here: run it again {later}, log in with `hf auth login`, or "
            f"{instead}."
        )
    return f"{hub} answered with error {status} when it was asked for {model}. Run it again later, or {instead}."
