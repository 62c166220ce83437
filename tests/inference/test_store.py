"""One database for two kinds of process, on a real file."""

import json
import os
import sqlite3
import struct
import threading
import zlib
from importlib import resources
from pathlib import Path

import pytest

from inference.answers import packed_top, unpacked_top
from inference.config import RunConfig
from inference.errors import StoreUnavailable
from inference.results import OperatorProgress, Prediction, Progress, Sample, Span
from inference.store import EngineStatus, Store
from tests.inference.test_measured_limits import KEY, LIMIT

SPANS = (Span("worker 1", "load", 0.0, 1.5, 0, 0), Span("worker 1", "forward", 1.5, 2.0, 1, 0))
PREDICTION = Prediction(
    "ü/<b>.jpg", "three", 0.75, truth="three", top=(("three", 0.75), ("two", 0.25)), done_s=2.0, worker="worker 1"
)
SAMPLES = (Sample("worker 1", 0.5, 1.25, 300), Sample("worker 1", 2.0, 3.5, 400), Sample("reader 2", 0.5, 0.0, 900))
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
        samples=SAMPLES[:2],
        predictions=[PREDICTION],
        operators=[OPERATOR],
        messages=["a message"],
    )
    store.end(run_id, "finished", plan="the plan", samples=SAMPLES[2:])

    record = store.get(run_id)

    assert record is not None
    assert (record.spans, record.samples, record.predictions) == (SPANS, SAMPLES, (PREDICTION,))
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


def test_samples_alone_are_kept_and_become_metrics_at_the_end(store: Store) -> None:
    (run_id,) = store.enqueue([RunConfig()])
    store.claim("engine", {})
    store.save_progress(run_id, Progress(phase="x"), samples=SAMPLES)
    store.end(run_id, "finished", predictions=[PREDICTION])

    record, summary = store.get(run_id), store.summary(run_id)

    assert record is not None
    assert (record.spans, record.samples) == ((), SAMPLES)
    assert summary is not None
    assert summary.metrics is not None
    assert (summary.metrics.cpu_s, summary.metrics.peak_worker_memory_bytes) == (2.25, 400)


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


def test_the_engines_last_word_replaces_the_one_before(store: Store) -> None:
    assert store.engine() is None
    words = {"engine_id": "e", "pid": 1, "process_started_at": 2.0, "heartbeat_at": 3.0, "dashboard_url": None}
    store.save_engine(EngineStatus(state="starting", message="starting Ray", hardware=None, **words))  # type: ignore[arg-type]
    latest = EngineStatus(state="ready", message="idle", hardware={"cpus": 2}, **words)  # type: ignore[arg-type]
    store.save_engine(latest)

    assert store.engine() == latest


def test_a_run_over_a_folder_whose_name_is_no_text_can_be_read_and_does_not_block_the_queue(store: Store) -> None:
    odd, after = store.enqueue([RunConfig(dataset=os.fsdecode(b"/caf\xe9")), RunConfig()])

    claimed = store.claim("engine", {})

    assert claimed is not None
    assert claimed.id == odd
    assert claimed.config.dataset == os.fsdecode(b"/caf\xe9")
    store.end(odd, "failed", error="no such folder")
    assert store.get(odd) is not None
    assert (store.claim("engine", {}) or claimed).id == after


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


# -- a database of version 1 -----------------------------------------------------------------------------------------

OLD_CONFIG = {
    "strategy": "actor",
    "model": "digits",
    "dataset": "digits",
    "limit": 8,
    "batch_size": 4,
    "concurrency": 1,
    "cpus_per_worker": 1.0,
    "gpus_per_worker": 0.0,
    "dtype": "float32",
    "compile": True,
}
OLD_METRICS = {
    "images": 1,
    "errors": 0,
    "total_s": 2.0,
    "setup_s": 1.5,
    "images_per_s": 0.5,
    "steady_images_per_s": None,
    "first_prediction_s": 2.0,
    "model_loads": 1,
    "model_load_s": 1.5,
    "phases": {"load": 1.5, "forward": 0.5},
    "accuracy": 1.0,
    "workers": 1,
}


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """A home folder as version 0.1 left it, with one finished run."""
    home = tmp_path / "old"
    home.mkdir()
    spans = [["worker 1", "load", 0, 1500000, 0, 0], ["worker 1", "forward", 1500000, 2000000, 1, 0]]
    with sqlite3.connect(home / "batchscope.db") as db:
        db.executescript((resources.files("inference.migrations") / "0001_initial.sql").read_text(encoding="utf-8"))
        db.execute("PRAGMA user_version = 1")
        db.execute(
            "INSERT INTO runs (seq, id, state, config, created_at, finished_at, metrics, plan)"
            " VALUES (1, 'old', 'finished', ?, 1.0, 2.0, ?, 'the plan')",
            (json.dumps(OLD_CONFIG), json.dumps(OLD_METRICS)),
        )
        db.execute("INSERT INTO span_chunks VALUES (1, 0, ?)", (zlib.compress(json.dumps(spans).encode()),))
        db.execute(
            "INSERT INTO predictions VALUES (1, 0, ?, 'three', 0.75, 'ok', NULL, 'three', ?, 2.0, 'worker 1')",
            (PREDICTION.image_id, json.dumps(PREDICTION.top)),
        )
    db.close()
    return home


def test_runs_of_version_1_are_all_there_after_the_migration(old_home: Path) -> None:
    record = Store(old_home).get("old")

    assert record is not None
    assert (record.state, record.plan) == ("finished", "the plan")
    assert (record.spans, record.samples, record.predictions) == (SPANS, (), (PREDICTION,))
    assert record.config == RunConfig(limit=8, backend="compile")


def test_the_list_of_runs_shows_those_of_version_1_with_their_metrics(old_home: Path) -> None:
    (summary,) = Store(old_home).summaries()

    assert summary.metrics is not None
    assert (summary.metrics.images_per_s, summary.metrics.workers) == (0.5, 1)
    assert (summary.metrics.cpu_s, summary.metrics.peak_worker_memory_bytes) == (None, None)


def test_a_migrated_database_takes_limits_and_new_runs(old_home: Path) -> None:
    store = Store(old_home)
    store.limits.save(KEY, LIMIT)
    run_id = run_one(store)

    assert store.limits.get(KEY) == LIMIT
    assert [run.id for run in store.summaries()] == [run_id, "old"]


def test_before_the_migration_a_copy_of_the_database_is_kept(old_home: Path) -> None:
    Store(old_home)

    with sqlite3.connect(old_home / "batchscope.v1.bak") as copy:
        assert copy.execute("PRAGMA user_version").fetchone()[0] == 1
        assert [row[0] for row in copy.execute("SELECT id FROM runs")] == ["old"]
        tables = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    copy.close()
    assert "limits" not in tables


def test_a_migrated_database_is_not_migrated_again(old_home: Path) -> None:
    Store(old_home)
    backup = old_home / "batchscope.v1.bak"
    backup.unlink()

    Store(old_home)

    assert not backup.exists()
    assert not list(old_home.glob("*.bak"))


# -- room ------------------------------------------------------------------------------------------------------------


def test_the_chunks_of_a_live_run_are_one_when_it_has_ended(store: Store) -> None:
    (run_id,) = store.enqueue([RunConfig()])
    store.claim("engine", {})
    for span in SPANS:
        store.save_progress(run_id, Progress(phase="x"), spans=[span])
    store.end(run_id, "finished", samples=SAMPLES)

    record = store.get(run_id)

    assert record is not None
    assert (record.spans, record.samples) == (SPANS, SAMPLES)
    with store.database.reading() as db:
        assert db.execute("SELECT COUNT(*) FROM span_chunks").fetchone()[0] == 1


def test_labels_that_were_kept_with_wide_ids_are_read() -> None:
    kept = struct.pack("<B2I2f", 1, 7, 70_000, 0.25, 0.125)

    assert unpacked_top(kept) == (True, [(7, 0.25), (70_000, 0.125)])


@pytest.mark.parametrize(("highest", "num_bytes"), [(255, 1), (256, 2), (65_535, 2), (65_536, 4)])
def test_ids_of_labels_are_as_wide_as_they_have_to_be(highest: int, num_bytes: int) -> None:
    kept = packed_top(3, 0.5, [(3, 0.5), (highest, 0.25)])

    assert unpacked_top(kept) == (True, [(highest, 0.25)])
    assert len(kept) == 1 + num_bytes + 4
