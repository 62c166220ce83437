"""Real engines on real Ray, each in a home folder of its own, gone when the tests are over."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from inference.config import RunConfig
from inference.identity import ENGINE_ID_VARIABLE
from inference.results import RunRecord
from inference.store import Store
from inference.supervisor import Supervisor, engine_alive
from tests.conftest import wait_until

RUN_TIMEOUT_S = 120.0


@dataclass
class Lab:
    """A home folder with an engine at work."""

    store: Store
    supervisor: Supervisor

    def finish(self, *configs: RunConfig, compare: bool = False) -> list[RunRecord]:
        """Queue runs, wait for their ends, and return them."""
        ids = self.store.enqueue(configs, compare=compare)
        for run_id in ids:
            self.wait_for_end(run_id)
        return [self.record(run_id) for run_id in ids]

    def wait_for_end(self, run_id: str) -> RunRecord:
        wait_until(lambda: not self.record(run_id).active, seconds=RUN_TIMEOUT_S, what=f"the end of run {run_id}")
        return self.record(run_id)

    def wait_for_images(self, run_id: str, count: int) -> None:
        """Wait until a run has classified some images."""

        def far_enough() -> bool:
            record = self.record(run_id)
            assert record.active, f"ended early: {record.state} {record.error}"
            return len(record.predictions) >= count

        wait_until(far_enough, seconds=RUN_TIMEOUT_S, what=f"{count} images of run {run_id}")

    def record(self, run_id: str) -> RunRecord:
        record = self.store.get(run_id)
        assert record is not None
        return record

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            status = self.store.engine()
            return status is not None and status.state == "ready" and engine_alive(status)

        wait_until(ready, seconds=60, what="the engine to be ready")


def processes_of(engine_id: str) -> list[psutil.Process]:
    """Every living process that an engine started, itself included."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(ENGINE_ID_VARIABLE) == engine_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def new_home(folder: Path, samples: Path) -> Path:
    """A home folder that has its sample images already."""
    (folder / "datasets").mkdir(parents=True)
    shutil.copytree(samples, folder / "datasets" / "digits", copy_function=os.link)
    return folder


@pytest.fixture
def make_lab(tmp_path: Path, samples: Path) -> Iterator[Callable[[], Lab]]:
    """Labs for tests that end engines on purpose; all share one home folder."""
    home = new_home(tmp_path / "home", samples)
    labs: list[Lab] = []

    def make() -> Lab:
        lab = Lab(Store(home), Supervisor(home))
        lab.supervisor.start()
        labs.append(lab)
        return lab

    yield make
    engine_ids = {status.engine_id for lab in labs if (status := lab.store.engine()) is not None}
    for lab in labs:
        lab.supervisor.stop()
    assert [process for engine_id in engine_ids for process in processes_of(engine_id)] == []


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[Lab]:
    """One engine for all tests of a module that leave it alive."""
    home = new_home(tmp_path_factory.mktemp("lab") / "home", samples)
    lab = Lab(Store(home), Supervisor(home))
    lab.supervisor.start()
    lab.wait_until_ready()
    yield lab
    lab.supervisor.stop()
