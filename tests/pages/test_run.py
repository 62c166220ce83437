"""Configure, launch, watch."""

from __future__ import annotations

import pytest
import seed
from conftest import OpenPage, words
from streamlit.testing.v1 import AppTest

from inference.config import RunConfig
from inference.results import Prediction, Progress
from inference.store import Store
from pages.ui.format import literal

SETTINGS = RunConfig(strategy="naive", batch_size=48, limit=30, dtype="bfloat16", compile=True)
ADDRESS = {"strategy": "naive", "batch_size": "48", "limit": "30", "dtype": "bfloat16", "compile": "true"}


def press(app: AppTest, label: str) -> AppTest:
    """Click the button that begins with these words."""
    return next(button for button in app.button if button.label.startswith(label)).click().run()


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)  # its machine has 2 CPUs, whatever runs the tests


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
    assert app.toggle(key="compile").value is True
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
        ("compile", "perhaps"),
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


def test_what_was_refused_is_said_until_a_setting_changes(open_page: OpenPage) -> None:
    app = open_page("run", {"batch_size": "0"})
    assert app.run().warning
    app.select_slider(key="concurrency").set_value(2).run()
    assert not app.warning


def test_a_model_of_ones_own_may_be_named_in_the_address(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"model": "some/classifier"})
    press(app, "Run actor")
    assert store.summaries()[0].config.model == "some/classifier"


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


def test_a_batch_larger_than_the_images_works_and_says_so(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"batch_size": "512", "limit": "10"})
    assert "there will be one batch" in words(app)
    press(app, "Run actor")
    assert store.summaries()[0].config.batch_size == 512


def test_a_launch_queues_the_settings_and_stays_in_the_address(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", ADDRESS)
    press(app, "Run naive on 30 images")
    (run,) = store.summaries()
    assert run.config == SETTINGS
    assert run.comparison_id is None
    assert app.query_params["run"] == run.id
    assert app.query_params["batch_size"] == "48"
    assert "Next in the queue" in app.info[0].value


def test_a_double_click_launches_once(open_page: OpenPage, store: Store) -> None:
    app = open_page("run")
    button = next(b for b in app.button if b.label.startswith("Run actor"))
    button.click().run()
    app.query_params.pop("run")  # the second click was sent before the first one's answer arrived
    button.click()
    app.run()
    assert store.count() == 1
    assert app.query_params["run"] == store.summaries()[0].id


def test_a_later_click_launches_again(open_page: OpenPage, store: Store) -> None:
    app = open_page("run")
    press(app, "Run actor")
    press(app, "Run actor")
    assert store.count() == 2


def test_a_comparison_interleaves_its_repeats(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"repeats": "2"})
    press(app, "Compare naive and actor")
    runs = store.active()
    assert [run.config.strategy for run in runs] == ["naive", "actor", "actor", "naive"]
    assert len({run.comparison_id for run in runs}) == 1
    assert app.query_params["run"] == ",".join(run.id for run in runs)
    assert words(app).count("queued") >= 4


def test_a_queued_run_knows_its_place(open_page: OpenPage, store: Store) -> None:
    ids = store.enqueue([seed.NAIVE, seed.NAIVE, seed.ACTOR])
    app = open_page("run", {"run": ids[2]})
    assert "2 runs before this one" in app.info[0].value


def test_a_running_run_shows_progress_pictures_operators_and_messages(open_page: OpenPage, store: Store) -> None:
    seed.samples(store.home, 100)
    store.enqueue([seed.ACTOR])
    run_id = seed.start_next(store)
    seed.work(store, run_id, share=0.43)
    app = open_page("run", {"run": run_id})
    assert not app.exception
    assert [bar.value for bar in app.get("progress")] == [43]
    assert "MapBatches(Classifier)" in app.dataframe[0].value["operator"].tolist()
    assert "Ray is ready." in words(app)
    assert "Latest pictures" in words(app)
    assert len([image for image in app.get("image")]) >= 8


def test_cancel_asks_once_and_then_says_cancelling(open_page: OpenPage, store: Store) -> None:
    store.enqueue([seed.ACTOR])
    run_id = seed.start_next(store)
    seed.work(store, run_id, share=0.2)
    app = open_page("run", {"run": run_id})
    press(app, "Cancel")
    assert store.cancel_requested(run_id)
    button = app.button(key="cancel")
    assert (button.label, button.disabled) == ("Cancelling…", True)


def test_a_queued_run_is_cancelled_at_once(open_page: OpenPage, store: Store) -> None:
    (run_id,) = store.enqueue([seed.ACTOR])
    app = open_page("run", {"run": run_id})
    press(app, "Cancel")
    assert not app.exception
    assert "This run was cancelled." in words(app)


def test_the_page_shows_the_outcome_once_the_run_has_ended(open_page: OpenPage, store: Store) -> None:
    store.enqueue([seed.ACTOR])
    run_id = seed.start_next(store)
    seed.work(store, run_id, share=0.5)
    app = open_page("run", {"run": run_id})
    store.end(run_id, "finished")
    app.run()
    assert "actor did " in words(app)


def test_a_finished_run_answers_with_a_number_and_offers_what_comes_next(open_page: OpenPage, store: Store) -> None:
    other = seed.finished(store, RunConfig(batch_size=16))
    run_id = seed.finished(store, unreadable=(3,))
    app = open_page("run", {"run": run_id})
    assert not app.exception
    assert "actor did 13" in words(app)
    assert "1 image without an answer" in words(app)
    assert any(link.proto.query_string == f"runs={other}%2C{run_id}" for link in app.page_link)
    press(app, "Run again")
    assert store.active()[0].config == seed.ACTOR
    assert app.query_params["run"] == store.active()[0].id


@pytest.mark.parametrize(
    ("state", "said"), [("failed", "This run failed"), ("crashed", "The engine ended before the run did")]
)
def test_a_run_that_went_wrong_shows_its_reason_literally_and_what_was_measured(
    open_page: OpenPage, store: Store, state: str, said: str
) -> None:
    error = "Memory ran out at :red[image] ![x](http://example.com/x.png)"
    run_id = seed.ended(store, state, error=error)
    app = open_page("run", {"run": run_id})
    assert not app.exception
    assert said in app.error[0].value
    assert error in [code.value for code in app.code]
    assert "Partial: 30 of 100 images" in words(app)
    assert len(app.metric) >= 6


def test_a_cancelled_run_is_no_error(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"run": seed.ended(store, "cancelled")})
    assert not app.error
    assert "Partial" in words(app)


def test_a_run_that_failed_before_its_first_image_shows_only_its_reason(open_page: OpenPage, store: Store) -> None:
    run_id = seed.ended(store, "failed", share=0.0, error="No such model.")
    app = open_page("run", {"run": run_id})
    assert not app.exception
    assert "Partial" not in words(app)


def test_a_run_that_is_not_there_is_said_and_shown_literally(open_page: OpenPage) -> None:
    app = open_page("run", {"run": "<script>:red[x]"})
    assert not app.exception
    assert "There is no run" in app.warning[0].value
    assert ":red[x]" not in app.warning[0].value


def test_a_comparison_under_way_shows_the_run_at_work_and_links_the_others(open_page: OpenPage, store: Store) -> None:
    ids = seed.comparison(store, (seed.NAIVE, seed.ACTOR), done=1, running_share=0.5)
    app = open_page("run", {"run": ",".join(ids)})
    assert not app.exception
    assert app.subheader[0].value == "actor"
    assert any(f"run={ids[0]}" in link.proto.query_string for link in app.page_link)


def test_a_finished_comparison_links_to_its_answer(open_page: OpenPage, store: Store) -> None:
    ids = seed.comparison(store, (seed.NAIVE, seed.ACTOR))
    app = open_page("run", {"run": ",".join(ids)})
    link = next(link for link in app.page_link if link.value == "Compare them")
    assert link.proto.query_string == f"runs={ids[0]}%2C{ids[1]}"


def test_a_large_run_is_watched_without_reading_all_of_it(open_page: OpenPage, store: Store) -> None:
    store.enqueue([RunConfig(limit=100_000)])
    run_id = seed.start_next(store)
    done = 2500
    store.save_progress(
        run_id,
        Progress(phase="classifying", images_done=done, images_total=100_000, elapsed_s=50.0),
        predictions=[Prediction(f"{i}.jpg", "seven", 0.9, done_s=5 + i * 0.018) for i in range(done)],
    )
    app = open_page("run", {"run": run_id})
    assert not app.exception
    assert literal("2,500 of 100,000 images") in app.get("progress")[0].proto.text
    assert "the newest 2,000 images" in words(app)
    assert "No worker has reported yet" not in words(app)


def test_the_samples_are_previewed_once_they_are_made(open_page: OpenPage, store: Store) -> None:
    assert "The first run makes these pictures." in words(open_page("run"))
    seed.samples(store.home, 4)
    app = open_page("run")
    assert "The first run makes these pictures." not in words(app)
    assert len(app.get("image")) == 4
