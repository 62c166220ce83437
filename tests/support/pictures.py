"""Picture files that Pillow writes, and those that it does not: made by hand, byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types of a PNG."""

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced PNG: the first column and row of each, and the steps between."""


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    """The file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


# -- PNG ---------------------------------------------------------------------------------------------------------


def chunk(name: bytes, content: bytes) -> bytes:
    """A piece of a PNG with its check sum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    width: int,
    height: int,
    *,
    depth: int = 8,
    colour: int = RGB,
    rows: Sequence[bytes] = (),
    packed: bytes | None = None,
    transparent: bytes = b"",
    extra: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """A PNG of these rows, or of a body that is `packed` already; `extra` are chunks in front of it."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    body = packed if packed is not None else zlib.compress(b"".join(b"\0" + row for row in rows))
    extra += chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def interlaced_png(image: Image.Image) -> bytes:
    """An RGB picture in the seven passes of Adam7."""
    pixels = np.asarray(image.convert("RGB"))
    passes = [pixels[y::step_y, x::step_x] for x, y, step_x, step_y in _ADAM7]
    rows = [row.tobytes() for part in passes if part.size for row in part]
    return png(image.width, image.height, rows=rows, interlaced=True)


def black_png(width: int, height: int) -> bytes:
    """A whole PNG of black RGB pixels, however many, without ever holding them."""
    row_bytes = 1 + 3 * width
    return png(width, height, packed=packed_zeros(row_bytes * height, piece=row_bytes))


def packed_zeros(number: int, *, piece: int = 1_000_000) -> bytes:
    """So many zero bytes as zlib packs them, made by repeating a packed piece; `piece` must divide the number."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(piece)) + packer.flush(zlib.Z_FULL_FLUSH)
    check = struct.pack(">HH", number % 65521, 1)  # Adler-32 of nothing but zeros
    return b"\x78\xda" + block * (number // piece) + b"\x03\x00" + check


# -- TIFF --------------------------------------------------------------------------------------------------------

TIFF_WIDTH, TIFF_HEIGHT, TIFF_BITS, TIFF_PACKING, TIFF_MEANING, TIFF_SAMPLES = 256, 257, 258, 259, 262, 277
TIFF_ROWS, TIFF_PLANES, TIFF_TILE_WIDTH, TIFF_TILE_HEIGHT, TIFF_EXTRA, TIFF_KIND = 278, 284, 322, 323, 338, 339
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325


def tiff(
    width: int,
    height: int,
    parts: Sequence[bytes],
    *,
    bits: Sequence[int],
    meaning: int,
    tags: Mapping[int, Sequence[int]] | None = None,
) -> bytes:
    """A little-endian TIFF of these strips, or of tiles where `tags` tells their size.

    `meaning` is how the values are to be read: 0 white is zero, 1 black is zero, 2 RGB.
    """
    fields = {
        TIFF_WIDTH: [width],
        TIFF_HEIGHT: [height],
        TIFF_BITS: bits,
        TIFF_PACKING: [1],
        TIFF_MEANING: [meaning],
        TIFF_SAMPLES: [len(bits)],
        **(tags or {}),
    }
    tiled = TIFF_TILE_WIDTH in fields
    if not tiled:
        fields[TIFF_ROWS] = [height]
    places, lengths = (_TILES, _TILE_BYTES) if tiled else (_STRIPS, _STRIP_BYTES)
    fields |= {places: [0] * len(parts), lengths: [len(part) for part in parts]}
    start = len(_directory(fields))
    fields[places] = [start + sum(map(len, parts[:number])) for number in range(len(parts))]
    return _directory(fields) + b"".join(parts)


def _directory(fields: Mapping[int, Sequence[int]]) -> bytes:
    """Header and directory; values that do not fit into their entry follow it."""
    entries, beyond = b"", b""
    beyond_at = 8 + 2 + 12 * len(fields) + 4
    for tag, values in sorted(fields.items()):
        is_long = tag in (_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES)
        raw = struct.pack(f"<{len(values)}{'I' if is_long else 'H'}", *values)
        if len(raw) > 4:
            beyond, raw = beyond + raw, struct.pack("<I", beyond_at + len(beyond))
        entries += struct.pack("<HHI", tag, 4 if is_long else 3, len(values)) + raw.ljust(4, b"\0")
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + entries + b"\0\0\0\0" + beyond


# -- GIF and BMP -------------------------------------------------------------------------------------------------


def partial_gif(image: Image.Image, screen: tuple[int, int], at: tuple[int, int]) -> bytes:
    """A GIF without transparency whose only frame covers a part of its screen."""
    file = bytearray(encoded(image, "GIF"))
    file[6:10] = struct.pack("<HH", *screen)
    frame = _frame_at(file)
    file[frame + 1 : frame + 5] = struct.pack("<HH", *at)
    return bytes(file)


def long_gif(image: Image.Image, frames: int) -> bytes:
    """A GIF of this picture and then so many frames of one pixel."""
    file = encoded(image, "GIF")
    return file[:-1] + b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0" * (frames - 1) + b";"


def _frame_at(file: bytes | bytearray) -> int:
    """Where the first frame begins: after header, palette and blocks that tell of it."""
    place = 13 + (3 * 2 ** ((file[10] & 7) + 1) if file[10] & 0x80 else 0)
    while file[place] == 0x21:
        place += 2
        while file[place]:
            place += 1 + file[place]
        place += 1
    return place


def bmp_with_alpha(width: int, height: int, pixels: bytes) -> bytes:
    """A BMP of version 4 whose masks name an alpha channel; `pixels` are BGRA, the last row first."""
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(pixels), 2835, 2835, 0, 0)
    header += masks + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


# -- what is no picture ------------------------------------------------------------------------------------------

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(marker) (w) file closefile showpage\n"
FITS = b"".join(card.ljust(80) for card in (b"SIMPLE  = T", b"BITPIX  = 8", b"NAXIS   = 0", b"END")).ljust(2880)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script><rect width='9' height='9'/></svg>"
HTML = b"<!doctype html><html><body><script>alert(1)</script><img src='http://127.0.0.1/x'></body></html>"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
