"""Data sets become lists of images in a fixed order, with labels; what is no image of theirs is left out."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pyarrow as pa
import pytest
from pyarrow import parquet

from inference import folders, listing
from inference.bundled.samples import SAMPLE_COUNT, ensure_samples
from inference.errors import DataUnavailable
from tests.support import bucket, silence

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return path


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"bytes")


def ids(found: listing.ImageList) -> list[str]:
    return [image.image_id for image in found.images]


def truths(found: listing.ImageList) -> dict[str, str | None]:
    return {image.image_id: image.truth for image in found.images}


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

    assert (ids(found), found.skipped) == (["a.jpg"], 0)


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


# -- what is passed over -----------------------------------------------------------------------------------------


def test_a_fifo_is_skipped_and_counted(folder: Path, home: Path) -> None:
    fill(folder, "a.jpg")
    os.mkfifo(folder / "fifo.jpg")

    found = listing.list_images(str(folder), home, 100)

    assert (ids(found), found.skipped) == (["a.jpg"], 1)


def test_a_link_that_leads_out_of_the_folder_is_skipped_and_counted(folder: Path, home: Path, tmp_path: Path) -> None:
    fill(folder, "a.jpg", "sub/b.jpg")
    fill(tmp_path, "secret.jpg", "outside/c.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "relative.jpg").symlink_to("../secret.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "outside").symlink_to(tmp_path / "outside")

    found = listing.list_images(str(folder), home, 100)

    assert (ids(found), found.skipped) == (["a.jpg", "sub/b.jpg"], 3)


def test_a_link_within_the_folder_is_an_image_like_any_other(folder: Path, home: Path) -> None:
    fill(folder, "sub/b.jpg")
    (folder / "link.jpg").symlink_to("sub/b.jpg")

    found = listing.list_images(str(folder), home, 100)

    assert ids(found) == ["link.jpg", "sub/b.jpg"]
    assert {image.path for image in found.images} == {folder / "sub" / "b.jpg"}  # what was checked is what is read


def test_links_that_are_broken_or_go_in_circles_are_skipped(folder: Path, home: Path) -> None:
    fill(folder, "a.jpg")
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "loop").symlink_to(folder)

    found = listing.list_images(str(folder), home, 100)

    assert (ids(found), found.skipped) == (["a.jpg"], 2)


def test_a_name_that_is_no_text_is_skipped_and_counted(folder: Path, home: Path) -> None:
    fill(folder, "a.jpg")
    with open(os.path.join(os.fsencode(folder), b"caf\xe9.jpg"), "wb"):
        pass

    found = listing.list_images(str(folder), home, 100)

    assert (ids(found), found.skipped) == (["a.jpg"], 1)


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

    with pytest.raises(OSError, match="it is no regular file any more"):
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
    return f"{ids(found)} {found.skipped}"


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


def test_an_unreadable_sub_folder_is_skipped_and_counted(open_folder: Path) -> None:
    fill(open_folder, "a.jpg", "private/b.jpg", "public/c.jpg")
    (open_folder / "private").chmod(0o000)

    said = as_nobody(lambda: outcome(open_folder))
    (open_folder / "private").chmod(0o755)

    assert said == "['a.jpg', 'public/c.jpg'] 1"


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

    with pytest.raises(DataUnavailable, match=r"holds no images \(2 entries were passed over\)"):
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


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/folder?endpoint_override=http://127.0.0.1",
        "s3://user:secret@bucket/folder",
        "s3://bucket:9000/folder",
        "s3://169.254.169.254:80/latest",
        "s3://bucket/../other",
        "s3://",
        "s3://UPPER/x",
    ],
)
def test_an_address_that_is_no_bucket_is_refused_with_how_to_write_one(address: str, home: Path) -> None:
    for use in (
        lambda: listing.absolute(address),
        lambda: listing.list_images(address, home, 1),
    ):
        with pytest.raises(DataUnavailable, match="is not the address of a bucket: write s3://bucket/folder"):
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


# -- patterns, lists and samples by lot --------------------------------------------------------------------------


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
    assert found.skipped == 4
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


# -- buckets -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sorted(ensure_samples(tmp_path_factory.mktemp("few"), 5).glob("*.jpg"))


@pytest.fixture(scope="module")
def imagenette(photographs: list[Path]) -> Iterator[bucket.Bucket]:
    with bucket.serving() as served:
        served.put_photographs(bucket.CHURCH, photographs[3:])
        served.put_photographs(bucket.TENCH, photographs[:3])
        served.put("imagenette2/train/readme.txt", b"no picture")
        served.put("imagenette2/val/n01440764/other.JPEG", b"of another part")
        yield served


def list_imagenette(limit: int) -> listing.ImageList:
    return listing.list_images(listing.IMAGENETTE, Path("unused"), limit)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_a_bucket_is_listed_by_key_with_labels(
    imagenette: bucket.Bucket, photographs: list[Path], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, imagenette.url)
    stems = [path.stem for path in photographs]

    found = list_imagenette(10)

    tenches = [f"n01440764/{stem}.JPEG" for stem in stems[:3]]
    churches = [f"n03028079/{stem}.JPEG" for stem in stems[3:5]]
    assert ids(found) == tenches + churches
    assert set(truths(found).values()) == {"tench", "church"}
    assert truths(found)[tenches[0]] == "tench"
    assert found.images[0].uri == f"s3://anonymous@ray-benchmark-data/imagenette2/train/{tenches[0]}"


def test_a_limit_holds_in_a_bucket_too(imagenette: bucket.Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", imagenette.url)

    found = list_imagenette(2)

    assert (len(found.images), found.found) == (2, 3)


def test_credentials_in_the_environment_are_not_sent(
    imagenette: bucket.Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", imagenette.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    assert len(list_imagenette(10).images) == 5


@pytest.mark.parametrize("uri", ["s3://no-such-bucket/folder/", "s3://ray-benchmark-data/no-such-folder/"])
def test_a_bucket_or_folder_that_does_not_exist_is_refused_with_the_reason(
    imagenette: bucket.Bucket, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", imagenette.url)

    with pytest.raises(DataUnavailable, match=f"{uri.rstrip('/')} could not be listed: .*does not exist") as refusal:
        listing.list_images(uri.replace("s3://", "s3://anonymous@"), Path("unused"), 1)

    assert "Request ID" not in str(refusal.value)


def refused_after_s() -> tuple[str, float]:
    start = monotonic()
    with pytest.raises(DataUnavailable) as refusal:
        list_imagenette(1)
    return str(refusal.value), monotonic() - start


def test_an_endpoint_where_nobody_listens_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", silence.closed_address())

    said, seconds = refused_after_s()

    assert said.startswith(f"{listing.IMAGENETTE_URI.rstrip('/')} could not be listed: Could not connect to server")
    assert "read without credentials" in said
    assert "choose digits, which needs no network" in said
    assert seconds < 10


def test_an_endpoint_that_never_answers_is_given_up_within_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with silence.never_answering() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)

        said, seconds = refused_after_s()

    assert "could not be listed: Timeout was reached" in said
    assert seconds < 10


def test_any_public_bucket_is_read_when_asked_anonymously(
    imagenette: bucket.Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", imagenette.url)

    found = listing.list_images("s3://anonymous@ray-benchmark-data/imagenette2/val", Path("unused"), 9)

    assert ids(found) == ["n01440764/other.JPEG"]
    assert truths(found) == {"n01440764/other.JPEG": "tench"}


def test_a_bucket_without_credentials_says_how_to_read_a_public_one(
    imagenette: bucket.Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", imagenette.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    start = monotonic()

    with pytest.raises(DataUnavailable, match="s3://anonymous@no-such-bucket-here/x"):
        listing.list_images("s3://no-such-bucket-here/x", Path("unused"), 9)

    assert monotonic() - start < 10
