"""Workers that die again and again: the run fails within bounded time, with one clear cause, and the next one works."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
import pytest

from inference.config import RunConfig
from inference.store import Store
from inference.supervisor import Supervisor
from tests.conftest import wait_until
from tests.engine.conftest import Lab, lab, new_home, processes_of  # noqa: F401  # a fixture

ENDS_WITHIN_S = 120.0
ROOM_BYTES = 3_500_000_000
"""More than an engine takes with a worker that is at rest, and less than the batch below does."""
TOO_LARGE = RunConfig(strategy="pipelined", model="resnet-50-untrained", limit=400, batch_size=400)


def end_its_worker(lab: Lab, name: str) -> None:  # noqa: F811
    """Kill whatever process of the engine carries a part of the model's operator in its title."""
    status = lab.store.engine()
    assert status is not None
    for process in processes_of(status.engine_id):
        with contextlib.suppress(psutil.Error):
            if name in " ".join(process.cmdline()):
                process.kill()


@pytest.mark.parametrize(
    ("strategy", "title"), [("naive", "MapBatches(classify_batch)"), ("actor", "MapWorker(MapBatches(Classifier))")]
)
def test_workers_that_die_each_time_fail_the_run_with_one_clear_cause(lab: Lab, strategy: str, title: str) -> None:  # noqa: F811
    (run_id,) = lab.store.enqueue([RunConfig(strategy=strategy, limit=1000, batch_size=1000)])

    def over() -> bool:
        end_its_worker(lab, title)
        return not lab.record(run_id).active

    wait_until(over, seconds=ENDS_WITHIN_S, what="the end of the run")

    record = lab.record(run_id)
    assert record.state == "failed"
    assert (record.error or "").startswith("A worker's process died, at every try.")
    (after,) = lab.finish(RunConfig(limit=8))
    assert after.state == "finished"


@pytest.mark.alone  # others would take the memory that is to run out, or lose theirs
def test_workers_that_run_out_of_memory_each_time_fail_the_run_with_what_to_lower(
    tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = psutil.virtual_memory()
    if memory.available < 2 * ROOM_BYTES:
        pytest.skip("needs 7 GB of free memory, of which it takes half")
    full = (memory.total - memory.available + ROOM_BYTES) / memory.total
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{full:.3f}")  # what Ray calls a full machine
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    home = new_home(tmp_path / "home", samples)
    lab = Lab(Store(home), Supervisor(home))  # noqa: F811
    lab.supervisor.start()
    try:
        (record,) = lab.finish(TOO_LARGE)
    finally:
        lab.supervisor.stop()

    assert record.state == "failed"
    assert record.error == "A worker took more memory than there is, at every try: lower batch size or concurrency."
