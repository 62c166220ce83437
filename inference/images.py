"""Bytes become RGB pixels, or the reason why not.

Light: Pillow only. Every way of running a model decodes here, and so do thumbnails, so a picture means the same
everywhere. Colour profiles and gamma are left aside, as they were when today's models were trained.
"""

from __future__ import annotations

import errno
import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What Pillow may try. Formats that start other programs (EPS) or are no pictures (FITS, HDF5) are not among them."""

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")

MAX_PIXELS = 100_000_000
"""Checked from the header, before any pixel is decoded: 100 megapixels take 300 MB as RGB."""

MAX_RATIO = 1_000
"""Longer to shorter side. A model that wants the shorter one at 224 pixels has a strip of one pixel's width made 224
times as long as well, however few pixels it has."""

MAX_FILE_BYTES = 200_000_000
"""Of a file, or an object in a bucket: more than any photograph has, and little enough for a block of them."""

_PNG_DEPTH = 24
"""Where a PNG tells the bits of a value."""

_TIFF_BITS, _TIFF_MEANING, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 258, 262, 322, 323
_WHITE_IS_ZERO = 0

# Once and for all threads: Pillow warns of what is refused here anyway, and of metadata that nobody reads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class Undecodable(Exception):
    """This image has no pixels for us; the message is the reason, in words for a person."""


def check_file_size(size_bytes: int) -> None:
    """Refuse a file before it is read. Raises `OSError` with the reason."""
    if size_bytes > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than the {MAX_FILE_BYTES // 1_000_000} MB that an image may have")


def decode(data: bytes, *, at_least_pixels: int | None = None) -> Image.Image:
    """The first frame as an upright RGB image; transparency lies over white, 12- and 16-bit values are scaled to 8.

    With `at_least_pixels` a JPEG may come out smaller, with no side shorter than that: quick, and for looking at only.
    Raises `Undecodable` with the reason.
    """
    if not data:
        raise Undecodable("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image)
            if at_least_pixels is not None:
                image.draft(None, (at_least_pixels, at_least_pixels))
            return _loaded(image, data)
    except Undecodable:
        raise
    except UnidentifiedImageError:
        raise Undecodable(
            "broken: its header cannot be read" if _begins_well(data) else "not an image of a known format"
        ) from None
    except Image.DecompressionBombError:
        raise Undecodable(f"larger than {MAX_PIXELS // 1_000_000} megapixels") from None
    except MemoryError:
        raise Undecodable("too large for this machine's memory") from None
    except Exception as error:  # a broken file may raise anything; one image must not cost another
        if "MAX_TEXT" in str(error):
            raise Undecodable("the texts or the colour profile in it unpack to more than we read") from None
        raise Undecodable(f"broken: {str(error) or type(error).__name__}") from error


def _begins_well(data: bytes) -> bool:
    """Whether the first bytes are those of a known format."""
    accepts = (Image.OPEN[name][1] for name in FORMATS if name in Image.OPEN)
    return any(accept is not None and accept(data[:16]) is True for accept in accepts)


def _check_size(image: Image.Image) -> None:
    """Refuse by what the header says, before any pixel takes memory."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Undecodable(
            f"{width} × {height} pixels are more than the {MAX_PIXELS // 1_000_000} megapixels that we decode"
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise Undecodable(f"{width} × {height} pixels: one side is more than {MAX_RATIO:,} times as long as the other")
    # A tile is unpacked whole, even where the picture needs a corner of it.
    if isinstance(image, TiffImageFile) and _tile_pixels(image) > MAX_PIXELS:
        raise Undecodable(f"its tiles are larger than the {MAX_PIXELS // 1_000_000} megapixels that we decode")


def _tile_pixels(image: TiffImageFile) -> int:
    return int(image.tag_v2.get(_TIFF_TILE_WIDTH, 0)) * int(image.tag_v2.get(_TIFF_TILE_HEIGHT, 0))


def _loaded(image: Image.Image, data: bytes) -> Image.Image:
    """The pixels of an opened image as upright RGB; `data` is the file."""
    covered = image.tile[0][1] if image.format == "GIF" and image.tile else None  # type: ignore[attr-defined]
    image.load()
    _match_transparency(image, data)
    if image.mode in ("I", "F"):
        raise Undecodable("its grey values are signed, fractions, or of 32 bits: nothing says which of them is white")
    if covered is not None and covered != (0, 0, *image.size):
        image = _over_white(image, covered)
    white, is_negative = _meaning_of_grey(image)  # told by the file, which the upright picture is parted from
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        upright = _grey_of_16_bits(upright, white)
    return _as_rgb(ImageOps.invert(upright) if is_negative else upright)


def _match_transparency(image: Image.Image, data: bytes) -> None:
    """Bring the value that stands for transparency to the scale of Pillow's pixels: the file's own may be another."""
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple) and max(transparent) > 255:  # of 16-bit colours Pillow keeps the high bytes
        image.info["transparency"] = tuple(value >> 8 for value in transparent)
    elif isinstance(transparent, int) and image.format == "PNG" and image.mode == "L":  # 2 or 4 bits become 8
        image.info["transparency"] = transparent * 255 // (2 ** data[_PNG_DEPTH] - 1)


def _meaning_of_grey(image: Image.Image) -> tuple[int, bool]:
    """Which value is white in a picture of 16 bits, and whether it is a negative; Pillow leaves TIFFs as they are."""
    if not isinstance(image, TiffImageFile) or not image.mode.startswith("I;16"):
        return 65535, False
    return 2 ** image.tag_v2[_TIFF_BITS][0] - 1, image.tag_v2.get(_TIFF_MEANING) == _WHITE_IS_ZERO


def _grey_of_16_bits(image: Image.Image, white: int) -> Image.Image:
    """8-bit grey; Pillow's own conversion clips to 255, so that a 16-bit picture would come out white."""
    grey = image.convert("I").point(lambda value: value / (white / 255)).convert("L")
    if "transparency" in grey.info:
        grey.info["transparency"] //= 257
    return grey


def _over_white(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """What a GIF's first frame covers of its screen; Pillow fills the rest with some colour of the palette."""
    paper = Image.new("RGB", image.size, "white")
    paper.paste(_as_rgb(image).crop(box), box)
    return paper


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")  # Pillow knows no shorter way
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", layer.size, "white")
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")
