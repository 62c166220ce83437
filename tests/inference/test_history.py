"""What is said of runs, and the bin."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from inference import history
from inference.config import RunConfig
from inference.history import History
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
