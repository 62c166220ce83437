"""One run, or several side by side, as a file for other programs or for other people."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference import export_comparison, export_html, export_script
from inference.arms import arms_of, winner
from inference.errors import InvalidConfig
from inference.report import arms_document, comparison_document, document, run_rows
from inference.results import RunRecord
from inference.store import home_folder

_COLUMNS = ("image_id", "label", "score", "status", "reason", "truth")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
_INVISIBLE_STARTS = " \u00a0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\u3000\ufeff"


def export(runs: RunRecord | Sequence[RunRecord], path: Path) -> None:
    """Write a run, or several as a comparison, in the format that the file's ending names: see `FORMATS`.

    Of several runs the first is the baseline. Raises `InvalidConfig` for another ending, for a path that cannot be
    written, and for runs that have no form in this format.
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise InvalidConfig(f"{path} must end in one of {', '.join('.' + name for name in FORMATS)}")
    content = exported(runs, ending)  # the whole of it, before anything that is there is overwritten
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidConfig(f"{path} cannot be written: {error.strerror}. Choose another place.") from error


def exported(runs: RunRecord | Sequence[RunRecord], ending: str, *, home: Path | None = None) -> bytes:
    """What `export` writes into a file with this ending, one of `FORMATS`.

    Pictures and made checkpoints are looked for in the folder `home`, the usual one if not given. Raises
    `InvalidConfig` for runs that have no form in this format.
    """
    home = home or home_folder()
    several = [runs] if isinstance(runs, RunRecord) else list(runs)
    if not several:
        raise InvalidConfig("name the run to export: `python -m inference history` lists those there are")
    if len(several) == 1:
        return FORMATS[ending].of_run(several[0], home)
    unfinished = next((run for run in several if run.state != "finished"), None)
    if unfinished is not None:
        raise InvalidConfig(
            f"run {unfinished.id} did not finish ({unfinished.state}): leave it out, only finished runs can be compared"
        )
    return FORMATS[ending].of_comparison(several, home)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How the file of one ending is made."""

    of_run: Callable[[RunRecord, Path], bytes]
    of_comparison: Callable[[Sequence[RunRecord], Path], bytes]
    run_holds: str
    """What is in the file of a run, in a few words."""
    comparison_holds: str
    """What is in the file of a comparison."""


# -- one run -------------------------------------------------------------------------------------------------------


def _json(record: RunRecord, home: Path) -> bytes:
    return _written(document(record))


def _csv(record: RunRecord, home: Path) -> bytes:
    return _table_text(_COLUMNS, ([getattr(p, name) for name in _COLUMNS] for p in record.predictions))


def _parquet(record: RunRecord, home: Path) -> bytes:
    return _parquet_file([("", record)], {"batchscope.config": record.config.to_dict()})


def _html(record: RunRecord, home: Path) -> bytes:
    return _encoded(export_html.report(record, home))


def _py(record: RunRecord, home: Path) -> bytes:
    return _encoded(export_script.script(record, home))


# -- several -------------------------------------------------------------------------------------------------------


def _json_of_several(runs: Sequence[RunRecord], home: Path) -> bytes:
    return _written(comparison_document(runs) | arms_document(arms_of(runs)))


def _csv_of_several(runs: Sequence[RunRecord], home: Path) -> bytes:
    rows = run_rows(arms_of(runs))
    return _table_text(list(rows[0]), (row.values() for row in rows))


def _parquet_of_several(runs: Sequence[RunRecord], home: Path) -> bytes:
    arms = arms_of(runs)
    return _parquet_file(
        [(arm.label, run) for arm in arms for run in arm.runs], {"batchscope.runs": run_rows(arms)}, labelled=True
    )


def _html_of_several(runs: Sequence[RunRecord], home: Path) -> bytes:
    return _encoded(export_comparison.comparison(arms_of(runs), home))


def _py_of_winner(runs: Sequence[RunRecord], home: Path) -> bytes:
    best = winner(arms_of(runs))
    if best is None:
        raise InvalidConfig("the first run has no answers, so no other can be set against it; choose a finished one")
    return _py(best.arm.median, home)


# -- pieces --------------------------------------------------------------------------------------------------------


def _written(told: Mapping[str, Any]) -> bytes:
    return _encoded(json.dumps(told, ensure_ascii=False, allow_nan=False, indent=1))


def _table_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_safe_cell(value) for value in row])
    return _encoded(text.getvalue())


def _parquet_file(
    runs: Sequence[tuple[str, RunRecord]], metadata: Mapping[str, Any], *, labelled: bool = False
) -> bytes:
    """One row for each answer of these (label, run), the run named in front of it if `labelled`."""
    import pyarrow as pa
    from pyarrow import parquet

    answers = [(label, run.id, prediction) for label, run in runs for prediction in run.predictions]
    columns: dict[str, list[Any]] = {}
    if labelled:
        columns = {"run": [run_id for _, run_id, _ in answers], "arm": [label for label, *_ in answers]}
    columns |= {name: [getattr(prediction, name) for *_, prediction in answers] for name in _COLUMNS}
    types = {"score": pa.float64()}
    table = pa.table(
        {
            name: pa.array([_storable(value) for value in values], types.get(name, pa.string()))
            for name, values in columns.items()
        }
    )
    kept = {name.encode(): _encoded(json.dumps(value)) for name, value in metadata.items()}
    file = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(kept), file)
    return file.getvalue()


def _safe_cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it (OWASP, CSV injection).

    Spreadsheets may pass over spaces and invisible characters before the sign, so they do not hide it here.
    """
    if not isinstance(value, str):
        return value
    starts_a_formula = value.startswith(_FORMULA_STARTS) or value.lstrip(_INVISIBLE_STARTS).startswith(_FORMULA_STARTS)
    return f"'{value}" if starts_a_formula else value


def _encoded(text: str) -> bytes:
    """UTF-8; what has no form in it, as in a file name that is no text, is escaped."""
    return text.encode("utf-8", "backslashreplace")


def _storable(value: Any) -> Any:
    return _encoded(value).decode() if isinstance(value, str) else value


FORMATS: Mapping[str, Format] = {
    "json": Format(
        of_run=_json,
        of_comparison=_json_of_several,
        run_holds="everything of this run: settings, hardware, figures and every answer",
        comparison_holds="everything: settings, hardware, figures and answers of every run, ratios and agreement",
    ),
    "csv": Format(
        of_run=_csv,
        of_comparison=_csv_of_several,
        run_holds="every answer, one row for each image",
        comparison_holds="settings, figures and ratios, one row for each run",
    ),
    "parquet": Format(
        of_run=_parquet,
        of_comparison=_parquet_of_several,
        run_holds="every answer, one row for each image, with the settings in the file's metadata",
        comparison_holds="every answer, one row for each run and image, with the runs in the file's metadata",
    ),
    "html": Format(
        of_run=_html,
        of_comparison=_html_of_several,
        run_holds="a report with charts and pictures in one file that needs no network",
        comparison_holds="a report with charts and pictures in one file that needs no network",
    ),
    "py": Format(
        of_run=_py,
        of_comparison=_py_of_winner,
        run_holds="a Ray Data program with the settings of this run, which needs no Batchscope",
        comparison_holds="a Ray Data program with the settings of the winner, which needs no Batchscope",
    ),
}
"""How the file of each ending is made, and what is in it."""
