"""Runs on real Ray, with the bundled model."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from inference.bundled import DIGITS_MODEL_DIR
from inference.config import RunConfig
from inference.parity import agreement
from inference.report import comparison_document
from inference.results import RunRecord, metrics, model_workers
from tests.conftest import wait_until
from tests.engine.conftest import Lab, processes_of

pytestmark = pytest.mark.alone

LIMIT, BATCH = 100, 4
SLOW = RunConfig(model="resnet-50-untrained", limit=60, batch_size=4)


@pytest.fixture(scope="module")
def comparison(lab: Lab) -> list[RunRecord]:
    configs = [RunConfig(strategy=strategy, limit=LIMIT, batch_size=BATCH) for strategy in ("naive", "actor")]
    return lab.finish(*configs, compare=True)


def ids_of(record: RunRecord) -> Counter[str]:
    return Counter(prediction.image_id for prediction in record.predictions)


def test_both_strategies_finish_and_answer_every_image_exactly_once(comparison: list[RunRecord]) -> None:
    for record in comparison:
        assert (record.state, record.error) == ("finished", None)
        assert len(ids_of(record)) == LIMIT
        assert set(ids_of(record).values()) == {1}


def test_both_strategies_read_the_held_out_digits(comparison: list[RunRecord]) -> None:
    for record in comparison:
        accuracy = metrics(record).accuracy
        assert accuracy is not None
        assert accuracy >= 0.97


def test_naive_loads_the_model_for_every_batch_and_actor_once(comparison: list[RunRecord]) -> None:
    naive, actor = map(metrics, comparison)

    assert (naive.model_loads, actor.model_loads) == (LIMIT // BATCH, 1)
    assert naive.model_load_s > actor.model_load_s > 0


def test_the_answers_are_the_same(comparison: list[RunRecord]) -> None:
    agreed = agreement(*comparison)

    assert (agreed.images, agreed.agree) == (LIMIT, LIMIT)
    assert agreed.max_score_difference is not None
    assert agreed.max_score_difference < 1e-5


def test_each_answer_has_five_scores_in_order_that_sum_to_at_most_one(comparison: list[RunRecord]) -> None:
    for prediction in comparison[0].predictions:
        scores = [score for _, score in prediction.top]
        assert len(scores) == 5
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) <= 1.0 + 1e-6
        assert prediction.top[0] == (prediction.label, prediction.score)


def test_reading_is_fused_into_neither_strategy(comparison: list[RunRecord]) -> None:
    for record in comparison:
        assert record.plan is not None
        physical = record.plan.split("-------- Physical Plan (Optimized) --------")[1].split("--------")[0]
        assert "MapBatches(read_block)]" in physical
        assert "read_block)->" not in physical
        assert record.operators[0].name == "MapBatches(read_block)"


def test_spans_of_a_worker_lie_inside_the_run_and_do_not_overlap(comparison: list[RunRecord]) -> None:
    for record in comparison:
        for worker in model_workers(record.spans):
            lane = sorted((s for s in record.spans if s.worker == worker), key=lambda span: span.start_s)
            assert lane[0].start_s >= 0
            assert all(before.end_s <= after.start_s + 1e-4 for before, after in itertools.pairwise(lane))


def test_the_operators_last_progress_counts_every_image(comparison: list[RunRecord]) -> None:
    for record in comparison:
        assert [operator.rows for operator in record.operators] == [LIMIT, LIMIT]
        assert all(operator.tasks_finished >= 10 for operator in record.operators)


def test_a_comparison_document_has_the_first_strategy_as_baseline(comparison: list[RunRecord]) -> None:
    document = json.loads(json.dumps(comparison_document(comparison), allow_nan=False))

    assert list(document["speedup"]) == list(document["parity"]) == ["actor"]
    assert document["parity"]["actor"]["agreement"] == 1.0
    assert document["speedup"]["actor"]["low"] <= document["speedup"]["actor"]["ratio"]


def test_a_batch_larger_than_the_data_set_works_and_says_so(lab: Lab) -> None:
    (record,) = lab.finish(RunConfig(limit=10, batch_size=64))

    assert (record.state, len(record.predictions)) == ("finished", 10)
    assert any("larger than the data set" in message for message in record.messages)


def test_a_run_that_does_not_fit_fails_with_the_sum_and_starts_nothing(lab: Lab) -> None:
    (record,) = lab.finish(RunConfig(concurrency=256))

    assert record.state == "failed"
    assert record.error is not None
    assert "256 workers × 1 CPU + 1 for reading" in record.error
    assert record.spans == ()


@pytest.mark.parametrize(
    ("config", "weights", "reason"),
    [
        ({"architectures": ["BertModel"]}, "model.safetensors", "is not an image classifier"),
        ({"architectures": ["ResNetForImageClassification"]}, "pytorch_model.bin", "no safetensors weights"),
        (
            {"architectures": ["MineForImageClassification"], "auto_map": {"AutoModel": "m.py"}},
            "model.safetensors",
            "brings its own code",
        ),
    ],
)
def test_a_model_that_is_not_safe_to_load_is_refused(
    lab: Lab, tmp_path: Path, config: dict[str, object], weights: str, reason: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / weights).touch()

    (record,) = lab.finish(RunConfig(model=str(tmp_path)))

    assert record.state == "failed"
    assert record.error is not None
    assert reason in record.error


def test_a_constructor_that_raises_fails_the_run_with_one_clear_cause(lab: Lab, tmp_path: Path) -> None:
    for path in DIGITS_MODEL_DIR.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    settings = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(settings | {"hidden_act": "none that exists"}), encoding="utf-8")

    (record,) = lab.finish(RunConfig(model=str(tmp_path)))

    assert record.state == "failed"
    assert record.error is not None
    assert record.error.startswith("The workers failed: ")
    assert "Traceback" not in record.error


@pytest.mark.parametrize("strategy", ["naive", "actor"])
def test_a_killed_worker_costs_no_image_and_is_told(lab: Lab, strategy: str) -> None:
    (run_id,) = lab.store.enqueue([SLOW.with_(strategy=strategy)])
    lab.wait_for_images(run_id, 16)
    victim = model_workers(lab.record(run_id).spans)[-1]

    os.kill(int(victim.split()[1]), signal.SIGKILL)

    record = lab.wait_for_end(run_id)
    assert (record.state, record.error) == ("finished", None)
    assert len(ids_of(record)) == SLOW.limit
    assert set(ids_of(record).values()) == {1}
    assert any("died" in message for message in record.messages)


def test_progress_is_saved_at_least_once_a_second(lab: Lab) -> None:
    (run_id,) = lab.store.enqueue([SLOW])
    seen: list[float] = []

    def watch() -> bool:
        summary = lab.store.summary(run_id)
        assert summary is not None
        if summary.progress and summary.progress.images_total and summary.progress.elapsed_s not in seen[-1:]:
            seen.append(summary.progress.elapsed_s)
        return not summary.active

    wait_until(watch, seconds=120, what="the end of the run")

    assert len(seen) >= 5
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 1.5


def test_rays_ports_listen_on_loopback_alone(lab: Lab) -> None:
    status = lab.store.engine()
    assert status is not None
    listening = [
        connection.laddr.ip
        for process in processes_of(status.engine_id)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} <= {"127.0.0.1", "::1"}


def test_a_stranger_without_the_token_gets_no_answer_from_ray(lab: Lab, tmp_path: Path) -> None:
    status = lab.store.engine()
    assert status is not None
    gcs = next(p for p in processes_of(status.engine_id) if p.name() == "gcs_server")
    ports = [c.laddr.port for c in gcs.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN]
    stranger = (
        "import sys, ray._raylet as r\n"
        "from ray._raylet import GcsClient\n"
        "try:\n"
        f"    print('ANSWER', GcsClient(address='127.0.0.1:{ports[0]}').internal_kv_keys(b'', None, 3))\n"
        "except Exception as error:\n"
        "    print('REFUSED', error)\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", stranger], capture_output=True, text=True, env=environment, timeout=60, check=False
    )

    assert "ANSWER" not in done.stdout
    with socket.create_connection(("127.0.0.1", ports[0]), timeout=5):
        pass  # the port itself is open: it was the token that was missing
