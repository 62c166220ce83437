"""Metrics from spans that were written by hand, so that every figure can be checked with a pencil."""

import pytest

from inference.config import RunConfig
from inference.results import (
    Prediction,
    RunRecord,
    Sample,
    Span,
    cumulative_images,
    median_run,
    metrics,
    model_workers,
    phase_shares,
    ready_seconds,
    same_label,
    seconds_by_phase,
    speedup,
    throughput,
    with_waits,
)

W, R, D = "worker 1", "reader 2", "decoder 3"


def record(
    spans: list[Span],
    predictions: list[Prediction],
    *,
    concurrency: int = 1,
    samples: tuple[Sample, ...] = (),
    state: str = "finished",
) -> RunRecord:
    return RunRecord(
        id="r",
        state=state,
        samples=samples,
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


PIPELINED_SPANS = [
    Span(R, "read", 0.0, 0.5, images=4),
    Span(D, "preprocess", 0.5, 1.0, images=2),
    Span(W, "load", 0.5, 1.5),
    Span(W, "warmup", 1.5, 2.5),
    Span(D, "preprocess", 3.0, 3.5, images=2),
    Span(W, "forward", 3.0, 4.0, images=2, batch=0),
    Span(W, "forward", 4.5, 5.0, images=2, batch=1),
]


def test_set_up_ends_when_the_first_image_is_worked_on() -> None:
    assert metrics(record(NAIVE_SPANS, answered(3.0))).setup_s == 2.0


def test_set_up_lasts_until_a_worker_that_holds_the_model_has_an_image_whatever_was_decoded_before() -> None:
    assert metrics(record(PIPELINED_SPANS, answered(4.0))).setup_s == 3.0


def test_lanes_that_read_or_decode_are_no_workers() -> None:
    assert model_workers(PIPELINED_SPANS) == (W,)
    assert metrics(record(PIPELINED_SPANS, answered(4.0))).workers == 1


def test_a_decoders_gap_is_nobodys_waiting() -> None:
    waits = [(span.worker, span.start_s, span.end_s) for span in with_waits(PIPELINED_SPANS) if span.phase == "wait"]

    assert waits == [(W, 2.5, 3.0), (W, 4.0, 4.5)]


def test_what_decoders_do_counts_among_all_seconds_and_not_among_the_workers() -> None:
    assert seconds_by_phase(PIPELINED_SPANS)["preprocess"] == 1.0
    assert seconds_by_phase(PIPELINED_SPANS, workers_only=True)["preprocess"] == 0.0
    assert seconds_by_phase(PIPELINED_SPANS)["warmup"] == 1.0


SAMPLES = (
    Sample("reader 2", 0.0, 10.0, 50),
    Sample("reader 2", 1.0, 10.5, 900),
    Sample("decoder 2", 1.0, 10.5, 80),  # the same process
    Sample("decoder 2", 2.0, 12.0, 80),
    Sample("worker 1", 0.5, 3.0, 100),
    Sample("worker 1", 4.0, 7.0, 300),
    Sample("worker 1", 5.0, 8.0, 200),
)


def test_cpu_seconds_are_those_since_each_process_was_first_seen_and_a_process_counts_once() -> None:
    assert metrics(record([], [], samples=SAMPLES)).cpu_s == pytest.approx(2.0 + 5.0)


def test_the_peak_is_the_most_that_one_worker_had_and_readers_do_not_count() -> None:
    assert metrics(record([], [], samples=SAMPLES)).peak_worker_memory_bytes == 300


def test_what_the_machine_and_its_gpus_used_is_no_workers() -> None:
    beneath = [Sample(lane, at_s, 90 * at_s, 2**40) for lane in ("machine", "gpu 0", "gpu 1") for at_s in (0.0, 5.0)]
    assert metrics(record([], [], samples=(*SAMPLES, *beneath))) == metrics(record([], [], samples=SAMPLES))


def test_without_samples_cpu_and_memory_are_unknown() -> None:
    figures = metrics(record(NAIVE_SPANS, answered(3.0)))

    assert (figures.cpu_s, figures.peak_worker_memory_bytes) == (None, None)


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


def test_workers_are_ready_when_the_last_of_them_has_done_its_first_batch() -> None:
    spans = [
        Span("worker 1", "load", 0.0, 0.5),
        Span("worker 1", "forward", 0.5, 1.0, batch=0),
        Span("worker 2", "forward", 0.5, 4.0, batch=0),
        Span("decoder 3", "preprocess", 0.0, 9.0, batch=0),
        Span("worker 1", "forward", 1.0, 6.0, batch=1),
    ]

    assert ready_seconds(record(spans, [], concurrency=2)) == 4.0
    assert ready_seconds(record([Span(W, "load", 0.0, 1.0)], [])) is None


def test_answers_of_the_batch_that_ends_the_wait_are_not_steady_state_whatever_their_last_microsecond() -> None:
    spans = [Span(W, "forward", 0.0, 1.0, batch=0), Span(W, "forward", 1.0, 3.0, batch=1)]

    figures = metrics(record(spans, answered(1.0, 1.000001, 2.0, 3.0)))

    assert figures.steady_images_per_s == pytest.approx(2 / 2.0)


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


def slow_to_start(setup_s: float, step_s: float) -> RunRecord:
    moments = [setup_s + i * step_s for i in range(1, 61)]
    spans = [Span(W, "forward", setup_s, moments[9], batch=0), Span(W, "forward", moments[9], moments[-1], batch=1)]
    return record(spans, answered(*moments))


def test_a_steady_speedup_leaves_out_what_each_side_pays_before_its_first_batch_is_done() -> None:
    slow, fast = slow_to_start(1.0, 0.4), slow_to_start(30.0, 0.1)

    end_to_end, steady = speedup([slow], [fast]), speedup([slow], [fast], steady=True)

    assert end_to_end is not None
    assert steady is not None
    assert end_to_end.ratio < 1
    assert steady.ratio == pytest.approx(4.0)
    assert steady.low <= 4.0 + 1e-9
    assert steady.high >= 4.0 - 1e-9


def test_a_steady_speedup_is_unknown_where_one_side_has_nothing_but_first_batches() -> None:
    short = record([Span(W, "forward", 0.0, 1.0, batch=0)], answered(1.0))

    assert speedup([short], [slow_to_start(1.0, 0.1)], steady=True) is None


def test_of_several_repeats_the_one_in_the_middle_by_speed_stands_for_them() -> None:
    fast, middle, slow = (record([], answered(seconds)) for seconds in (1.0, 2.0, 3.0))

    assert median_run([slow, fast, middle]) is middle
    assert median_run([slow, fast]) is slow


def test_a_repeat_that_did_not_finish_stands_for_all() -> None:
    failed = record([], [], state="failed")

    assert median_run([record([], answered(1.0)), failed, record([], answered(2.0))]) is failed
