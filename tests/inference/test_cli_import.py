"""Carrying runs between two homes on the command line; no engine is started for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference.cli import main
from inference.config import RunConfig
from inference.results import Prediction, Span
from inference.store import Store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCHSCOPE_HOME", str(tmp_path / "here"))
    return tmp_path / "here"


@pytest.fixture
def runs(home: Path) -> list[str]:
    """Two ended runs."""
    store = Store(home)
    ids = store.enqueue([RunConfig(), RunConfig(strategy="naive")])
    for run_id in ids:
        store.claim("engine", {})
        store.end(run_id, "finished", spans=[Span("w", "load", 0, 1)], predictions=[Prediction("a", "b", done_s=2)])
    return ids


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.batchscope"


def test_several_runs_go_into_one_file_and_come_out_the_same(
    home: Path, runs: list[str], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["export", *runs, "--to", str(file)]) == 0
    monkeypatch.setenv("BATCHSCOPE_HOME", str(tmp_path / "there"))

    assert main(["import", str(file)]) == 0

    there, here = Store(tmp_path / "there"), Store(home)
    assert [there.get(run_id) for run_id in runs] == [here.get(run_id) for run_id in runs]


def test_import_says_in_a_line_what_became_of_each_run(
    home: Path, runs: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", *runs, "--to", str(file)])
    capsys.readouterr()

    main(["import", str(file)])

    assert capsys.readouterr().out.splitlines() == [f"{run_id}  already here" for run_id in runs]


def test_import_with_json_is_one_list(
    home: Path, runs: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", runs[0], "--to", str(file)])
    capsys.readouterr()

    main(["import", str(file), "--json"])

    assert json.loads(capsys.readouterr().out) == [{"id": runs[0], "became": "already here"}]


def test_a_file_that_is_refused_is_a_bad_argument_in_one_line(
    home: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("no archive")

    assert main(["import", str(file)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line == "batchscope: The file is no archive of runs, or it is damaged or cut off."


def test_an_unknown_run_is_named_and_no_file_is_written(
    home: Path, runs: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", runs[0], "nobody", "--to", str(file)]) == 2

    assert "There is no run 'nobody'" in capsys.readouterr().err
    assert not file.exists()


def test_other_endings_hold_one_run_as_before(home: Path, runs: list[str], tmp_path: Path) -> None:
    assert main(["export", runs[0], "--to", str(tmp_path / "run.json")]) == 0

    assert json.loads((tmp_path / "run.json").read_text())["id"] == runs[0]
