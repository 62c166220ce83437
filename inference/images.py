"""Bytes become RGB pixels, or the reason why not.

Light: Pillow only. Every way of running a model decodes here, and so do thumbnails, so a picture means the same
everywhere.
"""

from __future__ import annotations

import io
import warnings
from typing import cast

from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What Pillow may try. Formats that start other programs (EPS) or are no pictures (FITS, HDF5) are not among them."""

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")

MAX_PIXELS = 100_000_000
"""Checked from the header, before any pixel is decoded: 100 megapixels take 300 MB as RGB."""

MAX_GREY = 65535


class Undecodable(Exception):
    """This image has no pixels for us; the message is the reason, in words for a person."""


def decode(data: bytes, *, at_least_pixels: int | None = None) -> Image.Image:
    """The first frame as an upright RGB image; transparency lies over white, 16-bit values are scaled to 8.

    With `at_least_pixels` a JPEG may come out smaller, with no side shorter than that: quick, and for looking at only.
    Raises `Undecodable` with the reason.
    """
    if not data:
        raise Undecodable("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what `_checked_size` refuses
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image)
                if at_least_pixels is not None:
                    image.draft(None, (at_least_pixels, at_least_pixels))
                image.load()
                return _as_rgb(ImageOps.exif_transpose(image))
    except Undecodable:
        raise
    except UnidentifiedImageError:
        raise Undecodable("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise Undecodable(f"larger than {MAX_PIXELS // 1_000_000} megapixels") from None
    except MemoryError:
        raise Undecodable("too large for this machine's memory") from None
    except Exception as error:  # a broken file may raise anything; one image must not cost another
        raise Undecodable(f"broken: {str(error) or type(error).__name__}") from error


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Undecodable(
            f"{width} × {height} pixels are more than the {MAX_PIXELS // 1_000_000} megapixels that we decode"
        )


def _as_rgb(image: Image.Image) -> Image.Image:
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple) and max(transparent) > 255:
        # Pillow keeps the high bytes of 16-bit colours, but both bytes of the one that stands for transparency.
        image.info["transparency"] = tuple(value >> 8 for value in transparent)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _grey_of_16_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", layer.size, "white")
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey_of_16_bits(image: Image.Image) -> Image.Image:
    """8-bit grey; Pillow's own conversion clips to 255, so that a 16-bit picture would come out white."""
    values = image.convert("I")
    low, high = cast(tuple[int, int], values.getextrema())
    if image.mode == "F" or not 0 <= low <= high <= MAX_GREY:
        raise Undecodable("its grey values are not 8 or 16 bits, so nothing says which of them is white")
    grey = values.point(lambda value: value / 257).convert("L")
    if "transparency" in grey.info:
        grey.info["transparency"] //= 257
    return grey
