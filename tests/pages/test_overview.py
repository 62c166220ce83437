"""One button, the latest answer, and the machine."""

from __future__ import annotations

import re
import sys

import pytest
import seed
from conftest import OpenPage
from streamlit.testing.v1 import AppTest

from inference.config import RunConfig
from inference.results import Progress
from inference.store import Store
from pages.ui import comparison

BUTTON = "Compare naive and actor-based"


def said(app: AppTest) -> str:
    """Everything that the page says, as a person reads it."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "error", "warning", "info", "success", "code")
    text = "\n".join(element.value for kind in kinds for element in app.get(kind))
    return unescaped(text)


def unescaped(text: str) -> str:
    """What Markdown makes of escaped text."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("\u2060", "")


def the_button(app: AppTest):  # type: ignore[no-untyped-def]
    return next(button for button in app.button if button.label == BUTTON)


def cards(app: AppTest) -> dict[str, str]:
    return {metric.label: unescaped(metric.value) for metric in app.metric}


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)  # its machine has 2 CPUs, whatever runs the tests


def test_an_empty_home_asks_the_question_and_offers_the_button(open_page: OpenPage) -> None:
    app = open_page("overview")
    assert not app.exception
    assert app.title[0].value == "What does loading the model once buy you on this machine?"
    assert not the_button(app).disabled
    assert "Nothing has been measured here yet" in said(app)


def test_the_button_queues_both_ways_twice_interleaved(open_page: OpenPage, store: Store) -> None:
    the_button(open_page("overview")).click().run()
    runs = store.latest_comparison()
    assert [run.config.strategy for run in runs] == ["naive", "actor", "actor", "naive"]
    assert {run.config.with_(strategy="actor") for run in runs} == {runs[1].config}


def test_while_a_comparison_waits_or_runs_the_button_cannot_queue_another(open_page: OpenPage, store: Store) -> None:
    app = open_page("overview")
    the_button(app).click().run()
    assert not app.exception
    assert the_button(app).disabled
    assert store.count() == 4


def test_a_second_click_on_the_button_that_was_drawn_queues_nothing(open_page: OpenPage, store: Store) -> None:
    app = open_page("overview")
    drawn = the_button(app)
    drawn.click().run()
    for run in store.active():
        store.request_cancel(run.id)
    drawn.click().run()
    assert store.count() == 4


def test_after_a_comparison_the_button_starts_a_new_one(open_page: OpenPage, store: Store) -> None:
    app = open_page("overview")
    the_button(app).click().run()
    for run in store.active():
        store.request_cancel(run.id)
    app.run()
    the_button(app).click().run()
    assert store.count() == 8


def test_the_time_it_takes_is_not_guessed(open_page: OpenPage) -> None:
    assert "about" not in said(open_page("overview")).partition("This machine")[0]


def test_the_time_it_takes_comes_from_earlier_comparisons(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    took_s = sum((run.finished_at or 0) - (run.started_at or 0) for run in store.summaries())
    assert f"about {took_s:.0f} s" in said(open_page("overview"))


def test_comparisons_of_other_settings_tell_nothing_about_the_time(store: Store) -> None:
    seed.comparison(store)
    config = RunConfig(batch_size=16)
    configs = [config.with_(strategy=strategy) for strategy in ("naive", "actor", "actor", "naive")]
    assert comparison.usual_seconds(store.summaries(), configs) is None


def test_a_queued_comparison_says_what_it_waits_for(open_page: OpenPage, store: Store) -> None:
    store.enqueue([seed.ACTOR])
    seed.start_next(store)
    store.enqueue([seed.NAIVE, seed.ACTOR], compare=True)
    app = open_page("overview")
    assert "Waiting behind 1 other run" in app.get("progress")[0].proto.text


def test_a_starting_engine_is_what_is_waited_for(open_page: OpenPage, store: Store) -> None:
    store.enqueue([seed.NAIVE, seed.ACTOR], compare=True)
    seed.engine(store, state="starting", message="starting Ray")
    app = open_page("overview")
    assert unescaped(app.get("progress")[0].proto.text) == "The engine is starting: starting Ray"


def test_a_running_comparison_shows_which_run_of_how_many(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, done=1, running_share=0.5)
    app = open_page("overview")
    assert not app.exception
    progress = app.get("progress")[0].proto
    assert unescaped(progress.text) == "Run 2 of 4: actor, classifying, 50 of 100 images"
    assert progress.value == 37
    assert len(app.get("vega_lite_chart")) == 1


def test_a_running_comparison_can_be_cancelled(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, done=1, running_share=0.5)
    app = open_page("overview")
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert [run.state for run in store.latest_comparison()] == ["finished", "cancelling", "cancelled", "cancelled"]


def test_a_finished_comparison_is_answered_in_one_sentence(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("overview")
    assert not app.exception
    assert re.search(r"Loading the model once is \d\.\d+ × faster: [\d.]+ images/s instead of [\d.]+", said(app))


def test_the_answer_comes_with_its_interval_and_both_rates(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("overview")
    assert list(cards(app)) == ["Speed-up", "naive images/s", "actor images/s", "Same answers", "actor of the limit"]
    assert cards(app)["Same answers"] == "100 of 100"
    assert "to" in app.metric[0].delta


def test_the_limit_stands_above_the_answer_once_it_is_known(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    assert cards(open_page("overview"))["actor of the limit"] == "–"
    seed.limit(store, prepare=60.0, forward=120.0)
    app = open_page("overview")
    assert re.fullmatch(r"\d\d %", cards(app)["actor of the limit"])
    assert "limit 40.0 images/s" in app.get("vega_lite_chart")[0].proto.spec


def test_what_else_there_is_to_gain_is_one_link_away(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    links = {link.value: link.proto.page for link in open_page("overview").page_link}
    assert links["What else is there to gain?"] == "ladder"


def test_a_ladder_does_not_answer_this_question(open_page: OpenPage, store: Store) -> None:
    seed.ladder(store, [seed.NAIVE, seed.ACTOR, seed.BATCHED, seed.PIPELINED])
    assert "Nothing has been measured here yet" in said(open_page("overview"))


def test_the_answer_names_loads_their_length_and_their_share(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    text = said(open_page("overview"))
    assert re.search(r"naive: loaded 25 times × 0\.3\d s = \d\d % of worker time", text)
    assert re.search(r"actor: loaded once × 0\.3\d s = \d % of worker time", text)


def test_twelve_pictures_say_in_words_who_is_right(open_page: OpenPage, store: Store) -> None:
    seed.samples(store.home, 12)
    seed.comparison(store, wrong=(7,))
    app = open_page("overview")
    assert len(app.get("image")) == 12
    assert said(app).count(":material/check: right") == 11
    assert "wrong, it is" in said(app)


def test_pictures_that_are_gone_leave_their_answers(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("overview")
    assert not app.exception
    assert said(app).count("no picture") == 12


def test_the_order_of_the_runs_does_not_turn_the_answer_around(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, [seed.ACTOR, seed.NAIVE])
    assert "faster" in said(open_page("overview"))


def test_a_tie_is_called_no_difference(open_page: OpenPage, store: Store) -> None:
    spans = seed.spans_of(seed.ACTOR)
    for _ in store.enqueue([seed.NAIVE, seed.ACTOR], compare=True):
        run_id = seed.start_next(store)
        answers = seed.answers_of(seed.ACTOR, spans)
        store.save_progress(run_id, Progress(phase="classifying"), spans=spans, predictions=answers)
        store.end(run_id, "finished")
    assert "no difference that can be told from chance" in said(open_page("overview"))


@pytest.mark.parametrize("state", ["failed", "crashed"])
def test_a_comparison_that_broke_says_which_run_and_why(open_page: OpenPage, store: Store, state: str) -> None:
    store.enqueue([seed.NAIVE, seed.ACTOR], compare=True)
    seed.finish(store, seed.start_next(store))
    store.end(seed.start_next(store), state, error="Memory ran out four times. Lower batch size.")
    app = open_page("overview")
    assert not app.exception
    assert f"Run 2 of 2 (actor) {state}." in said(app)
    assert "Memory ran out four times. Lower batch size." in app.code[0].value
    assert not app.metric


def test_a_cancelled_comparison_says_so(open_page: OpenPage, store: Store) -> None:
    for run_id in store.enqueue([seed.NAIVE, seed.ACTOR], compare=True):
        store.request_cancel(run_id)
    assert "2 runs of 2 cancelled" in said(open_page("overview"))


def test_what_finished_is_still_compared_when_a_repeat_failed(open_page: OpenPage, store: Store) -> None:
    store.enqueue([seed.NAIVE, seed.ACTOR, seed.ACTOR], compare=True)
    for _ in range(2):
        seed.finish(store, seed.start_next(store))
    store.end(seed.start_next(store), "failed", error="The disk is full.")
    app = open_page("overview")
    assert "failed" in said(app)
    assert "Speed-up" in cards(app)


def test_comparisons_of_something_else_do_not_answer_this_question(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, [seed.ACTOR, seed.ACTOR.with_(batch_size=16)])
    assert "Nothing has been measured here yet" in said(open_page("overview"))


def test_the_machine_is_the_one_that_the_engine_reported(open_page: OpenPage) -> None:
    text = said(open_page("overview"))
    for title in ("Processor", "Memory", "Accelerator", "Disk", "Software"):
        assert title in text
    assert "Intel Xeon Platinum 8481C · 2 CPUs" in text


def test_a_hostile_error_is_shown_as_code(open_page: OpenPage, store: Store) -> None:
    store.enqueue([seed.NAIVE, seed.ACTOR], compare=True)
    store.end(seed.start_next(store), "failed", error="![](http://evil.example) :red[x]")
    store.request_cancel(store.active()[0].id)
    app = open_page("overview")
    assert app.code[0].value == "![](http://evil.example) :red[x]"
    assert not any("evil" in element.value for element in app.markdown)


def test_the_page_needs_no_heavy_module(open_page: OpenPage, store: Store) -> None:
    before = set(sys.modules)
    seed.comparison(store)
    open_page("overview")
    assert not (set(sys.modules) - before) & {"ray", "torch", "transformers"}
