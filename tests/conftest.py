"""What every test may use: a place for a home folder, and the sample images made once."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inference import folders
from inference.bundled.samples import ensure_samples

pytest_plugins: list[str] = []


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits samples, made once for all tests."""
    return ensure_samples(tmp_path_factory.mktemp("samples") / "digits")


@pytest.fixture(autouse=True)
def _own_rule_of_folders() -> Iterator[None]:
    """A test that starts the app in this process makes its rule of folders; the next test must not inherit it."""
    before = os.environ.get(folders.NAMED)
    yield
    if before is None:
        os.environ.pop(folders.NAMED, None)
    else:
        os.environ[folders.NAMED] = before


def wait_until(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Wait for a condition; fail with `what` when the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
