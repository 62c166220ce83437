"""A real server, a real engine and a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from inference.store import Store
from tests.conftest import wait_until
from tests.engine.conftest import new_home, processes_of

ROOT = Path(__file__).parents[2]
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--headless", "--disable-background-networking", "--disable-gpu"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@dataclass
class App:
    """A running server and its home folder."""

    url: str
    store: Store
    process: subprocess.Popen[bytes]
    requests: list[str] = field(default_factory=list)
    """Every address that the browser asked for."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):  # noqa: S310  # our own server
            return True
    except OSError:
        return False


@contextmanager
def serving(home: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address and the process of a server on a home folder, as long as the `with` lasts."""
    url = f"http://127.0.0.1:{(port := _free_port())}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    with open(home / "server.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--server.address=127.0.0.1"],
            cwd=ROOT,
            env=os.environ | {"BATCHSCOPE_HOME": str(home), "BATCHSCOPE_FOLDERS": str(home.parent)} | environment,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: _healthy(url), seconds=30, what="the server to answer")
        yield url, process
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[App]:
    """The app as `make run` starts it, in a home folder of its own; nothing of it is left afterwards."""
    home = new_home(tmp_path_factory.mktemp("e2e") / "home", samples)
    with serving(home) as (url, process):
        yield App(url, Store(home), process)
        status = Store(home).engine()
    assert status is not None
    wait_until(lambda: processes_of(status.engine_id) == [], seconds=10, what="all processes of the engine to be gone")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, one for all tests of a module."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


def visitor(browser: Any, **options: Any) -> Any:
    """A page of somebody with cookies and storage of their own."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}, **options).new_page()
    page.set_default_timeout(30_000)
    # What the browser complains of stands beside a test that fails.
    page.on("console", lambda said: print(said.text, said.location["url"]) if said.type == "error" else None)
    page.on("pageerror", lambda error: print(error.stack or error))
    page.on("crash", lambda page: print("the page has crashed:", page.url))
    return page


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of a new visitor."""
    page = visitor(browser)
    yield page
    page.context.close()


def open_page(page: Any, address: str) -> None:
    """Go to an address, and see a page without an error."""
    page.goto(address)
    page.get_by_test_id("stMain").get_by_role("heading").first.wait_for()
    assert page.get_by_test_id("stException").count() == 0


def in_address(page: Any, *texts: str) -> None:
    """Wait until the address has all of these."""
    wait_until(
        lambda: all(text in page.evaluate("location.href") for text in texts),
        seconds=20,
        what=f"{texts} in the address",
    )


def tick_first_run(page: Any) -> None:
    """Select the first row of History's table, which draws itself on a canvas and takes clicks once it has.

    A click that comes too early is lost, so it is made again until the page says that a run is selected.
    """
    table = page.get_by_test_id("stDataFrame")
    selected = page.get_by_role("button", name="Delete 1 run")

    def tick() -> bool:
        if table.count() != 1 or page.locator("[data-stale=true]").count():
            return False  # the one before goes when the page is drawn to its end
        box = table.bounding_box()
        if box is None:
            return False
        page.mouse.click(box["x"] + 16, box["y"] + 52)
        page.wait_for_timeout(2_000)
        return bool(selected.count() and selected.is_enabled())

    wait_until(tick, seconds=40, what="a selected run")
