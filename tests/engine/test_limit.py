"""What this machine could do: measured for real, by itself after a run, and out of the way when one comes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inference import ceiling, hardware, listing
from inference.bundled import DIGITS_MODEL_DIR
from inference.config import RunConfig
from inference.errors import RunCancelled, RunFailed
from inference.limits import Limit, LimitKey
from inference.results import metrics
from tests.conftest import wait_until
from tests.engine.conftest import Lab
from tests.engine.test_cli import document, succeeded

pytestmark = pytest.mark.alone

MEASURED_WITHIN_S = 150.0


def job(samples: Path, *, folder: Path = DIGITS_MODEL_DIR) -> ceiling.Job:
    paths = tuple(str(path) for path in sorted(samples.glob("*.jpg"))[:50])
    return ceiling.job_for(RunConfig(strategy="pipelined"), hardware.detect(samples), folder, paths)


@pytest.fixture(scope="module")
def limit(samples: Path) -> Limit:
    return ceiling.measure(job(samples))


def test_a_measured_limit_is_slower_than_each_of_its_parts(limit: Limit) -> None:
    assert 0 < limit.images_per_s < min(limit.prepare_images_per_s, limit.best_forward.images_per_s)


def test_every_engine_that_is_ready_here_was_tried(limit: Limit, samples: Path) -> None:
    assert [way.backend for way in limit.forwards] == list(job(samples).backends)


def test_the_operations_of_the_bundled_model_are_counted(limit: Limit) -> None:
    """121,847,552 by hand: two for each multiplication with addition of its convolutions and its last layer."""
    assert limit.flops_per_image == 121_847_552


def test_a_measurement_that_must_give_way_ends_at_once_with_all_its_processes(samples: Path) -> None:
    with pytest.raises(RunCancelled):
        ceiling.measure(job(samples), keep_going=lambda: False)

    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"{sys.executable} -m inference.ceiling" not in listed


def test_a_model_that_cannot_be_loaded_is_a_failure_with_its_reason(samples: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="could not be measured"):
        ceiling.measure(job(samples, folder=tmp_path))


def test_a_finished_run_has_its_limit_measured_while_nobody_waits_and_a_run_comes_first(lab: Lab) -> None:
    config = RunConfig(strategy="pipelined", limit=32, batch_size=8)
    key = LimitKey(hardware.fingerprint(hardware.detect(lab.store.home)), "digits", "digits", "float32")

    lab.finish(config)
    wait_until(lambda: _message(lab).startswith("measuring"), seconds=60, what="the measurement to begin")
    (second,) = lab.finish(config)
    wait_until(lambda: lab.store.limits.get(key), seconds=MEASURED_WITHIN_S, what="the limit")

    limit = lab.store.limits.get(key)
    steady = metrics(second).steady_images_per_s
    assert second.state == "finished"
    assert limit is not None
    assert steady is not None
    assert lab.store.limits.state(key) == "measured"


def test_a_limit_that_cannot_be_measured_says_why_and_is_not_tried_again_and_again(lab: Lab) -> None:
    machine = hardware.fingerprint(hardware.detect(lab.store.home))
    key = LimitKey(machine, "digits", listing.IMAGENETTE, "float32")

    lab.store.limits.request(key)
    wait_until(lambda: lab.store.limits.state(key) != "requested", seconds=MEASURED_WITHIN_S, what="an answer")

    assert "network" in lab.store.limits.state(key)
    assert lab.store.limits.get(key) is None


def test_the_ladder_command_gives_every_step_what_it_bought_and_whether_the_answers_agree(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")  # compiling has tests of its own, and takes half a minute

    done = succeeded(lab.store.home, "ladder", "--limit", 24, "--repeats", 1, "--json")

    found = document(done)
    names = [step["name"] for step in found["steps"]]
    assert names[:5] == ["naive", "load once", "whole batches", "batch 16", "overlap"]
    assert found["steps"][0]["versus_previous"] is None
    assert all(step["versus_previous"].keys() == {"ratio", "low", "high"} for step in found["steps"][1:5])
    assert all(step["agreement"] == 1.0 for step in found["steps"][1:4])
    assert found["best"] in names
    assert found["limit"]["images_per_s"] > 0
    assert found["sentence"]


def test_the_limit_command_says_what_the_limit_is_made_of(lab: Lab) -> None:
    done = succeeded(lab.store.home, "limit", "--json")

    found = document(done)
    assert found["model"] == "digits"
    assert found["images_per_s"] == pytest.approx(
        1 / (1 / found["prepare_images_per_s"] + 1 / max(way["images_per_s"] for way in found["forwards"]))
    )
    assert json.dumps(found)


def _message(lab: Lab) -> str:
    status = lab.store.engine()
    return status.message if status is not None else ""
