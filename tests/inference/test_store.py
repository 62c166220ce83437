"""One database for two kinds of process, on a real file."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from inference.config import RunConfig
from inference.errors import StoreUnavailable
from inference.results import OperatorProgress, Prediction, Progress, Span
from inference.store import EngineStatus, Store

SPANS = (Span("worker 1", "load", 0.0, 1.5, 0, 0), Span("worker 1", "forward", 1.5, 2.0, 1, 0))
PREDICTION = Prediction(
    "ü/<b>.jpg", "three", 0.75, truth="three", top=(("three", 0.75), ("two", 0.25)), done_s=2.0, worker="worker 1"
)
OPERATOR = OperatorProgress(
    name="Map", rows=4, tasks_active=1, tasks_finished=2, actors=1, actors_restarting=0, queued_blocks=3
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def run_one(store: Store, config: RunConfig | None = None) -> str:
    (run_id,) = store.enqueue([config or RunConfig()])
    assert store.claim("engine", {"cpus": 2}) is not None
    store.save_progress(run_id, Progress(phase="classifying", images_done=1), spans=SPANS, predictions=[PREDICTION])
    store.end(run_id, "finished", plan="the plan")
    return run_id


def test_runs_are_claimed_in_order_and_one_at_a_time(store: Store) -> None:
    first, second = store.enqueue([RunConfig(strategy="naive"), RunConfig()])

    claimed = store.claim("engine", {"cpus": 2})

    assert claimed is not None
    assert (claimed.id, claimed.state) == (first, "running")
    assert store.claim("engine", {}) is None
    store.end(first, "finished")
    next_one = store.claim("engine", {})
    assert next_one is not None
    assert next_one.id == second


def test_two_processes_that_claim_together_never_get_the_same_run(store: Store) -> None:
    store.enqueue([RunConfig()])
    claimed = []

    def claim() -> None:
        claimed.append(Store(store.home).claim("engine", {}))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([record for record in claimed if record is not None]) == 1


def test_everything_that_was_saved_comes_back(store: Store) -> None:
    (run_id,) = store.enqueue([RunConfig(strategy="naive")])
    store.claim("engine", {"cpus": 2})
    store.save_progress(
        run_id,
        Progress(phase="classifying", images_done=1, images_total=1, elapsed_s=2.0),
        spans=SPANS,
        predictions=[PREDICTION],
        operators=[OPERATOR],
        messages=["a message"],
    )
    store.end(run_id, "finished", plan="the plan")

    record = store.get(run_id)

    assert record is not None
    assert (record.spans, record.predictions) == (SPANS, (PREDICTION,))
    assert (record.operators, record.messages, record.plan) == ((OPERATOR,), ("a message",), "the plan")
    assert record.hardware == {"cpus": 2}
    assert record.config == RunConfig(strategy="naive")


def test_chunks_keep_their_order(store: Store) -> None:
    (run_id,) = store.enqueue([RunConfig()])
    store.claim("engine", {})
    for i in range(5):
        store.save_progress(run_id, Progress(phase="x"), predictions=[Prediction(f"{i}.jpg", "a", 0.5)])

    record = store.get(run_id)

    assert record is not None
    assert [p.image_id for p in record.predictions] == [f"{i}.jpg" for i in range(5)]
    assert [p.image_id for p in store.recent(run_id, predictions=2)] == ["4.jpg", "3.jpg"]


def test_the_end_brings_the_metrics_with_it(store: Store) -> None:
    summary = store.summary(run_one(store))

    assert summary is not None
    assert summary.metrics is not None
    assert (summary.metrics.images, summary.metrics.model_load_s, summary.metrics.accuracy) == (1, 1.5, 1.0)


def test_the_first_end_stands(store: Store) -> None:
    run_id = run_one(store)

    store.end(run_id, "crashed", error="too late")

    record = store.get(run_id)
    assert record is not None
    assert (record.state, record.error) == ("finished", None)


def test_a_queued_run_is_cancelled_at_once_and_a_running_one_is_asked_to(store: Store) -> None:
    running, queued = store.enqueue([RunConfig(), RunConfig()])
    store.claim("engine", {})

    store.request_cancel(running)
    store.request_cancel(queued)

    states = {summary.id: summary.state for summary in store.summaries()}
    assert states == {running: "cancelling", queued: "cancelled"}
    assert store.cancel_requested(running)


def test_the_same_request_queues_once(store: Store) -> None:
    first = store.enqueue([RunConfig(), RunConfig()], compare=True, request_key="click")

    assert store.enqueue([RunConfig(), RunConfig()], compare=True, request_key="click") == first
    assert store.count() == 2


def test_a_comparison_keeps_its_runs_together_in_order(store: Store) -> None:
    store.enqueue([RunConfig()])
    ids = store.enqueue([RunConfig(strategy="naive"), RunConfig()], compare=True)

    assert [run.id for run in store.latest_comparison()] == ids
    comparison_id = store.latest_comparison()[0].comparison_id
    assert comparison_id is not None
    assert [run.id for run in store.comparison(comparison_id)] == ids


def test_runs_of_a_dead_engine_crash_and_those_of_a_living_one_go_on(store: Store) -> None:
    run_id, _ = store.enqueue([RunConfig(), RunConfig()])
    store.claim("living", {})

    assert store.end_orphans(alive_engine_id="living", reason="died") == []
    assert store.end_orphans(alive_engine_id=None, reason="died") == [run_id]

    record = store.get(run_id)
    assert record is not None
    assert (record.state, record.error) == ("crashed", "died")


def test_a_run_that_was_being_cancelled_when_its_engine_died_is_cancelled(store: Store) -> None:
    (run_id,) = store.enqueue([RunConfig()])
    store.claim("engine", {})
    store.request_cancel(run_id)

    store.end_orphans(alive_engine_id=None, reason="died")

    record = store.get(run_id)
    assert record is not None
    assert record.state == "cancelled"


def test_active_runs_are_not_deleted_and_ended_ones_go_whole(store: Store) -> None:
    ended = run_one(store)
    (queued,) = store.enqueue([RunConfig()])

    assert store.delete([ended, queued, "unknown"]) == 1

    assert store.get(ended) is None
    assert store.count() == 1
    with sqlite3.connect(store.path) as db:
        left = [db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in ("span_chunks", "predictions")]
    db.close()
    assert left == [0, 0]


def test_the_engines_last_word_replaces_the_one_before(store: Store) -> None:
    assert store.engine() is None
    words = {"engine_id": "e", "pid": 1, "process_started_at": 2.0, "heartbeat_at": 3.0, "dashboard_url": None}
    store.save_engine(EngineStatus(state="starting", message="starting Ray", hardware=None, **words))  # type: ignore[arg-type]
    latest = EngineStatus(state="ready", message="idle", hardware={"cpus": 2}, **words)  # type: ignore[arg-type]
    store.save_engine(latest)

    assert store.engine() == latest


def test_a_reopened_store_finds_everything_again(store: Store) -> None:
    run_id = run_one(store)

    assert Store(store.home).get(run_id) == store.get(run_id)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(store: Store) -> None:
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    before = store.path.read_bytes()

    with pytest.raises(StoreUnavailable, match="written by a newer Batchscope"):
        Store(store.home)

    assert store.path.read_bytes() == before


def test_an_unfinished_write_leaves_the_run_as_it_was(store: Store) -> None:
    (run_id,) = store.enqueue([RunConfig()])
    store.claim("engine", {})

    with pytest.raises(AttributeError):
        store.save_progress(run_id, Progress(phase="new"), spans=SPANS, predictions=[None])  # type: ignore[list-item]

    record = store.get(run_id)
    assert record is not None
    assert (record.spans, record.progress) == ((), None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_home_is_a_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(StoreUnavailable, match="make it writable"):
        Store(tmp_path / "home")


def test_a_home_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a folder")

    with pytest.raises(StoreUnavailable, match="BATCHSCOPE_HOME"):
        Store(tmp_path / "home")
