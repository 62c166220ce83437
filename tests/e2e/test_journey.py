"""What a newcomer does: compare, watch, reload, cancel, find everything again."""

import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from inference.config import STRATEGIES, RunConfig
from tests.conftest import wait_until
from tests.e2e.conftest import App, open_page, tick_first_run

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

expect.set_options(timeout=20_000)

ANSWER_MS = 150_000
HEAVY = ("libtorch", "_raylet", "tokenizers")


@pytest.fixture
def page(page: Any, app: App) -> Any:
    """A page that notes every request."""
    page.on("request", lambda request: app.requests.append(request.url))
    return page


def nothing_is_broken(page: Any) -> None:
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_one_click_compares_and_the_answer_stays_after_a_reload_in_mid_run(page: Any, app: App) -> None:
    open_page(page, app.url)
    page.get_by_role("button", name="Compare naive and actor-based").click()

    expect(page.get_by_text(re.compile("Run 1 of 4"))).to_be_visible()
    page.reload()
    expect(page.get_by_text(re.compile(r"Run \d of 4"))).to_be_visible()
    expect(page.get_by_text("Same answers")).to_be_visible(timeout=ANSWER_MS)

    runs = app.store.latest_comparison()
    assert [run.config.strategy for run in runs] == ["naive", "actor", "actor", "naive"]
    assert {run.state for run in runs} == {"finished"}
    expect(page.get_by_text("100 of 100").first).to_be_visible()
    pictures = page.locator('[data-testid="stImage"] img')
    expect(pictures).to_have_count(12)
    wait_until(
        lambda: pictures.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 0)"),
        seconds=10,
        what="the thumbnails to be there",
    )
    expect(page.locator("canvas, .vega-embed svg").first).to_be_visible()
    nothing_is_broken(page)


def test_the_comparison_opens_with_both_sides_and_their_worker_timelines(page: Any, app: App) -> None:
    comparison_id = app.store.latest_comparison()[0].comparison_id

    open_page(page, f"{app.url}/compare?comparison={comparison_id}")

    expect(page.get_by_text(re.compile("answers agree on 100 of 100"))).to_be_visible()
    expect(page.get_by_text("What happened when")).to_be_visible()
    expect(page.get_by_text(re.compile(r"25 times|25 loads|25 × ")).first).to_be_visible()
    nothing_is_broken(page)


def test_the_ladder_is_watched_step_by_step_and_answered(page: Any, app: App) -> None:
    configs = [RunConfig(strategy=strategy, limit=40) for strategy in STRATEGIES]
    app.store.enqueue(configs, compare=True)

    open_page(page, f"{app.url}/ladder")
    expect(page.get_by_text(re.compile(r"Run \d of 4: "))).to_be_visible(timeout=ANSWER_MS)
    expect(page.get_by_text(re.compile("as fast as naive")).first).to_be_visible(timeout=ANSWER_MS)

    assert {run.state for run in app.store.latest_comparison()} == {"finished"}
    expect(page.get_by_text("40 of 40").first).to_be_visible()
    expect(page.locator("canvas, .vega-embed svg").first).to_be_visible()
    expect(page.get_by_role("link", name="Every detail in Compare")).to_be_visible()
    nothing_is_broken(page)


def test_a_run_is_launched_from_its_address_watched_and_cancelled(page: Any, app: App) -> None:
    open_page(page, f"{app.url}/run?strategy=naive&model=resnet-50-untrained&limit=400&batch_size=2")
    page.get_by_role("button", name="Run naive on 400 images").click()
    wait_until(lambda: "run=" in page.evaluate("location.href"), seconds=20, what="the run in the address")
    run_id = app.store.summaries(limit=1)[0].id
    assert run_id in page.evaluate("location.href")
    assert app.store.summaries(limit=1)[0].config.batch_size == 2

    wait_until(lambda: len(app.store.recent(run_id, predictions=8)) == 8, seconds=90, what="the first images")
    expect(page.locator('[data-testid="stImage"] img').first).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Cancel")).to_be_enabled()
    page.get_by_role("button", name="Cancel").click()

    wait_until(lambda: not app.store.summaries(limit=1)[0].active, seconds=15, what="the run to be cancelled")
    assert app.store.summaries(limit=1)[0].state == "cancelled"
    expect(page.get_by_text("cancelled").first).to_be_visible()
    expect(page.get_by_text(re.compile("Partial"))).to_be_visible()
    nothing_is_broken(page)


def test_history_holds_every_run_and_can_take_a_deletion_back(page: Any, app: App) -> None:
    open_page(page, f"{app.url}/history")
    expect(page.get_by_text(f"{app.store.count()} runs so far")).to_be_visible()

    tick_first_run(page)  # the newest
    before = app.store.count()
    page.get_by_role("button", name="Delete 1 run").click()
    wait_until(lambda: app.store.count() == before - 1, seconds=10, what="the run to be deleted")
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: app.store.count() == before, seconds=10, what="the run to be restored")
    expect(page.get_by_text("Restored 1 run")).to_be_visible()
    tick_first_run(page)
    page.get_by_role("button", name="Delete 1 run").click()
    wait_until(lambda: app.store.count() == before - 1, seconds=10, what="the run to be deleted again")
    assert "cancelled" not in {run.state for run in app.store.summaries()}


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("path", ["/", "/run", "/ladder", "/compare", "/predictions", "/learn", "/history", "/replay"])
def test_no_page_scrolls_sideways(page: Any, app: App, path: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_page(page, f"{app.url}{path}")
    expect(page.get_by_test_id("stMain").get_by_role("heading").first).to_be_visible()

    overflow = page.evaluate(
        "() => { const m = document.querySelector('[data-testid=stMain]'); return m.scrollWidth - m.clientWidth }"
    )

    assert overflow <= 1
    nothing_is_broken(page)


def test_nothing_was_asked_of_any_other_host(app: App) -> None:
    hosts = {urlsplit(address).netloc for address in app.requests if not address.startswith(("data:", "blob:"))}

    assert hosts == {urlsplit(app.url).netloc}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's /proc")
def test_the_server_has_loaded_no_heavy_library(app: App) -> None:
    maps = Path(f"/proc/{app.process.pid}/maps").read_text()

    assert "python" in maps
    assert [name for name in HEAVY if name in maps] == []
    assert psutil.Process(app.process.pid).memory_info().rss < 300 * 2**20


def test_the_browser_is_there_in_continuous_integration() -> None:
    import os

    assert shutil.which("chromium") or not os.environ.get("CI"), "make e2e would skip everything"
