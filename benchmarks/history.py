"""Do the pages stay quick, and the database small, with ten thousand runs and one of 100,000 images?

    python -m benchmarks.history [--runs 10000] [--images 100000] [--home DIR] [--json FILE]

A home folder is filled by `benchmarks.lived_in`, unless it is filled already. Then a server without an engine is
started on it, and every page is opened twice in a headless Chromium, as an address that a person types: from the
request until the page says that its script is done and nothing on it waits any more. The first visit of a page finds
no figures kept from before; the second does. Needs playwright and Debian's chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks import lived_in
from inference.errors import StoreUnavailable
from inference.store import Store

ROOT = Path(__file__).parents[1]
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--headless", "--disable-background-networking", "--disable-gpu"]
LONGEST_S = 120.0
DONE = """() => {
    const app = document.querySelector('[data-testid=stApp]')
    const main = document.querySelector('[data-testid=stMain] h1')
    const waits = document.querySelector('[data-testid=stSpinner], [data-testid=stSkeleton], [data-stale=true]')
    return app && main && !waits && app.dataset.testScriptState === 'notRunning' ? performance.now() / 1000 : null
}"""
"""Seconds from the request until the script is done and what it draws is there; null before."""
ANSWERED = """() => {
    const title = document.querySelector('[data-testid=stMain] h1')
    const text = title ? document.querySelector('[data-testid=stMain]').innerText.split(title.innerText)[1] : ''
    return text && text.trim().length > 60 ? performance.now() / 1000 : null
}"""
"""Seconds from the request until there is something to read below the title, where every page has its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One page, opened twice."""

    page: str
    path: str
    first_answer_s: float
    """Until its answer could be read."""
    first_s: float
    """Until all of it was drawn."""
    second_answer_s: float
    second_s: float


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=100_000, help="images of the one large run")
    parser.add_argument("--home", type=Path, help="is filled if it has no runs, and kept (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchscope-history-") as scratch:
        figures = measure(options.home or Path(scratch) / "home", options.runs, options.images)
    print_table(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def measure(home: Path, runs: int, images: int) -> dict[str, Any]:
    """All figures of a home folder, which is filled first if it is empty."""
    store = Store(home)
    if store.count() == 0:
        small, pattern = lived_in.real_runs(home)
        lived_in.fill(home, small, runs=runs)
        lived_in.fill_large(home, pattern, images=images)
    megabytes, tables = lived_in.megabytes(store)
    with server(home) as url:
        visits = visited(url, addresses_of(store))
    return {
        "runs": store.count(),
        "images": largest_run(store)[1],
        "database_mb": megabytes,
        "tables_mb": tables,
        "pages": [asdict(visit) for visit in visits],
    }


def largest_run(store: Store) -> tuple[str, int]:
    """The id of the run with the most images, and how many they are."""
    with store.database.reading() as db:
        row = db.execute(
            "SELECT id, config ->> 'limit' FROM runs WHERE state = 'finished' ORDER BY 2 DESC, seq DESC LIMIT 1"
        ).fetchone()
    return row[0], row[1]


def addresses_of(store: Store) -> list[tuple[str, str]]:
    """What is opened beside the pages of the navigation: a name and a path with its query."""
    large, _ = largest_run(store)
    other = next(run.id for run in store.summaries(limit=50) if run.id != large and run.state == "finished")
    found = [
        ("Run: a small run", f"/run?run={other}"),
        ("Run: the large run", f"/run?run={large}"),
        ("Compare: the large run with a small one", f"/compare?runs={other},{large}"),
        ("History: page 100", "/history?page=100"),
    ]
    if (ROOT / "pages" / "predictions.py").exists():
        found += [
            ("Predictions: the large run", f"/predictions?run={large}"),
            ("Predictions: the large run, wrong ones", f"/predictions?run={large}&outcomes=wrong"),
        ]
    return found


# -- the pages ---------------------------------------------------------------------------------------------


@contextmanager
def server(home: Path) -> Iterator[str]:
    """The address of a server without an engine on this home folder, as long as the `with` lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    with open(home / "server.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--server.address=127.0.0.1"],
            cwd=ROOT,
            env=os.environ | {"BATCHSCOPE_HOME": str(home), "BATCHSCOPE_NO_ENGINE": "1"},
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 30
        while not answers(url):
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the server did not answer; see {home / 'server.log'}")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    """Whether the server says that it is healthy."""
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):  # noqa: S310  # our own server
            return True
    except OSError:
        return False


def visited(url: str, addresses: Sequence[tuple[str, str]]) -> list[Visit]:
    """Every page of the navigation and every further address, each opened twice."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        # What a new server imports, and a new browser fetches, is paid once by whoever comes first.
        seconds_of(page, url + "/history")
        links = page.locator("[data-testid=stSidebarNavLink]").all()
        named = [
            (link.inner_text().strip().splitlines()[-1], path_of(link.get_attribute("href"), url)) for link in links
        ]
        visits = []
        for name, path in [*named, *addresses]:
            (first_answer_s, first_s), (second_answer_s, second_s) = (seconds_of(page, url + path) for _ in range(2))
            visits.append(
                Visit(
                    page=name,
                    path=path,
                    first_answer_s=first_answer_s,
                    first_s=first_s,
                    second_answer_s=second_answer_s,
                    second_s=second_s,
                )
            )
        browser.close()
    return visits


def path_of(href: str | None, url: str) -> str:
    """The path of a link of the navigation."""
    return "/" + (href or "").removeprefix(url).lstrip("/")


def seconds_of(page: Page, address: str) -> tuple[float, float]:
    """From the request until the page's answer could be read, and until all of it was drawn."""
    page.goto("about:blank")
    page.goto(address, wait_until="commit")
    answer_s = page.wait_for_function(ANSWERED, timeout=1e3 * LONGEST_S).json_value()
    done_s = page.wait_for_function(DONE, timeout=1e3 * LONGEST_S).json_value()
    if page.get_by_test_id("stException").count():
        raise RuntimeError(f"{address} shows an exception")
    return float(answer_s), float(done_s)


def print_table(figures: dict[str, Any]) -> None:
    """The figures as a person reads them."""
    print(f"{figures['runs']:,} runs, the largest of {figures['images']:,} images")
    tables = ", ".join(f"{name} {size:.1f}" for name, size in figures["tables_mb"].items() if size >= 0.05)
    print(f"database {figures['database_mb']:.1f} MB ({tables})")
    width = max(len(visit["page"]) for visit in figures["pages"])
    print(f"{'seconds':{width}}  first visit: answer, all drawn  second visit: answer, all drawn")
    for visit in figures["pages"]:
        print(
            f"{visit['page']:{width}}  {visit['first_answer_s']:19.2f} {visit['first_s']:10.2f}"
            f"  {visit['second_answer_s']:20.2f} {visit['second_s']:10.2f}"
        )


if __name__ == "__main__":
    main()
