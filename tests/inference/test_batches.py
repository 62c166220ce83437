"""A run's batches, one by one."""

from __future__ import annotations

from inference.batches import batches
from inference.results import Span


def test_a_batch_is_all_that_its_worker_did_for_it() -> None:
    (batch,) = batches(
        [
            Span("worker 1", "load", 1.0, 1.5, 0, 3),
            Span("worker 1", "forward", 1.5, 1.75, 1, 3),
            Span("worker 1", "forward", 2.0, 2.25, 1, 3),
        ]
    )
    assert (batch.worker, batch.number, batch.start_s, batch.end_s) == ("worker 1", 3, 1.0, 2.25)
    assert batch.seconds == {"load": 0.5, "forward": 0.5}
    assert batch.images == 2
    assert batch.length_s == 1.25


def test_batches_come_in_order_of_their_beginnings_whatever_their_worker() -> None:
    spans = [
        Span("worker 1", "forward", 3.0, 4.0, 1, 1),
        Span("worker 1", "forward", 0.0, 1.0, 1, 0),
        Span("worker 2", "forward", 0.5, 2.0, 1, 0),
    ]
    assert [(batch.worker, batch.number) for batch in batches(spans)] == [
        ("worker 1", 0),
        ("worker 2", 0),
        ("worker 1", 1),
    ]


def test_readers_decoders_and_what_belongs_to_no_batch_are_left_out() -> None:
    spans = [
        Span("reader 9", "read", 0.0, 1.0, 1, 0),
        Span("decoder 9", "preprocess", 0.0, 1.0, 1, 0),
        Span("worker 1", "load", 0.0, 1.0),
    ]
    assert batches(spans) == []
