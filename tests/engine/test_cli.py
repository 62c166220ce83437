"""The command line as other programs use it: what it prints, where, and with which exit status."""

import csv
import json
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from inference.identity import ENGINE_ID_VARIABLE
from inference.results import RunRecord
from inference.store import Store
from tests.conftest import wait_until
from tests.engine.conftest import Lab, new_home, processes_of
from tests.support.command_line import batchscope, document, started, succeeded

LIMIT = 24
GONE_WITHIN_S = 10.0
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


@pytest.fixture(scope="module")
def home(lab: Lab) -> Path:
    """A home folder whose engine is at work already: each command finds it so."""
    return lab.store.home


@pytest.fixture(scope="module")
def ran(home: Path) -> subprocess.CompletedProcess[str]:
    return batchscope(home, "run", "--strategy", "actor", "--limit", LIMIT, "--batch-size", 4, "--json")


@pytest.fixture(scope="module")
def compared(home: Path) -> subprocess.CompletedProcess[str]:
    return batchscope(
        home, "compare", "--strategies", "naive,actor", "--limit", LIMIT, "--batch-size", 8, "--repeats", 2, "--json"
    )


@pytest.fixture(scope="module")
def record(lab: Lab, ran: subprocess.CompletedProcess[str]) -> RunRecord:
    return lab.record(document(ran)["id"])


# -- run and compare ---------------------------------------------------------------------------------------------


def test_a_run_prints_one_document_with_its_promised_keys(ran: subprocess.CompletedProcess[str]) -> None:
    told = document(ran)

    assert ran.returncode == 0
    assert set(told) >= RUN_KEYS
    assert set(told["metrics"]) >= METRIC_KEYS
    assert all(set(prediction) >= PREDICTION_KEYS for prediction in told["predictions"])
    assert (told["state"], told["error"]) == ("finished", None)


def test_a_run_answers_every_image_and_measures_it(ran: subprocess.CompletedProcess[str]) -> None:
    told = document(ran)

    assert len({prediction["image_id"] for prediction in told["predictions"]}) == LIMIT
    right = sum(prediction["label"] == prediction["truth"] for prediction in told["predictions"])
    assert right >= 0.9 * LIMIT
    figures = told["metrics"]
    assert (figures["images"], figures["errors"], figures["model_loads"]) == (LIMIT, 0, told["config"]["concurrency"])
    assert figures["images_per_s"] == pytest.approx(LIMIT / figures["total_s"])
    assert 0 < figures["setup_s"] < figures["total_s"]
    assert figures["phases"]["forward"] > 0


def test_progress_goes_to_stderr(ran: subprocess.CompletedProcess[str]) -> None:
    assert ran.stderr.startswith("actor: ")
    assert "Traceback" not in ran.stderr


def test_a_run_takes_the_settings_that_it_was_given(record: RunRecord) -> None:
    assert (record.config.strategy, record.config.limit, record.config.batch_size) == ("actor", LIMIT, 4)


def test_a_comparison_prints_runs_speedup_and_parity(compared: subprocess.CompletedProcess[str]) -> None:
    told = document(compared)

    assert compared.returncode == 0
    assert set(told) == {"runs", "speedup", "parity"}
    assert all(set(run) >= RUN_KEYS for run in told["runs"])
    assert set(told["speedup"]["actor"]) == {"ratio", "low", "high"}
    assert told["speedup"]["actor"]["low"] <= told["speedup"]["actor"]["ratio"] <= told["speedup"]["actor"]["high"]
    assert set(told["parity"]["actor"]) == {"agreement", "max_score_difference"}
    assert told["parity"]["actor"]["agreement"] == 1.0


def test_the_first_strategy_is_the_baseline(compared: subprocess.CompletedProcess[str]) -> None:
    told = document(compared)

    assert list(told["speedup"]) == list(told["parity"]) == ["actor"]


def test_repeats_of_a_comparison_are_interleaved(compared: subprocess.CompletedProcess[str]) -> None:
    strategies = [run["config"]["strategy"] for run in document(compared)["runs"]]

    assert strategies == ["naive", "actor", "actor", "naive"]


def test_runs_of_a_comparison_belong_together(lab: Lab, compared: subprocess.CompletedProcess[str]) -> None:
    records = [lab.record(run["id"]) for run in document(compared)["runs"]]

    assert len({run.comparison_id for run in records}) == 1
    assert records[0].comparison_id is not None


def test_options_that_one_strategy_of_a_comparison_does_not_have_are_for_the_others_alone(home: Path) -> None:
    done = succeeded(
        home, "compare", "--strategies", "naive,pipelined", "--limit", 8, "--channels-last", "--threads", 1, "--json"
    )

    told = document(done)
    assert [run["config"]["channels_last"] for run in told["runs"]] == [False, True]
    assert [run["config"]["threads"] for run in told["runs"]] == [1, 1]
    assert told["parity"]["pipelined"]["agreement"] == 1.0


def test_repeats_of_a_run_are_all_told_and_the_middle_one_is_the_document(home: Path) -> None:
    done = succeeded(home, "run", "--strategy", "actor", "--limit", 8, "--repeats", 2, "--json")

    told = document(done)
    assert set(told) >= RUN_KEYS
    assert [repeat["state"] for repeat in told["repeats"]] == ["finished"] * 2
    assert len({repeat["id"] for repeat in told["repeats"]}) == 2
    assert told["id"] in {repeat["id"] for repeat in told["repeats"]}
    assert "actor 2 of 2" in done.stderr


def test_a_run_that_fails_says_why_and_exits_with_one(home: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')

    done = batchscope(home, "run", "--strategy", "actor", "--model", tmp_path, "--json")

    assert done.returncode == 1
    told = document(done)
    assert (told["state"], told["predictions"]) == ("failed", [])
    assert "is not an image classifier" in told["error"]


def test_a_folder_without_images_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = batchscope(tmp_path / "home", *RUN, "--dataset", tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "holds no images" in line
    assert not list(tmp_path.glob("home/engine.*"))


# -- history, show, export ---------------------------------------------------------------------------------------


def test_history_lists_runs_newest_first(home: Path, ran: subprocess.CompletedProcess[str], lab: Lab) -> None:
    told = document(succeeded(home, "history", "--json", "--limit", 1000))

    assert [run["id"] for run in told] == [summary.id for summary in lab.store.summaries(limit=1000)]
    mine = next(run for run in told if run["id"] == document(ran)["id"])
    assert mine["state"] == "finished"
    assert mine["images_per_s"] == pytest.approx(document(ran)["metrics"]["images_per_s"])


def test_history_without_json_has_one_line_for_each_run(home: Path, record: RunRecord) -> None:
    lines = succeeded(home, "history", "--limit", 3).stdout.splitlines()
    everything = succeeded(home, "history", "--limit", 1000).stdout

    assert 1 <= len(lines) <= 3
    assert f"{record.id}  " in everything


def test_show_prints_the_same_document_as_the_run(
    home: Path, ran: subprocess.CompletedProcess[str], record: RunRecord
) -> None:
    assert document(succeeded(home, "show", record.id, "--json")) == document(ran)
    assert "images_per_s" in succeeded(home, "show", record.id).stdout


@pytest.mark.parametrize("ending", ["json", "csv", "parquet"])
def test_an_export_holds_every_prediction(home: Path, record: RunRecord, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"run.{ending}"

    done = succeeded(home, "export", record.id, "--to", path)

    assert done.stdout == ""
    if ending == "json":
        ids = [prediction["image_id"] for prediction in json.loads(path.read_text())["predictions"]]
    elif ending == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            ids = [row["image_id"] for row in csv.DictReader(file)]
    else:
        from pyarrow import parquet

        ids = parquet.read_table(path)["image_id"].to_pylist()
    assert sorted(ids) == sorted(prediction.image_id for prediction in record.predictions)


def test_hardware_is_one_document(home: Path) -> None:
    assert document(succeeded(home, "hardware", "--json"))["cpus"] >= 1


# -- bad arguments -----------------------------------------------------------------------------------------------

RUN = ("run", "--strategy", "actor")
REFUSED = [
    (("run", "--strategy", "fast"), "fast"),
    (("run",), "--strategy"),
    ((*RUN, "--batch-size", "0"), "batch_size must be a whole number between 1 and 1024, got 0"),
    ((*RUN, "--batch-size", "-3"), "batch_size"),
    ((*RUN, "--batch-size", "text"), "--batch-size: invalid int value: 'text'"),
    ((*RUN, "--batch-size", "1.5"), "--batch-size"),
    ((*RUN, "--batch-size", "nan"), "--batch-size"),
    ((*RUN, "--batch-size", "1000000000"), "batch_size must be a whole number between 1 and 1024, got 1000000000"),
    ((*RUN, "--concurrency", "0"), "concurrency"),
    ((*RUN, "--concurrency", "257"), "concurrency must be a whole number between 1 and 256, got 257"),
    ((*RUN, "--concurrency", "256", "--cpus-per-worker", "1024"), "lower"),
    ((*RUN, "--cpus-per-worker", "nan"), "cpus_per_worker must be a number between"),
    ((*RUN, "--cpus-per-worker", "inf"), "cpus_per_worker"),
    ((*RUN, "--cpus-per-worker", "0"), "cpus_per_worker"),
    ((*RUN, "--gpus-per-worker", "1.5"), "gpus_per_worker"),
    ((*RUN, "--limit", "0"), "limit must be a whole number"),
    ((*RUN, "--limit", "1000000000"), "limit"),
    ((*RUN, "--repeats", "0"), "--repeats: must be a whole number between 1 and"),
    ((*RUN, "--repeats", "many"), "--repeats"),
    ((*RUN, "--dtype", "int4"), "--dtype"),
    ((*RUN, "--threads", "-1"), "threads must be a whole number between 0 and"),
    ((*RUN, "--decoders", "0"), "decoders must be a whole number between 1 and"),
    ((*RUN, "--backend", "onnx"), "--backend"),
    ((*RUN, "--backend", "openvino"), "backend openvino needs the strategy batched or pipelined, got actor"),
    ((*RUN, "--channels-last"), "channels_last needs the strategy batched or pipelined, got actor"),
    (("run", "--strategy", "pipelined", "--decoders", "256"), "lower decoders to 1"),
    ((*RUN, "--model", ""), "model must be a name or a path"),
    ((*RUN, "--dataset", " "), "dataset must be a name or a path"),
    ((*RUN, "--no-such-option"), "--no-such-option"),
    (("compare", "--strategies", "actor"), "--strategies must name at least two different ones, got 'actor'"),
    (("compare", "--strategies", "actor,actor"), "at least two different ones"),
    (("compare", "--strategies", ","), "at least two different ones"),
    (
        ("compare", "--strategies", "naive,fast"),
        "--strategies must name some of naive, actor, batched, pipelined, got 'fast'",
    ),
    (("show", "no-such-run"), "there is no run 'no-such-run': `python -m inference history` lists those there are"),
    (("export", "no-such-run", "--to", "run.json"), "there is no run"),
    (("history", "--limit", "0"), "--limit"),
    (("fly",), "fly"),
    ((), "COMMAND"),
]


@pytest.mark.parametrize(
    ("arguments", "wanted"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_bad_arguments_end_with_one_line_that_names_them(
    arguments: tuple[str, ...], wanted: str, tmp_path: Path
) -> None:
    done = batchscope(tmp_path, *arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("batchscope: ")
    assert wanted in line
    assert not list(tmp_path.glob("engine.*"))  # nothing was started for it


def test_too_many_workers_for_this_machine_are_refused_with_the_sum(tmp_path: Path) -> None:
    done = batchscope(tmp_path, *RUN, "--concurrency", 256, "--cpus-per-worker", 2)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "256 workers × 2 CPU + 1 for reading = 513 of" in line
    assert "lower concurrency to" in line or "lower CPUs per worker to" in line
    assert Store(tmp_path).summaries() == []


def test_an_export_to_an_unknown_ending_names_the_known_ones(home: Path, record: RunRecord, tmp_path: Path) -> None:
    done = batchscope(home, "export", record.id, "--to", tmp_path / "run.docx")

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "must end in one of .json, .csv" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "dataset", ["http://example.org/pictures", "s3://user:key@bucket/folder", "~nobody-has-this-name"]
)
def test_an_address_as_data_set_is_refused_in_one_line_before_anything_starts(tmp_path: Path, dataset: str) -> None:
    done = batchscope(tmp_path, *RUN, "--dataset", dataset)

    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("batchscope: ")
    assert not list(tmp_path.glob("engine.*"))


# -- Ctrl-C ------------------------------------------------------------------------------------------------------


def engine_ids_below(process: psutil.Process) -> set[str]:
    """The ids of the engines that a process has started."""
    found = set()
    for child in process.children(recursive=True):
        try:
            found.add(child.environ().get(ENGINE_ID_VARIABLE))
        except psutil.Error:
            continue
    return {engine_id for engine_id in found if engine_id}


@pytest.mark.alone
def test_an_interrupted_run_is_cancelled_and_leaves_no_process(tmp_path: Path, samples: Path) -> None:
    home = new_home(tmp_path / "home", samples)
    store = Store(home)
    process = started(home, "run", "--strategy", "naive", "--limit", 1000, "--batch-size", 1, "--json")
    try:

        def at_work() -> bool:
            assert process.poll() is None, process.communicate()
            runs = store.summaries()
            return bool(runs and runs[0].progress and runs[0].progress.images_done)

        wait_until(at_work, seconds=120, what="the first answers")
        engine_ids = engine_ids_below(psutil.Process(process.pid))

        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=GONE_WITHIN_S)
    finally:
        process.kill()

    assert process.returncode == 130
    assert json.loads(out)["state"] == "cancelled"
    assert "Traceback" not in err
    (summary,) = store.summaries()
    assert summary.state == "cancelled"
    assert len(engine_ids) == 1
    assert [left for engine_id in engine_ids for left in processes_of(engine_id)] == []


@pytest.mark.alone
def test_an_interrupted_run_leaves_another_programs_engine_at_work(home: Path, lab: Lab) -> None:
    before = lab.store.engine()
    known = {summary.id for summary in lab.store.summaries(limit=1000)}
    process = started(home, "run", "--strategy", "naive", "--limit", 1000, "--batch-size", 1)
    try:

        def at_work() -> bool:
            assert process.poll() is None, process.communicate()
            mine = [run for run in lab.store.summaries() if run.id not in known]
            return bool(mine and mine[0].progress and mine[0].progress.images_done)

        wait_until(at_work, seconds=60, what="the first answers")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=GONE_WITHIN_S)
    finally:
        process.kill()

    assert process.returncode == 130
    assert "cancelled" in out
    status = lab.store.engine()
    assert status is not None
    assert before is not None
    assert (status.engine_id, status.pid) == (before.engine_id, before.pid)
    (sentence,) = succeeded(home, "run", "--strategy", "actor", "--limit", 4).stdout.splitlines()
    assert "actor · digits · digits: 4 images in " in sentence
