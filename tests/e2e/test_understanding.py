"""From a number to its reason, in a browser: pin, brush, find what differs, describe, delete, share, upload."""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inference.history import History, Wanted
from inference.store import Store
from tests.conftest import wait_until
from tests.e2e.conftest import in_address, open_page, serving, tick_first_run, visitor
from tests.engine.conftest import new_home
from tests.pages import seed

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=20_000)


@dataclass
class Library:
    """A server without an engine, on a home folder with runs that tell something."""

    url: str
    store: Store
    five: list[str]
    """Ids of runs of five configurations; the third one answers three images otherwise than the first."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[Library]:
    home = new_home(tmp_path_factory.mktemp("library") / "home", samples)
    store = Store(home)
    configs = (seed.NAIVE, seed.ACTOR, seed.BATCHED, seed.PIPELINED, seed.ACTOR.with_(concurrency=2))
    wrong = {2: (3, 5, 8)}
    five = [
        seed.finished(store, config, seed=number, wrong=wrong.get(number, ())) for number, config in enumerate(configs)
    ]
    with serving(home, BATCHSCOPE_NO_ENGINE="1") as (url, _):
        yield Library(url, store, five)


def test_five_runs_are_set_against_a_pinned_baseline_and_a_shared_link_shows_the_same(
    browser: Any, page: Any, library: Library
) -> None:
    open_page(page, f"{library.url}/compare?runs={','.join(library.five)}")
    headline = page.get_by_role("heading", level=2).first
    expect(headline).to_contain_text(re.compile("Fastest of 4: .* than naive"))

    page.get_by_test_id("stSelectbox").filter(has_text="Baseline").get_by_role("combobox").click()
    page.get_by_role("option", name="pipelined").click()

    in_address(page, f"baseline={library.five[3]}")
    expect(headline).to_contain_text("pipelined")
    expect(headline).not_to_contain_text("than naive")
    told = headline.inner_text()
    other = visitor(browser)
    open_page(other, page.evaluate("location.href"))
    expect(other.get_by_role("heading", level=2).first).to_have_text(told)


def test_a_stretch_that_is_drawn_on_the_chart_shows_its_batches_and_images(
    browser: Any, page: Any, library: Library
) -> None:
    open_page(page, f"{library.url}/compare?runs={library.five[0]},{library.five[1]}")
    chart = page.locator("[data-testid=stVegaLiteChart]", has=page.locator("svg")).nth(1)

    def drawn() -> bool:
        """A chart that is drawn anew meanwhile forgets a stretch that was begun."""
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        if box is None:
            return False
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 80)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 85)
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 85)
        page.mouse.up()
        page.wait_for_timeout(2_000)
        return "from=" in page.url and "to=" in page.url

    wait_until(drawn, seconds=40, what="a stretch in the address")
    expect(page.get_by_text(re.compile(r"batches under way in this stretch"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"images? .*in this stretch")).first).to_be_visible()
    other = visitor(browser)
    open_page(other, page.evaluate("location.href"))
    expect(other.get_by_text(re.compile(r"batches under way in this stretch"))).to_be_visible()

    page.get_by_role("button", name="Show the whole run").click()
    expect(page.get_by_role("button", name="Show the whole run").first).to_be_disabled()
    assert "from=" not in page.url
    excerpt = page.get_by_text(re.compile(r"batches under way in this stretch"))

    def gone() -> bool:
        """Streamlit leaves what was there when it draws the header at that moment (1.67), until the next drawing."""
        page.wait_for_timeout(2_000)
        if excerpt.count():
            page.get_by_role("radio", name=next(others)).click()
        return excerpt.count() == 0

    others = itertools.cycle(("images so far", "images/s"))
    wait_until(gone, seconds=20, what="the whole run alone")


def test_the_images_that_two_runs_answer_otherwise_are_found_and_looked_at(page: Any, library: Library) -> None:
    open_page(page, f"{library.url}/compare?runs={library.five[0]},{library.five[2]}")

    page.get_by_role("link", name=re.compile("All 3 images that got two answers")).click()

    expect(page.get_by_text("3 of 100 images")).to_be_visible()
    expect(page.get_by_text(re.compile("wrong, it is"))).to_have_count(3)
    page.get_by_test_id("stMain").get_by_role("button", name=re.compile(r"^0003_")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_text(re.compile("wrong, it is"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_run_is_named_and_tagged_found_by_that_deleted_and_had_back(page: Any, library: Library) -> None:
    newest = History(library.store.database).find(Wanted(), limit=1)[0].id
    open_page(page, f"{library.url}/history")
    tick_first_run(page)
    page.get_by_role("button", name="Name, note, tags").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Two workers <b>")
    tags = dialog.get_by_role("combobox")
    tags.fill("demo")
    tags.press("Enter")
    page.keyboard.press("Tab")
    dialog.get_by_role("button", name="Save").click()
    wait_until(lambda: said(library, newest) == ("Two workers <b>", ("demo",)), seconds=15, what="what was said")
    expect(dialog).to_have_count(0)

    open_page(page, f"{library.url}/history")
    page.get_by_placeholder("Name, note, tag").fill("workers demo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="1 of 5 runs")).to_be_visible()
    tick_first_run(page)
    page.get_by_role("button", name="Delete 1 run").click()
    wait_until(lambda: library.store.summary(newest) is None, seconds=15, what="the run to be gone")
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: library.store.summary(newest) is not None, seconds=15, what="the run to be back")
    assert said(library, newest) == ("Two workers <b>", ("demo",))
    History(library.store.database).describe(newest, name="", tags=())


def test_a_dialog_keeps_what_is_typed_when_a_run_begins_elsewhere(page: Any, library: Library) -> None:
    open_page(page, f"{library.url}/run?run={library.five[0]}")
    page.get_by_role("button", name="Name, note, tags").click()
    dialog = page.get_by_role("dialog")
    note = dialog.get_by_role("textbox", name="Note")
    note.press_sequentially("half a thought")

    (other,) = library.store.enqueue([seed.NAIVE])
    try:
        expect(page.get_by_text("1 queued")).to_be_visible()  # the page has been drawn anew
        expect(note).to_have_value("half a thought")
        note.press_sequentially(", and its end")
        page.keyboard.press("Tab")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_have_count(0)
    finally:
        library.store.request_cancel(other)
        History(library.store.database).delete([other])
    run = library.store.summary(library.five[0])
    assert run is not None
    assert run.note == "half a thought, and its end"


def said(library: Library, run_id: str) -> tuple[str | None, tuple[str, ...]] | None:
    run = library.store.summary(run_id)
    return None if run is None else (run.name, run.tags)


# -- a person's own images ---------------------------------------------------------------------------------------


def test_a_folder_is_looked_into_before_anything_is_run(page: Any, library: Library) -> None:
    folder = library.store.home / "datasets" / "digits"
    open_page(page, f"{library.url}/run?dataset={folder}")

    page.get_by_role("button", name="Look inside").click()

    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("JPEG", exact=False).first).to_be_visible()
    expect(dialog.get_by_role("img")).to_have_count(8)


def test_a_zip_is_uploaded_and_chosen(page: Any, library: Library) -> None:
    pictures = sorted((library.store.home / "datasets" / "digits").glob("*.jpg"))[:3]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for picture in pictures:
            packed.write(picture, f"../mine/{picture.name}")
    open_page(page, f"{library.url}/run")
    page.get_by_role("button", name="Upload images").click()
    files = page.locator("input[type=file]")
    use = page.get_by_role("button", name="Use these images")
    expect(use).to_be_disabled()

    files.set_input_files({"name": "broken.zip", "mimeType": "application/zip", "buffer": b"no archive"})
    expect(page.get_by_role("dialog").get_by_text("broken.zip")).to_be_visible()
    use.click()
    expect(page.get_by_text(re.compile("cannot be unpacked"))).to_be_visible()
    page.get_by_role("button", name=re.compile("Remove|Delete")).first.click()
    expect(use).to_be_disabled()
    slow = {"offline": False, "latency": 2_000, "downloadThroughput": -1, "uploadThroughput": -1}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    files.set_input_files({"name": "mine.zip", "mimeType": "application/zip", "buffer": archive.getvalue()})
    expect(page.get_by_role("dialog").get_by_text("mine.zip")).to_be_visible()
    expect(use).to_be_disabled()  # what is still on its way cannot be used
    use.click()  # waits for it

    expect(page.get_by_text("3 images uploaded and chosen")).to_be_visible()
    (kept,) = (library.store.home / "uploads").iterdir()
    assert len(list(kept.glob("*.jpg"))) == 3
    assert not (library.store.home / "mine").exists()


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("dataset=/no/such/folder", "lies outside the folders that this server may read"),
        ("dataset=http://127.0.0.1/pictures", "is not a data set that can be read"),
        ("dataset=s3://bucket?endpoint_override=http://127.0.0.1", "is not the address of a bucket"),
    ],
)
def test_what_may_not_be_read_is_refused_with_the_reason(page: Any, library: Library, query: str, reason: str) -> None:
    open_page(page, f"{library.url}/run?{query}")

    expect(page.get_by_text(re.compile(reason)).first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Run "))).to_have_count(0)
