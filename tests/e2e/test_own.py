"""A person's own models and images in a browser: a folder, a bucket, a hub, and what none of them may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from inference.bundled import DIGITS_MODEL_DIR
from inference.results import metrics
from inference.store import RunSummary, Store
from tests.conftest import wait_until
from tests.e2e.conftest import in_address, open_page, serving
from tests.engine.conftest import new_home, processes_of
from tests.support import bucket, hub, photos

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=20_000)

ENDS_MS = 120_000
ANSWER_S = 15
RIGHT = 0.85
"""At least so many of the photographs are told right by the model for them."""


@dataclass
class World:
    """An app and the servers that it believes to be the world."""

    url: str
    store: Store
    folder: Path
    """Ten images of digits."""
    hub: hub.Hub
    bucket: bucket.Bucket


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[World]:
    home = new_home(tmp_path_factory.mktemp("own") / "home", samples)
    folder = home.parent / "my pictures"
    folder.mkdir()
    for picture in sorted(samples.glob("*.jpg"))[:10]:
        (folder / picture.name).hardlink_to(picture)
    with bucket.serving() as images, hub.serving() as models:
        models.add("someone/digits", DIGITS_MODEL_DIR)
        models.add("someone/gated", DIGITS_MODEL_DIR)
        models.refused["someone/gated"] = (403, "GatedRepo")
        models.add("someone/words", DIGITS_MODEL_DIR, **{"config.json": b'{"architectures": ["BertModel"]}'})
        environment = {
            "HF_ENDPOINT": models.url,
            "HF_HOME": str(home.parent / "cache"),
            "AWS_ENDPOINT_URL": images.url,
            "BATCHSCOPE_FOLDERS": f"{home.parent}:{photos.FOLDER}:{photos.MODEL}",
        }
        with serving(home, **environment) as (url, _):
            yield World(url, Store(home), folder, models, images)
            status = Store(home).engine()
    assert status is not None
    wait_until(lambda: processes_of(status.engine_id) == [], seconds=10, what="all processes of the engine to be gone")


def choose(page: Any, name: str, value: str) -> None:
    """Type a model or a data set of one's own into its field."""
    field = page.get_by_role("combobox", name=name)
    field.fill(value)
    field.press("Enter")


def launch(page: Any, world: World, path: str) -> RunSummary:
    """Open the settings at this address, run them, and wait for the run's end."""
    open_page(page, f"{world.url}/run?{path}")
    page.get_by_role("button", name=re.compile("^Run ")).click()
    return ended(page, world)


def ended(page: Any, world: World) -> RunSummary:
    in_address(page, "run=")
    run_id = world.store.summaries(limit=1)[0].id

    def is_over() -> bool:
        run = world.store.summary(run_id)
        return run is not None and not run.active

    wait_until(is_over, seconds=ENDS_MS / 1000, what="the end of the run")
    run = world.store.summary(run_id)
    assert run is not None
    return run


def share_right(world: World, run: RunSummary) -> float:
    record = world.store.get(run.id)
    assert record is not None
    accuracy = metrics(record).accuracy
    assert accuracy is not None
    return accuracy


def test_a_folder_is_chosen_looked_into_and_run(page: Any, world: World) -> None:
    open_page(page, f"{world.url}/run")
    choose(page, "Data set", str(world.folder))
    page.get_by_role("button", name="Look inside").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img")).to_have_count(8)
    expect(dialog.get_by_text("0 of 10")).to_be_visible()  # not readable
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name=re.compile("^Run ")).click()

    run = ended(page, world)

    assert (run.state, run.config.dataset) == ("finished", str(world.folder))
    expect(page.get_by_text("10 of 10 pictures")).to_be_visible()
    expect(page.get_by_test_id("stImage").first).to_be_visible()


def test_a_bucket_is_looked_into_before_anything_is_run(page: Any, world: World) -> None:
    world.bucket.put_photographs("mine/three", sorted(world.folder.glob("*.jpg"))[:9])
    open_page(page, f"{world.url}/run?dataset=s3://anonymous@{bucket.NAME}/mine")

    page.get_by_role("button", name="Look inside").click()

    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img")).to_have_count(8)
    expect(dialog.get_by_text("three 9")).to_be_visible()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("someone/gated", "is gated: accept its terms on the hub"),
        ("someone/words", "is not an image classifier: its architecture is BertModel"),
        ("someone/unknown", "has no model someone/unknown, or it is private"),
    ],
)
def test_a_model_that_cannot_be_used_says_why_on_its_card_and_when_it_is_to_be_run(
    page: Any, world: World, model: str, reason: str
) -> None:
    open_page(page, f"{world.url}/run")
    choose(page, "Model", model)
    page.get_by_role("button", name="About this model").click()
    expect(page.get_by_role("dialog").get_by_text(re.compile(reason))).to_be_visible(timeout=ANSWER_S * 1000)
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    before = world.store.summaries(limit=1)
    page.get_by_role("button", name=re.compile("^Run ")).click()

    expect(page.get_by_test_id("stAlert").get_by_text(re.compile(reason))).to_be_visible(timeout=ANSWER_S * 1000)
    assert world.store.summaries(limit=1) == before


def test_a_local_model_that_is_no_classifier_cannot_be_run(page: Any, world: World) -> None:
    folder = world.folder.parent / "words"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}')

    open_page(page, f"{world.url}/run?model={quote(str(folder))}")

    expect(page.get_by_text(re.compile("is not an image classifier")).first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Run "))).to_have_count(0)


@photos.needed
def test_photographs_are_told_right_by_a_model_for_them(page: Any, world: World) -> None:
    run = launch(page, world, f"model={quote(str(photos.MODEL))}&dataset={quote(str(photos.FOLDER))}&limit=500")

    assert run.state == "finished"
    assert share_right(world, run) >= RIGHT
    expect(page.get_by_text(f"12 of {photos.NUM_PHOTOS} pictures")).to_be_visible()


@photos.needed
def test_the_same_photographs_from_a_bucket_and_the_same_model_from_a_hub_are_told_as_well(
    page: Any, world: World
) -> None:
    world.bucket.put_photographs("photos", photos.FOLDER.glob("*.JPEG"))
    world.hub.add("someone/mobilenet", photos.MODEL)

    run = launch(page, world, f"model=someone/mobilenet&dataset=s3://anonymous@{bucket.NAME}/photos&limit=500")

    assert run.state == "finished"
    assert share_right(world, run) >= RIGHT
    expect(page.get_by_text(f"12 of {photos.NUM_PHOTOS} pictures")).to_be_visible()
