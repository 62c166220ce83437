"""What is no picture, broken or too large is refused with a plain reason, before it costs anything."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.images import MAX_PIXELS, MAX_RATIO, Undecodable, decode
from tests.support.pictures import (
    EPS,
    FITS,
    HEIC,
    HTML,
    SVG,
    TIFF_PACKING,
    TIFF_TILE_HEIGHT,
    TIFF_TILE_WIDTH,
    black_png,
    chunk,
    encoded,
    packed_zeros,
    png,
    tiff,
)
from tests.support.trap import Trap


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"no picture, only words\n", "not an image of a known format"),
        (EPS, "not an image of a known format"),
        (FITS, "not an image of a known format"),
        (SVG, "not an image of a known format"),
        (HTML, "not an image of a known format"),
        (HEIC, "not an image of a known format"),
        (b"\x89HDF\r\n\x1a\n".ljust(512, b"\0"), "not an image of a known format"),
        (b"%PDF-1.7\n", "not an image of a known format"),
        (bytes(range(256)) * 16, "not an image of a known format"),
    ],
    ids=["empty", "text", "EPS", "FITS", "SVG", "HTML", "HEIC", "HDF5", "PDF", "noise"],
)
def test_what_is_no_picture_is_refused_in_plain_words(data: bytes, reason: str) -> None:
    with pytest.raises(Undecodable) as refusal:
        decode(data)

    assert str(refusal.value) == reason


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_picture_is_refused_with_a_reason(format: str, share: float) -> None:
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    data = encoded(noise, format)

    with pytest.raises(Undecodable) as refusal:
        decode(data[: int(len(data) * share)])

    reason = str(refusal.value)
    assert reason.startswith("broken: ")
    assert "0x" not in reason  # no address of an object
    assert len(reason.removeprefix("broken: ")) > 5


def test_a_png_whose_header_has_a_wrong_check_sum_is_called_broken_not_unknown() -> None:
    data = bytearray(png(1, 1, rows=[b"\0\0\0"]))
    data[8 + 4 + 4 + 13] ^= 1

    with pytest.raises(Undecodable, match="broken: its header cannot be read"):
        decode(bytes(data))


@pytest.mark.parametrize(
    "values",
    [np.array([[0.0, 0.5, 1.0]], np.float32), np.array([[0, 1, 2**31 - 1]], np.int32), np.array([[0, 255]], np.int32)],
)
def test_values_without_a_known_white_are_refused_rather_than_guessed(values: np.ndarray) -> None:
    with pytest.raises(Undecodable, match="nothing says which of them is white"):
        decode(encoded(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("size", [(1, MAX_RATIO + 1), (MAX_RATIO + 1, 1), (20_000, 10)])
def test_a_strip_that_a_model_would_have_resized_to_gigabytes_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(Undecodable, match=f"{size[0]} × {size[1]} pixels: one side is more than 1,000 times as long"):
        decode(encoded(Image.new("RGB", size), "PNG"))


@pytest.mark.parametrize("name", [b"iTXt", b"zTXt", b"iCCP"])
def test_a_text_that_unpacks_to_gigabytes_is_refused(name: bytes) -> None:
    packed = packed_zeros(1_000_000_000)
    text = b"k\0\1\0\0\0" + packed if name == b"iTXt" else b"k\0\0" + packed

    with pytest.raises(Undecodable, match="unpack to more than we read"):
        decode(png(1, 1, rows=[b"\0\0\0"], extra=chunk(name, text)))


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (12_000, 9_000), (65_000, 1_539)])
def test_a_picture_of_too_many_pixels_is_refused(width: int, height: int) -> None:
    assert width * height > MAX_PIXELS

    with pytest.raises(Undecodable, match="megapixels"):
        decode(png(width, height, depth=8, colour=2, rows=[]))


def test_a_gif_whose_frame_outgrows_its_screen_is_refused() -> None:
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 60_000, 60_000) + b"\0\x02\x02\x44\x01\0;"

    with pytest.raises(Undecodable, match="megapixels"):
        decode(b"GIF89a\x02\0\x02\0\x80\0\0\0\0\0\xff\xff\xff" + frame)


IN_A_PROCESS_OF_ITS_OWN = """
import json, resource, sys
from inference.images import Undecodable, decode
data = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    outcome = str(decode(data).size)
except Undecodable as error:
    outcome = str(error)
print(json.dumps([outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""


def in_a_process_of_its_own(path: Path, environment: dict[str, str] | None = None) -> tuple[str, int]:
    """What decoding a file ends in, and by how many KiB it raised the peak of a fresh process's memory."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | (environment or {}),
    )
    outcome, grown_kib = json.loads(done.stdout)
    return outcome, grown_kib


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_a_whole_png_of_400_megapixels_is_refused_before_its_pixels_take_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(black_png(20_000, 20_000))

    outcome, grown_kib = in_a_process_of_its_own(path)

    assert "100 megapixels" in outcome
    assert grown_kib < 20_000  # its pixels take 1.2 GB


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_a_tile_of_a_gigabyte_behind_a_small_picture_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    path = tmp_path / "tile.tif"
    tags = {TIFF_PACKING: [8], TIFF_TILE_WIDTH: [20_000], TIFF_TILE_HEIGHT: [20_000]}
    path.write_bytes(tiff(16, 16, [packed_zeros(1_200_000_000)], bits=[8, 8, 8], meaning=2, tags=tags))

    outcome, grown_kib = in_a_process_of_its_own(path)

    assert outcome == "its tiles are larger than the 100 megapixels that we decode"
    assert grown_kib < 20_000


def test_an_eps_named_jpg_starts_no_other_program(tmp_path: Path) -> None:
    trap = Trap.laid(tmp_path / "bin")
    path = tmp_path / "picture.jpg"
    path.write_bytes(EPS)

    outcome, _ = in_a_process_of_its_own(path, {"PATH": trap.path})

    assert outcome == "not an image of a known format"
    assert trap.caught == ""


def test_the_trap_for_other_programs_works(tmp_path: Path) -> None:
    # With every format allowed, Pillow does start Ghostscript for this file: the test above would see it.
    trap = Trap.laid(tmp_path / "bin")
    path = tmp_path / "picture.jpg"
    path.write_bytes(EPS)

    subprocess.run(
        [sys.executable, "-c", "import sys; from PIL import Image; Image.open(sys.argv[1]).load()", str(path)],
        env=os.environ | {"PATH": trap.path},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert "gs" in trap.caught
