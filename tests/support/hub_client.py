"""Models looked for as the program does it, in a process of its own: the client reads its settings when imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MODEL = "someone/digits"

_FIND = """
import json, sys, time
from pathlib import Path
from inference import checkpoints, hub
from inference.errors import ModelUnavailable, RunCancelled
model, home, stop_at = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
told = []
def listen(done, total):
    told.append((done, total))
    print(json.dumps(told[-1]), file=sys.stderr, flush=True)
    if stop_at is not None and done >= stop_at:
        raise RunCancelled("stop")
cached_before, folder, error, start = hub.is_cached(model), None, None, time.monotonic()
try:
    folder = str(checkpoints.folder_of(model, home, make_untrained=None, on_download=listen))
except (ModelUnavailable, RunCancelled) as problem:
    error = str(problem)
seconds = time.monotonic() - start
print(json.dumps([folder, error, seconds, cached_before, hub.is_cached(model), told]))
"""


@dataclass(frozen=True)
class Found:
    """What came of it."""

    folder: str | None
    error: str | None
    seconds: float
    cached_before: bool
    cached_after: bool
    told: list[list[int]]
    """[bytes done, bytes in all] as often as the download told."""

    @property
    def weights(self) -> bytes:
        """The weights in the folder."""
        assert self.folder is not None, self.error
        return (Path(self.folder) / "model.safetensors").read_bytes()


def hub_environment(url: str, cache: Path, **more: str) -> dict[str, str]:
    """The environment with this hub and this cache, and nothing else that the client listens to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE"))}
    return kept | {"HF_ENDPOINT": url, "HF_HOME": str(cache), "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | more


def finding(model: str, url: str, tmp_path: Path, *, stop_at: int | None = None, **more: str) -> subprocess.Popen[str]:
    """A process that looks for a model; each line of its stderr is a [bytes done, bytes in all]."""
    return subprocess.Popen(
        [sys.executable, "-c", _FIND, model, str(tmp_path / "home"), json.dumps(stop_at)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=hub_environment(url, tmp_path / "cache", **more),
    )


def found(process: subprocess.Popen[str]) -> Found:
    """What the process found, when it has ended."""
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return Found(*json.loads(out))


def find(model: str, url: str, tmp_path: Path, *, stop_at: int | None = None, **more: str) -> Found:
    """What `folder_of` says of a model, given up once so many bytes are there."""
    return found(finding(model, url, tmp_path, stop_at=stop_at, **more))
