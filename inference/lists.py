"""Lists of images: a CSV or Parquet file that names files, or a Parquet file that holds the images themselves.

A row becomes an image. Which column is what is found by its name and its type, as in the Parquet files that
`datasets` exports: a column of structs with `bytes` and `path` is an image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference import folders
from inference.errors import DataUnavailable

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".csv", ".parquet")
PATH_COLUMNS = ("path", "file", "file_name", "filename", "filepath", "image_path", "image", "uri")
LABEL_COLUMNS = ("label", "truth", "class", "class_name", "category", "target")
IMAGE_COLUMNS = ("image", "img", "bytes", "image_bytes", "picture")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One row of a list."""

    row: int
    """From 0, in the file's order."""
    path: str | None
    """The file that it names, as written; None for an image that lies in the list itself."""
    truth: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column of a list is what."""

    path: str | None
    image: str | None
    """A column of bytes, or of structs with a field `bytes`."""
    label: str | None


def rows(file: Path) -> Iterator[Listed]:
    """The rows of a list in their order, read piece by piece.

    Raises `DataUnavailable` where the file is no such list, with the columns that it has.
    """
    number = 0
    names: Sequence[str] | None = None
    for table, columns, names in _pieces(file):
        paths = _paths(table, columns)
        labels = table.column(columns.label).to_pylist() if columns.label else [None] * len(table)
        for path, label in zip(paths, labels, strict=True):
            yield Listed(row=number, path=path, truth=_label(label, names))
            number += 1


def image_bytes(file: Path, wanted: Sequence[int]) -> dict[int, bytes | None]:
    """The images in these rows of a Parquet list that holds them; None where a row holds nothing.

    Reads the row groups that hold them, and of those the one column. Raises `OSError` where the file has changed.
    """
    import pyarrow as pa
    from pyarrow import parquet

    found: dict[int, bytes | None] = {}
    try:
        with folders.opened(file) as content, parquet.ParquetFile(content) as source:
            columns = columns_of(source.schema_arrow, file)
            if columns.image is None:
                raise OSError(f"{file.name} holds no images any more")
            start = 0
            for group in range(source.num_row_groups):
                end = start + source.metadata.row_group(group).num_rows
                rows_here = [row for row in wanted if start <= row < end]
                if rows_here:
                    column = source.read_row_group(group, columns=[columns.image]).column(0)
                    for row in rows_here:
                        value = column[row - start].as_py()
                        found[row] = value.get("bytes") if isinstance(value, Mapping) else value
                start = end
    except (pa.ArrowInvalid, DataUnavailable) as error:
        raise OSError(f"{file.name} is no longer a list of images: {error}") from error
    return found


def holds_images(file: Path) -> bool:
    """Whether the images lie in the list itself. Raises `DataUnavailable` where it is no list."""
    _, columns, _ = next(_pieces(file), (None, None, None))
    return columns is not None and columns.image is not None


def columns_of(schema: pa.Schema, file: Path) -> Columns:
    """Which column is what. Raises `DataUnavailable` where none names or holds an image."""
    image = next((name for name in _named(schema, IMAGE_COLUMNS) if _is_image(schema.field(name).type)), None)
    path = next((name for name in _named(schema, PATH_COLUMNS) if _is_text(schema.field(name).type)), None)
    label = next(iter(_named(schema, LABEL_COLUMNS)), None)
    if image is None and path is None:
        has = ", ".join(schema.names[:20]) or "none"
        raise DataUnavailable(
            f"{file} has no column with images: its columns are {has}. Name the one with the files' paths `path`, "
            "or the one with the images' bytes `image`; a column `label` may tell the right answers."
        )
    return Columns(path=None if image else path, image=image, label=label)


def _pieces(file: Path) -> Iterator[tuple[pa.Table, Columns, Sequence[str] | None]]:
    """Parts of the list without the images' bytes, the columns, and the names of its labels where it numbers them."""
    import pyarrow as pa

    try:
        if file.suffix.lower() == ".csv":
            from pyarrow import csv

            # Every column as text: a file called 0001 is not the number 1.
            with folders.opened(file) as content:
                types = dict.fromkeys(csv.read_csv(content).column_names, pa.string())
                content.seek(0)
                # An empty cell is none; a label may well be called NA or null.
                options = csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
                table = csv.read_csv(content, convert_options=options)
            yield table, columns_of(table.schema, file), None
            return
        from pyarrow import parquet

        with folders.opened(file) as content, parquet.ParquetFile(content) as source:
            columns = columns_of(source.schema_arrow, file)
            names = _label_names(source.schema_arrow, columns.label)
            kept = [name for name in (columns.path, columns.label) if name]
            if columns.image and _has_field(source.schema_arrow.field(columns.image).type, "path"):
                kept.append(f"{columns.image}.path")
            for group in range(source.num_row_groups):
                yield source.read_row_group(group, columns=kept), columns, names
    except FileNotFoundError:
        raise DataUnavailable(f"There is no file {file}. Give the path of a CSV or Parquet list.") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise DataUnavailable(f"{file} cannot be read as a list: {str(error).splitlines()[0]}.") from error
    except OSError as error:
        raise DataUnavailable(f"{file} cannot be read: {error.strerror or error}.") from error


def _paths(table: pa.Table, columns: Columns) -> list[str | None]:
    if columns.path:
        return [None if value is None else str(value) for value in table.column(columns.path).to_pylist()]
    return [None] * len(table)


def _named(schema: pa.Schema, wanted: Sequence[str]) -> list[str]:
    """The columns of these names in the order of the names, whatever their case."""
    have = {name.lower(): name for name in schema.names}
    return [have[name] for name in wanted if name in have]


def _is_image(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _has_field(kind, "bytes")


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _has_field(kind: pa.DataType, name: str) -> bool:
    import pyarrow as pa

    return pa.types.is_struct(kind) and kind.get_field_index(name) >= 0


def _label_names(schema: pa.Schema, label: str | None) -> Sequence[str] | None:
    """The names of a numbered label, which `datasets` writes into the schema's metadata."""
    try:
        features: Any = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError):
        return None


def _label(value: object, names: Sequence[str] | None) -> str | None:
    if value is None:
        return None
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return str(value)
