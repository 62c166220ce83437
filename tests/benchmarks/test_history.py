"""A home folder that was made up is like one that was lived in."""

import itertools
import random
import time
from pathlib import Path

import pytest

from benchmarks import lived_in
from benchmarks.history import addresses_of, largest_run
from inference.results import RunRecord, metrics
from inference.store import Store
from tests.pages import seed


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecord]:
    store = Store(tmp_path_factory.mktemp("patterns"))
    configs = (seed.NAIVE, seed.ACTOR, seed.BATCHED, seed.PIPELINED)
    records = {config.strategy: store.get(seed.finished(store, config)) for config in configs}
    return {name: record for name, record in records.items() if record is not None}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, small: dict[str, RunRecord]) -> Path:
    home = tmp_path_factory.mktemp("lived-in")
    lived_in.fill(home, small, runs=30)
    return home


def test_every_run_is_finished_with_all_its_answers_and_figures(home: Path) -> None:
    store = Store(home)

    runs = store.summaries(limit=1000)

    assert len(runs) >= 30
    assert {run.state for run in runs} == {"finished"}
    assert {run.metrics.images for run in runs if run.metrics} == {100}
    assert len({run.metrics.total_s for run in runs if run.metrics}) > 0.9 * len(runs)


def test_runs_follow_one_another_and_leave_time_for_the_large_one(home: Path) -> None:
    runs = Store(home).summaries(limit=1000)[::-1]

    for earlier, later in itertools.pairwise(runs):
        assert earlier.started_at is not None
        assert earlier.finished_at is not None
        assert later.started_at is not None
        assert earlier.created_at <= earlier.started_at < earlier.finished_at <= later.started_at + 1e-3
    assert (runs[-1].finished_at or 0.0) < time.time() - lived_in.BEFORE_LARGE_RUN_S


def test_the_newest_comparison_answers_the_overview_page(home: Path) -> None:
    assert [run.config.strategy for run in Store(home).latest_comparison()] == ["naive", "actor", "actor", "naive"]


def test_a_repeated_run_has_every_image_once_and_the_pace_of_its_pattern(small: dict[str, RunRecord]) -> None:
    pattern = small["batched"]
    ids = [f"{number}.jpg" for number in range(1950)]

    record = lived_in.repeated(pattern, ids)

    assert [prediction.image_id for prediction in record.predictions] == ids
    figures, usual = metrics(record), metrics(pattern)
    assert figures.model_loads == usual.model_loads
    assert figures.steady_images_per_s == pytest.approx(usual.steady_images_per_s, rel=0.1)
    assert max(span.end_s for span in record.spans) <= record.predictions[-1].done_s
    batches = [span.batch for span in record.spans if span.phase == "forward"]
    assert len(set(batches)) == len(batches)


def test_what_is_saved_in_pieces_is_the_whole_run(small: dict[str, RunRecord]) -> None:
    record = small["naive"]

    found = lived_in.pieces(record, max(prediction.done_s for prediction in record.predictions))

    assert len(found) > 5
    assert sorted(p.image_id for piece in found for p in piece.predictions) == sorted(
        p.image_id for p in record.predictions
    )
    assert sum(len(piece.spans) for piece in found) == len(record.spans)
    assert sum(len(piece.samples) for piece in found) == len(record.samples)


def test_another_tempo_changes_the_rate_and_no_answer(small: dict[str, RunRecord]) -> None:
    record = small["actor"]

    other = lived_in.in_another_tempo(record, random.Random(3))

    assert [(p.image_id, p.label) for p in other.predictions] == [(p.image_id, p.label) for p in record.predictions]
    assert metrics(other).images_per_s != pytest.approx(metrics(record).images_per_s)
    assert metrics(other).phases["load"] / metrics(record).phases["load"] == pytest.approx(
        metrics(record).images_per_s / metrics(other).images_per_s  # type: ignore[operator]  # both have answers
    )


def test_the_database_is_weighed_and_the_large_run_is_opened(home: Path) -> None:
    store = Store(home)

    megabytes, _ = lived_in.megabytes(store)
    large, images = largest_run(store)

    assert megabytes == store.path.stat().st_size / 1e6 > 0.1
    assert images == 100
    assert any(path == f"/run?run={large}" for _, path in addresses_of(store))
