"""Uploads: kept whole under names made here, found again and removed, or refused and nothing left of them."""

from __future__ import annotations

import csv
import io
import os
import random
import stat
import struct
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from inference import listing, uploads
from inference.errors import DataUnavailable
from inference.setting_words import dataset_words
from inference.thumbnails import thumbnail

ROOT = Path(__file__).parents[2]


def zipped(entries: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def listed(upload: uploads.Upload) -> list[tuple[str, str]]:
    with open(upload.dataset, newline="", encoding="utf-8") as file:
        return [(row["path"], row["label"]) for row in csv.DictReader(file)]


def everything(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


def refused(home: Path, *files: tuple[str, bytes]) -> str:
    """Why an upload is refused; nothing of it is left."""
    with pytest.raises(DataUnavailable) as refusal:
        uploads.keep(home, [(name, io.BytesIO(content)) for name, content in files])
    assert everything(home) == []
    assert not list(home.glob("uploads/*"))
    return str(refusal.value)


# -- what is kept ------------------------------------------------------------------------------------------------------


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
            "C:\\Windows\\e.jpg": b"5",
            "C:/f.jpg": b"6",
            "\\\\server\\share\\g.jpg": b"7",
            "..\\..\\h.jpg": b"8",
            "__MACOSX/cats/._a.jpg": b"9",
            "readme.md": b"10",
        }
    )

    upload = uploads.keep(tmp_path / "home", [("all.zip", archive)])

    assert [label for _, label in listed(upload)] == ["cats", "dogs", "etc", "", "Windows", "", "share", ""]
    assert upload.skipped == ("readme.md",)
    assert all(name.startswith("home/uploads/") for name in everything(tmp_path))


@pytest.mark.parametrize(
    "folder",
    ["two\nlines", "a\rb", "\x1b[31m", "\u202egnp", 'quo"te', "a,b", "=1+1", "NA", "null", "x" * 5000, "🙂", " "],
)
def test_whatever_a_folder_is_called_each_image_is_listed_with_one_line_as_its_label(
    tmp_path: Path, folder: str
) -> None:
    archive = zipped({f"{folder}/a.png": png(), "plain/b.png": png()})

    upload = uploads.keep(tmp_path, [("all.zip", archive)])

    first, second = listing.list_images(upload.dataset, tmp_path, 10).images
    assert second.truth == "plain"
    assert (first.truth or "").isprintable()
    assert len(first.truth or "") <= uploads.MAX_LABEL
    if folder.isprintable() and folder.strip() and len(folder) <= uploads.MAX_LABEL:
        assert first.truth == folder


def test_the_same_name_twice_is_two_images(tmp_path: Path) -> None:
    two = zipped({"a.jpg": b"first", "b.jpg": b"second"}).getvalue()
    file = io.BytesIO(two.replace(b"b.jpg", b"a.jpg"))

    upload = uploads.keep(tmp_path, [("all.zip", file), ("a.jpg", io.BytesIO(b"third"))])

    folder = Path(upload.dataset).parent
    assert [(folder / name).read_bytes() for name, _ in listed(upload)] == [b"first", b"second", b"third"]


def test_a_link_in_an_archive_becomes_neither_a_link_nor_an_image(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.jpg", b"image")

    upload = uploads.keep(tmp_path, [("all.zip", file)])

    assert (upload.images, upload.skipped) == (1, ("link.jpg",))
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_an_archive_in_an_archive_stays_packed(tmp_path: Path) -> None:
    inner = zipped({"bomb.jpg": b"\0" * 1_000_000}).getvalue()

    upload = uploads.keep(tmp_path, [("all.zip", zipped({"inner.zip": inner, "a.jpg": b"image"}))])

    assert (upload.images, upload.skipped) == (1, ("inner.zip",))


def test_what_is_called_an_image_and_is_none_is_told_with_the_run_and_starts_nothing(tmp_path: Path) -> None:
    from inference.survey import survey

    upload = uploads.keep(tmp_path, [("a.png", io.BytesIO(png())), ("script.jpg", io.BytesIO(b"#!/bin/sh\nreboot\n"))])

    found = survey(upload.dataset, tmp_path)
    assert found.unreadable == (("00002-script.jpg", "not an image of a known format"),)
    assert not any(path.stat().st_mode & 0o111 for path in Path(upload.dataset).parent.iterdir())


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_bomb_that_says_how_large_it_is_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    archive = zipped({f"{number}.jpg": b"\0" * uploads.MAX_IMAGE_BYTES for number in range(2)}).getvalue()
    assert len(archive) < 250_000
    raw = bytearray(archive)
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<L", 10 * 1024**3 % 2**32)  # as much as the field can say of 10 GiB

    assert "is too large: an upload may hold at most 10,000 images of 50 MiB each" in refused(
        tmp_path, ("bomb.zip", bytes(raw))
    )


def test_many_images_that_are_too_much_together_are_refused_before_any_is_unpacked(tmp_path: Path) -> None:
    """Overlapping entries are this, too: each says how large it is, and all of them lie in the same few bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", b"\0" * 10_000_000)
        (entry,) = archive.infolist()
        archive.filelist += [entry] * 300  # the directory names the same place again and again

    start = time.monotonic()
    assert refused(tmp_path, ("bomb.zip", file.getvalue())).startswith("The archive unpacks to 2.8 GiB: an upload may")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("limit", ["MAX_IMAGE_BYTES", "MAX_TOTAL_BYTES"])
def test_an_archive_that_lies_about_sizes_is_found_by_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(uploads, limit, 1000)
    raw = bytearray(zipped({"a.jpg": b"\0" * 5000}).getvalue())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = raw.index(signature) + offset
        raw[at : at + 4] = (500).to_bytes(4, "little")

    refused(tmp_path, ("lie.zip", bytes(raw)))


def test_files_are_counted_as_they_come_whatever_was_said_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_TOTAL_BYTES", 1000)

    assert "c.jpg is too large" in refused(tmp_path, *((f"{name}.jpg", b"x" * 400) for name in "abc"))


def test_too_many_images_are_refused_with_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_IMAGES", 3)
    four = {f"{number}.jpg": b"x" for number in range(4)}

    assert "More than 3 images" in refused(tmp_path, ("many.zip", zipped(four).getvalue()))
    assert "More than 3 images" in refused(tmp_path, *four.items())


FLOOD = """
import io, resource, sys, tempfile, struct, time
from pathlib import Path
from inference import uploads
from inference.errors import DataUnavailable
count = 1_000_000
entry = struct.pack("<4s4B4HL2L5H2L", b"PK\\x01\\x02", 20, 3, 20, *[0] * 8, 5, *[0] * 6) + b"a.jpg"
directory = entry * count
zip64 = struct.pack("<4sQ2H2L4Q", b"PK\\x06\\x06", 44, 45, 45, 0, 0, count, count, len(directory), 0)
locator = struct.pack("<4sLQL", b"PK\\x06\\x07", 0, len(directory), 1)
end = struct.pack("<4s4H2LH", b"PK\\x05\\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
file = io.BytesIO(directory + zip64 + locator + end)
del directory
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.monotonic()
try:
    uploads.keep(Path(sys.argv[1]), [("flood.zip", file)])
except DataUnavailable as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, time.monotonic() - start)
"""


def test_a_million_empty_entries_are_refused_before_their_list_is_read(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FLOOD, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )

    why, measured = done.stdout.splitlines()
    megabytes, seconds = map(float, measured.split())
    assert why.startswith("flood.zip holds too many files: an upload may hold at most 10,000 images")
    assert megabytes < 32  # their list would take about a gigabyte
    assert seconds < 5
    assert everything(tmp_path) == []


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_cannot_be_unpacked_piece_by_piece_is_refused(tmp_path: Path, kind: int) -> None:
    archive = zipped({"a.jpg": b"\0" * 10_000_000}, kind).getvalue()

    assert "is not that of an ordinary archive. Pack it again" in refused(tmp_path, ("odd.zip", archive))


def test_an_archive_with_a_password_is_refused_with_what_to_do(tmp_path: Path) -> None:
    raw = bytearray(zipped({"a.jpg": b"image"}).getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + offset] |= 1

    assert "Pack it again as an ordinary zip without a password" in refused(tmp_path, ("secret.zip", bytes(raw)))


def test_a_name_that_is_not_the_utf_8_it_claims_to_be_refuses_the_archive(tmp_path: Path) -> None:
    raw = bytearray(zipped({"ü.jpg": b"image"}).getvalue())

    assert "cannot be unpacked" in refused(tmp_path, ("odd.zip", bytes(raw).replace("ü".encode(), b"\xff\xfe")))


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut off"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "odd.zip cannot be unpacked" in refused(tmp_path, ("odd.zip", content))


def test_a_broken_entry_refuses_the_whole_archive(tmp_path: Path) -> None:
    raw = bytearray(zipped({"a.jpg": bytes(range(256)) * 50, "b.jpg": b"fine"}).getvalue())
    raw[60] ^= 0xFF

    assert "cannot be unpacked" in refused(tmp_path, ("broken.zip", bytes(raw)))


def test_no_damage_to_an_archive_does_more_than_refuse_it(tmp_path: Path) -> None:
    dice = random.Random(0)
    whole = zipped({"cats/a.jpg": png(), "ü/b.png": b"x" * 3000, "notes.txt": b"y" * 100}).getvalue()
    for _ in range(400):
        raw = bytearray(whole)
        for _ in range(dice.choice((1, 1, 2, 8))):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        cut = bytes(raw[: dice.randrange(len(raw))] if dice.random() < 0.1 else raw)
        try:
            upload = uploads.keep(tmp_path, [("fuzz.zip", io.BytesIO(cut))])
        except DataUnavailable as error:
            assert len(str(error)) < 500  # noqa: PT017
        else:
            uploads.remove(tmp_path, Path(upload.dataset).parent.name)
    assert everything(tmp_path) == []


def test_an_upload_without_an_image_says_what_is_looked_for(tmp_path: Path) -> None:
    assert refused(tmp_path, ("a.txt", b"x")).startswith(
        "There is no image among the 1 uploaded files: looked for .jpg"
    )


def test_long_and_odd_names_are_told_in_one_short_line(tmp_path: Path) -> None:
    name = "\u202e\n" + "x" * 60_000 + ".zip"

    told = refused(tmp_path, (name, b"no zip"))

    assert len(told) < 300
    assert told.isprintable()


def test_an_upload_leaves_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LEFT_FREE_BYTES", 2**62)

    assert "remove earlier uploads, or free some space" in refused(tmp_path, ("a.jpg", b"image"))


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("in the way")

    with pytest.raises(DataUnavailable, match="could not be kept in"):
        uploads.keep(tmp_path, [("a.jpg", io.BytesIO(b"image"))])


def test_what_a_server_that_was_killed_left_behind_goes_with_a_later_upload(tmp_path: Path) -> None:
    old, new = tmp_path / "uploads" / ".old.part", tmp_path / "uploads" / ".new.part"
    for part in (old, new):
        part.mkdir(parents=True)
        (part / "00001.jpg").write_bytes(b"half")
    os.utime(old, (0, 0))

    uploads.keep(tmp_path, [("a.jpg", io.BytesIO(b"image"))])

    assert (old.exists(), new.exists()) == (False, True)


def test_the_server_takes_files_as_large_as_the_limits_say() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))

    assert config["server"]["maxUploadSize"] * 1024**2 == uploads.MAX_FILE_BYTES
    assert uploads.LIMITS == (
        "at most 10,000 images of 50 MiB each, 2 GiB together once unpacked, in files of at most 500 MiB"
    )


# -- found again, and removed ------------------------------------------------------------------------------------------


def test_what_was_uploaded_is_found_again_the_latest_first(tmp_path: Path) -> None:
    begun = time.time()
    first = uploads.keep(tmp_path, [("a.jpg", io.BytesIO(b"12345"))])
    second = uploads.keep(tmp_path, [("a.jpg", io.BytesIO(b"1")), ("b.jpg", io.BytesIO(b"22"))])
    os.rename(Path(first.dataset).parent, tmp_path / "uploads" / "20200101T120000Z-1")  # it came long ago
    (tmp_path / "uploads" / ".half.part").mkdir()
    (tmp_path / "uploads" / "something else").mkdir()

    latest, earlier = uploads.kept_uploads(tmp_path)

    assert (latest.dataset, latest.images, latest.size_bytes) == (second.dataset, 2, 3)
    assert begun - 1 <= latest.at <= time.time()
    assert (earlier.name, earlier.at, earlier.images, earlier.size_bytes) == ("20200101T120000Z-1", 1577880000, 1, 5)


def test_uploads_of_the_same_moment_are_told_apart_by_their_words(tmp_path: Path) -> None:
    kept = [uploads.keep(tmp_path, [("a.jpg", io.BytesIO(b"image"))]).dataset for _ in range(3)]

    assert len({dataset_words(dataset, in_full=True) for dataset in kept}) == 3
    assert all("Upload of " in dataset_words(dataset, in_full=True) for dataset in kept)
    assert all(dataset_words(dataset, in_full=True).endswith(" · 1 image") for dataset in kept)


def test_no_uploads_are_none(tmp_path: Path) -> None:
    assert uploads.kept_uploads(tmp_path / "nothing") == ()


def test_a_removed_upload_takes_its_small_pictures_along(tmp_path: Path) -> None:
    gone, stays = (uploads.keep(tmp_path, [("a.png", io.BytesIO(png(colour)))]) for colour in ("red", "blue"))
    for upload in (gone, stays):
        assert thumbnail(tmp_path, upload.dataset, "00001-a.png") is not None

    uploads.remove(tmp_path, Path(gone.dataset).parent.name)

    assert [one.dataset for one in uploads.kept_uploads(tmp_path)] == [stays.dataset]
    assert thumbnail(tmp_path, gone.dataset, "00001-a.png") is None
    assert len(list((tmp_path / "thumbnails").rglob("*.jpg"))) == 1
    assert all(str(Path(stays.dataset).parent.name) in name for name in everything(tmp_path) if "uploads" in name)


@pytest.mark.parametrize("name", ["..", ".", "", "../datasets", "/", ".half.part", "nothing"])
def test_only_an_uploads_own_name_removes_it(tmp_path: Path, name: str) -> None:
    uploads.keep(tmp_path, [("a.jpg", io.BytesIO(b"image"))])
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "images.csv").write_text("path\n")
    before = everything(tmp_path)

    uploads.remove(tmp_path, name)

    assert everything(tmp_path) == before
