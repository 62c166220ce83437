"""Pictures of every kind become RGB pixels, or a plain reason; nothing is decoded that is too large."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from inference.images import MAX_PIXELS, Undecodable, decode

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> list[list[tuple[int, ...]]]:
    image = decode(data)
    assert image.mode == "RGB"
    return [[tuple(pixel) for pixel in row] for row in np.asarray(image).tolist()]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *, depth: int, colour: int, rows: list[bytes], transparent: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    extra = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def corners(top_left: tuple[int, int, int], rest: tuple[int, int, int] = WHITE) -> Image.Image:
    """16 × 8 pixels whose left upper quarter has another colour."""
    image = Image.new("RGB", (16, 8), rest)
    image.paste(top_left, (0, 0, 8, 4))
    return image


def is_near(pixel: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) <= 6


# -- the right pixels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("MPO", {"quality": 100, "subsampling": 0, "save_all": True, "append_images": [Image.new("RGB", (16, 8))]}),
        pytest.param(
            "AVIF",
            {"quality": 100, "subsampling": "4:4:4"},
            marks=pytest.mark.skipif(not features.check("avif"), reason="this Pillow is built without AVIF"),
        ),
    ],
)
def test_every_format_gives_the_same_upright_picture(format: str, options: dict[str, object]) -> None:
    decoded = pixels(encoded(corners(RED), format, **options))

    assert (len(decoded[0]), len(decoded)) == (16, 8)
    assert is_near(decoded[1][1], RED)
    assert is_near(decoded[1][14], WHITE)
    assert is_near(decoded[6][1], WHITE)


def test_grey_is_the_same_value_in_all_three_channels() -> None:
    assert pixels(encoded(Image.new("L", (2, 1), 77), "PNG")) == [[(77, 77, 77)] * 2]


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (2, 1), 0)
    image.putpixel((1, 0), 1)

    assert pixels(encoded(image, "PNG")) == [[BLACK, WHITE]]


@pytest.mark.parametrize(("format", "options"), [("JPEG", {"quality": 100}), ("TIFF", {})])
def test_cmyk_keeps_its_colours(format: str, options: dict[str, object]) -> None:
    image = Image.new("RGB", (8, 8), (200, 50, 20)).convert("CMYK")

    assert is_near(pixels(encoded(image, format, **options))[4][4], (200, 50, 20))


def test_a_palette_becomes_its_colours() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)

    assert pixels(encoded(image, "PNG")) == [[RED, BLUE]]


def test_a_transparent_entry_of_a_palette_lies_over_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)

    assert pixels(encoded(image, "PNG", transparency=0)) == [[WHITE, BLUE]]
    assert pixels(encoded(image, "GIF", transparency=0)) == [[WHITE, BLUE]]


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_alpha_lies_over_white(format: str) -> None:
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (*BLUE, alpha))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}

    (row,) = pixels(encoded(image, format, **options))

    assert row[0] == WHITE
    assert is_near(row[1], (127, 127, 255))
    assert row[2] == BLUE


def test_grey_with_alpha_lies_over_white() -> None:
    image = Image.new("LA", (2, 1), (0, 0))
    image.putpixel((1, 0), (0, 255))

    assert pixels(encoded(image, "PNG")) == [[WHITE, BLACK]]


def test_the_transparent_colour_of_an_rgb_picture_lies_over_white() -> None:
    data = png(2, 1, depth=8, colour=2, rows=[bytes((*RED, *BLUE))], transparent=struct.pack(">HHH", *RED))

    assert pixels(data) == [[WHITE, BLUE]]


def test_the_transparent_colour_of_a_16_bit_rgb_picture_lies_over_white() -> None:
    values = [0x1234, 0x5678, 0x9ABC, 0x00FF, 0x80FF, 0xFFFF]
    row = struct.pack(">6H", *values)

    data = png(2, 1, depth=16, colour=2, rows=[row], transparent=struct.pack(">3H", *values[:3]))

    assert pixels(data) == [[WHITE, (0x00, 0x80, 0xFF)]]


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    row = struct.pack(">5H", 0, 257, 257 * 100, 257 * 254, 65535)

    expected = [[(value,) * 3 for value in (0, 1, 100, 254, 255)]]
    assert pixels(png(5, 1, depth=16, colour=0, rows=[row])) == expected
    values = np.array([[0, 257, 257 * 100, 257 * 254, 65535]], dtype=np.uint16)
    assert pixels(encoded(Image.fromarray(values), "TIFF")) == expected


def test_the_transparent_value_of_16_bit_grey_lies_over_white() -> None:
    row = struct.pack(">3H", 0, 257 * 100, 257 * 200)

    data = png(3, 1, depth=16, colour=0, rows=[row], transparent=struct.pack(">H", 257 * 100))

    assert pixels(data) == [[BLACK, WHITE, (200, 200, 200)]]


# Where the red quarter of an unturned picture must end up: orientation n of EXIF, tag 0x0112.
TURNED = {1: (1, 1), 2: (14, 1), 3: (14, 6), 4: (1, 6), 5: (1, 1), 6: (6, 1), 7: (6, 14), 8: (1, 14)}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation

    decoded = decode(encoded(corners(RED), format, exif=exif, **({"quality": 100} if format == "JPEG" else {})))

    assert decoded.size == ((16, 8) if orientation < 5 else (8, 16))
    assert is_near(decoded.getpixel(TURNED[orientation]), (254, 0, 0))


@pytest.mark.parametrize("content", [b"garbage!!!", b"MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03", b""])
def test_broken_exif_costs_nothing_but_the_orientation(content: bytes) -> None:
    data = encoded(Image.new("RGB", (8, 8), (200, 50, 20)), "JPEG", quality=100)
    segment = b"Exif\0\0" + content
    marked = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]

    assert is_near(pixels(marked)[4][4], (200, 50, 20))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(format: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}

    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)

    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    assert pixels(data)[2][2] == RED


# -- the reason why not ------------------------------------------------------------------------------------------

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(marker) (w) file closefile showpage\n"
FITS = b"".join(card.ljust(80) for card in (b"SIMPLE  = T", b"BITPIX  = 8", b"NAXIS   = 0", b"END"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"no picture, only words\n", "not an image of a known format"),
        (EPS, "not an image of a known format"),
        (FITS.ljust(2880), "not an image of a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image of a known format"),
        (b"\x89HDF\r\n\x1a\n".ljust(512, b"\0"), "not an image of a known format"),
        (b"%PDF-1.7\n", "not an image of a known format"),
        (bytes(range(256)) * 16, "not an image of a known format"),
    ],
    ids=["empty", "text", "EPS", "FITS", "SVG", "HDF5", "PDF", "noise"],
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
    assert reason == "not an image of a known format" or reason.startswith("broken: ")
    assert "0x" not in reason  # no address of an object
    assert len(reason.removeprefix("broken: ")) > 5


@pytest.mark.parametrize("values", [np.array([[0.0, 0.5, 1.0]], np.float32), np.array([[0, 1, 2**31 - 1]], np.int32)])
def test_values_without_a_known_white_are_refused_rather_than_guessed(values: np.ndarray) -> None:
    with pytest.raises(Undecodable, match="8 or 16 bits"):
        decode(encoded(Image.fromarray(values), "TIFF"))


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
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(bytes(20_000 // 8 + 1)) for _ in range(20_000)) + packer.flush()
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""),
    )

    outcome, grown_kib = in_a_process_of_its_own(path)

    assert "100 megapixels" in outcome
    assert grown_kib < 20_000  # its pixels take 400 MB even as bytes


def test_an_eps_named_jpg_starts_no_other_program(tmp_path: Path) -> None:
    trap, evidence = tmp_path / "bin", tmp_path / "started"
    trap.mkdir()
    for name in ("gs", "gswin32c", "convert", "magick"):
        (trap / name).write_text(f"#!/bin/sh\ntouch {evidence}\n")
        (trap / name).chmod(0o755)
    path = tmp_path / "picture.jpg"
    path.write_bytes(EPS)

    outcome, _ = in_a_process_of_its_own(path, {"PATH": f"{trap}:{os.environ['PATH']}"})

    assert outcome == "not an image of a known format"
    assert not evidence.exists()


def test_the_trap_for_other_programs_works(tmp_path: Path) -> None:
    # With every format allowed, Pillow does start Ghostscript for this file: the test above would see it.
    trap, evidence = tmp_path / "bin", tmp_path / "started"
    trap.mkdir()
    (trap / "gs").write_text(f"#!/bin/sh\ntouch {evidence}\n")
    (trap / "gs").chmod(0o755)
    path = tmp_path / "picture.jpg"
    path.write_bytes(EPS)

    subprocess.run(
        [sys.executable, "-c", "import sys; from PIL import Image; Image.open(sys.argv[1]).load()", str(path)],
        env=os.environ | {"PATH": f"{trap}:{os.environ['PATH']}"},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert evidence.exists()
