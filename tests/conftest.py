"""What every test may use: a place for a home folder, and the sample images made once."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.bundled.samples import ensure_samples

pytest_plugins: list[str] = []


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits samples, made once for all tests."""
    return ensure_samples(tmp_path_factory.mktemp("samples") / "digits")


def wait_until(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Wait for a condition; fail with `what` when the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
