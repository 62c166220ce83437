"""One run as a file for other programs, or for other people."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference import export_html, export_script
from inference.errors import InvalidConfig
from inference.report import document
from inference.results import RunRecord
from inference.store import home_folder

_COLUMNS = ("image_id", "label", "score", "status", "reason", "truth")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
_INVISIBLE_STARTS = " \u00a0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\u3000\ufeff"


def export(record: RunRecord, path: Path) -> None:
    """Write a run in the format that the file's ending names: see `FORMATS`.

    Raises `InvalidConfig` for another ending, for a path that cannot be written, and for a run that has no form
    in this format.
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise InvalidConfig(f"{path} must end in one of {', '.join('.' + name for name in FORMATS)}")
    content = exported(record, ending)  # the whole of it, before anything that is there is overwritten
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidConfig(f"{path} cannot be written: {error.strerror}. Choose another place.") from error


def exported(record: RunRecord, ending: str) -> bytes:
    """What `export` writes into a file with this ending, one of `FORMATS`."""
    return FORMATS[ending](record)


def _json(record: RunRecord) -> bytes:
    return _encoded(json.dumps(document(record), ensure_ascii=False, allow_nan=False, indent=1))


def _csv(record: RunRecord) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for prediction in record.predictions:
        writer.writerow([_safe_cell(getattr(prediction, name)) for name in _COLUMNS])
    return _encoded(text.getvalue())


def _parquet(record: RunRecord) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {name: [_storable(getattr(p, name)) for p in record.predictions] for name in _COLUMNS}
    types = {"score": pa.float64()}
    table = pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()})
    settings = {b"batchscope.config": json.dumps(record.config.to_dict()).encode()}
    file = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(settings), file)
    return file.getvalue()


def _html(record: RunRecord) -> bytes:
    return _encoded(export_html.report(record))


def _py(record: RunRecord) -> bytes:
    return _encoded(export_script.script(record, home_folder()))


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


FORMATS: dict[str, Callable[[RunRecord], bytes]] = {
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
    "html": _html,
    "py": _py,
}
"""How the file of each ending is made."""
