"""Engines and supervisors as real processes, ended in every way there is."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from inference.config import RunConfig
from inference.identity import ray_folder
from inference.store import Store
from inference.supervisor import Supervisor, engine_alive
from tests.conftest import wait_until
from tests.engine.conftest import Lab, new_home, processes_of

pytestmark = pytest.mark.alone

SLOW = RunConfig(strategy="naive", limit=1000, batch_size=1)
"""A load for every image: it goes on for longer than any test."""
WITH_ACTORS = RunConfig(limit=1000, batch_size=1)
QUICK = RunConfig(limit=20)

KEEPER = """
import sys, time
from pathlib import Path
from inference.supervisor import Supervisor
Supervisor(Path(sys.argv[1])).start()
time.sleep(600)
"""


def engine_id(lab: Lab) -> str:
    status = lab.store.engine()
    assert status is not None
    return status.engine_id


def start_keeper(home: Path) -> subprocess.Popen[bytes]:
    """A process that keeps an engine, as the web server does."""
    return subprocess.Popen([sys.executable, "-c", KEEPER, str(home)], cwd=Path(__file__).parents[2])


def test_a_running_run_is_cancelled_within_ten_seconds_and_the_next_one_works(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    run_id, queued_id = lab.store.enqueue([WITH_ACTORS, WITH_ACTORS])
    lab.wait_for_images(run_id, 4)
    lab.store.request_cancel(queued_id)
    lab.store.request_cancel(run_id)

    wait_until(lambda: not lab.record(run_id).active, seconds=10, what="the run to be cancelled")

    assert [lab.record(i).state for i in (run_id, queued_id)] == ["cancelled", "cancelled"]
    wait_until(
        lambda: not [p for p in processes_of(engine_id(lab)) if "MapWorker" in p.name()],
        seconds=5,
        what="its actors to be gone",
    )
    (record,) = lab.finish(QUICK)
    assert (record.state, len(record.predictions)) == ("finished", 20)


def test_a_run_is_cancelled_while_its_engine_still_prepares_it(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    (run_id,) = lab.store.enqueue([SLOW])
    wait_until(lambda: lab.record(run_id).state == "running", seconds=60, what="the run to be claimed")

    lab.store.request_cancel(run_id)

    wait_until(lambda: not lab.record(run_id).active, seconds=10, what="the run to be cancelled")
    assert lab.record(run_id).state == "cancelled"


def test_a_killed_engine_leaves_no_process_and_no_running_run_and_is_replaced(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    (run_id,) = lab.store.enqueue([SLOW])
    lab.wait_for_images(run_id, 4)
    status = lab.store.engine()
    assert status is not None

    os.kill(status.pid, signal.SIGKILL)

    wait_until(lambda: not lab.record(run_id).active, seconds=15, what="the run to be marked")
    record = lab.record(run_id)
    assert record.state == "crashed"
    assert record.error is not None
    assert "engine" in record.error
    assert record.predictions, "what was measured until then is kept"
    wait_until(lambda: processes_of(status.engine_id) == [], seconds=15, what="its processes to be gone")
    assert not ray_folder(status.engine_id).exists()
    (after,) = lab.finish(QUICK)
    assert after.state == "finished"
    assert engine_id(lab) != status.engine_id


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_when_rays_own_process_dies_the_run_has_crashed_and_the_next_one_works(
    make_lab: Callable[[], Lab], name: str
) -> None:
    lab = make_lab()
    (run_id,) = lab.store.enqueue([SLOW])
    lab.wait_for_images(run_id, 4)
    process = next(p for p in processes_of(engine_id(lab)) if p.name() == name)

    process.kill()

    wait_until(lambda: not lab.record(run_id).active, seconds=30, what="the run to be marked")
    assert lab.record(run_id).state == "crashed"
    (after,) = lab.finish(QUICK)
    assert after.state == "finished"


def test_two_servers_share_one_engine_and_the_second_takes_over(make_lab: Callable[[], Lab]) -> None:
    first = make_lab()
    first.wait_until_ready()
    second = make_lab()
    first_engine = engine_id(first)
    (record,) = second.finish(QUICK)
    assert record.state == "finished"
    assert engine_id(second) == first_engine

    first.supervisor.stop()

    (record,) = second.finish(QUICK)
    assert record.state == "finished"
    assert engine_id(second) != first_engine


@pytest.mark.parametrize("engine_too", [False, True], ids=["the server", "the server and its engine"])
def test_after_a_kill_of(tmp_path: Path, samples: Path, engine_too: bool) -> None:
    home = new_home(tmp_path / "home", samples)
    store = Store(home)
    keeper = start_keeper(home)
    try:
        (run_id,) = store.enqueue([SLOW])
        wait_until(lambda: len(store.recent(run_id, predictions=4)) == 4, seconds=90, what="the run to get going")
        status = store.engine()
        assert status is not None
        keeper.kill()
        if engine_too:
            os.kill(status.pid, signal.SIGKILL)
        else:
            wait_until(lambda: not psutil.pid_exists(status.pid), seconds=10, what="the engine to follow its server")
            wait_until(lambda: processes_of(status.engine_id) == [], seconds=5, what="its processes to be gone")
    finally:
        keeper.kill()
        keeper.wait()

    lab_after = Lab(store, Supervisor(home))
    lab_after.supervisor.start()
    try:
        crashed = lab_after.wait_for_end(run_id)
        assert crashed.state == "crashed"
        (after,) = lab_after.finish(QUICK)
        assert after.state == "finished"
        assert processes_of(status.engine_id) == []
    finally:
        lab_after.supervisor.stop()


def test_stopping_the_supervisor_leaves_no_process_within_ten_seconds(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    lab.wait_until_ready()
    status = lab.store.engine()
    assert status is not None
    assert engine_alive(status)

    lab.supervisor.stop()

    assert processes_of(status.engine_id) == []
    assert not ray_folder(status.engine_id).exists()


def test_a_foreign_ray_address_in_the_environment_is_ignored(
    make_lab: Callable[[], Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    lab = make_lab()

    (record,) = lab.finish(QUICK)

    assert (record.state, record.error) == ("finished", None)
