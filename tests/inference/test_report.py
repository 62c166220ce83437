"""Runs and comparisons as documents, and why some runs should not be compared."""

import json
from dataclasses import replace
from typing import Any

import pytest

from inference import hardware
from inference.config import RunConfig
from inference.report import comparability, comparison_document, document, grouped_by_strategy
from inference.results import Prediction, RunRecord, Span

MACHINE = hardware.Hardware(cpus=2, cpu_limit=2.0, cpu_model="Test Processor", memory_bytes=8 * 1024**3)
RUN_KEYS = {"id", "state", "config", "hardware", "metrics", "predictions", "error"}
METRIC_KEYS = {
    "images",
    "errors",
    "total_s",
    "setup_s",
    "images_per_s",
    "steady_images_per_s",
    "model_loads",
    "model_load_s",
    "phases",
}
PREDICTION_KEYS = {"image_id", "label", "score", "status", "reason", "truth"}


def run(strategy: str = "actor", *, seconds: float = 4.0, label: str = "cat", **changes: Any) -> RunRecord:
    answers = [
        Prediction(
            f"{n}.jpg", label, 0.9, truth="cat", top=((label, 0.9),), done_s=1 + (seconds - 1) * n / 4, worker="w"
        )
        for n in range(4)
    ]
    answers.append(Prediction("bad.jpg", status="error", reason="the file is empty", done_s=seconds, worker="w"))
    values: dict[str, Any] = {
        "id": f"{strategy} {seconds}",
        "state": "finished",
        "config": RunConfig(strategy=strategy),
        "created_at": 0.0,
        "hardware": hardware.to_dict(MACHINE),
        "spans": (Span("w", "load", 0.5, 1.0, batch=0), Span("w", "forward", 1.0, seconds, 4, batch=0)),
        "predictions": tuple(answers),
    }
    return RunRecord(**(values | changes))


# -- documents ---------------------------------------------------------------------------------------------------


def test_a_run_document_has_its_promised_keys() -> None:
    told = document(run())

    assert set(told) == RUN_KEYS
    assert set(told["metrics"]) >= METRIC_KEYS
    assert all(set(prediction) >= PREDICTION_KEYS for prediction in told["predictions"])


@pytest.mark.parametrize("state", ["queued", "running", "failed", "cancelled", "crashed"])
def test_a_run_without_results_is_a_document_too(state: str) -> None:
    told = document(run(state=state, spans=(), predictions=(), hardware=None, error="why"))

    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["state"], told["hardware"], told["predictions"], told["error"]) == (state, None, [], "why")
    assert told["metrics"]["images_per_s"] is None


def test_a_document_counts_errors_apart_and_keeps_their_reason() -> None:
    told = document(run())

    assert told["metrics"]["images"] == 5
    assert told["metrics"]["errors"] == 1
    assert told["predictions"][-1] == {
        "image_id": "bad.jpg",
        "label": None,
        "score": None,
        "status": "error",
        "reason": "the file is empty",
        "truth": None,
        "top": [],
    }


def test_a_document_survives_json_unchanged() -> None:
    told = document(run())

    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_a_comparison_is_told_against_its_first_strategy() -> None:
    told = comparison_document([run("naive", seconds=8.0), run("actor", seconds=4.0)])

    assert set(told) == {"runs", "speedup", "parity"}
    assert [one["config"]["strategy"] for one in told["runs"]] == ["naive", "actor"]
    assert list(told["speedup"]) == list(told["parity"]) == ["actor"]
    assert set(told["speedup"]["actor"]) == {"ratio", "low", "high"}
    assert told["speedup"]["actor"]["ratio"] == pytest.approx(2.0)
    assert told["parity"]["actor"] == {"agreement": 1.0, "max_score_difference": 0.0}


def test_repeats_of_a_strategy_are_one_side_of_the_comparison() -> None:
    runs = [run("naive", seconds=8.0), run("actor", seconds=4.0), run("actor", seconds=4.4), run("naive", seconds=8.8)]

    told = comparison_document(runs)

    assert len(told["runs"]) == 4
    assert list(told["speedup"]) == ["actor"]
    assert told["speedup"]["actor"]["low"] <= told["speedup"]["actor"]["ratio"] <= told["speedup"]["actor"]["high"]
    assert [len(group) for group in grouped_by_strategy(runs).values()] == [2, 2]


def test_a_side_without_results_has_no_ratio() -> None:
    told = comparison_document([run("naive"), run("actor", state="failed", spans=(), predictions=())])

    assert told["speedup"] == {"actor": None}
    assert told["parity"] == {"actor": {"agreement": None, "max_score_difference": None}}


# -- comparability -----------------------------------------------------------------------------------------------


def test_nothing_stands_against_comparing_the_same_work_on_the_same_machine() -> None:
    assert comparability([run("naive"), run("actor", seconds=2.0)]) == ()


def test_runs_of_different_models_should_not_be_compared() -> None:
    other = run(config=RunConfig(model="resnet-50-untrained"))

    assert comparability([run(), other]) == ("The models differ, so speed and answers are not about the same work.",)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": RunConfig(dataset="imagenette")},
        {"predictions": (Prediction("0.jpg", "cat", 0.9),)},
        {"predictions": tuple(Prediction(f"other/{n}.jpg", "cat", 0.9) for n in range(5))},
    ],
    ids=["data set", "fewer images", "other images"],
)
def test_runs_over_different_images_should_not_be_compared(changes: dict[str, Any]) -> None:
    assert comparability([run(), run(**changes)]) == ("The images differ, so images/s are not about the same work.",)


def test_a_run_that_did_not_finish_is_not_blamed_for_the_images_it_lacks() -> None:
    assert comparability([run(), run(state="cancelled", predictions=())]) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"cpus": 4},
        {"cpu_model": "Another"},
        {"memory_bytes": 16 * 1024**3},
        {"gpus": (hardware.Gpu(index=0, name="H"),)},
        {"versions": (("torch", "2.14.0"),)},
    ],
    ids=["cpus", "processor", "memory", "GPU", "torch"],
)
def test_runs_from_different_machines_should_not_be_compared(change: dict[str, Any]) -> None:
    other = run(hardware=hardware.to_dict(replace(MACHINE, **change)))

    assert comparability([run(), other]) == (
        "The runs come from different machines, so their times cannot be compared.",
    )


def test_every_reason_is_told_once() -> None:
    other = run(
        config=RunConfig(model="resnet-50-untrained", dataset="imagenette"),
        hardware=hardware.to_dict(replace(MACHINE, cpus=64)),
    )

    assert len(comparability([run(), other, other])) == 3


def test_one_run_alone_and_none_can_be_compared() -> None:
    assert comparability([run()]) == comparability([]) == ()
