"""Uploads in the form: taken in, named for a person, chosen again, removed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import seed
from conftest import OpenPage, words
from PIL import Image
from streamlit.testing.v1 import AppTest
from test_overview import unescaped
from test_run import press

from inference import uploads
from inference.config import RunConfig
from inference.setting_words import dataset_words
from inference.store import Store
from pages.ui import uploading


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def kept(store: Store, images: int = 1) -> str:
    """The data set of an upload."""
    return uploads.keep(store.home, [(f"{number}.png", io.BytesIO(png())) for number in range(images)]).dataset


def opened(open_page: OpenPage, query: dict[str, str] | None = None) -> AppTest:
    app = open_page("run", query)
    press(app, "Upload images")
    return app


def chosen(app: AppTest) -> str:
    return app.get_by_key("dataset").value


def test_the_limits_are_told_before_anything_is_uploaded(open_page: OpenPage) -> None:
    app = opened(open_page)

    assert uploads.LIMITS in words(app)
    assert app.file_uploader[0].proto.max_upload_size_mb * 1024**2 == uploads.MAX_FILE_BYTES


def test_what_is_kept_is_chosen_and_no_longer_held_in_memory(open_page: OpenPage, store: Store) -> None:
    app = opened(open_page)
    app.file_uploader[0].upload("my cat.png", png(), "image/png").run()

    press(app, "Use these images")

    (dataset,) = uploads.datasets(store.home)
    assert chosen(app) == dataset
    assert (Path(dataset).parent / "00001-my-cat.png").read_bytes() == png()
    assert any("1 image uploaded and chosen" in toast.value for toast in app.toast)
    assert not app.file_uploader
    press(app, "Upload images")
    assert app.file_uploader[0].value == []


def test_what_is_refused_can_be_mended_and_leaves_the_choice_as_it_was(open_page: OpenPage, store: Store) -> None:
    app = opened(open_page)
    assert app.button(key="use").disabled
    app.file_uploader[0].upload("odd.zip", b"no zip", "application/zip").run()

    press(app, "Use these images")

    assert any("cannot be unpacked" in error.value for error in app.error)
    assert chosen(app) == "digits"
    assert uploads.datasets(store.home) == ()


def test_more_than_an_upload_may_hold_is_let_go_of_at_once(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_TOTAL_BYTES", 100)
    app = opened(open_page)

    app.file_uploader[0].upload("cat.png", png() * 10, "image/png").run()

    assert any("That is too much at once" in error.value for error in app.error)
    assert app.file_uploader[0].value == []
    assert app.button(key="use").disabled


def test_an_upload_is_called_by_when_it_came_and_its_images(open_page: OpenPage, store: Store) -> None:
    dataset = kept(store, images=12)

    app = open_page("run")

    assert dataset_words(dataset, in_full=True) in app.get_by_key("dataset").options
    assert not any("/uploads/" in option for option in app.get_by_key("dataset").options)


def test_the_address_of_a_chosen_upload_has_its_words_and_leads_back_to_it(open_page: OpenPage, store: Store) -> None:
    dataset = kept(store)
    app = open_page("run")
    app.get_by_key("dataset").select(dataset_words(dataset, in_full=True)).run()
    address = dict(app.query_params)

    again = open_page("run", address)

    assert "/" not in address["dataset"]
    assert [chosen(app), chosen(again)] == [dataset] * 2
    assert not again.warning
    press(again, "Run actor")
    assert store.active()[0].config.dataset == dataset


def test_a_run_of_an_upload_is_not_told_by_a_path(open_page: OpenPage, store: Store) -> None:
    dataset = kept(store, images=100)
    run_id = seed.finished(store, RunConfig(dataset=dataset))

    pages = [open_page("history"), open_page("run", {"run": run_id}), open_page("replay"), open_page("predictions")]

    table = pages[0].dataframe[0].value
    assert list(table["dataset"]) == [dataset_words(dataset)]
    for app in pages:
        assert not app.exception
        assert not [line for line in words(app).splitlines() if "uploads" in line and "not shown" not in line]


def test_an_earlier_upload_can_be_chosen_again(open_page: OpenPage, store: Store) -> None:
    dataset = kept(store)
    seed.finished(store, RunConfig(dataset=dataset))
    app = opened(open_page)
    assert "1 upload" in words(app)
    assert "used by 1 run" in unescaped(words(app))

    press(app, "Choose")

    assert chosen(app) == dataset


def test_a_removed_upload_is_gone_from_the_disk_and_the_choice_and_its_runs_keep_their_results(
    open_page: OpenPage, store: Store
) -> None:
    dataset = kept(store)
    run_id = seed.finished(store, RunConfig(dataset=dataset))
    app = opened(open_page, {"dataset": dataset})
    assert "The 1 run that used them keep their results, without pictures." in unescaped(words(app))

    press(app, "Remove for good")

    assert not Path(dataset).exists()
    assert chosen(app) == "digits"
    assert dataset_words(dataset, in_full=True) not in open_page("run").get_by_key("dataset").options
    shown = open_page("run", {"run": run_id})
    assert not shown.exception
    assert "12 pictures not shown: There is no" in unescaped(words(shown))


def test_an_upload_that_a_waiting_run_uses_cannot_be_removed(open_page: OpenPage, store: Store) -> None:
    used, _ = kept(store), kept(store)
    store.enqueue([RunConfig(dataset=used)])

    app = opened(open_page)

    asks = [block.proto.popover for block in app.get("popover") if block.proto.popover.label == "Remove"]
    assert sorted(ask.disabled for ask in asks) == [False, True]


def test_of_very_many_uploads_the_latest_are_shown(
    open_page: OpenPage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "MOST_SHOWN", 2)
    for _ in range(3):
        kept(store)

    app = opened(open_page)

    assert len([button for button in app.button if button.label == "Choose"]) == 2
    assert "1 more came before these." in words(app)


def test_a_drawn_sample_in_the_address_is_what_the_form_shows(open_page: OpenPage) -> None:
    app = open_page("run")
    app.get_by_key("sample_seed").select("drawn by lot, seed 3").run()

    again = open_page("run", dict(app.query_params))

    assert not app.run().warning
    assert not again.warning
    assert [app.get_by_key("sample_seed").value, again.get_by_key("sample_seed").value] == ["drawn by lot, seed 3"] * 2
