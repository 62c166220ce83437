"""What is no file of a data set is passed over and named, with a reason for a person."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from inference import entries, folders, listing
from inference.entries import MOST_NAMED, Notes, told
from inference.wording import plain

LEADS_OUT = "a link that leads out of the folder"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one image."""
    path = tmp_path / "pictures"
    path.mkdir()
    (path / "a.jpg").write_bytes(b"bytes")
    return path


def passed_over(dataset: object) -> dict[str, str]:
    """Names and reasons; the one image that there is must be listed all the same."""
    found = listing.list_images(str(dataset), Path("unused"), 100)
    assert [image.image_id for image in found.images] == ["a.jpg"]
    assert found.num_skipped == len(found.skipped)
    return {entry.name: entry.reason for entry in found.skipped}


# -- in a folder -------------------------------------------------------------------------------------------------


def test_a_pipe_and_a_socket_are_no_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "pipe.jpg")
    monkeypatch.chdir(folder)  # the address of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")

        assert passed_over(folder) == {
            "pipe.jpg": "no regular file: a pipe",
            "socket.jpg": "no regular file: a socket",
        }


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to make a device")
def test_a_device_is_no_file(folder: Path) -> None:
    try:
        os.mknod(folder / "null.jpg", 0o20666, os.makedev(1, 3))
    except OSError as error:
        pytest.skip(f"no device can be made here: {error.strerror}")

    assert passed_over(folder) == {"null.jpg": "no regular file: a device"}


def test_links_that_lead_out_of_the_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(b"bytes")
    (folder / "link.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (folder / "relative.jpg").symlink_to("../outside/secret.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "sub").mkdir()
    (folder / "sub" / "outside").symlink_to(tmp_path / "outside")

    assert passed_over(folder) == {
        "link.jpg": LEADS_OUT,
        "relative.jpg": LEADS_OUT,
        "zero.jpg": LEADS_OUT,
        "sub/outside/": "a link to a folder, which is not followed",
    }


def test_links_to_nothing_and_in_circles_are_told_apart(folder: Path) -> None:
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "loop").symlink_to(folder)

    assert passed_over(folder) == {
        "broken.jpg": "a link to a file that is not there",
        "circle.jpg": "links in a circle",
        "loop/": "a link to a folder, which is not followed",
    }


def test_a_name_that_is_no_text_is_written_so_that_it_can_be_shown_and_stored(folder: Path) -> None:
    with open(os.path.join(os.fsencode(folder), b"caf\xe9.jpg"), "wb"):
        pass

    (name,) = found = passed_over(folder)

    assert found == {r"caf\xe9.jpg": "its name is no text in UTF-8"}
    assert name.encode("utf-8")


def test_a_name_that_would_steer_its_surroundings_stays_literal_and_is_spelled_out_where_it_is_shown(
    folder: Path,
) -> None:
    os.mkfifo(folder / "\x1b[31m\u202egpj.\n.jpg")

    (name,) = passed_over(folder)

    assert name == "\x1b[31m\u202egpj.\n.jpg"
    assert plain(name) == "⟨U+001B⟩[31m⟨U+202E⟩gpj. .jpg"


def test_a_folder_that_a_pattern_fits_is_no_file(folder: Path) -> None:
    (folder / "folder.jpg").mkdir()

    assert passed_over(folder / "*.jpg") == {"folder.jpg": "no regular file: a folder"}


# -- in a list ---------------------------------------------------------------------------------------------------


def test_rows_that_name_nothing_that_may_be_read_are_named_each_with_its_reason(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"bytes")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    os.mkfifo(folder / "pipe.jpg")
    reasons = {
        "missing.jpg": "there is no such file",
        "": "it names no file",
        "a.jpg": "its name comes twice",
        "pipe.jpg": "no regular file: a pipe",
        ".": "no regular file: a folder",
        "../secret.jpg": "outside the folders that may be read",
        "/etc/hostname": "outside the folders that may be read",
        "~root/x.jpg": "there is no such file",
        "a\0b.jpg": "cannot be read: embedded null byte",
        "circle.jpg": "links in a circle",
        "http://127.0.0.1/a.jpg": "an address of a kind that is not read",
        "s3://UPPER/a.jpg": "not the address of a bucket: s3://bucket/folder/image.jpg",
    }
    (folder / "list.csv").write_text("\n".join(["path,label", "a.jpg,x", *(f"{name},x" for name in reasons)]))
    monkeypatch.setenv(folders.NAMED, str(folder))

    assert passed_over(folder / "list.csv") == {name or "row 3": reason for name, reason in reasons.items()}


# -- how much is told --------------------------------------------------------------------------------------------


def test_of_very_many_entries_the_first_are_named_and_all_counted(folder: Path) -> None:
    (folder / "list.csv").write_text("\n".join(["path", "a.jpg", *(f"{number}.jpg" for number in range(1_000))]))

    found = listing.list_images(str(folder / "list.csv"), Path("unused"), 10)

    assert (len(found.skipped), found.num_skipped) == (MOST_NAMED, 1_000)


def test_a_sentence_names_three_and_counts_the_others() -> None:
    notes = Notes()
    notes.add("one.jpg", "no regular file: a pipe")
    assert told(notes.named, notes.number) == "1 entry was passed over: one.jpg (no regular file: a pipe)"
    for number in range(2, 1_003):
        notes.add(f"{number}.jpg", "links in a circle")

    assert told(notes.named, notes.number) == (
        "1,002 entries were passed over: one.jpg (no regular file: a pipe), 2.jpg (links in a circle), "
        "3.jpg (links in a circle) and 999 more"
    )


def test_a_name_of_a_million_characters_is_cut() -> None:
    notes = Notes()
    notes.add("x" * 1_000_000, "there is no such file")

    assert len(notes.named[0].name) == entries.LONGEST_NAME
    assert len(told(notes.named, notes.number)) < 200
