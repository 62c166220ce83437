"""Every run, and what can be done with it."""

from __future__ import annotations

import pytest
import seed
from conftest import OpenPage, words
from streamlit.testing.v1 import AppTest

from inference.config import RunConfig
from inference.store import Store
from pages.ui.format import literal

HOSTILE = "<script>alert(1)</script> :red[x] ![p](http://example.com/p.png)"


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)  # its machine has 2 CPUs, whatever runs the tests


def select(app: AppTest, *rows: int) -> AppTest:
    """Select rows of the table by their place."""
    app.session_state[app.dataframe[0].key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return app.run()


def button(app: AppTest, label: str):  # type: ignore[no-untyped-def]  # AppTest's Button
    return next(button for button in app.button if button.label.startswith(label))


def test_without_runs_the_page_points_to_the_overview(open_page: OpenPage) -> None:
    app = open_page("history")
    assert app.title[0].value == "No runs so far"
    assert [link.value for link in app.page_link] == ["Start with the comparison on the Overview page"]
    assert not app.button


def test_runs_of_every_state_are_listed_newest_first(open_page: OpenPage, store: Store) -> None:
    seed.finished(store)
    for state in ("failed", "cancelled", "crashed"):
        seed.ended(store, state, error="why")
    store.enqueue([seed.NAIVE])
    app = open_page("history")
    assert not app.exception
    assert app.title[0].value == "5 runs so far"
    table = app.dataframe[0].value
    assert table["state"].tolist() == ["queued", "crashed", "cancelled", "failed", "finished"]
    assert table["images_per_s"].tolist()[-1] > 10
    assert table["images_per_s"].isna().tolist()[0]


def test_names_are_cells_and_never_markdown(open_page: OpenPage, store: Store) -> None:
    store.enqueue([RunConfig(model=HOSTILE, dataset=HOSTILE)])
    app = open_page("history")
    assert app.dataframe[0].value["model"].tolist() == [HOSTILE]
    assert ":red[x]" not in words(app)


def test_fifty_runs_are_on_a_page_and_the_address_names_the_page(open_page: OpenPage, store: Store) -> None:
    store.enqueue([RunConfig(limit=number) for number in range(1, 121)])
    assert len(open_page("history").dataframe[0].value) == 50
    app = open_page("history", {"page": "3"})
    assert app.dataframe[0].value["images"].tolist() == list(range(20, 0, -1))
    app.pagination[0].select(2).run()
    assert app.dataframe[0].value["images"].tolist()[0] == 70


@pytest.mark.parametrize("page", ["0", "-1", "99", "two", ""])
def test_a_page_that_is_not_there_shows_the_first_or_the_last(open_page: OpenPage, store: Store, page: str) -> None:
    store.enqueue([RunConfig(limit=number) for number in range(1, 61)])
    app = open_page("history", {"page": page})
    assert not app.exception
    assert len(app.dataframe[0].value) in (50, 10)


def test_without_a_selection_nothing_can_be_pressed(open_page: OpenPage, store: Store) -> None:
    store.enqueue([seed.ACTOR])
    assert all(action.disabled for action in open_page("history").button)


def test_open_leads_to_the_run_with_its_settings(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store, RunConfig(batch_size=10, limit=40))
    app = select(open_page("history"), 0)
    button(app, "Open").click().run()
    assert not app.exception
    assert app.query_params == {"batch_size": "10", "limit": "40", "run": run_id}
    assert app.select_slider(key="batch_size").value == 10
    assert literal("actor") in app.subheader[0].value


def test_run_again_brings_the_settings_and_launches_nothing(open_page: OpenPage, store: Store) -> None:
    seed.finished(store, RunConfig(strategy="naive", batch_size=10, limit=40))
    app = select(open_page("history"), 0)
    button(app, "Run again").click().run()
    assert app.query_params == {"strategy": "naive", "batch_size": "10", "limit": "40"}
    assert store.count() == 1


def test_settings_left_over_from_an_earlier_visit_do_not_mix_in(open_page: OpenPage, store: Store) -> None:
    seed.finished(store, RunConfig(limit=40))
    app = select(open_page("history"), 0)
    app.session_state["batch_size"] = 16
    app.session_state["strategy"] = "naive"
    button(app, "Run again").click().run()
    assert app.select_slider(key="batch_size").value == 4
    assert app.get_by_key("strategy").value == "actor"


def test_compare_leads_to_the_comparison_oldest_first(open_page: OpenPage, store: Store) -> None:
    ids = [seed.finished(store, RunConfig(batch_size=size)) for size in (1, 8)]
    app = select(open_page("history"), 0, 1)
    button(app, "Compare 2 runs").click().run()
    assert app.query_params["runs"] == ",".join(ids)


def test_delete_asks_first_and_names_how_many(open_page: OpenPage, store: Store) -> None:
    for _ in range(3):
        seed.finished(store)
    app = select(open_page("history"), 0, 2)
    button(app, "Delete 2 runs…").click().run()
    assert "Delete 2 runs with all that was measured" in words(app)
    assert store.count() == 3
    app.button(key="confirm-delete").click().run()
    assert store.count() == 1
    assert app.title[0].value == "1 run so far"


def test_an_active_run_is_not_deleted_and_the_page_says_so(open_page: OpenPage, store: Store) -> None:
    seed.finished(store)
    store.enqueue([seed.NAIVE])
    app = select(open_page("history"), 0, 1)
    button(app, "Delete 2 runs…").click().run()
    assert "1 run of these is still active" in app.warning[0].value
    app.button(key="confirm-delete").click().run()
    assert [run.state for run in store.summaries()] == ["queued"]


def test_a_selection_does_not_outlive_the_rows_it_was_made_on(open_page: OpenPage, store: Store) -> None:
    seed.finished(store)
    app = select(open_page("history"), 0)
    assert not button(app, "Open").disabled
    store.enqueue([seed.NAIVE])
    app.run()
    assert button(app, "Open").disabled
