"""Every run, and what can be done with it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import seed
from conftest import OpenPage, words
from streamlit.testing.v1 import AppTest

from inference import bundle
from inference.config import RunConfig
from inference.history import History, Wanted
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


@pytest.fixture
def kept(store: Store) -> History:
    return History(store.database)


def column(app: AppTest, name: str) -> list[object]:
    return list(app.dataframe[0].value[name].tolist())


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


def test_open_settings_brings_the_settings_and_launches_nothing(open_page: OpenPage, store: Store) -> None:
    seed.finished(store, RunConfig(strategy="naive", batch_size=10, limit=40))
    app = select(open_page("history"), 0)
    button(app, "Open settings").click().run()
    assert app.query_params == {"strategy": "naive", "batch_size": "10", "limit": "40"}
    assert store.count() == 1


def test_settings_left_over_from_an_earlier_visit_do_not_mix_in(open_page: OpenPage, store: Store) -> None:
    seed.finished(store, RunConfig(limit=40))
    app = select(open_page("history"), 0)
    app.session_state["batch_size"] = 16
    app.session_state["strategy"] = "naive"
    button(app, "Open settings").click().run()
    assert app.select_slider(key="batch_size").value == 4
    assert app.get_by_key("strategy").value == "actor"


def test_compare_leads_to_the_comparison_oldest_first(open_page: OpenPage, store: Store) -> None:
    ids = [seed.finished(store, RunConfig(batch_size=size)) for size in (1, 8)]
    app = select(open_page("history"), 0, 1)
    button(app, "Compare 2 runs").click().run()
    assert app.query_params["runs"] == ",".join(ids)


@pytest.mark.parametrize("number", [1, 13])
def test_compare_says_how_many_runs_it_takes(open_page: OpenPage, store: Store, number: int) -> None:
    store.enqueue([RunConfig()] * 13)
    app = select(open_page("history"), *range(number))
    compare = app.button(key="compare")
    assert compare.disabled
    assert compare.help == "Select 2 to 12 runs."


def test_run_again_queues_the_same_settings_at_once_and_links_to_them(open_page: OpenPage, store: Store) -> None:
    ids = [seed.finished(store, RunConfig(limit=limit)) for limit in (40, 41)]
    app = select(open_page("history"), 0, 1)
    button(app, "Run again").click().run()
    queued = [run for run in store.summaries() if run.id not in ids]
    assert {run.config.limit for run in queued} == {40, 41}
    assert [toast.value for toast in app.toast] == ["Queued 2 runs."]
    assert "Queued 2 runs." in words(app).replace("\\", "")
    assert any(link.value == "Watch" for link in app.page_link)


def test_settings_that_this_machine_has_no_room_for_are_not_queued(open_page: OpenPage, store: Store) -> None:
    seed.finished(store, RunConfig(concurrency=50))
    app = select(open_page("history"), 0)
    assert button(app, "Run again").disabled
    assert "no room" in button(app, "Run again").help
    assert not button(app, "Open settings").disabled


# -- finding ---------------------------------------------------------------------------------------------------


def test_words_filters_and_order_come_from_the_address(open_page: OpenPage, store: Store, kept: History) -> None:
    ids = [seed.finished(store, RunConfig(strategy="batched", batch_size=size)) for size in (4, 8, 16)]
    seed.finished(store, RunConfig(strategy="naive"))
    for run_id in ids[:2]:
        kept.describe(run_id, name="Große Probe", tags=["paper"])
    query = {"find": "große", "strategies": "batched", "tags": "paper", "sort": "batch size", "order": "ascending"}
    app = open_page("history", query)
    assert not app.exception
    assert app.title[0].value == "2 of 4 runs"
    assert column(app, "batch_size") == [4, 8]
    assert app.text_input(key="find").value == "große"
    assert app.multiselect(key="tags").value == ["paper"]


def test_what_is_chosen_is_kept_in_the_address(open_page: OpenPage, store: Store) -> None:
    store.enqueue([RunConfig()] * 60)
    app = open_page("history")
    names = (
        "find",
        "strategies",
        "models",
        "datasets",
        "states",
        "tags",
        "favourites",
        "sort",
        "order",
        "page",
        "view",
    )
    for name in names:
        widget = app.get_by_key(name)
        assert widget.proto.query_param_key == name


def test_a_filter_begins_at_the_first_page(open_page: OpenPage, store: Store) -> None:
    store.enqueue([RunConfig(limit=number) for number in range(1, 131)])
    app = open_page("history", {"page": "3"})
    app.segmented_control(key="order").set_value("ascending").run()
    assert column(app, "images")[0] == 1


def test_a_link_to_what_is_no_more_finds_nothing_and_offers_everything(open_page: OpenPage, store: Store) -> None:
    seed.finished(store)
    app = open_page("history", {"models": "gone"})
    assert app.title[0].value == "0 of 1 run"
    assert "No run is like that." in words(app)
    button(app, "Show all runs").click().run()
    assert app.title[0].value == "1 run so far"
    assert app.dataframe


@pytest.mark.parametrize("query", [{"sort": "1; DROP TABLE runs"}, {"order": "up"}, {"view": "x"}, {"favourites": "x"}])
def test_an_address_that_makes_no_sense_shows_all_runs(
    open_page: OpenPage, store: Store, query: dict[str, str]
) -> None:
    seed.finished(store)
    app = open_page("history", query)
    assert not app.exception
    assert app.title[0].value == "1 run so far"


# -- saying ----------------------------------------------------------------------------------------------------


def test_what_is_said_of_a_run_is_shown_literally(open_page: OpenPage, store: Store, kept: History) -> None:
    long, strange = seed.finished(store), seed.finished(store)
    kept.describe(long, name="x" * 300, favourite=True)
    kept.describe(strange, name="\u202eabc 🙂", note=HOSTILE, tags=["<b>bold</b>"])
    app = open_page("history")
    assert column(app, "name") == ["⟨U+202E⟩abc 🙂", "x" * 300]
    assert column(app, "note")[0] == HOSTILE
    assert [list(tags) for tags in column(app, "tags")] == [["<b>bold</b>"], []]
    assert column(app, "favourite") == ["", "★"]
    assert ":red[x]" not in words(app)


def test_a_table_in_which_nothing_was_said_has_no_room_for_it(open_page: OpenPage, store: Store) -> None:
    seed.finished(store)
    assert not {"name", "note", "tags", "favourite", "imported", "deleted"} & {*open_page("history").dataframe[0].value}


def test_name_note_tags_and_star_of_one_run_are_edited(open_page: OpenPage, store: Store, kept: History) -> None:
    kept.describe(seed.finished(store), tags=["known"])
    run_id = seed.finished(store)
    app = select(open_page("history"), 0)
    app.button(key="describe").click().run()
    app.text_input(key=f"name-of-{run_id}").set_value("Good one")
    app.text_area(key=f"note-of-{run_id}").set_value("# no heading")
    assert app.multiselect(key=f"tags-of-{run_id}").options == ["known"]
    app.multiselect(key=f"tags-of-{run_id}").set_value(["known"])
    app.toggle(key=f"star-of-{run_id}").set_value(True)
    app.button(key=f"save-{run_id}").click().run()
    run = store.summary(run_id)
    assert run is not None
    assert (run.name, run.note, run.tags, run.favourite) == ("Good one", "# no heading", ("known",), True)
    assert not app.exception
    assert not app.text_area


def test_what_is_being_said_of_a_run_stays_when_the_page_is_drawn_anew(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store)
    app = select(open_page("history"), 0)
    app.button(key="describe").click().run()
    app.text_area(key=f"note-of-{run_id}").set_value("half a thought")
    store.enqueue([seed.NAIVE])

    app.run()

    assert app.text_area(key=f"note-of-{run_id}").value == "half a thought"
    app.button(key=f"save-{run_id}").click().run()
    assert (store.summary(run_id) or seed).note == "half a thought"


def test_several_runs_get_a_tag_and_lose_another(open_page: OpenPage, store: Store, kept: History) -> None:
    ids = [seed.finished(store) for _ in range(3)]
    kept.retag(ids[:2], add=["old"])
    kept.retag(ids[2:], add=["new"])
    app = select(open_page("history"), 1, 2)
    app.button(key="describe").click().run()
    app.multiselect(key="tags-added").set_value(["new"])
    app.multiselect(key="tags-removed").set_value(["old"])
    app.button(key="save-tags").click().run()
    assert [run.tags for run in store.summaries()] == [("new",)] * 3


def test_too_many_tags_are_given_to_no_run(open_page: OpenPage, store: Store, kept: History) -> None:
    first, second = seed.finished(store), seed.finished(store)
    full = tuple(str(number) for number in range(20))
    kept.retag([first], add=full)
    app = select(open_page("history"), 0, 1)
    app.button(key="describe").click().run()
    app.multiselect(key="tags-added").set_value(["more"])
    app.button(key="save-tags").click().run()
    assert not app.exception
    assert any("20" in error.value for error in app.error)
    assert {run.id: run.tags for run in store.summaries()} == {first: full, second: ()}


def test_favourites_are_marked_and_unmarked_and_stay_selected(open_page: OpenPage, store: Store) -> None:
    for _ in range(3):
        seed.finished(store)
    app = select(open_page("history"), 0, 2)
    app.button(key="favour").click().run()
    assert column(app, "favourite") == ["★", "", "★"]
    assert app.button(key="favour").label == "Unmark favourite"
    app.button(key="favour").click().run()
    assert "favourite" not in app.dataframe[0].value


def test_a_selection_stays_with_its_runs_when_others_come(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store)
    app = select(open_page("history"), 0)
    store.enqueue([seed.NAIVE])
    app.run()
    assert not button(app, "Open").disabled
    button(app, "Open").click().run()
    assert app.query_params["run"] == run_id


# -- the bin ---------------------------------------------------------------------------------------------------


def test_delete_is_immediate_and_undo_brings_the_runs_back(open_page: OpenPage, store: Store) -> None:
    for _ in range(3):
        seed.finished(store)
    app = select(open_page("history"), 0, 2)
    button(app, "Delete 2 runs").click().run()
    assert store.count() == 1
    assert app.title[0].value == "1 run so far"
    assert "Deleted 2 runs" in words(app)
    app.button(key="undo").click().run()
    assert store.count() == 3
    assert "Restored 2 runs" in words(app)
    assert "undo" not in [action.key for action in app.button]


def test_undo_is_offered_until_the_next_action(open_page: OpenPage, store: Store) -> None:
    for _ in range(3):
        seed.finished(store)
    app = select(open_page("history"), 0)
    button(app, "Delete 1 run").click().run()
    app = select(app, 0)
    assert app.button(key="undo")
    app.button(key="favour").click().run()
    assert "undo" not in [action.key for action in app.button]


def test_the_last_run_can_be_deleted_and_had_back(open_page: OpenPage, store: Store) -> None:
    seed.finished(store)
    app = select(open_page("history"), 0)
    button(app, "Delete 1 run").click().run()
    assert app.title[0].value == "No runs so far"
    app.button(key="undo").click().run()
    assert app.title[0].value == "1 run so far"


def test_active_runs_stay_and_the_page_says_so(open_page: OpenPage, store: Store) -> None:
    seed.finished(store)
    store.enqueue([seed.NAIVE])
    app = select(open_page("history"), 0)
    assert app.button(key="delete").disabled
    assert app.button(key="delete").help == "Runs that are still active are not deleted: cancel them first."
    app = select(app, 0, 1)
    button(app, "Delete 1 run").click().run()
    assert "1 run is still active and stayed: cancel first" in words(app).replace("\\", "")
    assert [run.state for run in store.summaries()] == ["queued"]


def test_the_bin_lists_what_was_deleted_and_restores_it(open_page: OpenPage, store: Store, kept: History) -> None:
    ids = [seed.finished(store, RunConfig(limit=limit)) for limit in (40, 41, 42)]
    kept.delete(ids[:2])
    app = open_page("history", {"view": "Bin"})
    assert app.title[0].value == "2 runs in the bin"
    assert column(app, "images") == [41, 40]
    assert "deleted" in app.dataframe[0].value
    app = select(app, 1)
    button(app, "Restore 1 run").click().run()
    assert {run.id for run in store.summaries()} == {ids[0], ids[2]}
    button(app, "Restore all").click().run()
    assert store.count() == 3
    assert app.title[0].value == "Nothing in the bin"


# -- other machines --------------------------------------------------------------------------------------------


def carried(folder: Path, *, runs: int = 1) -> tuple[Store, bytes]:
    """Another home with finished runs, and a file of them."""
    other = Store(folder / "other")
    return other, bundle.packed(other, [seed.finished(other) for _ in range(runs)])


def upload(app: AppTest, data: bytes) -> AppTest:
    uploader = app.get("file_uploader")[0]
    return uploader.set_value([("runs.batchscope", data, "application/zip")]).run()


def test_a_file_of_runs_is_imported_and_shown_with_its_machine(
    open_page: OpenPage, store: Store, tmp_path: Path
) -> None:
    seed.finished(store)
    other, data = carried(tmp_path, runs=2)
    app = upload(open_page("history"), data)
    assert not app.exception
    assert "Imported 2 runs" in words(app)
    assert app.title[0].value == "3 runs so far"
    assert column(app, "machine")[0] == "2 CPU · 23 GiB · AVX-512 bf16 · no GPU"
    assert [store.get(run.id) for run in other.summaries()] == [other.get(run.id) for run in other.summaries()]


def test_a_run_that_is_here_already_is_skipped_and_said_so(open_page: OpenPage, store: Store, tmp_path: Path) -> None:
    _, data = carried(tmp_path)
    bundle.read_in(store, data)
    app = upload(open_page("history"), data)
    assert "Nothing was imported. 1 run was here already and stayed as it is." in words(app).replace("\\", "")


def test_a_file_that_is_no_archive_is_refused_with_its_name(open_page: OpenPage, store: Store) -> None:
    app = upload(open_page("history"), b"no archive")
    assert "runs.batchscope was not imported" in app.error[0].value.replace("\\", "")
    assert store.count() == 0


def test_export_says_why_it_cannot_be(open_page: OpenPage, store: Store) -> None:
    seed.finished(store)
    store.enqueue([seed.NAIVE])
    app = open_page("history")
    export = app.get("download_button")[0]
    assert export.proto.disabled
    app = select(app, 0)
    assert "have not ended" in app.get("download_button")[0].proto.help
    app = select(app, 1)
    assert not app.get("download_button")[0].proto.disabled


# -- many runs -------------------------------------------------------------------------------------------------


def test_ten_thousand_runs_are_found_and_sorted_within_a_moment(store: Store, kept: History) -> None:
    run_id = seed.finished(store, RunConfig(limit=20))
    with store.database.transaction() as db:
        names = [row[1] for row in db.execute("PRAGMA table_info(runs)") if row[1] not in ("seq", "id", "name")]
        db.execute(
            f"WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 9999)"
            f" INSERT INTO runs (id, name, {', '.join(names)}) SELECT 'copy' || n, 'try ' || n, {', '.join(names)}"
            f" FROM runs, many WHERE id = ?",
            (run_id,),
        )
    began = time.process_time()  # what other processes do meanwhile does not count
    found = kept.find(Wanted(words="TRY 777 digits", sort="peak_worker_memory_bytes"), limit=50)
    kept.count(Wanted(words="try 777"))
    kept.facets()
    took_s = time.process_time() - began
    assert {run.name for run in found} == {
        "try 777",
        *(f"try {n}777" for n in range(1, 10)),
        *(f"try 777{n}" for n in range(10)),
    }
    assert took_s < 1  # a tenth of that on two idle cores; every one of 10,000 records read would take far longer
