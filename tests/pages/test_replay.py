"""A stored comparison played again."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
import seed
from conftest import OpenPage
from streamlit.testing.v1 import AppTest
from test_overview import said, unescaped

from inference.replay import Clock, Recording, as_of
from inference.store import Store
from pages.ui import replay
from pages.ui.cutting import until
from pages.ui.lines import throughput_chart
from pages.ui.timeline import timeline_chart

QUESTION = "A comparison, played again as it was recorded"


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)


def clock_of(app: AppTest) -> tuple[str, Clock]:
    """The name under which the session keeps its clock, and the clock."""
    kept = app.session_state._state.filtered_state
    names = [name for name in kept if name.startswith("_kept_replay ")]
    assert len(names) == 1
    return names[0], app.session_state[names[0]]


def set_clock(app: AppTest, **changes: Any) -> AppTest:
    """The page with its clock changed: `seen_s` lies in the past for one that has been playing since then."""
    name, clock = clock_of(app)
    app.session_state[name] = replace(clock, **changes)
    return app.run()


def button(app: AppTest, key: str) -> Any:
    return next(button for button in app.button if button.key == key)


def figures(app: AppTest) -> list[tuple[str, str]]:
    return [(metric.label, unescaped(metric.value)) for metric in app.metric]


def rows_of(chart: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a chart and of all its layers."""
    return [row for rows in chart["datasets"].values() for row in rows]


def badges(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown if "-badge[" in element.value)


def test_without_a_finished_comparison_the_page_says_so_and_links_to_overview(
    open_page: OpenPage, store: Store
) -> None:
    seed.finished(store)
    store.enqueue([seed.NAIVE, seed.ACTOR], compare=True)
    app = open_page("replay")
    assert not app.exception
    assert "There is no finished comparison to play yet." in said(app)
    assert [link.proto.page for link in app.page_link if "Compare naive" in link.label] == [""]


def test_the_newest_finished_comparison_is_shown_and_named_in_the_address(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    newest = seed.comparison(store, (seed.NAIVE, seed.BATCHED))
    seed.comparison(store, done=1, running_share=0.5)
    app = open_page("replay")
    assert not app.exception
    assert app.title[0].value == QUESTION
    run = store.summary(newest[0])
    assert run is not None
    assert app.query_params["comparison"] == run.comparison_id
    assert "naive and batched, side by side" in said(app)


def test_at_first_nothing_is_done_and_nothing_moves(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("replay")
    assert figures(app) == [("Images", "0"), ("Images/s", "–"), ("Model loads", "0")] * 2
    assert not clock_of(app)[1].playing
    assert "faster" not in said(app)


def test_playing_moves_with_time_at_the_chosen_speed(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("replay")
    button(app, "replay-play").click().run()
    assert clock_of(app)[1].playing
    app = set_clock(app, position_s=0.0, speed=2.0, seen_s=time.monotonic() - 3)
    position_s = clock_of(app)[1].position_s
    assert 6 <= position_s < 10
    assert f"{position_s:.1f} of" in said(app)
    assert "2 × recorded speed" in said(app)


def test_the_figures_are_those_of_the_runs_as_they_stood(open_page: OpenPage, store: Store) -> None:
    naive, actor = (store.get(run) for run in seed.comparison(store, (seed.NAIVE, seed.ACTOR)))
    app = set_clock(open_page("replay"), position_s=5.0)
    assert naive is not None
    assert actor is not None
    images = [f"{len(as_of(run, 5.0).predictions):,}" for run in (naive, actor)]
    assert [value for label, value in figures(app) if label == "Images"] == images
    loads = [str(Recording.of(run).model_loads(5.0)) for run in (naive, actor)]
    assert [value for label, value in figures(app) if label == "Model loads"] == loads
    assert "0" not in images + loads


def test_pausing_keeps_the_position(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = set_clock(open_page("replay"), position_s=4.0, seen_s=time.monotonic())
    button(app, "replay-play").click().run()
    paused = clock_of(app)[1]
    assert not paused.playing
    assert 4.0 <= paused.position_s < 8.0
    assert clock_of(app.run())[1] == paused


def test_a_page_that_was_left_is_found_where_it_was(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = set_clock(open_page("replay"), position_s=4.0, seen_s=time.monotonic())
    seen_s = clock_of(app)[1].position_s
    app.switch_page("pages/history.py").run()
    app.switch_page("pages/replay.py").run()
    assert clock_of(app)[1].position_s == seen_s
    assert not clock_of(app)[1].playing


def test_who_comes_back_without_an_address_finds_the_comparison_that_was_played(
    open_page: OpenPage, store: Store
) -> None:
    seed.comparison(store)
    played = str(store.latest_comparison()[0].comparison_id)
    seed.comparison(store)
    app = open_page("replay", {"comparison": played})
    app.switch_page("pages/history.py").run()
    app.query_params.clear()
    app.switch_page("pages/replay.py").run()
    assert app.query_params["comparison"] == played


def test_two_sessions_replay_independently(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    set_clock(open_page("replay"), position_s=4.0)
    assert clock_of(open_page("replay"))[1].position_s == 0.0


def test_the_slider_winds_to_any_second(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("replay")
    app.slider(key="replay-position").set_value(3.0).run()
    assert clock_of(app)[1].position_s == 3.0


@pytest.mark.alone  # a page that takes seconds is behind for another reason
def test_a_browser_that_is_behind_does_not_wind_a_playing_replay_back(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = set_clock(open_page("replay"), position_s=4.0, seen_s=time.monotonic())
    app = set_clock(app, position_s=6.0, seen_s=time.monotonic())
    app.slider(key="replay-position").set_value(4.0).run()
    assert clock_of(app)[1].position_s >= 6.0


def test_a_speed_is_said_beside_the_clock_and_kept_for_the_next_comparison(open_page: OpenPage, store: Store) -> None:
    first = seed.comparison(store)
    seed.comparison(store)
    app = open_page("replay")
    app.button_group(key="replay-speed").set_value(5.0).run()
    assert "5 × recorded speed" in said(app)
    older = store.summary(first[0])
    assert older is not None
    app.selectbox(key="replayed").select(older.comparison_id).run()
    assert app.query_params["comparison"] == older.comparison_id
    assert "5 × recorded speed" in said(app)


def test_restart_plays_from_the_beginning(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = set_clock(open_page("replay"), position_s=6.0)
    button(app, "replay-restart").click().run()
    assert clock_of(app)[1].playing
    assert clock_of(app)[1].position_s < 4.0


def test_at_the_end_the_answer_stands_there_and_the_clock_stops(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("replay")
    length_s = clock_of(app)[1].length_s
    app = set_clock(app, position_s=length_s - 0.5, seen_s=time.monotonic() - 3)
    assert not clock_of(app)[1].playing
    assert "faster than naive; answers agree on 100 of 100 images" in said(app)
    assert [value for label, value in figures(app) if label == "Images"] == ["100", "100"]


@pytest.mark.parametrize("at_s", [0.0, 4.0, 1000.0])
@pytest.mark.parametrize("playing", [False, True])
def test_it_is_always_marked_as_recorded_with_its_date_machine_and_images(
    open_page: OpenPage, store: Store, at_s: float, playing: bool
) -> None:
    seed.comparison(store)
    app = open_page("replay")
    position_s = min(at_s, clock_of(app)[1].length_s)
    app = set_clock(app, position_s=position_s, seen_s=time.monotonic() if playing else None)
    told = unescaped(badges(app))
    assert "recorded" in told
    assert "AVX-512 bf16 · no GPU" in told
    assert "digits on digits" in told
    run = store.latest_comparison()[0]
    assert str(time.localtime(run.started_at).tm_year) in told


@pytest.mark.parametrize("at_s", [0.0, 4.0, 1000.0])
def test_every_title_of_a_chart_says_recorded(open_page: OpenPage, store: Store, at_s: float) -> None:
    seed.comparison(store)
    app = open_page("replay")
    app = set_clock(app, position_s=min(at_s, clock_of(app)[1].length_s))
    titles = [element.value for element in app.markdown if element.value.startswith("**Recorded")]
    assert len(titles) == 5  # throughput, and of each side its workers and its pictures
    assert app.header[0].value.startswith("Recorded")


def test_pictures_are_the_latest_ones_done_by_then(open_page: OpenPage, store: Store) -> None:
    naive, _ = (store.get(run) for run in seed.comparison(store, (seed.NAIVE, seed.ACTOR)))
    app = set_clock(open_page("replay"), position_s=5.0)
    assert naive is not None
    latest = as_of(naive, 5.0).predictions[-1]
    first = said(app).partition("the latest pictures of naive")[2].lstrip("*\n")
    assert latest.label is not None
    assert f"**{latest.label}**" in first


def test_an_address_of_runs_plays_these_runs(open_page: OpenPage, store: Store) -> None:
    ids = [seed.finished(store, seed.NAIVE), seed.finished(store, seed.BATCHED)]
    app = open_page("replay", {"runs": ",".join(ids)})
    assert not app.exception
    assert "naive and batched, side by side" in said(app)
    assert app.query_params["runs"] == ",".join(ids)


def test_an_unknown_comparison_is_named(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("replay", {"comparison": ":red[x]"})
    assert not app.exception
    assert "There is no comparison :red[x]" in said(app)
    assert "Choose a comparison above." in said(app)


def test_an_unknown_run_is_named_also_where_nothing_else_is_stored(open_page: OpenPage) -> None:
    app = open_page("replay", {"runs": "nothere"})
    assert not app.exception
    assert "There is no run nothere" in said(app)
    assert "There is no finished comparison to play yet." in said(app)


def test_one_after_another_the_runs_follow_in_the_order_in_which_they_ran(open_page: OpenPage, store: Store) -> None:
    ids = seed.comparison(store)
    app = open_page("replay", {"played": replay.IN_TURN})
    lengths_s = [Recording.of(run).length_s for run in map(store.get, ids) if run is not None]
    assert clock_of(app)[1].length_s == pytest.approx(sum(lengths_s))
    app = set_clock(app, position_s=lengths_s[0] + 1)
    assert [value for label, value in figures(app) if label == "Images"] == ["100", "0", "0", "0"]
    assert "the latest pictures of 2. actor" in said(app)


def test_one_after_another_the_line_of_a_run_that_has_not_begun_is_not_drawn(open_page: OpenPage, store: Store) -> None:
    runs = [run for run in map(store.summary, seed.comparison(store)) if run is not None]
    stage = replay.staged(store, runs, replay.IN_TURN)
    clock = Clock(length_s=stage.length_s, position_s=stage.parts[1].scene.starts_s + 1)
    rows = rows_of(replay._throughput_until(stage, clock).chart.to_dict())
    assert {row["run"] for row in rows if "run" in row} == {"1. naive", "2. actor"}
    assert max(row["time_s"] for row in rows if row.get("run") == "2. actor") <= 1.0
    assert [row["text"] for row in rows if "text" in row] == ["1. naive"]


def test_of_many_sides_the_baseline_and_the_fastest_are_played(open_page: OpenPage, store: Store) -> None:
    configs = (seed.NAIVE, *(seed.ACTOR.with_(batch_size=size) for size in (1, 2, 4, 8)))
    seed.comparison(store, configs)
    app = open_page("replay")
    assert "Of 5 sides, the baseline and the fastest are played." in said(app)
    assert len(figures(app)) == 6


def test_charts_hold_only_what_had_been_measured_and_keep_their_axes(open_page: OpenPage, store: Store) -> None:
    run = store.get(seed.finished(store, seed.NAIVE))
    assert run is not None
    whole = timeline_chart(run.spans, strategy="naive", until_s=20.0)
    cut = until(whole, 4.0, title="so far")
    before, after = whole.chart.to_dict(), cut.chart.to_dict()
    rows = rows_of(after)
    assert max(row["end_s"] for row in rows) == 4.0
    assert min(row["start_s"] for row in rows) < 4.0
    assert before["encoding"] == after["encoding"]


def test_lines_end_where_the_replay_is_and_have_no_name_before_their_end() -> None:
    points = [(float(second), 5.0) for second in range(1, 9)]
    whole = throughput_chart({"naive": points}, strategies={"naive": "naive"}, until_s=8.0)
    rows = rows_of(until(whole, 3.5, title="so far").chart.to_dict())
    assert max(row["time_s"] for row in rows) == 3.0
    assert not any("text" in row for row in rows)


def test_overview_links_to_the_replay_of_the_last_comparison(open_page: OpenPage, store: Store) -> None:
    seed.comparison(store)
    app = open_page("overview")
    links = {link.label: link.proto.query_string for link in app.page_link}
    assert links["Replay the last comparison"] == f"comparison={store.latest_comparison()[0].comparison_id}"
