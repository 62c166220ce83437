"""What lies behind the name of a model."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import seed
from conftest import OpenPage, words
from streamlit.testing.v1 import AppTest
from test_run import press

from inference.bundled import DIGITS_MODEL_DIR
from inference.store import Store
from pages.ui.format import literal, shortened
from tests.inference import tiny

COUNTING = "Counting on the architecture"
PATIENCE_S = 60


def cards(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value.replace("\\", "") for metric in app.metric}


def notes(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.delta.replace("\\", "") for metric in app.metric}


def counted(app: AppTest) -> AppTest:
    """The page once the count has come to its end; a browser draws it again by itself."""
    deadline = time.monotonic() + PATIENCE_S
    while COUNTING in words(app) and time.monotonic() < deadline:
        time.sleep(0.1)
        app.run()
    return app


def copied(folder: Path, **changes: object) -> Path:
    """The bundled model in another folder, with other settings."""
    shutil.copytree(DIGITS_MODEL_DIR, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return folder


@pytest.mark.alone  # counting lets everything else go first
def test_the_card_of_a_model_comes_at_once_and_what_an_image_costs_when_it_is_counted(
    open_page: OpenPage, tmp_path: Path
) -> None:
    app = open_page("run", {"model": str(copied(tmp_path / "mine"))})

    press(app, "About this model")

    at_once = cards(app)
    assert (at_once["GFLOP per image"], at_once["Labels"], at_once["Weights"]) == ("…", "10", "3.4 MiB")
    assert "ResNetForImageClassification" in words(app)
    assert "**10 labels** zero, one" in words(app)
    assert COUNTING in words(app)

    assert cards(counted(app)) == {
        "Parameters": "891,818",
        "GFLOP per image": "0.122",
        "What it sees": "112 × 112",
        "Labels": "10",
        "Weights": "3.4 MiB",
    }
    assert notes(app)["Weights"] == "float32, on this machine"
    assert "2,508 more numbers: running averages" in app.metric[0].help


@pytest.mark.alone  # counting lets everything else go first
def test_a_model_that_cannot_be_counted_says_why_and_shows_what_is_known(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page("run", {"model": str(copied(tmp_path / "odd", model_type="nobody's"))})

    press(app, "About this model")
    counted(app)

    assert (cards(app)["GFLOP per image"], cards(app)["What it sees"]) == ("–", "112 × 112")
    assert notes(app)["Parameters"] == "numbers in its files"
    assert any("Not counted" in warning.value and "model type" in warning.value for warning in app.warning)


def test_while_something_is_measured_nothing_is_counted(open_page: OpenPage, store: Store, tmp_path: Path) -> None:
    seed.engine(store)
    store.enqueue([seed.ACTOR])
    app = open_page("run", {"model": str(copied(tmp_path / "mine", id2label={"0": "one of its kind"}))})

    press(app, "About this model")

    assert "A measurement is going on" in words(app)
    assert COUNTING not in words(app)
    assert cards(app)["GFLOP per image"] == "…"

    store.request_cancel(store.active()[0].id)
    app.run()

    assert COUNTING in words(app)


def test_an_ensemble_has_a_card_for_each_of_its_models(open_page: OpenPage, tmp_path: Path) -> None:
    other, gone = copied(tmp_path / "other"), tmp_path / "gone"
    app = open_page("run", {"model": "digits", "members": f"{other},{gone}"})

    press(app, "About this model")

    assert [tab.label for tab in app.tabs][:3] == [literal(shortened(name, 30)) for name in ("digits", other, gone)]
    assert [metric.label for metric in app.metric].count("GFLOP per image") == 2
    assert any("There is no folder" in error.value for error in app.error)


def test_a_model_that_compares_with_texts_has_the_labels_that_are_typed(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page("run", {"model": tiny.compares_with_texts(tmp_path / "clip")})

    press(app, "About this model")

    assert cards(app)["Labels"] == "yours"
    assert "labels**" not in words(app)


def test_the_card_stays_open_when_the_page_is_drawn_anew_and_is_that_of_the_model_in_the_field(
    open_page: OpenPage,
) -> None:
    app = open_page("run")
    press(app, "About this model")

    app.run()
    assert cards(app)["Labels"] == "10"

    app.get_by_key("model").set_value("resnet-50-untrained").run()
    assert cards(app)["Labels"] == "1,000"


def test_a_model_that_may_not_be_loaded_says_why(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}', encoding="utf-8")
    app = open_page("run", {"model": str(tmp_path)})

    press(app, "About this model")

    assert any("is not an image classifier" in error.value for error in app.error)
