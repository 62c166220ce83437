"""`python -m inference` as another program calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def started(home: Path, *arguments: object) -> subprocess.Popen[str]:
    """A command at work on a home folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "inference", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"BATCHSCOPE_HOME": str(home)},
        # A shell in whose background the tests run has them ignore Ctrl-C, and their children with them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def batchscope(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command from start to end."""
    process = started(home, *arguments)
    try:
        out, err = process.communicate(timeout=150)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def succeeded(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command that must exit with 0."""
    done = batchscope(home, *arguments)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr}"
    return done


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document on stdout, and nothing else."""
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout[:500]
    return json.loads(lines[0], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
