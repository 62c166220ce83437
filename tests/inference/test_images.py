"""Pictures of every kind become the RGB pixels that a person sees."""

import base64
import io
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, features

from inference.images import MAX_RATIO, decode
from tests.support.pictures import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    TIFF_EXTRA,
    TIFF_PLANES,
    bmp_with_alpha,
    chunk,
    encoded,
    interlaced_png,
    partial_gif,
    png,
    tiff,
)

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow is built without AVIF")


def pixels(data: bytes) -> list[list[tuple[int, ...]]]:
    image = decode(data)
    assert image.mode == "RGB"
    return [[tuple(pixel) for pixel in row] for row in np.asarray(image).tolist()]


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
        pytest.param("AVIF", {"quality": 100, "subsampling": "4:4:4"}, marks=needs_avif),
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
    data = png(2, 1, depth=8, colour=RGB, rows=[bytes((*RED, *BLUE))], transparent=struct.pack(">HHH", *RED))

    assert pixels(data) == [[WHITE, BLUE]]


def test_the_transparent_colour_of_a_16_bit_rgb_picture_lies_over_white() -> None:
    values = [0x1234, 0x5678, 0x9ABC, 0x00FF, 0x80FF, 0xFFFF]
    row = struct.pack(">6H", *values)

    data = png(2, 1, depth=16, colour=RGB, rows=[row], transparent=struct.pack(">3H", *values[:3]))

    assert pixels(data) == [[WHITE, (0x00, 0x80, 0xFF)]]


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    row = struct.pack(">5H", 0, 257, 257 * 100, 257 * 254, 65535)

    expected = [[(value,) * 3 for value in (0, 1, 100, 254, 255)]]
    assert pixels(png(5, 1, depth=16, colour=GREY, rows=[row])) == expected
    values = np.array([[0, 257, 257 * 100, 257 * 254, 65535]], dtype=np.uint16)
    assert pixels(encoded(Image.fromarray(values), "TIFF")) == expected


def test_the_transparent_value_of_16_bit_grey_lies_over_white() -> None:
    row = struct.pack(">3H", 0, 257 * 100, 257 * 200)

    data = png(3, 1, depth=16, colour=GREY, rows=[row], transparent=struct.pack(">H", 257 * 100))

    assert pixels(data) == [[BLACK, WHITE, (200, 200, 200)]]


# Where the red quarter of an unturned picture must end up: orientation n of EXIF, tag 0x0112.
TURNED = {1: (1, 1), 2: (14, 1), 3: (14, 6), 4: (1, 6), 5: (1, 1), 6: (6, 1), 7: (6, 14), 8: (1, 14)}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)])
def test_exif_orientation_is_applied(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation

    decoded = decode(
        encoded(corners(RED), format, exif=exif, **({"quality": 100} if format in ("JPEG", "AVIF") else {}))
    )

    assert decoded.size == ((16, 8) if orientation < 5 else (8, 16))
    assert is_near(decoded.getpixel(TURNED[orientation]), (254, 0, 0))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_exif_orientation_is_applied_to_grey_of_16_bits(format: str) -> None:
    values = np.full((4, 8), 65535, np.uint16)
    values[:2, :4] = 0
    exif = Image.Exif()
    exif[0x0112] = 6

    decoded = decode(encoded(Image.fromarray(values), format, exif=exif))

    assert (decoded.size, decoded.getpixel((3, 0)), decoded.getpixel((0, 0))) == ((4, 8), BLACK, WHITE)


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


def test_the_part_of_its_screen_that_a_gifs_first_frame_leaves_free_is_white() -> None:
    data = partial_gif(Image.new("RGB", (2, 1), "blue"), screen=(4, 2), at=(1, 1))

    assert pixels(data) == [[WHITE] * 4, [WHITE, BLUE, BLUE, WHITE]]


def test_an_interlaced_picture_is_put_together() -> None:
    image = Image.effect_noise((13, 11), 80).convert("RGB")

    assert np.array_equal(np.asarray(decode(interlaced_png(image))), np.asarray(image))


@pytest.mark.parametrize(
    ("depth", "row", "transparent", "expected"),
    [
        (1, 0b01000000, 0, [255, 255]),
        (1, 0b01000000, 1, [0, 255]),
        (2, 0b00011011, 1, [0, 255, 170, 255]),
        (4, 0x5A, 0x5, [255, 170]),
    ],
)
def test_the_transparent_value_of_grey_of_few_bits_lies_over_white(
    depth: int, row: int, transparent: int, expected: list[int]
) -> None:
    width, value = len(expected), struct.pack(">H", transparent)

    data = png(width, 1, depth=depth, colour=GREY, rows=[bytes([row])], transparent=value)

    assert pixels(data) == [[(grey,) * 3 for grey in expected]]


@pytest.mark.parametrize(
    ("colour", "values", "expected"),
    [
        (RGB, (65535, 100 * 257, 0), (255, 100, 0)),
        (RGBA, (65535, 0, 0, 65535), RED),
        (RGBA, (0, 0, 65535, 0x8000), (127, 127, 255)),
        (GREY_ALPHA, (0, 0x8000), (127, 127, 127)),
    ],
)
def test_colours_and_alpha_of_16_bits_keep_their_high_byte(
    colour: int, values: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    data = png(1, 1, depth=16, colour=colour, rows=[struct.pack(f">{len(values)}H", *values)])

    assert pixels(data) == [[expected]]


def test_a_palette_may_be_partly_transparent() -> None:
    palette = chunk(b"PLTE", bytes((*RED, *BLUE, *BLACK)))

    data = png(3, 1, colour=PALETTE, rows=[b"\0\1\2"], extra=palette, transparent=b"\0\x80")

    assert pixels(data) == [[WHITE, (127, 127, 255), BLACK]]


def test_gamma_and_profile_change_nothing() -> None:
    row = [bytes((200, 50, 20))]

    assert pixels(png(1, 1, rows=row, extra=chunk(b"gAMA", struct.pack(">I", 100_000)))) == [[(200, 50, 20)]]


# Bits of each value, how they are to be read (0 white is zero, 1 black is zero, 2 RGB, 5 CMYK, 6 YCbCr, 8 L*a*b*),
# what more there is to each pixel (0 nothing that is known, 1 alpha that is multiplied in already, 2 alpha), bytes.
TIFFS = [
    pytest.param([16], 0, [], struct.pack("<2H", 0, 65535), [WHITE, BLACK], id="16 bits, white is zero"),
    pytest.param([16], 1, [], struct.pack("<2H", 0, 100 * 257), [BLACK, (100, 100, 100)], id="16 bits"),
    pytest.param([12], 1, [], b"\xff\xf8\x00", [WHITE, (127, 127, 127)], id="12 bits"),
    pytest.param([8], 0, [], b"\x00\xff", [WHITE, BLACK], id="8 bits, white is zero"),
    pytest.param([8, 8], 1, [1], b"\x40\x80\xff\xff", [(191, 191, 191), WHITE], id="grey, alpha multiplied in"),
    pytest.param([8, 8], 1, [2], b"\x40\x80\x00\xff", [(159, 159, 159), BLACK], id="grey and alpha"),
    pytest.param([8] * 4, 2, [1], b"\0\0\x80\x80\0\0\xff\xff", [(127, 127, 255), BLUE], id="RGB, alpha multiplied in"),
    pytest.param([8] * 4, 2, [2], b"\0\0\xff\x80\0\0\xff\0", [(127, 127, 255), WHITE], id="RGB and alpha"),
    pytest.param([8] * 4, 2, [0], b"\0\0\xff\0\xff\0\0\0", [BLUE, RED], id="RGB and something unknown"),
    pytest.param([16] * 3, 2, [], struct.pack("<6H", 65535, 0, 0, 0, 0, 65535), [RED, BLUE], id="RGB of 16 bits"),
    pytest.param([8] * 4, 5, [], b"\0\xff\xff\0\0\0\0\xff", [RED, BLACK], id="CMYK"),
    pytest.param([8] * 3, 6, [], b"\x80\x80\x80\xff\x80\x80", [(128, 128, 128), WHITE], id="YCbCr"),
    pytest.param([8] * 3, 8, [], b"\xff\0\0\0\0\0", [WHITE, BLACK], id="L*a*b*"),
]


@pytest.mark.parametrize(("bits", "meaning", "more", "data", "expected"), TIFFS)
def test_every_way_of_a_tiff_to_tell_colours_is_understood(
    bits: list[int], meaning: int, more: list[int], data: bytes, expected: list[tuple[int, ...]]
) -> None:
    tags = {TIFF_EXTRA: more} if more else {}

    (row,) = pixels(tiff(2, 1, [data], bits=bits, meaning=meaning, tags=tags))

    assert row == expected or (meaning == 8 and all(map(is_near, row, expected)))  # L*a*b* is rounded on its way


def test_the_planes_of_a_tiff_are_put_together() -> None:
    planes = [bytes((255, 0)), bytes((0, 0)), bytes((0, 255))]

    assert pixels(tiff(2, 1, planes, bits=[8, 8, 8], meaning=2, tags={TIFF_PLANES: [2]})) == [[RED, BLUE]]


@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma", "jpeg"])
def test_a_tiff_may_be_packed_in_any_way(packing: str) -> None:
    data = encoded(Image.new("RGB", (16, 16), (200, 50, 20)), "TIFF", compression=packing)

    assert is_near(pixels(data)[8][8], (200, 50, 20))


def test_the_alpha_of_a_bmp_lies_over_white() -> None:
    data = bmp_with_alpha(3, 1, bytes((*BLUE[::-1], 255, *BLUE[::-1], 128, *BLUE[::-1], 0)))

    assert pixels(data) == [[BLUE, (127, 127, 255), WHITE]]


TEN_BITS = """
AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0bQAA
AAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAQwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtp
cGNvAAAAFGlzcGUAAAAAAAAAEAAAAAgAAAAQcGl4aQAAAAADCgoKAAAADGF2MUOBIEAAAAAAE2NvbHJuY2x4AAIAAgAGgAAAABdpcG1hAAAAAAAAAAEA
AQQBAoMEAAAAS21kYXQSAAoIOAy/t4EBA0gyNRECI1KAAPIAABDvYExUT8yRtgCa9NW2Mfvzo6S+99csppJ2Qc5VIy9PB3Om/+oINPIQJitE
"""
"""An AVIF with ten bits for each colour, which Pillow does not write: 16 × 8 pixels, the left upper quarter red."""


@needs_avif
def test_an_avif_of_ten_bits_is_scaled_to_eight() -> None:
    decoded = pixels(base64.b64decode(TEN_BITS))

    assert is_near(decoded[1][1], RED)
    assert is_near(decoded[6][14], WHITE)


@pytest.mark.parametrize("size", [(1, 1), (1, MAX_RATIO), (MAX_RATIO, 1)])
def test_the_smallest_and_the_narrowest_picture_are_decoded(size: tuple[int, int]) -> None:
    assert decode(encoded(Image.new("RGB", size, "red"), "PNG")).size == size


def test_decoding_in_threads_leaves_pythons_warnings_as_they_are() -> None:
    data = encoded(corners(RED), "PNG")
    before = list(warnings.filters)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [data] * 200))

    assert warnings.filters == before
