"""Runs side by side."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import seed
from conftest import OpenPage, words
from streamlit.testing.v1 import AppTest
from test_overview import said

from inference.arms import arm_labels
from inference.batches import batches
from inference.config import interleaved
from inference.history import History
from inference.results import Prediction, Progress, Span
from inference.store import Store
from pages.ui import stretch
from pages.ui.charts import TIME_TITLE
from pages.ui.excerpt import batches_within
from pages.ui.lines import BRUSH


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)


def headline(app: AppTest) -> str:
    return re.sub(r"\\(.)", r"\1", app.header[0].value)


def test_an_empty_home_says_what_a_comparison_needs(open_page: OpenPage) -> None:
    app = open_page("compare")
    assert not app.exception
    assert "A comparison needs two finished runs, and there is no finished run so far." in said(app)


def test_one_finished_run_is_not_enough(open_page: OpenPage, store: Store) -> None:
    seed.finished(store)
    assert "there is one finished run so far" in said(open_page("compare"))


def test_without_an_address_the_latest_comparison_is_shown(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("compare")
    assert not app.exception
    assert re.fullmatch(r"actor is \d\.\d+ × faster than naive; answers agree on 100 of 100 images", headline(app))


def test_a_comparison_in_the_address_groups_its_repeats(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    wanted = store.latest_comparison()[0].comparison_id
    seed.finished(store, seed.ACTOR.with_(batch_size=16))
    app = open_page("compare", {"comparison": str(wanted)})
    assert "From 2 runs against 2." in said(app)
    assert "the middle one of 2 runs" in said(app)


def test_the_first_run_in_the_address_is_the_baseline(open_page: OpenPage, store: Store) -> None:
    naive = seed.finished(store, seed.NAIVE)
    actor = seed.finished(store, seed.ACTOR)
    assert "naive is" in headline(open_page("compare", {"runs": f"{actor},{naive}"}))
    assert "slower than actor" in headline(open_page("compare", {"runs": f"{actor},{naive}"}))
    assert "faster than naive" in headline(open_page("compare", {"runs": f"{naive},{actor}"}))


def test_an_unknown_run_in_the_address_is_named(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("compare", {"runs": "nothere"})
    assert not app.exception
    assert "There is no run nothere" in said(app)
    assert "Choose two or more runs above." in said(app)


def test_an_unknown_comparison_in_the_address_is_named(open_page: OpenPage, store: Store) -> None:
    app = open_page("compare", {"comparison": ":red[x]"})
    assert not app.exception
    assert "There is no comparison :red[x]" in said(app)


def test_runs_that_did_not_finish_are_left_out_and_named(open_page: OpenPage, store: Store) -> None:
    good = [seed.finished(store, seed.NAIVE), seed.finished(store, seed.ACTOR)]
    bad = seed.ended(store, "failed")
    app = open_page("compare", {"runs": ",".join([*good, bad])})
    assert f"Run {bad} is failed; only finished runs can be compared." in said(app)
    assert "faster than naive" in headline(app)


def test_a_comparison_that_is_not_over_shows_what_there_is(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, done=2, running_share=0.2)
    wanted = str(store.latest_comparison()[0].comparison_id)
    app = open_page("compare", {"comparison": wanted})
    assert "2 of 4 runs left out, because not finished: actor running, naive queued." in said(app)
    assert "faster than naive" in headline(app)


def test_choosing_runs_changes_the_comparison_and_the_address(open_page: OpenPage, store: Store) -> None:
    naive, actor = seed.finished(store, seed.NAIVE), seed.finished(store, seed.ACTOR)
    other = seed.finished(store, seed.ACTOR.with_(batch_size=16))
    app = open_page("compare", {"runs": f"{naive},{actor}"})
    app.multiselect[0].set_value([other, actor]).run()
    assert not app.exception
    assert "actor · batch 4" in headline(app)
    assert app.query_params["runs"] == f"{other},{actor}"


def test_cards_carry_the_difference_from_the_baseline(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("compare")
    labels = ["Images/s", "Steady images/s", "Set-up", "Total", "Model loads", "Right answers"]
    labels += ["Peak memory", "CPU per image", "Of the limit"]
    assert [metric.label for metric in app.metric] == labels * 2
    assert not any(metric.delta for metric in app.metric[:6])
    assert app.metric[9].delta.startswith("+")
    assert app.metric[12].delta.startswith("-")
    assert app.metric[13].delta == "-24"
    assert app.metric[16].delta.endswith(" ms")


def test_every_card_has_its_definition(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    assert all(metric.help for metric in open_page("compare").metric)


def test_every_side_has_a_timeline_and_the_use_of_the_machine_on_one_time_axis(
    open_page: OpenPage, store: Store
) -> None:
    seed.comparison(store)
    charts = [json.loads(chart.proto.spec) for chart in open_page("compare").get("vega_lite_chart")]
    axes = [axis for chart in charts if (axis := time_axis(chart)) is not None]
    assert len(axes) == 5  # images/s, and two for each side
    assert {axis["scale"]["domain"][0] for axis in axes} == {0}
    assert len({axis["scale"]["domain"][1] for axis in axes}) == 1


def time_axis(chart: dict[str, Any]) -> dict[str, Any] | None:
    """The time axis of a chart, if it has one."""
    for layer in (chart, *chart.get("layer", [])):
        axis = layer.get("encoding", {}).get("x", {})
        if axis.get("title") == TIME_TITLE:
            return axis
    return None


def test_images_that_get_two_answers_are_shown_with_both(open_page: OpenPage, store: Store) -> None:
    naive = seed.finished(store, seed.NAIVE, wrong=())
    actor = seed.finished(store, seed.ACTOR, wrong=(3,), unreadable=(5,))
    text = said(open_page("compare", {"runs": f"{naive},{actor}"}))
    assert "actor and naive agree on 98 of 100 images" in text
    assert "no answer: The file is cut off" in text


def test_settings_that_differ_are_listed(open_page: OpenPage, store: Store) -> None:
    runs = [seed.finished(store, seed.ACTOR), seed.finished(store, seed.ACTOR.with_(batch_size=16))]
    frames = open_page("compare", {"runs": ",".join(runs)}).dataframe
    table = next(frame.value for frame in frames if "setting" in frame.value)
    assert table.to_dict("records") == [{"setting": "batch size", "actor · batch 4": "4", "actor · batch 16": "16"}]


def test_different_models_are_marked_as_no_fair_comparison(open_page: OpenPage, store: Store) -> None:
    runs = [seed.finished(store), seed.finished(store, seed.ACTOR.with_(model="resnet-50-untrained"))]
    app = open_page("compare", {"runs": ",".join(runs)})
    assert "The models differ" in said(app)
    app.button_group(key="kept-predictions").set_value(runs[1]).run()
    assert "Labels are meaningless: this model is untrained." in said(app)


def test_two_runs_of_one_configuration_are_set_against_each_other(open_page: OpenPage, store: Store) -> None:
    runs = [seed.finished(store, seed=1), seed.finished(store, seed=1)]
    app = open_page("compare", {"runs": ",".join(runs)})
    assert "are a tie" in headline(app)
    assert "which includes 1" in said(app)
    assert "None: these are repeats of one configuration." in said(app)


def test_of_several_arms_the_fastest_is_in_the_headline(open_page: OpenPage, store: Store) -> None:
    runs = [seed.finished(store, config) for config in (seed.NAIVE, seed.NAIVE.with_(batch_size=16), seed.ACTOR)]
    app = open_page("compare", {"runs": ",".join(runs)})
    assert "Fastest of 2" in headline(app)


def test_labels_use_as_few_settings_as_tell_the_arms_apart(store: Store) -> None:
    ids = [
        seed.finished(store, seed.ACTOR.with_(batch_size=8, limit=40)),
        seed.finished(store, seed.ACTOR.with_(batch_size=16, limit=80)),
    ]
    assert arm_labels([store.get(run_id) for run_id in ids]) == [  # type: ignore[misc]
        "actor · batch 8",
        "actor · batch 16",
    ]


def test_an_option_tells_arms_of_one_strategy_apart_and_is_not_mentioned_where_it_is_off(store: Store) -> None:
    configs = [
        seed.NAIVE,
        seed.PIPELINED,
        seed.PIPELINED.with_(dtype="bfloat16"),
        seed.PIPELINED.with_(dtype="bfloat16", channels_last=True),
        seed.PIPELINED.with_(dtype="bfloat16", channels_last=True, backend="compile"),
    ]
    ids = [seed.finished(store, config) for config in configs]
    assert arm_labels([store.get(run_id) for run_id in ids]) == [  # type: ignore[misc]
        "naive",
        "pipelined",
        "pipelined · bfloat16",
        "pipelined · bfloat16 · channels last",
        "pipelined · bfloat16 · channels last · compiled",
    ]


def test_many_arms_are_rows_of_one_table(open_page: OpenPage, store: Store) -> None:
    seed.limit(store)
    seed.comparison(store, [seed.ACTOR.with_(batch_size=2**power) for power in range(5)])
    app = open_page("compare")
    assert not app.exception
    assert not app.metric
    rows = app.dataframe[0].value
    assert rows[""].tolist() == [f"actor · batch {2**power}" for power in range(5)]
    assert rows["Against the baseline"][0] == "baseline"
    assert "95 %" in rows["Against the baseline"][1]
    assert rows["Total"][1].endswith(" s)")
    assert rows["Of the limit"][1].endswith(" %")


def test_every_arm_is_a_share_of_its_own_limit(open_page: OpenPage, store: Store) -> None:
    seed.limit(store)
    seed.comparison(store, [seed.PIPELINED, seed.PIPELINED.with_(dtype="bfloat16")])
    shares = [metric.value for metric in open_page("compare").metric if metric.label == "Of the limit"]
    assert shares[0].endswith("%")
    assert shares[1] == "–"  # nobody has measured what is possible in that precision


def test_the_limit_is_drawn_again_once_it_is_measured_again(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    seed.limit(store, prepare=60.0, forward=120.0)
    assert "limit 40.0 images/s" in drawn(open_page("compare"))
    seed.limit(store, prepare=100.0, forward=100.0)
    assert "limit 50.0 images/s" in drawn(open_page("compare"))


def drawn(app: AppTest) -> str:
    """What all charts of a page draw."""
    return "\n".join(chart.proto.spec for chart in app.get("vega_lite_chart"))


def test_a_hostile_name_is_shown_literally(open_page: OpenPage, store: Store) -> None:
    hostile = ":red[x] ![](http://evil.example/a.png) <script>"
    runs = [seed.finished(store), seed.finished(store, seed.ACTOR.with_(dataset=hostile))]
    app = open_page("compare", {"runs": ",".join(runs)})
    assert not app.exception
    written = "\n".join(element.value for kind in ("header", "markdown", "caption") for element in app.get(kind))
    assert r"\!\[\]" in written
    assert ":red[x]" not in written
    assert "![]" not in written
    assert "<script>" not in written


def test_a_run_without_answers_is_not_given_a_ratio(open_page: OpenPage, store: Store) -> None:
    naive = seed.finished(store, seed.NAIVE)
    store.enqueue([seed.ACTOR])
    empty = seed.start_next(store)
    store.end(empty, "finished")
    app = open_page("compare", {"runs": f"{naive},{empty}"})
    assert not app.exception
    assert "cannot be set against" in headline(app)
    assert "no image was answered by both" in headline(app)


def test_unknown_truth_is_said_and_no_share_is_invented(open_page: OpenPage, store: Store) -> None:
    ids = []
    for strategy in ("naive", "actor"):
        store.enqueue([seed.ACTOR.with_(strategy=strategy)])
        ids.append(seed.start_next(store))
        store.save_progress(
            ids[-1],
            Progress(phase="classifying"),
            spans=[Span("worker 1", "forward", 0.5, 1.0, 1, 0)],
            predictions=[Prediction("a.jpg", "cat", 0.9, done_s=1.0), Prediction("b.jpg", "dog", 0.8, done_s=2.0)],
        )
        store.end(ids[-1], "finished")
    app = open_page("compare", {"runs": ",".join(ids)})
    assert app.metric[5].value == "–"
    assert "truth unknown" in said(app)


def test_the_plan_of_ray_data_is_kept_in_reach(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("compare")
    assert [expander.label for expander in app.expander][-2:] == ["Plan of naive", "Plan of actor"]
    assert "ActorPoolMapOperator" in app.code[-1].value


# -- the baseline ------------------------------------------------------------------------------------------


@pytest.fixture
def three(store: Store) -> list[str]:
    return [seed.finished(store, config) for config in (seed.NAIVE, seed.ACTOR, seed.BATCHED)]


def test_any_side_can_be_pinned_as_the_baseline_and_the_address_keeps_it(open_page: OpenPage, three: list[str]) -> None:
    app = open_page("compare", {"runs": ",".join(three)})
    app.button_group(key="kept-baseline").set_value(three[1]).run()
    assert app.query_params["baseline"] == three[1]
    assert "batched is" in headline(app)
    assert "faster than actor" in headline(app)
    assert "actor** :gray[baseline]" in said(app)


def test_a_link_with_a_baseline_shows_the_same_in_another_browser(open_page: OpenPage, three: list[str]) -> None:
    first = open_page("compare", {"runs": ",".join(three)})
    first.button_group(key="kept-baseline").set_value(three[2]).run()
    second = open_page("compare", dict(first.query_params))
    assert said(second) == said(first)
    assert headline(second) == headline(first)
    assert second.button_group(key="kept-baseline").value == three[2]


def test_any_repeat_in_the_address_pins_its_side(open_page: OpenPage, store: Store) -> None:
    ids = seed.comparison(store)  # naive, actor, actor, naive
    assert "slower than actor" in headline(open_page("compare", {"runs": ",".join(ids), "baseline": ids[2]}))


def test_an_old_address_can_have_a_baseline(open_page: OpenPage, store: Store) -> None:
    ids = seed.comparison(store)
    wanted = str(store.latest_comparison()[0].comparison_id)
    assert "slower than actor" in headline(open_page("compare", {"comparison": wanted, "baseline": ids[1]}))


def test_a_baseline_that_is_not_compared_is_named_and_the_first_run_stands_in(
    open_page: OpenPage, three: list[str]
) -> None:
    app = open_page("compare", {"runs": ",".join(three), "baseline": ":red[x]"})
    assert not app.exception
    assert "Run :red[x] is to be the baseline, but is not compared here: the first one is." in said(app)
    assert "faster than naive" in headline(app)


def test_an_address_without_runs_gets_those_that_are_shown(open_page: OpenPage, store: Store) -> None:
    ids = seed.comparison(store)
    assert open_page("compare").query_params["runs"] == ",".join(ids)


def test_of_many_sides_the_baseline_is_chosen_from_a_list(open_page: OpenPage, store: Store) -> None:
    ids = seed.comparison(store, [seed.ACTOR.with_(batch_size=2**power) for power in range(5)])
    app = open_page("compare", {"runs": ",".join(ids)})
    app.selectbox(key="kept-baseline").set_value(ids[3]).run()
    assert app.dataframe[0].value[""][0] == "actor · batch 8"
    assert app.query_params["baseline"] == ids[3]


# -- how many, and what they are called --------------------------------------------------------------------


def test_twelve_runs_are_compared(open_page: OpenPage, store: Store) -> None:
    ids = [seed.finished(store, seed.ACTOR.with_(batch_size=number)) for number in range(1, 13)]
    app = open_page("compare", {"runs": ",".join(ids)})
    assert not app.exception
    assert "Fastest of 11" in headline(app)
    assert len(app.dataframe[0].value) == 12


def test_more_than_twelve_runs_are_refused_with_what_to_do(open_page: OpenPage, store: Store) -> None:
    ids = [seed.finished(store, seed.ACTOR.with_(batch_size=number)) for number in range(1, 15)]
    app = open_page("compare", {"runs": ",".join(ids)})
    assert not app.exception
    assert "14 runs are more than can be told apart in one comparison: take 2 away" in said(app)
    assert not app.header
    app.multiselect[0].set_value(ids[:12]).run()
    assert "Fastest of 11" in headline(app)


def test_many_repeats_of_one_launch_are_two_sides(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store, interleaved([seed.NAIVE, seed.ACTOR], 7))
    app = open_page("compare", {"comparison": str(store.latest_comparison()[0].comparison_id)})
    assert "From 7 runs against 7." in said(app)


def test_names_that_people_gave_are_in_the_picker_and_tell_sides_apart(
    open_page: OpenPage, store: Store, three: list[str]
) -> None:
    History(store.database).describe(three[1], name="before the fix")
    app = open_page("compare", {"runs": ",".join(three)})
    assert any(option.startswith("before the fix · actor") for option in app.multiselect[0].options)
    assert "**actor · before the fix**" in said(app)


def test_a_name_that_two_sides_share_tells_nothing_apart(open_page: OpenPage, store: Store) -> None:
    ids = [seed.finished(store, seed.ACTOR), seed.finished(store, seed.ACTOR.with_(batch_size=16))]
    for run_id in ids:
        History(store.database).describe(run_id, name="the same")
    assert "**actor · batch 16**" in said(open_page("compare", {"runs": ",".join(ids)}))


# -- what must not be compared -----------------------------------------------------------------------------


def test_other_images_are_refused_a_ratio(open_page: OpenPage, store: Store) -> None:
    runs = [seed.finished(store, seed.NAIVE), seed.finished(store, seed.ACTOR.with_(limit=40))]
    app = open_page("compare", {"runs": ",".join(runs)})
    assert headline(app) == "actor and naive saw different images, so neither is called faster"
    assert "The images differ" in app.error[0].value
    assert "Ratio" not in said(app).replace("The ratio", "")
    assert not any(metric.delta and metric.delta.startswith(("+", "-")) for metric in app.metric)


def test_one_side_with_other_images_leaves_the_others_their_ratio(open_page: OpenPage, store: Store) -> None:
    configs = [seed.NAIVE, seed.ACTOR, seed.BATCHED.with_(limit=40)]
    runs = [seed.finished(store, config) for config in configs]
    app = open_page("compare", {"runs": ",".join(runs)})
    assert "Fastest of 1: actor is" in headline(app)
    assert "This concerns batched, set against naive." in said(app)


def test_another_model_marks_the_ratio_and_hides_agreement(open_page: OpenPage, store: Store) -> None:
    runs = [seed.finished(store, seed.NAIVE), seed.finished(store, seed.ACTOR.with_(model="resnet-50-untrained"))]
    app = open_page("compare", {"runs": ",".join(runs)})
    assert "with another model; answers of different models are not compared" in headline(app)
    assert "another model, differences from naive" in said(app)
    assert "agree on" not in said(app)
    assert "actor runs another model than naive: not compared." in said(app)


def test_another_machine_is_a_warning_that_names_both(
    open_page: OpenPage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [seed.finished(store, seed.NAIVE)]
    monkeypatch.setattr(seed, "HARDWARE", replace(seed.HARDWARE, cpus=8, cpu_limit=8.0))
    runs.append(seed.finished(store, seed.ACTOR))
    app = open_page("compare", {"runs": ",".join(runs)})
    assert "faster than naive" in headline(app)
    warning = app.warning[0].value.replace("\\", "")
    assert "The runs come from different machines" in warning
    assert "naive ran on 2 CPU" in warning
    assert "actor ran on 8 CPU" in warning
    assert "another machine" in said(app)


# -- over time ---------------------------------------------------------------------------------------------


def test_images_so_far_can_be_shown_in_place_of_images_per_second(open_page: OpenPage, three: list[str]) -> None:
    app = open_page("compare", {"runs": ",".join(three)})
    assert '"images so far"' not in drawn(app)
    app.button_group(key="kept-show").set_value("images").run()
    assert '"images so far"' in drawn(app)
    assert app.query_params["show"] == "images"
    assert '"images so far"' in drawn(open_page("compare", {"runs": ",".join(three), "show": "images"}))


def slider(app: AppTest) -> Any:
    return next(slider for slider in app.slider if slider.label.startswith("Stretch of time"))


def test_a_stretch_set_by_the_slider_is_in_the_address_and_narrows_what_follows(
    open_page: OpenPage, three: list[str]
) -> None:
    app = open_page("compare", {"runs": ",".join(three)})
    assert "under way in this stretch" not in said(app)
    slider(app).set_range(4.0, 5.0).run()
    assert (app.query_params["from"], app.query_params["to"]) == ("4", "5")
    axes = [axis for chart in app.get("vega_lite_chart") if (axis := time_axis(json.loads(chart.proto.spec)))]
    assert [axis["scale"]["domain"] for axis in axes[1:]] == [[4.0, 5.0]] * 6
    assert "under way in this stretch" in said(app)
    assert "answered in this stretch" in said(app)


def test_a_stretch_in_the_address_is_shown_and_can_be_ended(open_page: OpenPage, three: list[str]) -> None:
    app = open_page("compare", {"runs": ",".join(three), "from": "4", "to": "5"})
    assert slider(app).value == (4.0, 5.0)
    assert '"value": {"x": [4.0, 5.0]}' in drawn(app)
    next(button for button in app.button if button.label == "Show the whole run").click().run()
    assert "from" not in app.query_params
    assert "under way in this stretch" not in said(app)


@pytest.mark.parametrize(
    "asked", [{"from": "x"}, {"from": "5", "to": "4"}, {"from": "9999"}, {"from": "nan"}, {"to": "-1"}]
)
def test_a_stretch_that_is_none_is_said_and_the_whole_run_shown(
    open_page: OpenPage, three: list[str], asked: dict[str, str]
) -> None:
    app = open_page("compare", {"runs": ",".join(three)} | asked)
    assert not app.exception
    assert "which is no stretch of time here: these runs go from 0 to" in said(app)
    assert "under way in this stretch" not in said(app)


def test_the_batches_of_a_stretch_are_listed_with_their_phases(open_page: OpenPage, store: Store) -> None:
    ids = [seed.finished(store, seed.NAIVE), seed.finished(store, seed.ACTOR)]
    record = store.get(ids[0])
    assert record is not None
    wanted = batches_within(batches(record.spans), (6.0, 7.0))
    app = open_page("compare", {"runs": ",".join(ids), "from": "6", "to": "7"})
    table = next(frame.value for frame in app.dataframe if "batch" in frame.value)
    of_naive = table[table["run"] == "naive"]
    assert of_naive["start"].tolist() == pytest.approx([batch.start_s for batch in wanted])
    assert of_naive["load"].tolist() == pytest.approx([batch.seconds["load"] for batch in wanted])
    assert set(of_naive["worker"]) == {"worker 1"}


def test_the_images_of_a_stretch_are_counted_and_the_first_dozen_shown(open_page: OpenPage, store: Store) -> None:
    seed.samples(store.home)
    ids = [seed.finished(store, seed.NAIVE), seed.finished(store, seed.ACTOR)]
    record = store.get(ids[1])
    assert record is not None
    inside = sum(4.0 <= prediction.done_s <= 6.0 for prediction in record.predictions)
    assert inside > 12
    app = open_page("compare", {"runs": ",".join(ids), "from": "4", "to": "6", "answers": ids[1]})
    assert f"actor · {inside}" in app.button_group(key="kept-answers").options
    assert f"and {inside - 12} more images." in said(app)


def test_what_is_heard_of_a_control_that_is_gone_changes_nothing() -> None:
    def page() -> None:
        import streamlit as st

        from pages.ui import stretch

        before = stretch.control("compare-x", (1.0, 2.0), "these runs")
        now = stretch.control("compare-x", None, "these runs")
        for chart in (before, now):
            st.session_state[chart.key] = {"selection": {stretch.BRUSH: {"time_s": [1.0, 2.0]}}}
        stretch.drawn(now if "now" in st.query_params else before, 10.0)

    app = AppTest.from_function(page).run()
    assert "from" not in app.query_params
    app.query_params["now"] = "1"
    app.run()
    assert app.query_params["from"] == "1"


def test_a_stretch_in_which_nothing_was_answered_says_so(open_page: OpenPage, three: list[str]) -> None:
    app = open_page("compare", {"runs": ",".join(three), "from": "0", "to": "0.5"})
    assert not app.exception
    assert "No image answered in this stretch" in said(app)
    assert "naive answered no image in this stretch." in said(app)


def test_what_is_drawn_on_the_chart_becomes_a_stretch_of_whole_steps() -> None:
    def brushed(*ends: float) -> stretch.Stretch | None:
        return stretch.selected({"selection": {BRUSH: {"time_s": list(ends)}}}, 20.0)

    assert brushed(3.1234, 7.5678) == (3.1, 7.6)
    assert brushed(7.5678, 3.1234) == (3.1, 7.6)
    assert brushed(5.01, 5.02) == (5.0, 5.1)
    assert brushed(-1.0, 25.0) is None  # all of it
    assert stretch.selected({"selection": {BRUSH: {}}}, 20.0) is None
    assert stretch.selected(None, 20.0) is None


def test_workers_of_many_sides_are_shown_as_chosen(open_page: OpenPage, store: Store) -> None:
    ids = seed.comparison(store, [seed.ACTOR.with_(batch_size=2**power) for power in range(6)])

    def timelines(app: AppTest) -> int:
        return sum('"process"' in chart.proto.spec for chart in app.get("vega_lite_chart"))

    app = open_page("compare", {"runs": ",".join(ids)})
    assert timelines(app) == 4
    app.button_group(key="kept-workers").set_value([ids[5]]).run()
    assert timelines(app) == 1
    assert app.query_params["workers"] == ids[5]


def test_how_long_a_batch_takes_is_called_a_diagnostic(open_page: OpenPage, three: list[str]) -> None:
    app = open_page("compare", {"runs": ",".join(three)})
    assert "How long a batch takes: a diagnostic" in said(app)


def test_loads_and_downloads_are_on_the_page(open_page: OpenPage, three: list[str]) -> None:
    app = open_page("compare", {"runs": ",".join(three)})
    assert "What loading costs" in said(app)
    assert app.get("popover")


def test_speed_by_batch_size_is_read_from_the_history_when_it_is_asked_for(open_page: OpenPage, store: Store) -> None:
    runs = [seed.finished(store, config) for config in (seed.ACTOR, seed.ACTOR.with_(batch_size=16))]
    app = open_page("compare", {"runs": ",".join(runs)})
    assert "Each point is the median of its runs" not in words(app)

    app.session_state[f"scaling-from-{runs[0]}"] = True  # as a click on the folded part sets it
    app.run()

    assert "Each point is the median of its runs" in words(app)
    assert "only concurrency 1 was run" in words(app)
