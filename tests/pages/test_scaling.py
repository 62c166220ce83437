"""How speed went with batch size and concurrency: which runs count, what is said of them, what to run next."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import asdict

import pytest
import seed
from conftest import OpenPage, words
from streamlit.testing.v1 import AppTest

from inference import hardware as machine
from inference import scaling
from inference.config import RunConfig
from inference.results import metrics
from inference.scaling import Measured, Setting
from inference.store import Store
from pages.ui import state
from pages.ui.scaling import missing, scaling_chart, with_workers

HERE = machine.fingerprint(seed.HARDWARE)


def measured(value: int, *rates: float, strategy: str = "actor") -> Setting:
    config = RunConfig(strategy=strategy, batch_size=value)
    runs = [
        Measured(run_id=f"run{value}{n}", config=config, created_at=0.0, images_per_s=rate)
        for n, rate in enumerate(rates)
    ]
    return Setting(strategy=strategy, value=value, runs=tuple(runs))


def along(store: Store, axis: str, config: RunConfig, fingerprint: str = HERE) -> list[tuple[str, int, int]]:
    """(strategy, value, number of runs) of what is found."""
    runs = scaling.along(axis, scaling.similar(store.database, config, fingerprint), config)
    return [(found.strategy, found.value, len(found.runs)) for found in scaling.settings(axis, runs)]


def test_runs_that_differ_in_batch_size_and_strategy_alone_count(store: Store) -> None:
    for config in (seed.ACTOR, seed.ACTOR, seed.ACTOR.with_(batch_size=16), seed.BATCHED):
        seed.finished(store, config)
    for other in ({"limit": 60}, {"dtype": "bfloat16"}, {"concurrency": 2}, {"model": "resnet-50-untrained"}):
        seed.finished(store, seed.ACTOR.with_(**other))
    seed.ended(store, "cancelled")
    assert along(store, "batch_size", seed.ACTOR) == [("actor", 4, 2), ("actor", 16, 1), ("batched", 16, 1)]


def test_a_strategy_without_an_option_counts_as_it_can_be_run(store: Store) -> None:
    pipelined = RunConfig(strategy="pipelined", backend="openvino", decoders=2)
    for config in (pipelined, seed.ACTOR, RunConfig(strategy="pipelined")):
        seed.finished(store, config)
    assert along(store, "batch_size", pipelined) == [("actor", 4, 1), ("pipelined", 4, 1)]


def test_more_workers_may_share_the_cpus_if_each_has_as_many_threads(store: Store) -> None:
    shared = RunConfig(concurrency=2, cpus_per_worker=0.9, threads=1)
    for config in (RunConfig(), shared, shared.with_(threads=2)):
        seed.finished(store, config)
    assert along(store, "concurrency", RunConfig()) == [("actor", 1, 1), ("actor", 2, 1)]


def test_runs_of_another_machine_do_not_count(store: Store) -> None:
    seed.finished(store)
    assert along(store, "batch_size", seed.ACTOR, "another") == []


def test_deleted_runs_do_not_count(store: Store) -> None:
    kept, deleted = seed.finished(store), seed.finished(store)
    state.History(store.database).delete([deleted])
    assert [run.run_id for run in scaling.similar(store.database, seed.ACTOR, HERE)] == [kept]


def test_a_run_without_a_steady_rate_is_no_point(store: Store) -> None:
    seed.finished(store, RunConfig(limit=4))
    assert len(scaling.similar(store.database, RunConfig(limit=4), HERE)) == 1
    assert along(store, "batch_size", RunConfig(limit=4)) == []


def test_ten_thousand_runs_are_looked_through_in_under_a_second(store: Store) -> None:
    record = store.get(seed.finished(store))
    assert record is not None
    figures = json.dumps(asdict(metrics(record)))
    with sqlite3.connect(store.path) as db:
        db.executemany(
            "INSERT INTO runs (id, state, config, created_at, metrics, machine) VALUES (?, 'finished', ?, 0, ?, 1)",
            (
                (f"copy{n}", json.dumps(seed.ACTOR.with_(batch_size=2 ** (n % 8)).to_dict()), figures)
                for n in range(10_000)
            ),
        )
    db.close()
    begun = time.process_time()
    assert len(along(store, "batch_size", seed.ACTOR)) == 8
    assert time.process_time() - begun < 1.0


def test_a_point_is_the_median_of_its_runs_with_their_range() -> None:
    figure = scaling_chart("batch_size", [measured(4, 30.0, 20.0, 28.0), measured(16, 40.0)], prefer="actor")
    spec = figure.chart.to_dict()
    rows = {row["value"]: row for row in spec["data"]["values"]}
    assert (rows[4]["low"], rows[4]["median"], rows[4]["high"]) == (20.0, 28.0, 30.0)
    assert figure.title == "actor is fastest with batch size 16: 40.0 images/s"
    assert "actor with batch size 4: 28.0 images/s (3 runs)" in figure.alt


def test_ranges_that_overlap_are_not_told_as_a_difference() -> None:
    found = [measured(4, 30.0, 41.0), measured(16, 40.0, 42.0), measured(32, 10.0)]
    title = scaling_chart("batch_size", found, prefer="actor").title
    assert title == "actor is fastest with batch size 16: 41.0 images/s, but runs with 4 reached as much"


def test_strategies_that_were_run_with_one_setting_each_are_not_ranked_by_it() -> None:
    found = [measured(4, 30.0), measured(16, 60.0, strategy="batched")]
    assert "run with one only" in scaling_chart("batch_size", found, prefer="actor").title


def test_what_is_missing_is_offered_if_it_fits_and_leaves_a_second_batch() -> None:
    offered = missing("batch_size", [4], RunConfig(), seed.HARDWARE)
    assert [config.batch_size for config in offered] == [16, 1]
    assert [config.batch_size for config in missing("batch_size", [], RunConfig(limit=10), seed.HARDWARE)] == [4, 1]
    assert missing("concurrency", [1], RunConfig(gpus_per_worker=1), seed.HARDWARE) == []


def test_more_workers_get_their_share_of_the_cpus_and_keep_their_threads() -> None:
    other = with_workers(RunConfig(), 2, seed.HARDWARE)
    assert (other.concurrency, other.threads_per_worker) == (2, 1)
    assert other.cpus_per_worker * 2 <= seed.HARDWARE.cpus


@pytest.fixture
def this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages run on the machine whose runs are seeded."""
    monkeypatch.setattr(state, "hardware", lambda: seed.HARDWARE)


def unfolded(open_page: OpenPage, run_id: str) -> AppTest:
    app = open_page("run", {"run": run_id})
    assert "Steady speed by" not in words(app)  # it reads the history only when it is opened
    app.session_state[f"scaling-of-{run_id}"] = True
    app.run()
    assert not app.exception
    return app


@pytest.mark.usefixtures("this_machine")
def test_a_finished_run_shows_what_other_batch_sizes_did(open_page: OpenPage, store: Store) -> None:
    seed.finished(store, seed.ACTOR.with_(batch_size=16))
    app = unfolded(open_page, seed.finished(store))
    assert "is fastest with batch size" in words(app)


@pytest.mark.usefixtures("this_machine")
def test_where_one_setting_was_run_another_is_offered_and_one_press_sets_it(open_page: OpenPage, store: Store) -> None:
    app = unfolded(open_page, seed.finished(store))
    assert "only batch size 4 was run" in words(app)
    next(button for button in app.button if button.label == "Set batch size 16").click().run()
    assert not app.exception
    assert app.select_slider(key="batch_size").value == 16
    assert store.active() == []
