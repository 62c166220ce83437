"""Patterns, lists, image folders with labels, and samples by lot: other ways to name images than by their folder."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from inference import folders, listing
from inference.errors import DataUnavailable
from tests.support.listed import fill, ids, truths


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return path


def test_a_pattern_takes_the_files_that_fit_below_its_fixed_part(folder: Path, home: Path) -> None:
    fill(folder, "a.jpg", "b.png", "cats/c.png", "cats/deep/d.png", "notes.txt")

    assert ids(listing.list_images(f"{folder}/*.png", home, 9)) == ["b.png"]
    everywhere = listing.list_images(f"{folder}/**/*.png", home, 9)
    assert truths(everywhere) == {"b.png": None, "cats/c.png": "cats", "cats/deep/d.png": "cats"}
    assert listing.root_folder(f"{folder}/**/*.png", home) == folder


def test_a_folder_whose_name_looks_like_a_pattern_is_meant_itself(folder: Path, home: Path) -> None:
    fill(folder, "[1] best?/a.jpg", "1/b.jpg")

    assert ids(listing.list_images(f"{folder}/[1] best?", home, 9)) == ["a.jpg"]


def test_a_pattern_does_not_lead_out_of_its_folder(folder: Path, home: Path) -> None:
    with pytest.raises(DataUnavailable, match="leads out of its own folder"):
        listing.absolute(f"{folder}/*/../../*.jpg")


def test_a_pattern_that_fits_nothing_says_so(folder: Path, home: Path) -> None:
    fill(folder, "a.jpg")

    with pytest.raises(DataUnavailable, match="holds no images"):
        listing.list_images(f"{folder}/*.png", home, 9)


def test_a_list_names_images_by_paths_from_its_own_folder(folder: Path, home: Path) -> None:
    fill(folder, "in/a.jpg", "b.png")
    rows = ["in/a.jpg,cat", "missing.jpg,dog", "b.png,", "in/a.jpg,again", "/etc,x", "http://127.0.0.1/a.jpg,x"]
    (folder / "list.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")

    found = listing.list_images(str(folder / "list.csv"), home, 9)

    assert truths(found) == {"in/a.jpg": "cat", "b.png": None}
    assert found.num_skipped == 4
    assert listing.image_file(str(folder / "list.csv"), "in/a.jpg", home) == (folder / "in/a.jpg", None)


def test_a_list_reaches_no_folder_that_may_not_be_read(
    folder: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder, "a.jpg")
    fill(tmp_path / "secret", "s.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "secret" / "s.jpg")
    rows = ["a.jpg", "../secret/s.jpg", str(tmp_path / "secret" / "s.jpg"), "link.jpg"]
    (folder / "list.csv").write_text("\n".join(["path", *rows]), encoding="utf-8")
    monkeypatch.setenv(folders.NAMED, str(folder))

    assert ids(listing.list_images(str(folder / "list.csv"), home, 9)) == ["a.jpg"]
    for reached in rows[1:]:
        assert listing.image_file(str(folder / "list.csv"), reached, home) is None


def parquet_of(file: Path, first: int, number: int) -> None:
    images = [{"bytes": f"image {first + i}".encode(), "path": None} for i in range(number)]
    parquet.write_table(pa.table({"image": images, "label": ["cat"] * number}), file, row_group_size=2)


def test_a_parquet_list_holds_its_images_by_row(folder: Path, home: Path) -> None:
    parquet_of(folder / "train.parquet", 0, 3)

    found = listing.list_images(str(folder / "train.parquet"), home, 9)

    assert ids(found) == ["train.parquet/000000", "train.parquet/000001", "train.parquet/000002"]
    assert [(image.uri, image.row, image.truth) for image in found.images[1:2]] == [
        (str(folder / "train.parquet"), 1, "cat")
    ]
    assert listing.image_file(str(folder / "train.parquet"), "train.parquet/000001", home) == (
        folder / "train.parquet",
        1,
    )


def test_a_folder_of_parquet_lists_is_all_of_their_images(folder: Path, home: Path) -> None:
    (folder / "data").mkdir()
    parquet_of(folder / "data" / "train-00000.parquet", 0, 2)
    parquet_of(folder / "data" / "train-00001.parquet", 2, 2)

    found = listing.list_images(str(folder), home, 3)

    assert ids(found) == [
        "data/train-00000.parquet/000000",
        "data/train-00000.parquet/000001",
        "data/train-00001.parquet/000000",
    ]
    assert listing.image_file(str(folder), ids(found)[2], home) == (folder / "data" / "train-00001.parquet", 0)


def test_the_parts_of_an_imagefolder_are_no_labels(folder: Path, home: Path) -> None:
    fill(folder, "train/cat/1.jpg", "validation/dog/2.jpg", "test/3.jpg")

    assert truths(listing.list_images(str(folder), home, 9)) == {
        "train/cat/1.jpg": "cat",
        "validation/dog/2.jpg": "dog",
        "test/3.jpg": None,
    }


def test_the_metadata_of_an_imagefolder_tells_its_labels(folder: Path, home: Path) -> None:
    fill(folder, "1.jpg", "2.jpg")
    (folder / "metadata.csv").write_text("file_name,label\n1.jpg,cat\n", encoding="utf-8")

    assert truths(listing.list_images(str(folder), home, 9)) == {"1.jpg": "cat", "2.jpg": None}


def test_a_seed_draws_the_same_images_every_time_and_keeps_their_order(folder: Path, home: Path) -> None:
    fill(folder, *(f"{n:03d}.jpg" for n in range(100)))
    draw = lambda seed: ids(listing.list_images(str(folder), home, 10, seed=seed))  # noqa: E731

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert draw(1) == sorted(draw(1)) != ids(listing.list_images(str(folder), home, 10))
    assert listing.list_images(str(folder), home, 1000, seed=1).found == 100


@pytest.mark.parametrize("image_id", ["../a.jpg", "/etc/passwd", "a\0", "x" * 5000, "link.jpg", "folder", "gone.jpg"])
def test_no_name_of_an_image_leads_anywhere_else(folder: Path, home: Path, image_id: str) -> None:
    fill(folder.parent, "a.jpg")
    fill(folder, "folder/b.jpg")
    (folder / "link.jpg").symlink_to(folder.parent / "a.jpg")

    assert listing.image_file(str(folder), image_id, home) is None
