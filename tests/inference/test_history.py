"""What is said of runs, and the bin."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from inference import history
from inference.config import RunConfig
from inference.errors import InvalidConfig
from inference.history import SORTS, History, Wanted
from inference.results import Prediction, Span
from inference.store import Store

ANSWER = Prediction("a.jpg", label="three", score=0.75, truth="three", top=(("three", 0.75),), done_s=1.0, worker="w")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def ended(store: Store, **fields: object) -> str:
    (run_id,) = store.enqueue([RunConfig(**fields)])  # type: ignore[arg-type]
    store.claim("engine", {})
    store.end(run_id, "finished", spans=[Span("w", "load", 0.0, 1.0)], predictions=[ANSWER])
    return run_id


@pytest.fixture
def kept(store: Store) -> History:
    return History(store.database)


def found(kept: History, **wanted: object) -> list[str]:
    """The ids that are found, in order, and as many as are counted."""
    asked = Wanted(**wanted)  # type: ignore[arg-type]
    ids = [run.id for run in kept.find(asked, limit=100)]
    assert kept.count(asked) == len(ids)
    return ids


def left(store: Store) -> dict[str, int]:
    with sqlite3.connect(store.path) as db:
        tables = ("runs", "span_chunks", "predictions", "images")
        counts = {table: db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables}
    db.close()
    return counts


def test_what_is_said_of_a_run_is_kept_and_the_rest_left_alone(store: Store) -> None:
    run_id = ended(store)
    kept = History(store.database)
    kept.describe(run_id, name=" The good one ", tags=["demo", " demo ", "", "slow"], note="with coffee\n")
    kept.describe(run_id, favourite=True)

    run = store.summary(run_id)

    assert run is not None
    assert (run.name, run.note, run.tags, run.favourite) == ("The good one", "with coffee", ("demo", "slow"), True)
    kept.describe(run_id, name="  ")
    assert (store.summary(run_id) or run).name is None


def test_a_deleted_run_is_gone_everywhere_until_it_is_restored(store: Store) -> None:
    run_id, other = ended(store), ended(store)
    kept = History(store.database)

    assert kept.delete([run_id, "unknown"]) == [run_id]

    assert store.get(run_id) is None
    assert store.summary(run_id) is None
    assert store.recent(run_id, predictions=1) == []
    assert [run.id for run in store.summaries()] == [other]
    assert [run.id for run in kept.binned()] == [run_id]
    kept.restore([run_id])
    record = store.get(run_id)
    assert record is not None
    assert record.predictions == (ANSWER,)
    assert kept.binned() == []


def test_active_runs_are_not_deleted(store: Store) -> None:
    (queued,) = store.enqueue([RunConfig()])

    assert History(store.database).delete([queued]) == []
    assert store.count() == 1


def test_what_lay_in_the_bin_for_a_day_is_removed_with_all_that_was_kept_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = History(store.database)
    kept.delete([ended(store)])
    assert left(store) == {"runs": 1, "span_chunks": 1, "predictions": 1, "images": 1}

    monkeypatch.setattr(history, "KEPT_IN_BIN_S", -1.0)
    kept.delete([])

    assert left(store) == {"runs": 0, "span_chunks": 0, "predictions": 0, "images": 0}


def test_what_lay_in_the_bin_for_a_day_is_not_offered_any_more(
    store: Store, kept: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.delete([ended(store)])
    monkeypatch.setattr(history, "KEPT_IN_BIN_S", -1.0)

    assert kept.binned() == []


# -- finding ---------------------------------------------------------------------------------------------------


def test_every_word_must_occur_somewhere_in_what_is_said_or_asked(store: Store, kept: History) -> None:
    one = ended(store, strategy="naive", model="vit", dataset="/photos/Ärzte")
    other = ended(store, strategy="actor", model="vit")
    kept.describe(one, name="Before the Update", note="GRÖSSE geändert", tags=["straße"])

    for words in ("before", "größe", "STRASSE", "vit", "ärzte", "naive", one, "update größe straße", " "):
        assert one in found(kept, words=words), words
    assert found(kept, words="vit before") == [one]
    assert found(kept, words="before nothing") == []
    assert found(kept, words="actor") == [other]


@pytest.mark.parametrize("words", ["%", "_", "'", '"', "[", "\\", "); DROP TABLE runs"])
def test_a_sign_of_sql_or_json_is_an_ordinary_character(store: Store, kept: History, words: str) -> None:
    plain, signed = ended(store), ended(store)
    kept.describe(plain, tags=["a tag"])
    kept.describe(signed, note=f"so {words}")

    assert found(kept, words=words) == [signed]


def test_filters_narrow_each_other_and_a_tag_needs_only_one_of_those_asked_for(store: Store, kept: History) -> None:
    first, second = ended(store, strategy="naive", model="vit"), ended(store, strategy="naive")
    third = ended(store, strategy="actor", dataset="photos")
    kept.retag([first, third], add=["paper"])
    kept.retag([second], add=["draft"])
    kept.favour([second], True)

    assert found(kept, strategies=("naive",)) == [second, first]
    assert found(kept, strategies=("naive", "actor"), models=("digits",)) == [third, second]
    assert found(kept, datasets=("photos",)) == [third]
    assert found(kept, tags=("paper", "draft")) == [third, second, first]
    assert found(kept, tags=("paper",), strategies=("naive",)) == [first]
    assert found(kept, favourites=True) == [second]
    assert found(kept, states=("failed",)) == []


def test_a_folder_whose_name_is_no_text_is_listed_and_found(store: Store, kept: History) -> None:
    strange = ended(store)
    kept.describe(strange, name="strange")
    with store.database.transaction() as db:
        config = json.dumps(RunConfig(dataset="/photos/\udcff").to_dict())
        db.execute("UPDATE runs SET config = ? WHERE id = ?", (config, strange))
    ended(store)

    assert kept.facets().datasets == ("/photos/\udcff", "digits")
    assert found(kept, datasets=("/photos/\udcff",)) == [strange]
    assert found(kept, words="photos strange") == [strange]


def test_facets_are_the_values_that_kept_runs_have(store: Store, kept: History) -> None:
    for strategy in ("naive", "actor", "actor"):
        kept.retag([ended(store, strategy=strategy)], add=["demo", strategy])
    kept.delete([ended(store, model="gone")])

    facets = kept.facets()

    assert facets.strategies == ("actor", "naive")
    assert facets.models == ("digits",)
    assert facets.states == ("finished",)
    assert facets.tags == ("demo", "actor", "naive")


@pytest.mark.parametrize("sort", SORTS)
def test_runs_are_sorted_both_ways_with_the_unknown_last(store: Store, kept: History, sort: str) -> None:
    ids = [ended(store, batch_size=size, concurrency=size, limit=size) for size in (2, 3, 1)]
    has_no_figure = "metrics" in SORTS[sort]
    with store.database.transaction() as db:
        for run_id, value in zip(ids, (2, 3, 1), strict=True):
            db.execute("UPDATE runs SET created_at = ? WHERE id = ?", (value, run_id))
            if has_no_figure:
                values = (f"$.{sort}", value, run_id)
                db.execute("UPDATE runs SET metrics = json_set(metrics, ?, ?) WHERE id = ?", values)
    (unknown,) = store.enqueue([RunConfig(batch_size=4, concurrency=4, limit=4)])

    falling = [ids[1], ids[0], ids[2]]
    assert found(kept, sort=sort) == ([*falling, unknown] if has_no_figure else [unknown, *falling])
    assert found(kept, sort=sort, ascending=True) == [*falling[::-1], unknown]


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="sort must be one of created_at"):
        Wanted(sort="1; DROP TABLE runs")


def test_a_part_of_what_is_found_begins_where_it_is_asked_to(store: Store, kept: History) -> None:
    ids = [ended(store) for _ in range(5)]

    part = kept.find(Wanted(), limit=2, offset=2)

    assert [run.id for run in part] == [ids[2], ids[1]]


def test_machines_are_told_by_run_where_they_are_known(store: Store, kept: History) -> None:
    known = ended(store)
    (queued,) = store.enqueue([RunConfig()])

    assert kept.machines([known, queued, "nobody"]) == {known: {}}


# -- saying ----------------------------------------------------------------------------------------------------


def test_several_runs_are_tagged_and_keep_what_else_they_have(store: Store, kept: History) -> None:
    first, second = ended(store), ended(store)
    kept.describe(first, tags=["old", "mine"])

    kept.retag([first, second, "unknown"], add=["new", " new "], remove=["old"])

    assert [run.tags for run in kept.find(Wanted(), limit=2)] == [("new",), ("mine", "new")]


def test_too_many_tags_change_no_run_at_all(store: Store, kept: History) -> None:
    first, second = ended(store), ended(store)
    kept.describe(second, tags=[str(number) for number in range(history.MAX_TAGS)])

    with pytest.raises(InvalidConfig, match="a run can have 20 tags, got 21: remove some first"):
        kept.retag([first, second], add=["one more"])

    assert [run.tags for run in store.summaries() if run.id == first] == [()]


@pytest.mark.parametrize(("field", "length"), [("name", 300), ("note", 5000)])
def test_a_text_that_is_too_long_is_refused_with_its_limit(
    store: Store, kept: History, field: str, length: int
) -> None:
    run_id = ended(store)
    kept.describe(run_id, **{field: "x" * length})  # type: ignore[arg-type]

    with pytest.raises(InvalidConfig, match=f"{field} can have {length:,} characters, got {length + 1:,}: shorten it"):
        kept.describe(run_id, **{field: "x" * (length + 1)})  # type: ignore[arg-type]
