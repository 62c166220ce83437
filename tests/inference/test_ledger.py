"""The arithmetic of loading, on spans whose sums can be done by hand."""

from __future__ import annotations

import pytest

from inference.ledger import break_even_images, ledger, loading_speedup
from inference.results import Span

IMPORT_S, LOAD_S, IMAGE_S = 2.0, 0.5, 0.25


def naive_spans(batches: int = 5, batch_size: int = 2, worker: str = "worker 1") -> list[Span]:
    """A worker that imports once, loads for every batch and does its images one by one, without a pause."""
    spans = [Span(worker, "import", 0.0, IMPORT_S)]
    now = IMPORT_S
    for batch in range(batches):
        spans.append(Span(worker, "load", now, now + LOAD_S, 0, batch))
        now += LOAD_S
        for _ in range(batch_size):
            spans.append(Span(worker, "forward", now, now + IMAGE_S, 1, batch))
            now += IMAGE_S
    return spans


def actor_spans(batches: int = 5, batch_size: int = 2, worker: str = "worker 2", load_s: float = LOAD_S) -> list[Span]:
    """A worker that imports and loads once."""
    spans = [Span(worker, "import", 0.0, IMPORT_S), Span(worker, "load", IMPORT_S, IMPORT_S + load_s)]
    now = IMPORT_S + load_s
    for batch in range(batches):
        for _ in range(batch_size):
            spans.append(Span(worker, "forward", now, now + IMAGE_S, 1, batch))
            now += IMAGE_S
    return spans


def test_a_ledger_counts_loads_and_their_mean_length() -> None:
    found = ledger(naive_spans())
    assert (found.loads, found.load_s) == (5, pytest.approx(LOAD_S))


def test_a_ledger_has_the_share_of_worker_time_that_went_into_loading() -> None:
    assert ledger(naive_spans()).load_share == pytest.approx(5 * LOAD_S / (IMPORT_S + 5 * LOAD_S + 10 * IMAGE_S))


def test_seconds_per_image_leave_loading_importing_and_waiting_out() -> None:
    late = [*naive_spans(), Span("worker 1", "forward", 99.0, 99.0 + IMAGE_S, 1, 5)]
    assert ledger(late).image_s == pytest.approx(IMAGE_S)


def test_the_batch_size_is_that_of_the_batches_that_ran() -> None:
    smaller_last = [*naive_spans(batches=2, batch_size=4), Span("worker 1", "forward", 90.0, 91.0, 1, 2)]
    assert ledger(smaller_last).batch_images == pytest.approx(3)


def test_lanes_that_only_read_or_decode_are_left_out() -> None:
    others = [Span("reader 9", "read", 0.0, 50.0, 10), Span("decoder 8", "preprocess", 0.0, 50.0, 10)]
    assert ledger([*naive_spans(), *others]) == ledger(naive_spans())


def test_batches_with_the_same_number_in_two_workers_are_two_batches() -> None:
    assert ledger(naive_spans() + naive_spans(worker="worker 3")).batches == 10


def test_a_gap_between_two_spans_of_a_worker_is_waiting() -> None:
    spans = [Span("worker 1", "forward", 0.0, 1.0, 1, 0), Span("worker 1", "forward", 3.0, 4.0, 1, 1)]
    assert ledger(spans).wait_share == pytest.approx(0.5)


def test_nothing_measured_is_unknown_and_not_zero() -> None:
    empty = ledger([])
    assert (empty.load_s, empty.batch_images, empty.image_s, empty.load_share) == (None, None, None, None)
    assert empty.predicted_speedup is None


def test_the_formula_is_one_plus_the_load_over_the_work_of_a_batch() -> None:
    assert loading_speedup(load_s=0.5, batch_images=2, image_s=0.25) == pytest.approx(2.0)


def test_the_formula_is_what_the_busy_seconds_of_many_images_come_to() -> None:
    naive, actor = ledger(naive_spans(batches=4000)), ledger(actor_spans(batches=4000))
    busy = (naive.load_total_s + naive.work_total_s) / (actor.load_total_s + actor.work_total_s)
    assert naive.predicted_speedup == pytest.approx(busy, rel=1e-3)


@pytest.mark.parametrize("wrong", [{"batch_images": 0}, {"image_s": 0}, {"load_s": -1}])
def test_the_formula_refuses_what_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        loading_speedup(**{"load_s": 1.0, "batch_images": 1.0, "image_s": 1.0} | wrong)


def test_a_pool_of_one_worker_pays_from_the_second_load_of_the_naive_run() -> None:
    assert break_even_images(ledger(naive_spans()), ledger(actor_spans())) == 3


def test_a_pool_of_two_workers_has_two_loads_to_make_up_for() -> None:
    naive = ledger(naive_spans() + naive_spans(worker="worker 3"))
    pool = ledger(actor_spans() + actor_spans(worker="worker 4"))
    assert break_even_images(naive, pool) == 5


def test_a_set_up_as_long_as_many_loads_pays_after_as_many_batches() -> None:
    slow_to_start = ledger(actor_spans(load_s=10.2 * LOAD_S))
    assert break_even_images(ledger(naive_spans()), slow_to_start) == 10 * 2 + 1


def test_a_pool_that_sets_up_faster_than_the_naive_run_starts_pays_from_the_first_image() -> None:
    assert break_even_images(ledger(naive_spans()), ledger(actor_spans()[1:])) == 1


@pytest.mark.parametrize("naive", [[], actor_spans()[:1], [Span("worker 1", "forward", 0.0, 1.0, 1, 0)]])
def test_there_is_no_break_even_where_no_load_of_the_naive_run_was_measured(naive: list[Span]) -> None:
    assert break_even_images(ledger(naive), ledger(actor_spans())) is None


def test_a_load_that_takes_no_time_never_pays() -> None:
    free = [Span("worker 1", "load", 0.0, 0.0, 0, 0), Span("worker 1", "forward", 0.0, 1.0, 1, 0)]
    assert break_even_images(ledger(free), ledger(actor_spans())) is None


def test_there_is_no_break_even_without_a_load_of_the_pool() -> None:
    assert break_even_images(ledger(naive_spans()), ledger([])) is None
