"""What lies behind the name of a data set or model."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from conftest import OpenPage, words
from PIL import Image
from test_run import press

from inference.bundled import DIGITS_MODEL_DIR
from inference.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    (path / "cats").mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(path / "cats" / "a.jpg")
    (path / "broken.jpg").write_bytes(b"no picture")
    return path


def test_looking_inside_a_data_set_counts_shows_and_names_what_is_broken(open_page: OpenPage, folder: Path) -> None:
    app = open_page("run", {"dataset": str(folder)})

    press(app, "Look inside")

    cards = {metric.label: metric.value for metric in app.metric}
    assert (cards["Images"], cards["Formats"], cards["Not readable"]) == ("2", "JPEG 1", "1 of 2")
    assert "**1 label** cats 1" in words(app)
    assert list(app.dataframe[0].value["image"]) == ["broken.jpg"]
    assert list(app.dataframe[0].value["reason"]) == ["not an image of a known format"]


def test_looking_inside_nothing_says_why(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page("run", {"dataset": str(tmp_path / "gone")})

    press(app, "Look inside")

    assert any("There is no folder" in error.value for error in app.error)


def test_the_card_of_a_model_tells_what_it_is(open_page: OpenPage, tmp_path: Path) -> None:
    shutil.copytree(DIGITS_MODEL_DIR, tmp_path / "mine")
    app = open_page("run", {"model": str(tmp_path / "mine")})

    press(app, "About this model")

    cards = {metric.label: metric.value for metric in app.metric}
    assert cards["Parameters"].endswith("million")
    assert "ResNetForImageClassification" in words(app)
    assert "**10 labels** zero, one" in words(app)


def test_a_model_that_may_not_be_loaded_says_why(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}', encoding="utf-8")
    app = open_page("run", {"model": str(tmp_path)})

    press(app, "About this model")

    assert any("is not an image classifier" in error.value for error in app.error)


def test_an_upload_is_kept_and_chosen(open_page: OpenPage, store: Store) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    app = open_page("run")
    press(app, "Upload images")
    app.file_uploader[0].upload("my cat.png", picture.getvalue(), "image/png")

    press(app, "Use these images")

    (listing,) = (store.home / "uploads").glob("*/images.csv")
    assert app.get_by_key("dataset").value == str(listing)
    assert (listing.parent / "00001-my-cat.png").read_bytes() == picture.getvalue()
    assert any("1 image uploaded and chosen" in toast.value for toast in app.toast)


def test_an_upload_without_a_readable_archive_is_refused_and_nothing_is_chosen(
    open_page: OpenPage, store: Store
) -> None:
    app = open_page("run")
    press(app, "Upload images")
    app.file_uploader[0].upload("odd.zip", b"no zip", "application/zip")

    press(app, "Use these images")

    assert app.get_by_key("dataset").value == "digits"
    assert not (store.home / "uploads").exists() or not list((store.home / "uploads").iterdir())


@pytest.mark.parametrize("name", ["dataset", "model"])
def test_what_lies_outside_the_allowed_folders_cannot_be_launched(open_page: OpenPage, name: str) -> None:
    app = open_page("run", {name: "/etc"})

    assert any("lies outside the folders that this server may read" in error.value for error in app.error)
    assert not [button for button in app.button if button.label.startswith("Run ")]


def test_a_folder_without_images_cannot_be_launched(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    app = open_page("run", {"dataset": str(tmp_path / "empty")})

    assert any("holds no images" in error.value for error in app.error)
    assert not [button for button in app.button if button.label.startswith("Run ")]
