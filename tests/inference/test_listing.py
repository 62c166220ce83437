"""Data sets become lists of images in a fixed order, with labels; what is no image of theirs is left out."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inference import listing
from inference.bundled.samples import SAMPLE_COUNT
from inference.errors import DataUnavailable
from tests.support.listed import fill, ids, truths

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return path


# -- what is listed ----------------------------------------------------------------------------------------------


def test_a_folders_files_come_first_then_its_sub_folders_each_in_order(folder: Path, home: Path) -> None:
    fill(folder, "b.jpg", "a.png", "10.webp", "beta/2.jpg", "beta/1.jpg", "alpha/x/z.gif", "alpha/y.tiff")

    found = listing.list_images(str(folder), home, 100)

    assert ids(found) == ["10.webp", "a.png", "b.jpg", "alpha/y.tiff", "alpha/x/z.gif", "beta/1.jpg", "beta/2.jpg"]
    assert [image.uri for image in found.images] == [str(folder / name) for name in ids(found)]


def test_the_order_is_the_same_every_time(folder: Path, home: Path) -> None:
    fill(folder, *(f"{n % 7}/{n}.jpg" for n in range(200)))

    assert ids(listing.list_images(str(folder), home, 200)) == ids(listing.list_images(str(folder), home, 200))


def test_the_limit_takes_the_first_images_and_tells_that_there_are_more(folder: Path, home: Path) -> None:
    fill(folder, "a.jpg", "b.jpg", "c.jpg")

    two, three, four = (listing.list_images(str(folder), home, limit) for limit in (2, 3, 4))

    assert (ids(two), two.found) == (["a.jpg", "b.jpg"], 3)
    assert (len(three.images), three.found) == (3, 3)
    assert (len(four.images), four.found) == (3, 3)


def test_extensions_count_in_any_case_and_other_files_do_not(folder: Path, home: Path) -> None:
    fill(folder, "A.JPEG", "b.Png", "c.avif", "notes.txt", "model.safetensors", "jpg", "d.jpg.bak")

    assert ids(listing.list_images(str(folder), home, 100)) == ["A.JPEG", "b.Png", "c.avif"]


def test_hidden_files_and_folders_are_not_listed(folder: Path, home: Path) -> None:
    fill(folder, "a.jpg", ".hidden.jpg", ".thumbnails/a.jpg", "sub/._b.jpg")

    found = listing.list_images(str(folder), home, 100)

    assert (ids(found), found.skipped) == (["a.jpg"], ())


def test_a_sub_folders_name_is_the_label(folder: Path, home: Path) -> None:
    fill(folder, "cat/1.jpg", "dog/deep/2.jpg", "n01440764/x.JPEG", "plain.jpg")

    assert truths(listing.list_images(str(folder), home, 100)) == {
        "plain.jpg": None,
        "cat/1.jpg": "cat",
        "dog/deep/2.jpg": "dog",
        "n01440764/x.JPEG": "tench",
    }


def test_an_imagenet_file_name_tells_its_label(folder: Path, home: Path) -> None:
    fill(folder, "n01443537_goldfish.JPEG", "n02102040_English_springer.JPEG", "n0144_short.jpg", "n01443537.jpg")

    assert truths(listing.list_images(str(folder), home, 100)) == {
        "n01443537.jpg": None,
        "n01443537_goldfish.JPEG": "goldfish",
        "n0144_short.jpg": None,
        "n02102040_English_springer.JPEG": "English springer",
    }


def test_the_digits_samples_are_listed_before_they_are_made(home: Path) -> None:
    found = listing.list_images("digits", home, 3)

    assert (len(found.images), found.found) == (3, SAMPLE_COUNT)
    assert [image.image_id for image in found.images] == [f"{n:04d}_{i.truth}.jpg" for n, i in enumerate(found.images)]
    assert not home.exists()


def test_more_than_all_digits_samples_are_all_of_them(home: Path) -> None:
    assert len(listing.list_images("digits", home, SAMPLE_COUNT + 1).images) == SAMPLE_COUNT


@pytest.mark.parametrize("name", ["a?b", "a#b", "%2e%2e", "a b", "ünïcødé", "🙂", "<script>", "=1+1", "[x](y)", "a\nb"])
def test_a_folders_name_is_taken_literally(folder: Path, home: Path, name: str) -> None:
    fill(folder, f"{name}/{name}.jpg")

    found = listing.list_images(str(folder / name), home, 10)

    assert ids(found) == [f"{name}.jpg"]
    assert found.images[0].path.read_bytes() == b"bytes"


# -- links, and what may not be read -----------------------------------------------------------------------------


def test_a_link_within_the_folder_is_an_image_like_any_other(folder: Path, home: Path) -> None:
    fill(folder, "sub/b.jpg")
    (folder / "link.jpg").symlink_to("sub/b.jpg")

    found = listing.list_images(str(folder), home, 100)

    assert ids(found) == ["link.jpg", "sub/b.jpg"]
    assert {image.path for image in found.images} == {folder / "sub" / "b.jpg"}  # what was checked is what is read


def test_a_listed_file_is_read_whole(folder: Path) -> None:
    fill(folder, "a.jpg")

    assert listing.read_listed(folder / "a.jpg") == b"bytes"


def test_a_link_put_in_the_place_of_a_listed_file_is_not_followed(folder: Path, home: Path, tmp_path: Path) -> None:
    fill(folder, "a.jpg")
    (listed,) = listing.list_images(str(folder), home, 1).images
    fill(tmp_path, "secret.jpg")
    listed.path.unlink()
    listed.path.symlink_to(tmp_path / "secret.jpg")

    with pytest.raises(OSError, match="a link has taken its place"):
        listing.read_listed(listed.path)


@pytest.mark.timeout(10)
def test_a_fifo_put_in_the_place_of_a_listed_file_does_not_block(folder: Path, home: Path) -> None:
    fill(folder, "a.jpg")
    (listed,) = listing.list_images(str(folder), home, 1).images
    listed.path.unlink()
    os.mkfifo(listed.path)

    with pytest.raises(OSError, match="it is no regular file"):
        listing.read_listed(listed.path)


def as_nobody(work: Callable[[], str]) -> str:
    """What a function says in a process that has no more rights than any other user's."""
    if os.geteuid() != 0:
        return work()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user reaches: pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="batchscope-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def outcome(folder: Path) -> str:
    try:
        found = listing.list_images(str(folder), folder / "home", 100)
    except DataUnavailable as error:
        return str(error)
    return f"{ids(found)} {[(entry.name, entry.reason) for entry in found.skipped]}"


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400])
def test_an_unreadable_folder_is_refused_with_the_reason(open_folder: Path, mode: int) -> None:
    pictures = open_folder / "pictures"
    fill(pictures, "a.jpg")
    pictures.chmod(mode if os.geteuid() else 0o700 | mode >> 6)  # the last digit is for everybody else

    said = as_nobody(lambda: outcome(pictures))
    pictures.chmod(0o755)

    assert said == f"The folder {pictures} may not be read: change its permissions or choose another."


def test_a_folder_inside_one_that_may_not_be_entered_is_refused_with_the_reason(open_folder: Path) -> None:
    pictures = open_folder / "private" / "pictures"
    fill(pictures, "a.jpg")
    pictures.parent.chmod(0o000)

    said = as_nobody(lambda: outcome(pictures))
    pictures.parent.chmod(0o755)

    assert "may not be read" in said


def test_an_unreadable_sub_folder_is_passed_over_and_named(open_folder: Path) -> None:
    fill(open_folder, "a.jpg", "private/b.jpg", "public/c.jpg")
    (open_folder / "private").chmod(0o000)

    said = as_nobody(lambda: outcome(open_folder))
    (open_folder / "private").chmod(0o755)

    assert said == "['a.jpg', 'public/c.jpg'] [('private/', 'a folder that may not be read')]"


# -- what is refused ---------------------------------------------------------------------------------------------


def test_a_missing_folder_is_refused_with_its_path(tmp_path: Path, home: Path) -> None:
    with pytest.raises(DataUnavailable, match=f"There is no folder {tmp_path}/nothing. Give the path"):
        listing.list_images(str(tmp_path / "nothing"), home, 1)


def test_a_file_is_no_folder(folder: Path, home: Path) -> None:
    fill(folder, "a.jpg")

    with pytest.raises(DataUnavailable, match=r"a\.jpg is neither a folder nor a list that ends in \.csv or \.parquet"):
        listing.list_images(str(folder / "a.jpg"), home, 1)


def test_a_folder_without_images_is_refused_and_says_what_was_looked_for(folder: Path, home: Path) -> None:
    fill(folder, "notes.txt", "sub/readme.md")

    with pytest.raises(DataUnavailable, match=r"holds no images: looked for \.jpg, \.jpeg, \.png, .*sub-folders"):
        listing.list_images(str(folder), home, 1)


def test_a_folder_of_nothing_usable_says_how_much_was_passed_over(folder: Path, home: Path) -> None:
    os.mkfifo(folder / "a.jpg")
    os.mkfifo(folder / "b.jpg")

    with pytest.raises(
        DataUnavailable, match=r"holds no images: looked for .*\. 2 entries were passed over: a\.jpg \(no regular"
    ):
        listing.list_images(str(folder), home, 1)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/pictures",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc",
        "gs://bucket/folder",
        "hf://datasets/someone/something",
        "local:///etc",
        "\\\\host\\share",
        "//host/share",
        "//169.254.169.254/latest",
    ],
)
def test_an_address_is_refused_wherever_it_is_used(address: str, home: Path) -> None:
    for use in (
        lambda: listing.absolute(address),
        lambda: listing.list_images(address, home, 1),
    ):
        with pytest.raises(DataUnavailable, match="is not a data set that can be read: give the path of a local"):
            use()


@pytest.mark.parametrize("path", ["~nobody-has-this-name/pictures", "a\0b"])
def test_a_path_that_no_system_could_have_is_refused(path: str, home: Path) -> None:
    with pytest.raises(DataUnavailable, match="is not the path of a folder"):
        listing.absolute(path)


def test_a_path_longer_than_the_system_allows_is_refused_with_the_reason(home: Path) -> None:
    with pytest.raises(DataUnavailable, match="cannot be read: File name too long"):
        listing.list_images("/" + "x" * 300, home, 1)


def test_links_in_a_circle_are_refused_as_data_set(folder: Path, home: Path) -> None:
    (folder / "circle").symlink_to("circle")

    with pytest.raises(DataUnavailable):
        listing.list_images(str(folder / "circle"), home, 1)


# -- names -------------------------------------------------------------------------------------------------------


def test_a_relative_path_becomes_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    assert listing.absolute("pictures") == str(folder / "pictures")
    assert listing.absolute("./x/../y") == str(folder / "y")
    assert listing.absolute("..") == str(folder.parent)


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HOME", str(folder))

    assert listing.absolute("~/x") == str(folder / "x")


def test_links_on_the_way_are_resolved_so_that_what_is_checked_is_what_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)

    assert listing.absolute(str(tmp_path / "link")) == str(folder)


@pytest.mark.parametrize("name", ["digits", "imagenette", "", "  "])
def test_names_of_the_catalogue_and_blank_ones_stay_as_they_are(name: str) -> None:
    assert listing.absolute(name) == name


def test_the_root_of_a_data_set_in_a_bucket_is_nowhere(home: Path, folder: Path) -> None:
    assert listing.root_folder("imagenette", home) is None
    assert listing.root_folder("digits", home) == home / "datasets" / "digits"
    assert listing.root_folder(str(folder), home) == folder


def test_whoever_listens_hears_how_many_images_were_found_and_may_stop(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
    heard: list[int] = []

    def stop(found: int) -> None:
        raise InterruptedError

    assert len(listing.list_images(str(tmp_path), tmp_path, 3, on_found=heard.append).images) == 3
    assert heard == [0]
    with pytest.raises(InterruptedError):
        listing.list_images(str(tmp_path), tmp_path, 3, on_found=stop)
