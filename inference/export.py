"""One run as a file for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.errors import InvalidConfig
from inference.report import document
from inference.results import RunRecord

_COLUMNS = ("image_id", "label", "score", "status", "reason", "truth")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export(record: RunRecord, path: Path) -> None:
    """Write a run in the format that the file's ending names.

    `json` holds the whole run document; `csv` and `parquet` hold the predictions, one row per image. Raises
    `InvalidConfig` for another ending, or a path that cannot be written.
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise InvalidConfig(f"{path} must end in one of {', '.join('.' + name for name in FORMATS)}")
    try:
        FORMATS[ending](record, path)
    except OSError as error:
        raise InvalidConfig(f"{path} cannot be written: {error.strerror}. Choose another place.") from error


def _write_json(record: RunRecord, path: Path) -> None:
    path.write_text(json.dumps(document(record), ensure_ascii=False, allow_nan=False, indent=1), encoding="utf-8")


def _write_csv(record: RunRecord, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for prediction in record.predictions:
            writer.writerow([_safe_cell(getattr(prediction, name)) for name in _COLUMNS])


def _write_parquet(record: RunRecord, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {name: [getattr(p, name) for p in record.predictions] for name in _COLUMNS}
    types = {"score": pa.float64()}
    table = pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()})
    settings = {b"batchscope.config": json.dumps(record.config.to_dict()).encode()}
    parquet.write_table(table.replace_schema_metadata(settings), path)


def _safe_cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it (OWASP, CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


FORMATS: dict[str, Callable[[RunRecord, Path], None]] = {
    "json": _write_json,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
"""How each file ending is written."""
