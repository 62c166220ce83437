"""The settings as widgets and as an address."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import seed
from conftest import OpenPage, words
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest
from test_run import ADDRESS, labels, press

from inference.bundled import DIGITS_MODEL_DIR
from inference.config import RunConfig
from inference.store import Store
from pages.ui.format import literal


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)  # its machine has 2 CPUs, bfloat16 and a compiler, and no OpenVINO


def test_a_newcomer_finds_settings_that_fit(open_page: OpenPage) -> None:
    app = open_page("run")
    assert not app.exception
    assert literal("1 worker × 1 CPU + 1 for reading = 2 of 2 CPUs") in app.success[0].value
    assert "Run actor on 100 images" in labels(app)
    assert "No run is shown yet" in words(app)


def test_every_setting_of_the_address_is_shown(open_page: OpenPage) -> None:
    app = open_page("run", ADDRESS | {"repeats": "3"})
    assert not app.exception
    assert not app.warning
    values = {slider.key: slider.value for slider in app.select_slider}
    assert (values["batch_size"], values["limit"], values["repeats"]) == (48, 30, 3)
    assert app.get_by_key("strategy").value == "naive"
    assert app.get_by_key("dtype").value == "bfloat16"
    assert app.get_by_key("backend").value == "compile"
    assert "Run naive on 30 images, 3 times" in labels(app)


@pytest.mark.parametrize("name", ["batch_size", "concurrency", "limit", "repeats"])
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "1e9", "1000000000", "many", "", "2.5"])
def test_an_invalid_number_in_the_address_is_refused_by_name(open_page: OpenPage, name: str, value: str) -> None:
    app = open_page("run", {name: value})
    assert not app.exception
    assert len(app.warning) == 1
    assert literal(name) in app.warning[0].value
    assert "is used instead" in app.warning[0].value
    assert "Run actor on 100 images" in labels(app)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strategy", "fastest"),
        ("dtype", "int4"),
        ("backend", "fastest"),
        ("cpus_per_worker", "inf"),
        ("gpus_per_worker", "nan"),
        ("model", "\x00"),
        ("dataset", " "),
    ],
)
def test_an_invalid_choice_in_the_address_is_refused_by_name(open_page: OpenPage, name: str, value: str) -> None:
    app = open_page("run", {name: value})
    assert not app.exception
    assert literal(name) in app.warning[0].value


@pytest.mark.parametrize(("name", "value"), [("cpus_per_worker", "1.50"), ("batch_size", "４8")])
def test_another_way_of_writing_a_number_is_understood(open_page: OpenPage, name: str, value: str) -> None:
    app = open_page("run", {name: value})
    assert not app.warning
    assert app.select_slider(key=name).value == float(value)


@pytest.mark.parametrize(("name", "value"), [("channels_last", "true"), ("backend", "openvino")])
def test_an_option_that_the_strategy_of_the_address_lacks_is_refused_by_name(
    open_page: OpenPage, store: Store, name: str, value: str
) -> None:
    app = open_page("run", {"strategy": "actor", name: value})
    assert not app.exception
    assert f"{literal(name)}" in app.warning[0].value
    assert "batched or pipelined" in app.warning[0].value
    press(app, "Run actor")
    assert store.summaries()[0].config == seed.ACTOR


def test_whole_batches_bring_the_options_of_the_forward_pass(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"strategy": "pipelined", "channels_last": "true", "decoders": "1", "threads": "2"})
    assert not app.exception
    assert not app.warning
    assert app.toggle(key="channels_last").value is True
    assert "openvino" in app.get_by_key("backend").options
    press(app, "Run pipelined")
    assert store.summaries()[0].config == RunConfig(strategy="pipelined", channels_last=True, threads=2)


def test_a_strategy_that_goes_image_by_image_offers_none_of_them(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"strategy": "pipelined", "channels_last": "true"})
    app.get_by_key("strategy").set_value("actor").run()
    assert not app.exception
    assert not app.toggle
    assert "openvino" not in app.get_by_key("backend").options
    assert "decoders" not in {slider.key for slider in app.select_slider}
    press(app, "Run actor")
    assert store.summaries()[0].config == seed.ACTOR


def test_threads_are_automatic_until_a_number_is_chosen(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"threads": "auto"})
    assert not app.warning
    assert app.select_slider(key="threads").options[0] == "auto"
    press(app, "Run actor")
    assert store.summaries()[0].config.threads == 0


def test_automatic_precision_is_said_in_words_and_stored_as_what_it_is(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"dtype": "auto"})
    assert not app.warning
    assert app.get_by_key("dtype").value == "auto"
    assert "auto is bfloat16 here" in words(app)
    press(app, "Run actor")
    assert store.summaries()[0].config.dtype == "bfloat16"
    assert app.query_params["dtype"] == "auto"


def test_precision_is_float32_for_someone_who_changes_nothing(open_page: OpenPage, store: Store) -> None:
    press(open_page("run"), "Run actor")
    assert store.summaries()[0].config.dtype == "float32"


def test_a_backend_that_is_missing_here_is_offered_with_the_reason_and_the_way_out(
    open_page: OpenPage, store: Store
) -> None:
    app = open_page("run", {"strategy": "batched", "backend": "openvino"})
    assert literal("OpenVINO is not installed: pip install batchscope[openvino]") in words(app)
    assert next(b for b in app.button if b.label.startswith("Run batched")).disabled
    press(app, "Use backend eager")
    assert app.get_by_key("backend").value == "eager"
    press(app, "Run batched")
    assert store.summaries()[0].config.backend == "eager"


def test_a_run_of_an_older_version_that_was_compiled_shows_backend_compile(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store)
    with sqlite3.connect(store.path) as db:
        old = {"strategy": "actor", "model": "digits", "dataset": "digits", "limit": 100, "compile": True}
        db.execute("UPDATE runs SET config = ? WHERE id = ?", (json.dumps(old), run_id))
    db.close()
    app = open_page("run", {"run": run_id})
    assert "compiled" in words(app)
    press(app, "Run again")
    assert app.get_by_key("backend").value == "compile"
    assert store.active()[0].config == RunConfig(backend="compile")


def test_what_was_refused_is_said_until_a_setting_changes(open_page: OpenPage) -> None:
    app = open_page("run", {"batch_size": "0"})
    assert app.run().warning
    app.select_slider(key="concurrency").set_value(2).run()
    assert not app.warning


def test_a_model_of_ones_own_may_be_named_in_the_address(open_page: OpenPage, store: Store, tmp_path: Path) -> None:
    mine = str(shutil.copytree(DIGITS_MODEL_DIR, tmp_path / "mine"))
    press(open_page("run", {"model": mine}), "Run actor")
    assert store.summaries()[0].config.model == mine


def test_a_missing_folder_is_told_before_the_launch(open_page: OpenPage) -> None:
    app = open_page("run", {"dataset": "/nowhere/:red[x]"})
    assert not app.exception
    assert ":red[x]" not in words(app)
    assert "nowhere" in words(app)


def test_settings_that_do_not_fit_cannot_be_launched_and_one_press_mends_them(
    open_page: OpenPage, store: Store
) -> None:
    app = open_page("run", {"concurrency": "4"})
    assert literal("= 5 of 2 CPUs") in app.error[0].value
    assert next(b for b in app.button if b.label.startswith("Run actor")).disabled
    press(app, "Use concurrency 1")
    assert not app.error
    assert app.select_slider(key="concurrency").value == 1
    press(app, "Run actor")
    assert store.summaries()[0].config.concurrency == 1


# -- a person's own models and samples ---------------------------------------------------------------------------


def model_folder(folder: Path, architecture: str) -> Path:
    """As much of a model as is looked at before anything is run."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text("{}", encoding="utf-8")
    save_file({"weight": np.zeros(3, np.float32)}, folder / "model.safetensors")
    return folder


def launched(app: AppTest, store: Store) -> RunConfig:
    press(app, "Run ")
    return store.active()[-1].config


def test_a_model_that_compares_with_texts_asks_for_labels_and_takes_those_that_are_typed(
    open_page: OpenPage, store: Store, tmp_path: Path
) -> None:
    seed.samples(store.home)
    folder = model_folder(tmp_path / "clip", "CLIPModel")
    app = open_page("run", {"model": str(folder)})
    assert any("type two or more to choose from" in error.value for error in app.error)

    app.get_by_key("labels").input("a cat, a dog,").run()

    assert not app.error
    assert launched(app, store).labels == ("a cat", "a dog")


def test_further_models_make_an_ensemble_which_is_combined_as_chosen(
    open_page: OpenPage, store: Store, tmp_path: Path
) -> None:
    seed.samples(store.home)
    folder = model_folder(tmp_path / "other", "ViTForImageClassification")
    app = open_page("run", {"members": str(folder), "combine": "vote"})

    config = launched(app, store)

    assert (config.members, config.combine) == ((str(folder),), "vote")


def test_a_member_that_is_no_classifier_is_refused_before_the_launch(open_page: OpenPage, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "text", "BertModel")

    app = open_page("run", {"members": str(folder)})

    assert any("is not an image classifier" in error.value for error in app.error)


def test_a_seed_from_the_address_or_the_form_draws_the_sample(open_page: OpenPage, store: Store) -> None:
    seed.samples(store.home)
    app = open_page("run", {"sample_seed": "41"})
    assert launched(app, store).sample_seed == 41

    app = open_page("run")
    app.get_by_key("sample_seed").select("drawn by lot, seed 3").run()
    assert launched(app, store).sample_seed == 3


def test_a_seed_that_is_no_number_is_refused(open_page: OpenPage) -> None:
    app = open_page("run", {"sample_seed": "x"})

    assert "must be a whole number between 0 and 2147483647" in words(app)
    assert not [button for button in app.button if button.label.startswith("Run ")]


def test_data_sets_and_models_of_earlier_runs_are_offered_again(
    open_page: OpenPage, store: Store, tmp_path: Path
) -> None:
    seed.finished(store, RunConfig(dataset=str(tmp_path / "mine"), model=str(tmp_path / "model")))

    app = open_page("run")

    assert str(tmp_path / "mine") in app.get_by_key("dataset").options
    assert str(tmp_path / "model") in app.get_by_key("model").options
