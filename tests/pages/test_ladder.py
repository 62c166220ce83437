"""Every optimisation as one step: asked for with one click, watched, answered."""

from __future__ import annotations

import dataclasses
import re

import pytest
import seed
from conftest import OpenPage
from streamlit.testing.v1 import AppTest
from test_overview import cards, said, unescaped

from inference import ladder
from inference.config import RunConfig, interleaved
from inference.results import Progress
from inference.store import Store
from pages.ui import climb

BUTTON = "Measure all 9 steps"
FEW = (seed.NAIVE, seed.ACTOR, seed.ACTOR.with_(strategy="batched"), seed.ACTOR.with_(strategy="pipelined"))


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)  # its machine has 2 CPUs, bfloat16 and a compiler, and no OpenVINO


def the_button(app: AppTest):  # type: ignore[no-untyped-def]
    return next(button for button in app.button if button.label == BUTTON)


def table(app: AppTest):  # type: ignore[no-untyped-def]
    return app.dataframe[0].value


def test_an_empty_home_asks_the_question_and_offers_the_button(open_page: OpenPage) -> None:
    app = open_page("ladder")
    assert not app.exception
    assert app.title[0].value == "What does each optimisation buy here?"
    assert not the_button(app).disabled
    assert "Nothing has been measured here yet" in said(app)


def test_the_steps_of_this_machine_are_told_before_the_click(open_page: OpenPage) -> None:
    text = said(open_page("ladder"))
    for name in ("naive", "load once", "whole batches", "batch 16", "overlap", "bfloat16", "channels last", "compile"):
        assert f"**{name}**" in text
    assert "**openvino**" not in text


def test_a_step_that_the_machine_lacks_is_named_with_its_reason(open_page: OpenPage) -> None:
    app = open_page("ladder")
    assert "Not here: openvino: OpenVINO is not installed: pip install batchscope[openvino]" in said(app)
    assert app.expander[0].label == "9 steps on this machine, 1 left out"


def test_a_machine_without_native_precision_says_that_this_step_is_missing() -> None:
    old = dataclasses.replace(seed.HARDWARE, instructions=("AVX2",), compiler=None)
    assert [sentence.partition(":")[0] for sentence in climb.left_out(seed.ACTOR, old)] == [
        "lower precision",
        "compile",
        "openvino",
    ]


def test_one_click_queues_every_step_twice_interleaved(open_page: OpenPage, store: Store) -> None:
    the_button(open_page("ladder")).click().run()
    runs = store.latest_comparison()
    steps = ladder.steps(RunConfig(limit=400), seed.HARDWARE)
    assert [run.config for run in runs] == interleaved([step.config for step in steps], 2)


def test_a_model_that_cannot_be_had_is_refused_at_the_click(open_page: OpenPage, store: Store) -> None:
    app = the_button(open_page("ladder", {"model": "someone/unknown"})).click().run()

    assert "someone/unknown is not cached here" in unescaped(app.error[0].value)
    assert store.count() == 0


def test_a_second_click_on_the_button_that_was_drawn_queues_nothing(open_page: OpenPage, store: Store) -> None:
    app = open_page("ladder")
    drawn = the_button(app)
    drawn.click().run()
    assert the_button(app).disabled
    for run in store.active():
        store.request_cancel(run.id)
    drawn.click().run()
    assert store.count() == 18


def test_what_is_classified_can_be_chosen_by_the_address(open_page: OpenPage, store: Store) -> None:
    app = open_page("ladder", {"model": "resnet-50-untrained", "limit": "50"})
    the_button(app).click().run()
    assert {(run.config.model, run.config.limit) for run in store.active()} == {("resnet-50-untrained", 50)}


def test_an_invalid_number_of_images_in_the_address_is_refused_by_name(open_page: OpenPage) -> None:
    app = open_page("ladder", {"limit": "0"})
    assert not app.exception
    assert "limit must be a whole number" in unescaped(app.warning[0].value)
    assert "400 is used instead" in unescaped(app.warning[0].value)


def test_a_running_ladder_says_which_step_and_shows_those_that_are_done(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, interleaved(FEW, 2), done=2, running_share=0.5)
    app = open_page("ladder")
    assert not app.exception
    assert unescaped(app.get("progress")[0].proto.text).startswith("Run 3 of 8: whole batches, classifying, ")
    assert re.search(r"load once · [\d.]+ images/s · 1 of 2", said(app))
    assert len(app.get("vega_lite_chart")) == 1
    assert not app.header


def test_a_run_that_is_being_prepared_counts_no_images_yet(open_page: OpenPage, store: Store) -> None:
    store.enqueue(FEW, compare=True)
    store.save_progress(seed.start_next(store), Progress(phase="warming file cache and workers"))
    text = unescaped(open_page("ladder").get("progress")[0].proto.text)
    assert text == "Run 1 of 4: naive, warming file cache and workers"


def test_a_step_too_short_for_a_steady_rate_is_said_to_be(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, [*FEW, FEW[-1].with_(batch_size=100)])  # one batch: nothing comes after the first
    app = open_page("ladder")
    assert not app.exception
    assert "too few images to tell what it bought" in said(app)
    assert len(table(app)) == 5


def test_a_running_ladder_can_be_cancelled(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, FEW, done=1, running_share=0.5)
    app = open_page("ladder")
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert [run.state for run in store.latest_comparison()] == ["finished", "cancelling", "cancelled", "cancelled"]


def test_a_finished_ladder_is_answered_in_one_sentence(open_page: OpenPage, store: Store) -> None:
    seed.ladder(store)
    app = open_page("ladder")
    assert not app.exception
    assert re.match(
        r"With load once, .* it is [\d.]+ × as fast as naive; answers agree on", unescaped(app.header[0].value)
    )
    assert list(cards(app)) == ["All steps together", "Steady images/s", "Of the limit", "Same answers"]
    assert len(app.get("vega_lite_chart")) == 1


def test_every_step_is_a_row_with_what_it_changes_and_costs(open_page: OpenPage, store: Store) -> None:
    seed.ladder(store)
    rows = table(open_page("ladder"))
    assert [name.removesuffix("  (best)") for name in rows["step"]] == [
        step.name for step in ladder.steps(seed.ACTOR, seed.HARDWARE)
    ]
    assert rows["change"][1] == "each worker loads the model once and keeps it"
    assert re.fullmatch(r"× [\d.]+, 95 %: [\d.]+ to [\d.]+", rows["previous"][1])
    assert rows["setup_s"].min() > 0
    assert rows["agreement"][8] == 100
    assert set(rows["memory"]) == {"640 MiB"}


def test_every_step_is_a_plain_sentence(open_page: OpenPage, store: Store) -> None:
    seed.ladder(store)
    text = said(open_page("ladder"))
    assert re.search(r"2\. \*\*load once\*\*: each worker .* keeps it: [\d.]+ × as fast as naive \(95 %: ", text)


def test_a_step_that_cannot_be_told_from_chance_is_a_tie(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, [*FEW, FEW[-1].with_(channels_last=True)])
    app = open_page("ladder")
    assert "no difference from overlap that can be told from chance" in said(app)
    assert table(app)["previous"][4].startswith("tie, × ")


def test_a_step_whose_answers_differ_is_marked_and_never_the_best(open_page: OpenPage, store: Store) -> None:
    fast = FEW[-1].with_(dtype="bfloat16", batch_size=32)
    store.enqueue([*FEW, fast], compare=True)
    for _ in FEW:
        seed.finish(store, seed.start_next(store))
    seed.finish(store, seed.start_next(store), wrong=range(0, 40))
    app = open_page("ladder")
    assert re.search(r"agree with the first step's on \d\d of 100 images only, so it is not recommended", said(app))
    assert table(app)["step"][3] == "overlap  (best)"
    assert "answers differ" in app.get("vega_lite_chart")[0].proto.spec


def test_the_limit_is_a_share_and_a_dashed_line_once_it_is_known(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, FEW)
    assert cards(open_page("ladder"))["Of the limit"] == "–"
    seed.limit(store)
    app = open_page("ladder")
    assert cards(app)["Of the limit"].endswith(" %")
    assert "of what this machine could do" in said(app)


def test_the_best_settings_go_to_the_run_page(open_page: OpenPage, store: Store) -> None:
    seed.ladder(store)
    app = open_page("ladder")
    next(button for button in app.button if button.label.startswith("Use the best settings")).click().run()
    assert not app.exception
    assert app.title[0].value == "How fast do these settings run here?"
    assert app.get_by_key("strategy").value == "pipelined"
    assert app.get_by_key("dtype").value == "bfloat16"
    assert app.select_slider(key="concurrency").value == 2
    assert store.active() == []


def test_compare_is_one_link_away(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, FEW)
    wanted = store.latest_comparison()[0].comparison_id
    links = {link.value: link.proto.query_string for link in open_page("ladder").page_link}
    assert links["Every detail in Compare"] == f"comparison={wanted}"


def test_a_step_that_failed_says_why_and_the_others_are_answered(open_page: OpenPage, store: Store) -> None:
    store.enqueue(FEW, compare=True)
    for _ in FEW[:3]:
        seed.finish(store, seed.start_next(store))
    store.end(seed.start_next(store), "failed", error="Memory ran out.")
    app = open_page("ladder")
    assert "Run 4 of 4 (overlap) failed." in said(app)
    assert app.code[0].value == "Memory ran out."
    assert len(table(app)) == 3


def test_a_comparison_of_two_ways_is_no_ladder(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    assert "Nothing has been measured here yet" in said(open_page("ladder"))


def test_the_time_it_takes_comes_from_earlier_ladders(open_page: OpenPage, store: Store) -> None:
    seed.ladder(store, [step.config for step in ladder.steps(RunConfig(limit=20), seed.HARDWARE)], repeats=2)
    took_s = sum((run.finished_at or 0) - (run.started_at or 0) for run in store.summaries())
    assert f"about {took_s:,.0f} s" in said(open_page("ladder", {"limit": "20"}))
    assert "about" not in said(open_page("ladder", {"limit": "50"}))
