"""Lists of images in CSV and Parquet files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from inference import lists
from inference.errors import DataUnavailable
from inference.lists import Listed


def csv(folder: Path, text: str) -> Path:
    file = folder / "list.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_csv_list_names_files_and_their_labels(tmp_path: Path) -> None:
    file = csv(tmp_path, "id,Path,Label\n1,a/one.jpg,cat\n2,b/two.jpg,\n")

    assert list(lists.rows(file)) == [
        Listed(row=0, path="a/one.jpg", truth="cat"),
        Listed(row=1, path="b/two.jpg", truth=None),
    ]
    assert not lists.holds_images(file)


def test_a_file_name_that_looks_like_a_number_stays_as_it_is_written(tmp_path: Path) -> None:
    file = csv(tmp_path, "path,label\n0001,007\n")

    assert list(lists.rows(file)) == [Listed(row=0, path="0001", truth="007")]


def test_a_row_without_a_path_keeps_its_place(tmp_path: Path) -> None:
    file = csv(tmp_path, 'file_name,label\n,"cat, or dog"\nx.png,b\n')

    assert [(row.row, row.path) for row in lists.rows(file)] == [(0, None), (1, "x.png")]


def test_a_list_without_a_column_of_images_says_which_columns_it_has(tmp_path: Path) -> None:
    file = csv(tmp_path, "name,score\na,1\n")

    with pytest.raises(DataUnavailable, match=r"columns are name, score.*`path`"):
        list(lists.rows(file))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b"path,label\na\n"])
def test_what_is_no_csv_is_refused_with_a_reason(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(content)

    with pytest.raises(DataUnavailable, match=r"cannot be read as a list|no column with images"):
        list(lists.rows(file))


def test_what_is_no_parquet_is_refused_with_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "list.parquet"
    file.write_bytes(b"PAR1 but not really")

    with pytest.raises(DataUnavailable, match="cannot be read as a list"):
        list(lists.rows(file))


def test_a_missing_list_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="There is no file"):
        list(lists.rows(tmp_path / "none.parquet"))


def test_a_parquet_list_of_paths_is_read_over_its_row_groups(tmp_path: Path) -> None:
    file = tmp_path / "list.parquet"
    table = pa.table({"filepath": [f"{i}.jpg" for i in range(10)], "target": list(range(10))})
    parquet.write_table(table, file, row_group_size=3)

    found = list(lists.rows(file))

    assert [(row.row, row.path, row.truth) for row in found] == [(i, f"{i}.jpg", str(i)) for i in range(10)]


def test_an_export_of_datasets_holds_its_images_and_names_its_labels(tmp_path: Path) -> None:
    file = tmp_path / "train.parquet"
    images = [{"bytes": bytes([i]) * 3, "path": f"{i}.png"} for i in range(5)]
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = pa.table({"image": images, "label": [0, 1, 0, None, 1]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, file, row_group_size=2)

    assert lists.holds_images(file)
    assert [row.truth for row in lists.rows(file)] == ["cat", "dog", "cat", None, "dog"]
    assert lists.image_bytes(file, [4, 1]) == {1: b"\x01\x01\x01", 4: b"\x04\x04\x04"}


def test_plain_bytes_are_images_too_and_a_missing_one_is_none(tmp_path: Path) -> None:
    file = tmp_path / "list.parquet"
    parquet.write_table(pa.table({"bytes": [b"abc", None]}), file)

    assert lists.image_bytes(file, [0, 1]) == {0: b"abc", 1: None}


def test_a_list_that_was_replaced_since_is_an_error_of_reading(tmp_path: Path) -> None:
    file = tmp_path / "list.parquet"
    parquet.write_table(pa.table({"path": ["a.jpg"]}), file)

    with pytest.raises(OSError, match="holds no images any more"):
        lists.image_bytes(file, [0])
