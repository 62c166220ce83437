"""Runs side by side."""

from __future__ import annotations

import re

import pytest
import seed
from conftest import OpenPage
from streamlit.testing.v1 import AppTest
from test_overview import said

from inference.results import Prediction, Progress, Span
from inference.store import Store
from pages.ui import comparison


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


def test_charts_are_throughput_phases_and_a_timeline_for_each_side(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    assert len(open_page("compare").get("vega_lite_chart")) == 4


def test_timelines_share_one_time_axis(store: Store) -> None:
    seed.comparison(store)
    arms = comparison.arms_of([store.get(run.id) for run in store.latest_comparison()])  # type: ignore[misc]
    ends = {
        figure.chart.to_dict()["encoding"]["x"]["scale"]["domain"][1] for figure in comparison.timeline_figures(arms)
    }
    assert len(ends) == 1


def test_images_that_get_two_answers_are_shown_with_both(open_page: OpenPage, store: Store) -> None:
    naive = seed.finished(store, seed.NAIVE, wrong=())
    actor = seed.finished(store, seed.ACTOR, wrong=(3,), unreadable=(5,))
    text = said(open_page("compare", {"runs": f"{naive},{actor}"}))
    assert "actor and naive agree on 98 of 100 images" in text
    assert "no answer: The file is cut off" in text


def test_settings_that_differ_are_listed(open_page: OpenPage, store: Store) -> None:
    runs = [seed.finished(store, seed.ACTOR), seed.finished(store, seed.ACTOR.with_(batch_size=16))]
    table = open_page("compare", {"runs": ",".join(runs)}).dataframe[0].value
    assert table.to_dict("records") == [{"setting": "batch size", "actor · batch 4": "4", "actor · batch 16": "16"}]


def test_different_models_are_marked_as_no_fair_comparison(open_page: OpenPage, store: Store) -> None:
    runs = [seed.finished(store), seed.finished(store, seed.ACTOR.with_(model="resnet-50-untrained"))]
    app = open_page("compare", {"runs": ",".join(runs)})
    assert "The models differ" in said(app)
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
    assert comparison.arm_labels([store.get(run_id) for run_id in ids]) == [  # type: ignore[misc]
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
    assert comparison.arm_labels([store.get(run_id) for run_id in ids]) == [  # type: ignore[misc]
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
    assert rows["Against the first"][0] == "–"
    assert "95 %" in rows["Against the first"][1]
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
    assert "limit 40.0 images/s" in open_page("compare").get("vega_lite_chart")[0].proto.spec
    seed.limit(store, prepare=100.0, forward=100.0)
    assert "limit 50.0 images/s" in open_page("compare").get("vega_lite_chart")[0].proto.spec


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
