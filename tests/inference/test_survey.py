"""What a data set holds, before anything is run on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from inference import listing, survey
from inference.bundled.samples import ensure_samples
from inference.errors import DataUnavailable
from inference.survey import Range
from tests.support import bucket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    for name, size in (("cats/a.jpg", (40, 30)), ("cats/b.png", (80, 60)), ("dogs/c.gif", (20, 90))):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "red").save(path / name)
    return path


def test_a_folder_is_counted_measured_and_looked_at(folder: Path, tmp_path: Path) -> None:
    found = survey.survey(str(folder), tmp_path)

    assert (found.images, found.looked_at, found.skipped) == (3, 3, ())
    assert found.size_bytes == sum(path.stat().st_size for path in folder.rglob("*.*"))
    assert found.formats == {"JPEG": 1, "PNG": 1, "GIF": 1}
    assert found.widths == Range(least=20, median=40, most=80)
    assert found.heights == Range(least=30, median=60, most=90)
    assert found.labels == {"cats": 2, "dogs": 1}
    assert found.shown == ("cats/a.jpg", "cats/b.png", "dogs/c.gif")
    assert found.unreadable == ()


def test_what_cannot_be_decoded_is_named_with_its_reason(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "cats" / "a.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture", encoding="utf-8")

    found = survey.survey(str(folder), tmp_path)

    reasons = dict(found.unreadable)
    assert set(reasons) == {"cut.jpg", "empty.jpg", "text.jpg"}
    assert reasons["empty.jpg"] == "the file is empty"
    assert reasons["text.jpg"] == "not an image of a known format"
    assert found.images == 6
    assert len(found.shown) == 3


def test_of_many_images_some_that_are_spread_evenly_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "LOOKED_AT", 4)
    for number in range(10):
        Image.new("RGB", (10 + number, 10)).save(tmp_path / f"{number}.png")

    found = survey.survey(str(tmp_path), tmp_path / "home")

    assert (found.images, found.looked_at) == (10, 4)
    assert found.shown == ("0.png", "2.png", "5.png", "7.png")


def test_images_inside_a_list_are_looked_at_too(folder: Path, tmp_path: Path) -> None:
    pictures = [(folder / "cats" / "a.jpg").read_bytes(), b"broken", None]
    parquet.write_table(pa.table({"image": pictures, "label": ["x", "y", "y"]}), tmp_path / "list.parquet")

    found = survey.survey(str(tmp_path / "list.parquet"), tmp_path)

    assert found.labels == {"y": 2, "x": 1}
    assert found.size_bytes == (tmp_path / "list.parquet").stat().st_size
    assert [image_id for image_id, _ in found.unreadable] == ["list.parquet/000001", "list.parquet/000002"]


def test_a_bucket_is_counted_whole_and_a_few_of_its_images_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = sorted(ensure_samples(tmp_path / "few", 2).glob("*.jpg"))
    with bucket.serving() as served:
        served.put_photographs(bucket.TENCH, photographs)
        monkeypatch.setenv("AWS_ENDPOINT_URL", served.url)

        found = survey.survey("imagenette", tmp_path)

    assert (found.images, found.looked_at) == (2, 2)
    assert found.labels == {"tench": 2}
    assert found.size_bytes == sum(path.stat().st_size for path in photographs)


def test_nothing_to_look_at_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="There is no folder"):
        survey.survey(str(tmp_path / "gone"), tmp_path)


def test_what_is_passed_over_is_named_with_its_reason(folder: Path, tmp_path: Path) -> None:
    (folder / "gone.jpg").symlink_to("nowhere.jpg")

    found = survey.survey(str(folder), tmp_path)

    assert [(entry.name, entry.reason) for entry in found.skipped] == [
        ("gone.jpg", "a link to a file that is not there")
    ]
    assert (found.images, found.num_skipped) == (3, 1)


def test_a_file_that_cannot_be_opened_is_told_in_the_words_of_a_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "first.jpg").write_bytes(b"")
    spread = survey._spread

    def vanishing(items: Sequence[Any], number: int) -> Sequence[Any]:
        (folder / "first.jpg").unlink(missing_ok=True)  # between listing and looking
        return spread(items, number)

    monkeypatch.setattr(survey, "_spread", vanishing)

    assert survey.survey(str(folder), tmp_path).unreadable == (
        ("first.jpg", "the file could not be read: No such file or directory"),
    )


def test_samples_that_are_not_made_yet_are_made_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "SAMPLE_COUNT", 3)
    monkeypatch.setattr(listing, "SAMPLE_COUNT", 3)

    found = survey.survey("digits", tmp_path)

    assert (found.images, found.unreadable) == (3, ())
