"""The line on top of every page."""

from __future__ import annotations

from dataclasses import replace

import pytest
import seed
from conftest import OpenPage, words
from streamlit.testing.v1 import AppTest
from test_run import press

from inference.results import Progress
from inference.store import Store
from pages.ui import header, state
from pages.ui.format import literal
from pages.ui.state import Pace


def links(app: AppTest) -> dict[str, str]:
    """Label and query of every link on the page."""
    return {link.value: link.proto.query_string for link in app.page_link}


def test_without_runs_a_ready_engine_is_idle(open_page: OpenPage, store: Store) -> None:
    seed.engine(store)
    app = open_page("history")
    assert ":gray[idle]" in words(app)
    assert "live run" not in links(app)


def test_no_click_is_lost_when_runs_come_and_go_while_the_page_is_drawn(
    open_page: OpenPage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed.engine(store)
    app = open_page("run")
    look, others = header._look, []

    def busy_look() -> object:
        """Whenever somebody looks, another run has come."""
        others.extend(store.enqueue([seed.NAIVE]))
        return look()

    monkeypatch.setattr(header, "_look", busy_look)
    press(app, "Run actor")

    (run,) = [run for run in store.active() if run.id not in others]
    assert run.config.strategy == "actor"


def test_an_engine_that_died_is_not_called_idle(open_page: OpenPage, store: Store) -> None:
    seed.engine(store, alive=False)
    assert "engine not running" in words(open_page("history"))


def test_a_starting_engine_says_what_it_does_and_shows_it_literally(open_page: OpenPage, store: Store) -> None:
    seed.engine(store, state="starting", message="starting Ray :red[now]")
    said = words(open_page("history"))
    assert literal("starting: starting Ray :red[now]") in said
    assert ":red[now]" not in said


def test_queued_runs_are_counted(open_page: OpenPage, store: Store) -> None:
    seed.engine(store)
    store.enqueue([seed.ACTOR, seed.NAIVE])
    assert "2 queued" in words(open_page("history"))


def test_a_running_run_is_named_with_its_share_and_linked(open_page: OpenPage, store: Store) -> None:
    seed.engine(store)
    store.enqueue([seed.ACTOR, seed.NAIVE])
    run_id = seed.start_next(store)
    seed.work(store, run_id, share=0.43)
    app = open_page("history")
    assert literal("actor · 43 % · 1 queued") in words(app)
    assert f"run={run_id}" in links(app)["live run"]


def test_a_run_before_its_first_image_shows_its_phase(open_page: OpenPage, store: Store) -> None:
    seed.engine(store)
    store.enqueue([seed.NAIVE])
    run_id = seed.start_next(store)
    store.save_progress(run_id, Progress(phase="loading the model", images_total=100, elapsed_s=1.0))
    assert "naive · loading the model" in words(open_page("history"))


def test_a_cancel_that_was_asked_for_is_said(open_page: OpenPage, store: Store) -> None:
    seed.engine(store)
    store.enqueue([seed.ACTOR])
    store.request_cancel(seed.start_next(store))
    assert "actor · cancelling…" in words(open_page("history"))


def test_rate_and_time_left_appear_once_two_points_in_time_are_known(open_page: OpenPage, store: Store) -> None:
    seed.engine(store)
    store.enqueue([seed.ACTOR])
    run_id = seed.start_next(store)
    first = Progress(phase="classifying", images_done=20, images_total=100, elapsed_s=5.0)
    store.save_progress(run_id, first)
    app = open_page("history")
    assert "left" not in words(app)
    store.save_progress(run_id, Progress(phase="classifying", images_done=60, images_total=100, elapsed_s=9.0))
    app.run()
    assert literal("actor · 60 % · 10.0 images/s · 4 s left") in words(app)


def test_the_dashboard_is_linked_only_where_there_is_one(open_page: OpenPage, store: Store) -> None:
    seed.engine(store)
    assert "Open the Ray Dashboard" not in links(open_page("history"))
    status = store.engine()
    assert status is not None
    store.save_engine(replace(status, dashboard_url="http://127.0.0.1:8265", dashboard_token="open-sesame"))
    app = open_page("history")
    assert not app.exception
    assert "Open the Ray Dashboard" in links(app)
    assert "open-sesame" in [code.value for code in app.code]


def test_the_machine_is_a_chip(open_page: OpenPage, store: Store) -> None:
    seed.engine(store)
    assert "2 CPU · 23 GiB" in words(open_page("history"))


def test_time_left_is_told_no_finer_than_it_can_be_known() -> None:
    assert Pace(left_s=7.2).left == "8 s left"
    assert Pace(left_s=0.0).left == "1 s left"
    assert Pace(left_s=600.0).left == "10 min left"
    assert Pace().left is None


def test_the_pace_counts_on_while_a_block_is_being_worked_on() -> None:
    samples = ((5.0, 20), (9.0, 60))
    later = Progress(phase="classifying", images_done=60, images_total=100, elapsed_s=11.0)
    assert state._pace(samples, later) == Pace(images_per_s=10.0, left_s=2.0)


def test_set_up_does_not_slow_the_pace() -> None:
    samples = ((0.5, 0), (5.0, 20), (9.0, 60))
    now = Progress(phase="classifying", images_done=60, images_total=100, elapsed_s=9.0)
    assert state._pace(samples, now).images_per_s == 10.0
