"""What is derived from samples of the machine, and from the spans of batches."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.cpu import quota_group_cpu_s
from inference.results import Sample, Span
from inference.usage import (
    MOST_STRETCHES,
    Use,
    batch_latencies,
    even_edges,
    gpu_lanes,
    latency,
    mean_busy,
    use_over_time,
    worker_use_over_time,
)

MACHINE = [Sample("machine", at_s, cpu_s, memory) for at_s, cpu_s, memory in [(0, 0, 10), (1, 2, 20), (3, 3, 30)]]


def test_use_is_the_difference_between_samples_over_the_time_between_them() -> None:
    assert use_over_time(MACHINE, "machine") == [Use(0, 2.0, 10), Use(1, 2.0, 20), Use(3, 0.5, 30)]


def test_a_gpus_use_is_its_share_of_the_time() -> None:
    gpu = [Sample("gpu 1", 0.0, 0.0, 5), Sample("gpu 1", 2.0, 1.5, 7)]
    assert use_over_time([*MACHINE, *gpu], "gpu 1")[-1] == Use(2.0, 0.75, 7)


def test_gpus_come_by_their_numbers() -> None:
    assert gpu_lanes([Sample(f"gpu {n}", 0.0, 0.0, 0) for n in (10, 2, 2)] + MACHINE) == ("gpu 2", "gpu 10")


def test_one_sample_tells_no_use() -> None:
    assert use_over_time(MACHINE[:1], "machine") == []
    assert mean_busy([]) is None


def test_the_mean_weighs_stretches_by_their_length() -> None:
    assert mean_busy(use_over_time(MACHINE, "machine")) == pytest.approx((1 * 2.0 + 2 * 0.5) / 3)


def test_a_last_sample_that_comes_at_once_after_another_makes_no_stretch_of_its_own() -> None:
    hasty = [*MACHINE, Sample("machine", 3.01, 3.08, 40)]  # eight ticks of a clock in a hundredth of a second
    uses = use_over_time(hasty, "machine")
    assert [use.at_s for use in uses] == [0, 1, 3.01]
    assert uses[-1].busy == pytest.approx(1.08 / 2.01)


def test_a_long_run_is_cut_into_as_many_stretches_as_a_chart_shows_and_none_of_its_use_is_lost() -> None:
    hours = [Sample("machine", i / 2, 0.75 * i, i) for i in range(20_001)]
    uses = use_over_time(hours, "machine")
    assert len(uses) <= MOST_STRETCHES + 2
    assert mean_busy(uses) == pytest.approx(1.5)


def test_the_workers_use_is_that_of_all_their_processes_and_each_counts_once() -> None:
    samples = [
        Sample("reader 2", 0.0, 5.0, 1),
        Sample("decoder 2", 4.0, 7.0, 1),  # the same process
        Sample("worker 1", 2.0, 1.0, 10),
        Sample("worker 1", 4.0, 3.0, 30),
        *MACHINE,
    ]
    uses = worker_use_over_time(samples, [0.0, 1.0, 2.5, 4.0])
    assert [use.at_s for use in uses] == [0.0, 1.0, 2.5, 4.0]
    assert [use.busy for use in uses] == pytest.approx([0.5, 0.5, 0.5 + 0.5 / 1.5, 1.5])
    assert [use.memory_bytes for use in uses] == [1, 1, 11, 31]


def test_only_what_the_workers_used_between_the_edges_counts() -> None:
    samples = [Sample("worker 1", float(at_s), 0.5 * at_s, 1) for at_s in range(0, 20, 5)]
    assert {use.busy for use in worker_use_over_time(samples, even_edges(9.0, 6.0))} == {0.5}


def test_none_of_the_workers_use_is_lost_between_stretches() -> None:
    samples = [Sample("worker 1", 0.37 * n, 0.3 * n, 1) for n in range(100)]
    uses = worker_use_over_time(samples, even_edges(0.37 * 99))
    assert (mean_busy(uses) or 0.0) * 0.37 * 99 == pytest.approx(0.3 * 99)


def test_without_samples_of_workers_their_use_is_unknown() -> None:
    assert worker_use_over_time(MACHINE, even_edges(3.0)) == []
    assert worker_use_over_time([Sample("worker 1", 0.0, 0.0, 1)], even_edges(0.0)) == []


SPANS = [
    Span("worker 1", "load", 0.0, 5.0, batch=-1),
    Span("worker 1", "preprocess", 5.0, 9.0, 4, 0),
    Span("worker 1", "preprocess", 10.0, 10.5, 4, 1),
    Span("worker 1", "forward", 11.0, 12.0, 4, 1),
    Span("worker 2", "forward", 6.0, 7.0, 4, 0),
    Span("worker 2", "forward", 8.0, 8.25, 4, 1),
    Span("decoder 3", "preprocess", 0.0, 60.0, 4, 1),
]


def test_a_batch_takes_from_its_first_span_to_the_end_of_its_last_and_each_workers_first_is_left_out() -> None:
    assert batch_latencies(SPANS) == [0.25, 2.0]


def test_a_worker_that_is_seen_only_from_a_later_batch_on_has_that_one_left_out() -> None:
    assert batch_latencies([Span("worker 1", "forward", float(n), n + 0.5, 1, n) for n in (7, 8)]) == [0.5]


def test_percentiles_of_many_one_and_no_batches() -> None:
    many = latency([float(n) for n in range(101)])
    assert many is not None
    assert (many.batches, many.p50_s, many.p95_s, many.max_s) == (101, 50.0, 95.0, 100.0)
    one = latency([0.3])
    assert one is not None
    assert (one.p50_s, one.p95_s, one.max_s) == (0.3, 0.3, 0.3)
    assert latency([]) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000", "cpu.stat": "usage_usec 2500000\nuser_usec 1"}, 2.5),
        ({"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000", "cpuacct.usage": "1500000000"}, 1.5),
        ({"cpu.max": "max 100000", "cpu.stat": "usage_usec 2500000"}, None),
        ({"cpu.max": "150000 100000"}, None),
    ],
)
def test_under_a_quota_only_the_groups_own_seconds_count(
    tmp_path: Path, files: dict[str, str], expected: float | None
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/\n" if "cpu.max" in files else "1:cpu:/\n")
    group = tmp_path / "cgroup" if "cpu.max" in files else tmp_path / "cgroup" / "cpu"
    group.mkdir(parents=True)
    for name, text in files.items():
        (group / name).write_text(text)
    assert quota_group_cpu_s(tmp_path, tmp_path / "cgroup") == expected
