"""Configure, launch, watch."""

from __future__ import annotations

import re

import pytest
import seed
from conftest import OpenPage, words
from streamlit.testing.v1 import AppTest

from inference.config import RunConfig
from inference.results import Prediction, Progress
from inference.store import Store
from pages.ui.format import literal

SETTINGS = RunConfig(strategy="naive", batch_size=48, limit=30, dtype="bfloat16", backend="compile")
ADDRESS = {"strategy": "naive", "batch_size": "48", "limit": "30", "dtype": "bfloat16", "backend": "compile"}


def press(app: AppTest, label: str) -> AppTest:
    """Click the button that begins with these words."""
    return next(button for button in app.button if button.label.startswith(label)).click().run()


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)  # its machine has 2 CPUs, whatever runs the tests


def test_a_batch_larger_than_the_images_works_and_says_so(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"batch_size": "512", "limit": "10"})
    assert "there will be one batch" in words(app)
    press(app, "Run actor")
    assert store.summaries()[0].config.batch_size == 512


@pytest.mark.parametrize("button", ["Run actor", "Compare naive and actor"])
def test_a_model_that_cannot_be_had_is_refused_at_the_click_with_the_reason(
    open_page: OpenPage, store: Store, button: str
) -> None:
    app = press(open_page("run", {"model": "someone/unknown"}), button)

    assert literal("someone/unknown is not cached here") in app.error[0].value
    assert store.count() == 0


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


def test_a_comparison_sets_whole_batches_against_naive_and_actor(open_page: OpenPage, store: Store) -> None:
    address = {"strategy": "pipelined", "channels_last": "true", "batch_size": "16"}
    press(open_page("run", address), "Compare naive, actor and pipelined")
    naive, actor, pipelined = (run.config for run in store.active())
    assert (naive.strategy, actor.strategy) == ("naive", "actor")
    assert pipelined == RunConfig(strategy="pipelined", channels_last=True, batch_size=16)
    assert naive == actor.with_(strategy="naive") == RunConfig(strategy="naive", batch_size=16)


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


def test_a_finished_run_says_what_would_help_and_one_press_runs_it(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"run": seed.finished(store, seed.NAIVE)})
    advice = next(button for button in app.button if button.label == "Load the model once")
    assert "of the workers' time is model loading" in words(app).replace("\\", "")
    advice.click().run()
    assert not app.exception
    assert [run.config for run in store.active()] == [seed.ACTOR]
    assert app.query_params["run"] == store.active()[0].id


def test_a_double_click_on_advice_queues_once(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store, seed.NAIVE)
    app = open_page("run", {"run": run_id})
    advice = next(button for button in app.button if button.label == "Load the model once")
    advice.click().run()
    app.query_params["run"] = run_id  # the second click was sent before the first one's answer arrived
    advice.click().run()
    assert len(store.active()) == 1


def test_memory_and_processor_time_are_told_per_worker_and_image(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"run": seed.finished(store, seed.PIPELINED)})
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures["Peak memory"] == "640 MiB"
    assert re.fullmatch(r"[\d.\\]+ ms", figures["CPU per image"])


def test_a_run_without_samples_leaves_their_figures_open(open_page: OpenPage, store: Store) -> None:
    store.enqueue([seed.ACTOR])
    run_id = seed.start_next(store)
    spans = seed.spans_of(seed.ACTOR)
    store.save_progress(
        run_id, Progress(phase="classifying"), spans=spans, predictions=seed.answers_of(seed.ACTOR, spans)
    )
    store.end(run_id, "finished")
    figures = {metric.label: metric for metric in open_page("run", {"run": run_id}).metric}
    assert (figures["Peak memory"].value, figures["CPU per image"].value) == ("–", "–")
    assert "Unknown here" in figures["CPU per image"].help


def test_a_finished_run_says_how_busy_the_machine_was_and_how_long_batches_took(
    open_page: OpenPage, store: Store
) -> None:
    app = open_page("run", {"run": seed.finished(store)})
    said = words(app).replace("\\", "")
    assert re.search(r"Of \d+ cores, 1\.\d were busy on average, 0\.\d with this run's workers", said)
    assert "Half of 24 batches took" in said


def test_a_finished_run_leads_to_all_its_pictures_and_to_its_files(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store)
    app = open_page("run", {"run": run_id})
    link = next(link for link in app.page_link if link.value == "See and filter all of them")
    assert (link.proto.page, link.proto.query_string) == ("predictions", f"run={run_id}")
    app.session_state["share"] = True
    app.run()
    assert "share-csv" in [button.proto.id.split("-", 2)[-1] for button in app.get("download_button")]


def test_a_live_run_whose_answers_cannot_be_read_at_this_moment_is_drawn_without_them(
    open_page: OpenPage, store: Store
) -> None:
    seed.engine(store)
    (run_id,) = store.enqueue([seed.ACTOR])
    seed.start_next(store)
    store.save_progress(
        run_id, Progress(phase="classifying", images_done=40, images_total=100, elapsed_s=3.0, clock_started_at=1.0)
    )

    app = open_page("run", {"run": run_id})

    assert not app.exception
    assert "40" in words(app)


def test_a_live_run_says_how_busy_the_machine_is(open_page: OpenPage, store: Store) -> None:
    store.enqueue([seed.ACTOR])
    run_id = seed.start_next(store)
    seed.work(store, run_id, share=0.5)
    assert "How busy the machine is" in words(open_page("run", {"run": run_id}))


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
