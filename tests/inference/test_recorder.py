"""Spans are taken down whatever happens in them, and arrive as they were."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from inference import recorder
from inference.recorder import Recorder, decode, encode, merge, recorder_of_process
from inference.results import Sample, Span


def spans_of(taken: Recorder) -> list[Span]:
    return decode(taken.drain())[0]


def samples_of(taken: Recorder) -> list[Sample]:
    return decode(taken.drain())[1]


def test_spans_survive_encoding_to_the_microsecond() -> None:
    spans = [
        Span("worker 1", "load", 0.123456, 7.654321, 0, 0),
        Span("reader 22", "read", 1e5 + 0.000001, 1e5 + 0.5, 32, -1),
        Span('Ä "quoted"\n', "forward", -0.25, 0.0, 1, 3),
    ]

    assert decode(encode(spans)) == (spans, [])


def test_times_are_rounded_to_the_microsecond() -> None:
    ((span,), _) = decode(encode([Span("w", "load", 1 / 3, 2 / 3)]))

    assert (span.start_s, span.end_s) == (0.333333, 0.666667)


def test_samples_travel_with_spans_and_are_told_apart_from_them() -> None:
    spans = [Span("worker 1", "forward", 0.5, 1.0, 4, 0)]
    samples = [Sample("worker 1", 0.25, 3.000001, 700 * 1024**2), Sample("reader 2", 0.5, 0.0, 0)]

    assert decode(encode(spans, samples)) == (spans, samples)


def test_merged_texts_hold_what_each_of_them_held() -> None:
    span, sample = Span("worker 1", "load", 0.0, 1.0), Sample("worker 2", 1.0, 2.0, 3)

    assert decode(merge([encode([span]), "", encode([], [sample])])) == ([span], [sample])
    assert decode(merge(["", ""])) == ([], [])


def test_no_spans_and_no_text_are_the_same() -> None:
    assert decode(encode([])) == decode("") == ([], [])


def test_a_span_is_recorded_when_its_body_raises_and_the_error_goes_on() -> None:
    taken = Recorder("worker", recorder.now_s())

    with pytest.raises(ValueError, match="out of"), taken.span("load", images=3):
        raise ValueError("out of memory")

    (span,) = spans_of(taken)
    assert (span.phase, span.images) == ("load", 3)
    assert 0 <= span.start_s <= span.end_s


def test_an_inner_span_lies_within_the_outer_one() -> None:
    taken = Recorder("worker", recorder.now_s())

    with taken.span("preprocess"), taken.span("read"):
        pass

    inner, outer = spans_of(taken)
    assert (inner.phase, outer.phase) == ("read", "preprocess")
    assert outer.start_s <= inner.start_s <= inner.end_s <= outer.end_s


def test_the_lane_names_role_and_process() -> None:
    assert Recorder("reader", 0.0).worker == f"reader {os.getpid()}"


def test_spans_before_the_first_batch_belong_to_none_and_later_ones_to_theirs() -> None:
    taken = Recorder("worker", recorder.now_s())

    with taken.span("import"):
        pass
    for _ in range(2):
        taken.next_batch()
        with taken.span("forward"):
            pass

    assert [span.batch for span in spans_of(taken)] == [-1, 0, 1]


def test_draining_hands_out_every_span_once() -> None:
    taken = Recorder("worker", recorder.now_s())
    with taken.span("forward"):
        pass

    assert len(spans_of(taken)) == 1
    assert spans_of(taken) == []


def test_a_recorder_samples_the_process_when_it_begins_and_whenever_it_is_drained() -> None:
    taken = Recorder("worker", recorder.now_s())

    first, last = samples_of(taken)
    (later,) = samples_of(taken)

    assert first.worker == taken.worker
    assert 0 <= first.at_s <= last.at_s <= later.at_s


WORKING_PROCESS = """
import time
from inference import recorder
taken = recorder.Recorder("worker", recorder.now_s())
held = bytearray(b"1") * (64 * 1024**2)
end_at = time.process_time() + 0.3
while time.process_time() < end_at:
    sum(range(1000))
print(taken.drain())
"""


def test_samples_count_the_cpu_seconds_and_the_own_memory_of_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKING_PROCESS], capture_output=True, text=True, check=True, timeout=60
    )

    _, (before, after) = decode(done.stdout)
    assert 0.25 <= after.cpu_s - before.cpu_s < 5
    assert 60 * 1024**2 <= after.memory_bytes - before.memory_bytes < 90 * 1024**2


def test_the_clock_is_the_wall_clock_and_never_goes_back() -> None:
    readings = [recorder.now_s() for _ in range(1000)]

    assert readings == sorted(readings)
    assert abs(readings[-1] - time.time()) < 1


def test_tasks_of_one_run_share_a_recorder_and_those_of_another_run_do_not() -> None:
    first = recorder_of_process("worker", 1.0)

    assert recorder_of_process("worker", 1.0) is first
    assert recorder_of_process("reader", 1.0) is not first
    assert recorder_of_process("worker", 2.0) is not first


def test_a_process_that_was_ready_before_the_run_adds_no_start() -> None:
    taken = Recorder("worker", recorder.now_s())

    taken.add_process_start()

    assert spans_of(taken) == []


def test_a_process_that_started_during_the_run_adds_its_start_once() -> None:
    taken = Recorder("worker", psutil.Process().create_time() - 5.0)

    taken.add_process_start()
    taken.add_process_start()

    (span,) = spans_of(taken)
    assert span.phase == "start"
    assert span.start_s == pytest.approx(5.0, abs=0.05)
    assert span.end_s > span.start_s


IMPORTING_PROCESS = """
import psutil
from inference import recorder
begun = psutil.Process().create_time() - 1.0
recorder.note_imports(begun + 2.0, begun + 3.0)
taken = recorder.Recorder("worker", begun)
taken.add_process_start()
print(taken.drain())
"""


def test_what_a_process_imported_ahead_is_told_apart_from_its_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING_PROCESS], capture_output=True, text=True, check=True, timeout=60
    )

    (started, imported), _ = decode(done.stdout)
    assert (started.phase, imported.phase) == ("start", "import")
    assert (started.start_s, started.end_s) == pytest.approx((1.0, 2.0), abs=0.05)
    assert (imported.start_s, imported.end_s) == pytest.approx((2.0, 3.0), abs=0.05)
