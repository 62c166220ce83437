"""Exported files, read back by the programs that they are meant for."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from pyarrow import parquet

from inference.config import RunConfig
from inference.errors import InvalidConfig
from inference.export import FORMATS, export, exported
from inference.report import document
from inference.results import Prediction, RunRecord
from tests.inference.exporting import PREDICTIONS, record


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own: reports look for pictures there."""
    monkeypatch.setenv("BATCHSCOPE_HOME", str(tmp_path))
    return tmp_path


# -- any format ----------------------------------------------------------------------------------------------------


def test_the_endings_that_the_command_line_promises_are_there() -> None:
    assert list(FORMATS) == ["json", "csv", "parquet", "html", "py"]


@pytest.mark.parametrize("name", ["run.xlsx", "run", "run.json.gz"])
def test_another_ending_is_refused_with_those_there_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"must end in one of \.json, \.csv, \.parquet, \.html, \.py"):
        export(record(), tmp_path / name)

    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("ending", FORMATS)
def test_a_place_that_cannot_be_written_is_named(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"folder.{ending}").mkdir()

    for path in (tmp_path / "missing" / f"run.{ending}", tmp_path / f"folder.{ending}"):
        with pytest.raises(InvalidConfig, match=r"cannot be written: .+\. Choose another place"):
            export(record(), path)


@pytest.mark.parametrize("ending", FORMATS)
def test_the_ending_counts_in_any_case_and_the_file_is_what_exported_gives(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"run.{ending.upper()}"

    export(record(), path)

    assert path.read_bytes() == exported(record(), ending)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_run_that_has_only_been_queued_can_be_exported(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"run.{ending}"

    export(record(state="queued", hardware=None, spans=(), predictions=()), path)

    assert path.stat().st_size


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_name_that_is_no_text_costs_no_export(ending: str) -> None:
    broken = os.fsdecode(b"caf\xe9.jpg")

    assert exported(record(predictions=(Prediction(broken, "cat", 0.5),)), ending)


# -- json, csv, parquet --------------------------------------------------------------------------------------------


def test_json_is_the_run_document(tmp_path: Path) -> None:
    export(record(), tmp_path / "run.json")

    read = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert read == json.loads(json.dumps(document(record())))
    assert read["metrics"]["model_loads"] == 1
    assert read["predictions"][2]["reason"] == "the file is empty"


def test_parquet_gives_back_predictions_and_configuration(tmp_path: Path) -> None:
    export(record(), tmp_path / "run.parquet")

    table = parquet.read_table(tmp_path / "run.parquet")
    columns = ("image_id", "label", "score", "status", "reason", "truth")
    assert table.to_pylist() == [{name: getattr(p, name) for name in columns} for p in PREDICTIONS]
    assert RunConfig.from_dict(json.loads(table.schema.metadata[b"batchscope.config"])) == record().config


def test_csv_gives_back_predictions() -> None:
    rows = rows_of_csv(record())

    assert rows[0] == {
        "image_id": "a.jpg",
        "label": "cat",
        "score": "0.9",
        "status": "ok",
        "reason": "",
        "truth": "cat",
    }
    assert [row["image_id"] for row in rows] == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\u00a0@", "\n+", "\u200b-", "\ufeff="])
def test_csv_neutralises_what_a_spreadsheet_takes_for_a_formula(start: str) -> None:
    text = f'{start}HYPERLINK("http://a.b","x")'

    (row,) = rows_of_csv(record(predictions=(Prediction(text, text, 0.5, status=text, reason=text, truth=text),)))

    assert {name: row[name] for name in row if name != "score"} == dict.fromkeys(
        ("image_id", "label", "status", "reason", "truth"), f"'{text}"
    )


@pytest.mark.parametrize("text", ["a=b.jpg", 'quote " and, comma', "two\nlines", " spaced", "3-4", "ümlaut 山"])
def test_csv_leaves_every_other_text_as_it_is(text: str) -> None:
    (row,) = rows_of_csv(record(predictions=(Prediction(text, text, 0.5),)))

    assert row["image_id"] == row["label"] == text


def rows_of_csv(run: RunRecord) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(exported(run, "csv").decode(), newline="")))
