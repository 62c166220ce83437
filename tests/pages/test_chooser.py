"""What lies behind the name of a data set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import OpenPage, words
from PIL import Image
from streamlit.testing.v1 import AppTest
from test_run import press


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    (path / "cats").mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(path / "cats" / "a.jpg")
    (path / "broken.jpg").write_bytes(b"no picture")
    return path


def listed(app: AppTest) -> dict[str, str]:
    """The names and reasons that a dialog lists, as a person reads them."""
    text = re.sub(r"\\(.)", r"\1", words(app))
    return dict(re.findall(r"^- \*\*(.*)\*\* (.*)$", text, re.MULTILINE))


def test_looking_inside_a_data_set_counts_shows_and_names_what_is_broken(open_page: OpenPage, folder: Path) -> None:
    app = open_page("run", {"dataset": str(folder)})

    press(app, "Look inside")

    cards = {metric.label: metric.value for metric in app.metric}
    assert (cards["Images"], cards["Formats"], cards["Not readable"]) == ("2", "JPEG 1", "1 of 2")
    assert "**1 label** cats 1" in words(app)
    assert listed(app) == {"broken.jpg": "not an image of a known format"}


def test_of_several_formats_each_is_counted(open_page: OpenPage, folder: Path) -> None:
    for number in range(2):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
    app = open_page("run", {"dataset": str(folder)})

    press(app, "Look inside")

    assert "**2 formats** PNG 2, JPEG 1" in words(app)


def test_looking_inside_names_what_is_passed_over_and_why(open_page: OpenPage, folder: Path) -> None:
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    app = open_page("run", {"dataset": str(folder)})

    press(app, "Look inside")

    assert listed(app) == {
        "broken.jpg": "not an image of a known format",
        "circle.jpg": "links in a circle",
        "gone.jpg": "a link to a file that is not there",
    }
    assert "**2 entries are passed over**, not among the images" in words(app)
    assert next(metric.value for metric in app.metric if metric.label == "Images") == "2"


def test_what_is_looked_into_stays_open_when_the_page_is_drawn_anew_and_is_closed_on_another_one(
    open_page: OpenPage, folder: Path
) -> None:
    app = open_page("run", {"dataset": str(folder)})
    press(app, "Look inside")

    assert "Images" in [metric.label for metric in app.run().metric]

    app.switch_page("pages/history.py").run()
    assert not app.metric
    assert not app.switch_page("pages/run.py").run().metric


def test_looking_inside_nothing_says_why(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page("run", {"dataset": str(tmp_path / "gone")})

    press(app, "Look inside")

    assert any("There is no folder" in error.value for error in app.error)


@pytest.mark.parametrize("name", ["dataset", "model"])
def test_what_lies_outside_the_allowed_folders_cannot_be_launched(open_page: OpenPage, name: str) -> None:
    app = open_page("run", {name: "/etc"})

    assert any("lies outside the folders that this server may read" in error.value for error in app.error)
    assert not [button for button in app.button if button.label.startswith("Run ")]


def test_a_folder_without_images_cannot_be_launched(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    app = open_page("run", {"dataset": str(tmp_path / "empty")})

    (error,) = app.error
    assert "holds no images" in error.value
    assert "There is nothing to run yet: the reason stands above, at its field." in words(app)
    drawn = list(app.main)
    assert drawn.index(app.get_by_key("dataset")) < drawn.index(error) < drawn.index(app.get_by_key("limit"))
    assert not [button for button in app.button if button.label.startswith("Run ")]
