import pytest

from benchmarks.observed import Answered, Outcome
from benchmarks.turns import in_order
from inference.config import RunConfig
from inference.results import metrics


def answered(done_at: float, *, batch_started_at: float, worker: int) -> Answered:
    return Answered(
        image_id=f"{worker}-{done_at}",
        label="three",
        score=0.9,
        done_at=done_at,
        batch_started_at=batch_started_at,
        worker=worker,
    )


def two_workers() -> Outcome:
    """One image a second each from second 102 on; the second worker is ready two seconds after the first."""
    first = [answered(102.0 + i, batch_started_at=101.0 + i, worker=1) for i in range(8)]
    second = [answered(104.0 + i, batch_started_at=103.0 + i, worker=2) for i in range(6)]
    return Outcome(started_at=100.0, answers=tuple(first + second), workers=2)


def test_an_outcome_survives_the_way_from_one_process_to_another():
    assert Outcome.from_dict(two_workers().to_dict()) == two_workers()


def test_set_up_ends_when_a_worker_with_the_model_turns_to_its_first_batch():
    assert metrics(two_workers().record(RunConfig())).setup_s == pytest.approx(1.0)


def test_the_rate_end_to_end_counts_from_the_start_of_the_clock():
    assert metrics(two_workers().record(RunConfig())).images_per_s == pytest.approx(14 / 9)


def test_the_steady_rate_begins_when_every_worker_has_finished_its_first_batch():
    assert metrics(two_workers().record(RunConfig())).steady_images_per_s == pytest.approx(10 / 5)


def test_every_other_round_runs_backwards_and_the_limit_is_tried_both_ways():
    assert in_order(["limit", "actor"], 2) == [
        "limit-one-process",
        "limit-process-per-core",
        "actor",
        "actor",
        "limit-process-per-core",
        "limit-one-process",
    ]
