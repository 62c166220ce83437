"""Uploads: kept whole under names made here, or refused."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest

from inference import uploads
from inference.errors import DataUnavailable


def zipped(entries: dict[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def listed(upload: uploads.Upload) -> list[tuple[str, str]]:
    with open(upload.dataset, newline="", encoding="utf-8") as file:
        return [(row["path"], row["label"]) for row in csv.DictReader(file)]


def everything(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_images_are_kept_under_names_made_here(tmp_path: Path) -> None:
    files = [("../../my cat!.JPG", io.BytesIO(b"one")), ("notes.txt", io.BytesIO(b"x")), ("ü.png", io.BytesIO(b"two"))]

    upload = uploads.keep(tmp_path, files)

    folder = Path(upload.dataset).parent
    assert folder.parent == tmp_path / "uploads"
    assert listed(upload) == [("00001-my-cat.jpg", ""), ("00002.png", "")]
    assert (folder / "00001-my-cat.jpg").read_bytes() == b"one"
    assert (upload.images, upload.skipped) == (2, ("notes.txt",))


def test_folders_of_an_archive_are_labels_and_its_paths_lead_nowhere(tmp_path: Path) -> None:
    archive = zipped(
        {
            "cats/a.jpg": b"1",
            "../../../escape/dogs/b.jpg": b"2",
            "/etc/c.jpg": b"3",
            "d.jpg": b"4",
            "__MACOSX/cats/._a.jpg": b"5",
            "readme.md": b"6",
        }
    )

    upload = uploads.keep(tmp_path / "home", [("all.zip", archive)])

    assert [label for _, label in listed(upload)] == ["cats", "dogs", "etc", ""]
    assert upload.skipped == ("readme.md",)
    assert all(name.startswith("home/uploads/") for name in everything(tmp_path))


def test_a_bomb_is_found_by_counting_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_TOTAL_BYTES", 5_000_000)
    archive = zipped({"small.jpg": b"x", "bomb.jpg": b"\0" * 20_000_000})
    assert len(archive.getvalue()) < 100_000

    with pytest.raises(DataUnavailable, match=r"bomb\.jpg is too large: .*50 MiB each"):
        uploads.keep(tmp_path, [("bomb.zip", archive)])

    assert everything(tmp_path) == []


def test_an_archive_that_lies_about_a_size_gains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_IMAGE_BYTES", 1000)
    raw = bytearray(zipped({"a.jpg": b"\0" * 5000}).getvalue())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = raw.index(signature) + offset
        raw[at : at + 4] = (500).to_bytes(4, "little")

    with pytest.raises(DataUnavailable):
        uploads.keep(tmp_path, [("lie.zip", io.BytesIO(bytes(raw)))])

    assert everything(tmp_path) == []


def test_too_many_images_are_refused_with_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_IMAGES", 3)

    with pytest.raises(DataUnavailable, match="More than 3 images"):
        uploads.keep(tmp_path, [("many.zip", zipped({f"{i}.jpg": b"x" for i in range(4)}))])

    assert everything(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut off"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataUnavailable, match=r"odd\.zip cannot be unpacked"):
        uploads.keep(tmp_path, [("odd.zip", io.BytesIO(content))])


def test_a_broken_entry_refuses_the_whole_archive(tmp_path: Path) -> None:
    raw = bytearray(zipped({"a.jpg": bytes(range(256)) * 50, "b.jpg": b"fine"}).getvalue())
    raw[60] ^= 0xFF

    with pytest.raises(DataUnavailable, match="cannot be unpacked"):
        uploads.keep(tmp_path, [("broken.zip", io.BytesIO(bytes(raw)))])

    assert everything(tmp_path) == []


def test_an_upload_without_an_image_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match=r"no image among the 1 uploaded files: looked for \.jpg"):
        uploads.keep(tmp_path, [("a.txt", io.BytesIO(b"x"))])

    assert everything(tmp_path) == []
