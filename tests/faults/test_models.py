"""A model of the hub that cannot be had, or must not be loaded, ends its run with the reason and starts nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inference.bundled import DIGITS_MODEL_DIR
from inference.config import RunConfig
from inference.results import RunRecord
from inference.store import Store
from inference.supervisor import Supervisor
from tests.conftest import wait_until
from tests.engine.conftest import Lab, new_home
from tests.support import hub
from tests.support.command_line import batchscope

ANSWER_S = 15.0
CANCELLED_WITHIN_S = 10.0
CLASSIFIER = {"architectures": ["MineForImageClassification"], "model_type": "mine"}
REFUSED = {
    "someone/nothing": "The hub has no model someone/nothing, or it is private.",
    "someone/gated": "someone/gated is gated: accept its terms on the hub, at http://127.0.0.1:",
    "someone/words": "someone/words is not an image classifier: its architecture is BertModel",
    "someone/pickled": "someone/pickled has no safetensors weights. Pickled weights can run code and are not loaded",
    "someone/with-code": "someone/with-code brings its own code (auto_map), which is never run here.",
    "someone/with-processor": "someone/with-processor brings its own code (auto_map), which is never run here.",
}
WEIGHTS_BYTES = (DIGITS_MODEL_DIR / "model.safetensors").stat().st_size


@dataclass
class World:
    """An engine, and the hub that it believes to be the only one."""

    lab: Lab
    hub: hub.Hub
    marker: Path
    """Made by the code that the models bring, if it ever runs."""

    def run(self, model: str) -> tuple[RunRecord, float]:
        """A finished run, and the seconds from its queueing to its end."""
        (record,) = self.lab.finish(RunConfig(model=model, limit=8, batch_size=4))
        assert record.finished_at is not None
        return record, record.finished_at - record.created_at


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[World]:
    home = new_home(tmp_path_factory.mktemp("models") / "home", samples)
    marker = home / "foreign-code-ran"
    with hub.serving() as served, pytest.MonkeyPatch.context() as patch:
        offer(served, f"from pathlib import Path\nPath({str(marker)!r}).touch()\n".encode())
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
            patch.delenv(name, raising=False)
        patch.setenv("HF_ENDPOINT", served.url)
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("cache")))
        lab = Lab(Store(home), Supervisor(home))
        lab.supervisor.start()  # the engine inherits the environment of this moment
        lab.wait_until_ready()
        yield World(lab, served, marker)
        lab.supervisor.stop()


def offer(served: hub.Hub, code: bytes) -> None:
    """All models of these tests; `code` is what those with code of their own bring."""
    auto_map = {"auto_map": {"AutoModelForImageClassification": "modeling.Mine", "AutoImageProcessor": "modeling.Mine"}}
    with_code = {"modeling.py": code, "__init__.py": code}
    for name in ("gated", "digits", "slow", "silent"):
        served.add(f"someone/{name}", DIGITS_MODEL_DIR)
    served.refused["someone/gated"] = (401, "GatedRepo")
    served.add("someone/words", DIGITS_MODEL_DIR, **{"config.json": b'{"architectures": ["BertModel"]}'})
    served.add("someone/with-unused-code", DIGITS_MODEL_DIR, **with_code)
    served.add(
        "someone/with-code",
        DIGITS_MODEL_DIR,
        **with_code,
        **{"config.json": json.dumps(CLASSIFIER | auto_map).encode()},
    )
    processor = json.loads((DIGITS_MODEL_DIR / "preprocessor_config.json").read_bytes()) | auto_map
    served.add(
        "someone/with-processor",
        DIGITS_MODEL_DIR,
        **with_code,
        **{"preprocessor_config.json": json.dumps(processor).encode()},
    )
    served.add("someone/pickled", DIGITS_MODEL_DIR, **{"pytorch_model.bin": b"\x80\x04."})
    del served.models["someone/pickled"]["model.safetensors"]


@pytest.mark.parametrize("model", REFUSED)
def test_a_model_that_cannot_be_used_fails_its_run_with_the_reason_and_starts_nothing(world: World, model: str) -> None:
    record, seconds = world.run(model)

    assert record.state == "failed"
    assert record.error is not None
    assert record.error.startswith(REFUSED[model])
    assert seconds < ANSWER_S
    assert (record.spans, record.predictions) == ((), ())
    assert not world.marker.exists()


def test_code_that_no_setting_asks_for_is_not_even_fetched(world: World) -> None:
    record, _ = world.run("someone/with-unused-code")

    assert (record.state, record.error) == ("finished", None)
    assert not world.marker.exists()
    assert not [name for name in world.hub.files_sent() if name.endswith(".py")]


def test_without_a_hub_a_cached_model_runs_and_another_is_told_to_be_out_of_reach(world: World) -> None:
    world.run("someone/digits")

    with hub.gone(world.hub):
        cached, _ = world.run("someone/digits")
        other, seconds = world.run("someone/other")

    assert (cached.state, cached.error) == ("finished", None)
    assert other.state == "failed"
    assert other.error == (
        f"someone/other is not cached here, and {world.hub.url} could not be reached: Connection refused. Check the "
        "connection and run it again, or choose digits or resnet-50-untrained."
    )
    assert seconds < ANSWER_S
    assert other.spans == ()


@pytest.mark.parametrize("model", ["someone/gated", "someone/nothing"])
def test_the_command_line_says_why_in_one_sentence_and_fails(world: World, model: str) -> None:
    done = batchscope(world.lab.store.home, "run", "--strategy", "actor", "--model", model, "--limit", 8)

    assert done.returncode == 1
    assert f"failed. {REFUSED[model]}" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("how", ["slow", "silent"])
def test_a_download_is_cancelled_by_its_engine_and_the_next_run_goes_on_with_it(world: World, how: str) -> None:
    served, store, model = world.hub, world.lab.store, f"someone/{how}"
    if how == "slow":
        served.bytes_per_s = WEIGHTS_BYTES // 8
    else:
        served.silent_after = [WEIGHTS_BYTES // 2]
    sent, asked, engine = served.weights_sent, len(served.ranges), store.engine()
    (run_id,) = store.enqueue([RunConfig(model=model, limit=8, batch_size=4)])

    def tells_of_its_download() -> bool:
        progress = world.lab.record(run_id).progress
        return progress is not None and progress.phase.startswith("downloading the model: 1 of 4 MB")

    if how == "slow":
        wait_until(tells_of_its_download, seconds=30, what="some of the download")
    wait_until(lambda: served.weights_sent - sent >= WEIGHTS_BYTES // 4, seconds=30, what="a quarter of the weights")
    asked_at = time.monotonic()
    store.request_cancel(run_id)
    cancelled = world.lab.wait_for_end(run_id)
    seconds = time.monotonic() - asked_at
    served.bytes_per_s = None
    resumed, _ = world.run(model)

    assert (cancelled.state, resumed.state) == ("cancelled", "finished")
    assert seconds < CANCELLED_WITHIN_S
    assert [wanted != "" for wanted in served.ranges[asked:]] == [False, True]
    after = store.engine()
    assert engine is not None
    assert after is not None
    assert after.engine_id == engine.engine_id  # the one that obeyed, not one that replaced it
