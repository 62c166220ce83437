"""Metrics from spans that were written by hand, so that every figure can be checked with a pencil."""

import pytest

from inference.config import RunConfig
from inference.results import (
    Prediction,
    RunRecord,
    Span,
    cumulative_images,
    metrics,
    phase_shares,
    same_label,
    seconds_by_phase,
    speedup,
    throughput,
    with_waits,
)

W, R = "worker 1", "reader 2"


def record(spans: list[Span], predictions: list[Prediction], *, concurrency: int = 1) -> RunRecord:
    return RunRecord(
        id="r",
        state="finished",
        config=RunConfig(concurrency=concurrency),
        created_at=0.0,
        spans=tuple(spans),
        predictions=tuple(predictions),
    )


def answered(*done_s: float, **kwargs: object) -> list[Prediction]:
    return [Prediction(f"{i}.jpg", "cat", 0.9, done_s=t, **kwargs) for i, t in enumerate(done_s)]  # type: ignore[arg-type]


NAIVE_SPANS = [
    Span(R, "read", 0.0, 0.5, images=4),
    Span(W, "load", 1.0, 2.0, batch=0),
    Span(W, "preprocess", 2.0, 2.25, images=2, batch=0),
    Span(W, "forward", 2.25, 3.0, images=2, batch=0),
    Span(W, "load", 3.5, 4.5, batch=1),
    Span(W, "forward", 4.5, 5.0, images=2, batch=1),
]


def test_end_to_end_rate_counts_all_seconds_up_to_the_last_answer() -> None:
    figures = metrics(record(NAIVE_SPANS, answered(3.0, 3.0, 5.0, 5.0)))

    assert (figures.images, figures.total_s, figures.images_per_s) == (4, 5.0, 0.8)
    assert figures.first_prediction_s == 3.0


def test_set_up_ends_when_the_first_image_is_worked_on() -> None:
    assert metrics(record(NAIVE_SPANS, answered(3.0))).setup_s == 2.0


def test_loads_are_counted_and_summed() -> None:
    figures = metrics(record(NAIVE_SPANS, answered(5.0)))

    assert (figures.model_loads, figures.model_load_s) == (2, 2.0)


def test_a_gap_in_a_model_workers_lane_is_waiting_and_a_readers_gap_is_not() -> None:
    spans = [*NAIVE_SPANS, Span(R, "read", 4.0, 4.5)]

    waits = [span for span in with_waits(spans) if span.phase == "wait"]

    assert waits == [Span(W, "wait", 3.0, 3.5)]


def test_overlapping_spans_leave_no_negative_wait() -> None:
    spans = [Span(W, "forward", 0.0, 3.0), Span(W, "forward", 1.0, 2.0), Span(W, "forward", 3.5, 4.0)]

    assert seconds_by_phase(spans)["wait"] == 0.5


def test_phase_shares_are_of_the_model_workers_time_alone_and_add_up() -> None:
    shares = phase_shares(NAIVE_SPANS)

    assert shares["read"] == 0.0
    assert shares["load"] == pytest.approx(2.0 / 4.0)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_steady_state_leaves_out_the_first_batch() -> None:
    figures = metrics(record(NAIVE_SPANS, answered(3.0, 3.0, 5.0, 5.0)))

    assert figures.steady_images_per_s == pytest.approx(2 / 2.0)


def test_steady_state_begins_when_every_worker_has_done_its_first_batch() -> None:
    spans = [
        Span("worker 1", "forward", 0.0, 1.0, batch=0),
        Span("worker 2", "forward", 0.0, 4.0, batch=0),
        Span("worker 1", "forward", 1.0, 6.0, batch=1),
    ]

    figures = metrics(record(spans, answered(1.0, 2.0, 4.0, 5.0, 6.0), concurrency=2))

    assert figures.steady_images_per_s == pytest.approx(2 / 2.0)


def test_a_late_replacement_of_a_dead_worker_does_not_move_the_steady_window() -> None:
    spans = [Span("worker 1", "forward", 0.0, 1.0, batch=0), Span("worker 9", "forward", 7.0, 8.0, batch=0)]

    assert metrics(record(spans, answered(1.0, 8.0))).steady_images_per_s == pytest.approx(1 / 7.0)


def test_one_batch_alone_has_no_steady_state() -> None:
    spans = [Span(W, "forward", 0.0, 1.0, batch=0)]

    assert metrics(record(spans, answered(1.0, 1.0))).steady_images_per_s is None


def test_nothing_measured_is_unknown_and_not_zero() -> None:
    figures = metrics(record([], []))

    assert (figures.images_per_s, figures.setup_s, figures.total_s, figures.accuracy) == (None, None, None, None)


def test_accuracy_counts_only_images_with_an_answer_and_a_truth() -> None:
    predictions = [
        Prediction("a", "three", 0.9, truth="three"),
        Prediction("b", "four", 0.9, truth="three"),
        Prediction("c", "four", 0.9),
        Prediction("d", status="error", reason="broken", truth="three"),
    ]

    figures = metrics(record([], predictions))

    assert (figures.accuracy, figures.errors, figures.images) == (0.5, 1, 4)


@pytest.mark.parametrize(
    ("label", "truth", "same"),
    [
        ("goldfish, Carassius auratus", "goldfish", True),
        ("European fire salamander", "European_fire_salamander", True),
        ("three", "Three", True),
        ("streetcar, tram", "streetcar, tram", True),
        ("three", "thirteen", False),
        ("goldfish", "fish", False),
    ],
)
def test_a_label_is_right_under_any_of_its_names(label: str, truth: str, same: bool) -> None:
    assert same_label(label, truth) is same


def test_throughput_windows_add_up_to_all_images() -> None:
    curve = throughput(answered(*[i * 0.1 for i in range(1, 101)]))

    width = curve[0][0]
    assert sum(rate * width for _, rate in curve) == pytest.approx(100)
    assert curve[-1][0] == pytest.approx(10.0)


def test_cumulative_images_never_fall_and_end_at_all() -> None:
    points = cumulative_images(answered(2.0, 1.0, 2.0))

    assert points == [(1.0, 1), (2.0, 3)]


def test_a_speedup_is_the_ratio_of_rates_within_its_interval() -> None:
    slow = record([], answered(*[1.0 * i for i in range(1, 51)]))
    fast = record([], answered(*[0.25 * i for i in range(1, 51)]))

    ratio = speedup([slow], [fast])

    assert ratio is not None
    assert ratio.ratio == pytest.approx(4.0)
    assert ratio.low <= ratio.ratio <= ratio.high
    assert not ratio.tie


def test_the_same_run_against_itself_is_a_tie() -> None:
    run = record([], answered(*[i + (i % 3) * 0.2 for i in range(1, 41)]))

    ratio = speedup([run], [run])

    assert ratio is not None
    assert ratio.tie


def test_noisy_repeats_widen_the_interval() -> None:
    base = record([], answered(*[float(i) for i in range(1, 41)]))
    steady = [record([], answered(*[0.5 * i for i in range(1, 41)])) for _ in range(3)]
    noisy = [record([], answered(*[step * i for i in range(1, 41)])) for step in (0.25, 0.5, 1.0)]

    narrow, wide = speedup([base], steady), speedup([base], noisy)

    assert narrow is not None
    assert wide is not None
    assert wide.high - wide.low > narrow.high - narrow.low


def test_a_speedup_without_answers_is_unknown() -> None:
    assert speedup([record([], [])], [record([], answered(1.0))]) is None
