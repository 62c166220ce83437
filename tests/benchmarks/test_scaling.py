import pytest

from benchmarks.scaling import memory_per_worker
from inference.config import RunConfig
from inference.results import Prediction, RunRecord, Sample, Span

MIB = 2**20


def test_the_slope_of_a_worker_s_memory_leaves_out_what_came_before_its_steady_state():
    images = [Prediction(image_id=str(i), label="three", done_s=i + 1.0, worker="worker 1") for i in range(100)]
    grows = [Sample("worker 1", i + 1.5, 0.0, (500 + i) * MIB) for i in range(100)]
    loading = [Sample("worker 1", 0.1, 0.0, 10 * MIB), Sample("reader 2", 9.0, 0.0, 7 * MIB)]
    record = RunRecord(
        id="run",
        state="finished",
        config=RunConfig(),
        created_at=0.0,
        spans=(Span("worker 1", "forward", 0.5, 1.2, 1, 0),),
        samples=(*loading, *grows),
        predictions=tuple(images),
    )
    (memory,) = memory_per_worker(record)
    assert (memory.worker, memory.images) == ("worker 1", 100)
    assert (memory.start_bytes, memory.end_bytes) == (500 * MIB, 599 * MIB)
    assert memory.slope_mib_per_1000_images == pytest.approx(1000)
