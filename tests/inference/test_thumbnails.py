"""Small pictures: made once, kept on disk, and never of anything outside the data set's folder."""

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image, ImageChops
from pyarrow import parquet

from inference.geometry import Geometry
from inference.thumbnails import SIDE_PIXELS, as_seen, picture, thumbnail, thumbnails


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    (path / "sub").mkdir(parents=True)
    Image.new("RGB", (1600, 800), "red").save(path / "wide.jpg")
    Image.new("RGB", (40, 80), "blue").save(path / "sub" / "small.png")
    return path


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data))


def kept(home: Path) -> list[Path]:
    return [path for path in (home / "thumbnails").rglob("*") if path.is_file()]


def test_a_thumbnail_is_a_small_jpeg_of_the_same_shape(home: Path, folder: Path) -> None:
    small = opened(thumbnail(home, str(folder), "wide.jpg"))

    assert (small.format, small.size) == ("JPEG", (SIDE_PIXELS, SIDE_PIXELS // 2))
    assert small.getpixel((10, 10))[0] > 240


def test_a_small_picture_is_not_enlarged(home: Path, folder: Path) -> None:
    assert opened(thumbnail(home, str(folder), "sub/small.png")).size == (40, 80)


def test_a_turned_picture_is_shown_upright(home: Path, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(folder / "turned.jpg", exif=exif)

    assert opened(thumbnail(home, str(folder), "turned.jpg")).size == (100, 200)


def test_a_thumbnail_is_made_once_and_then_read_from_disk(home: Path, folder: Path) -> None:
    first = thumbnail(home, str(folder), "wide.jpg")
    (path,) = kept(home)
    path.write_bytes(b"what is kept is what is shown")

    assert first is not None
    assert thumbnail(home, str(folder), "wide.jpg") == b"what is kept is what is shown"


def test_a_picture_that_changed_gets_a_new_thumbnail(home: Path, folder: Path) -> None:
    before = thumbnail(home, str(folder), "wide.jpg")
    Image.new("RGB", (800, 1600), "green").save(folder / "wide.jpg")
    os.utime(folder / "wide.jpg", ns=(1, 1))

    assert thumbnail(home, str(folder), "wide.jpg") != before


def test_pictures_of_the_same_name_in_different_folders_are_not_mixed_up(home: Path, folder: Path) -> None:
    Image.new("RGB", (1600, 800), "green").save(folder / "sub" / "wide.jpg")

    assert thumbnail(home, str(folder), "wide.jpg") != thumbnail(home, str(folder / "sub"), "wide.jpg")


def test_a_digits_sample_is_found_in_the_home_folder(home: Path) -> None:
    samples = home / "datasets" / "digits"
    samples.mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(samples / "0000_zero.jpg")

    assert opened(thumbnail(home, "digits", "0000_zero.jpg")).size == (30, 20)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0broken"])
def test_a_broken_picture_has_no_thumbnail_and_leaves_none(home: Path, folder: Path, content: bytes) -> None:
    (folder / "bad.jpg").write_bytes(content)

    assert thumbnail(home, str(folder), "bad.jpg") is None
    assert kept(home) == []


def test_a_picture_that_is_gone_has_no_thumbnail(home: Path, folder: Path) -> None:
    assert thumbnail(home, str(folder), "gone.jpg") is None
    assert thumbnail(home, str(folder / "gone"), "wide.jpg") is None


def test_a_file_that_is_too_large_for_an_image_is_not_read(home: Path, folder: Path) -> None:
    with open(folder / "huge.jpg", "wb") as file:
        file.truncate(10 * 1024**3)

    assert thumbnail(home, str(folder), "huge.jpg") is None
    assert picture(home, str(folder), "huge.jpg") is None


def test_an_address_as_data_set_has_no_thumbnail(home: Path) -> None:
    assert thumbnail(home, "http://127.0.0.1/pictures", "wide.jpg") is None


@pytest.mark.parametrize(
    "image_id",
    [
        "../secret.jpg",
        "sub/../../secret.jpg",
        "{outside}/secret.jpg",
        "link.jpg",
        "linked/secret.jpg",
        "",
        ".",
        "sub",
        "a\0b.jpg",
        "x" * 300 + ".jpg",
        "circle.jpg",
    ],
)
def test_nothing_outside_the_data_sets_folder_is_ever_shown(
    home: Path, folder: Path, tmp_path: Path, image_id: str
) -> None:
    Image.new("RGB", (10, 10)).save(tmp_path / "secret.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "circle.jpg").symlink_to("circle.jpg")

    assert thumbnail(home, str(folder), image_id.replace("{outside}", str(tmp_path))) is None


def test_a_link_put_in_the_place_of_a_shown_picture_is_not_followed(home: Path, folder: Path, tmp_path: Path) -> None:
    assert thumbnail(home, str(folder), "wide.jpg") is not None
    Image.new("RGB", (10, 10)).save(tmp_path / "secret.jpg")
    (folder / "wide.jpg").unlink()
    (folder / "wide.jpg").symlink_to(tmp_path / "secret.jpg")

    assert thumbnail(home, str(folder), "wide.jpg") is None


def test_a_fifo_never_blocks(home: Path, folder: Path) -> None:
    os.mkfifo(folder / "fifo.jpg")

    assert thumbnail(home, str(folder), "fifo.jpg") is None


def test_pages_that_ask_for_the_same_thumbnail_at_once_get_the_same_and_leave_one(home: Path, folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        pictures = set(pool.map(lambda _: thumbnail(home, str(folder), "wide.jpg"), range(32)))

    assert len(pictures) == 1
    assert pictures != {None}
    assert len(kept(home)) == 1


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from inference.thumbnails import thumbnail
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
sys.exit(0 if thumbnail(Path(sys.argv[1]), sys.argv[2], "wide.jpg") else 1)
"""


def test_where_nothing_can_be_kept_the_picture_is_shown_all_the_same(home: Path, folder: Path) -> None:
    # A limit on the size of files makes writing fail half-way, as a full disk does.
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(home), str(folder)], check=False, timeout=60)

    assert done.returncode == 0
    assert kept(home) == []


def test_many_thumbnails_come_in_the_order_of_their_images(home: Path, folder: Path) -> None:
    found = thumbnails(home, str(folder), ["sub/small.png", "gone.jpg", "wide.jpg"])

    assert [data and opened(data).size for data in found] == [(40, 80), None, (SIDE_PIXELS, SIDE_PIXELS // 2)]


def test_a_large_photograph_is_decoded_small_and_looks_the_same(home: Path, folder: Path) -> None:
    large = Image.linear_gradient("L").resize((4000, 3000)).convert("RGB")
    large.save(folder / "large.jpg", quality=95)

    small = opened(thumbnail(home, str(folder), "large.jpg"))

    wanted = large.resize((320, 240), Image.Resampling.LANCZOS)
    assert small.size == (320, 240)
    assert max(high for _, high in ImageChops.difference(small, wanted).getextrema()) < 8


def test_of_too_many_thumbnails_the_oldest_go(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.thumbnails.MAX_KEPT", 2)
    thumbnail(home, str(folder), "wide.jpg")
    (path,) = kept(home)
    for age in (1, 2, 3):
        (path.parent / f"{age}.jpg").write_bytes(b"older")
        os.utime(path.parent / f"{age}.jpg", (1000 - age, 1000 - age))
    path.unlink()

    thumbnail(home, str(folder), "wide.jpg")

    assert sorted(kept(home)) == sorted([path, path.parent / "1.jpg"])


def test_a_picture_is_whole_and_one_outside_the_folder_is_none(home: Path, folder: Path) -> None:
    found = picture(home, str(folder), "wide.jpg")

    assert found is not None
    assert found.size == (1600, 800)
    assert picture(home, str(folder), "../wide.jpg") is None


def test_what_a_model_sees_is_cut_out_exactly_and_few_pixels_become_squares() -> None:
    image = Image.linear_gradient("L").resize((90, 60)).convert("RGB")
    geometry = Geometry(shortest_edge=32, crop=(32, 32))

    seen = opened(as_seen(image, geometry))

    assert seen.size == (448, 448)
    assert seen.resize((32, 32), Image.Resampling.NEAREST).tobytes() == geometry.pixels(image).tobytes()


def test_what_a_model_sees_is_not_enlarged_where_it_is_large_enough() -> None:
    image = Image.new("RGB", (600, 500), "red")

    assert opened(as_seen(image, Geometry(size=(299, 299)))).size == (299, 299)


def test_images_in_the_rows_of_a_parquet_list_are_shown_and_kept(home: Path, folder: Path) -> None:
    def png(colour: str) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (60, 40), colour).save(buffer, "PNG")
        return buffer.getvalue()

    images = [{"bytes": data, "path": None} for data in (png("red"), b"broken", png("blue"))]
    parquet.write_table(pa.table({"image": images}), folder / "list.parquet", row_group_size=1)
    ids = [f"list.parquet/{row:06d}" for row in (2, 1, 0, 7)]

    found = thumbnails(home, str(folder / "list.parquet"), ids)

    colours = [data and opened(data).convert("RGB").getpixel((30, 20)) for data in found]
    assert [colour and colour.index(max(colour)) for colour in colours] == [2, None, 0, None]
    assert len(kept(home)) == 2
    assert thumbnails(home, str(folder / "list.parquet"), ids) == found
    whole = picture(home, str(folder / "list.parquet"), ids[0])
    assert whole is not None
    assert whole.size == (60, 40)
