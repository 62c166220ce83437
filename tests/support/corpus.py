"""A folder of files of every kind, good, bad and hostile, and what must become of each of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, features

from tests.support.pictures import (
    EPS,
    FITS,
    GREY,
    HEIC,
    HTML,
    RGB,
    SVG,
    black_png,
    chunk,
    encoded,
    interlaced_png,
    long_gif,
    packed_zeros,
    partial_gif,
    png,
    tiff,
)

NO_FORMAT = "not an image of a known format"
RIGHT_TO_LEFT = "\u202e"
BORDER = 20
"""Pixels around a transparent picture through which the paper is seen."""
FRAMES = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the corpus, and what must become of it."""

    name: str
    """Its id in the data set, or what is shown of it where it has none."""
    outcome: str
    """`ok`, `error` or `passed over`."""
    reason: str | None = None
    """A regular expression that the whole reason fits; None where there is none."""
    picture: Image.Image | None = None
    """What must be seen, where that is known."""
    tolerance: float = 3.0
    """By how much a channel of a pixel may differ, in the mean over the picture: formats lose something."""
    has_digit: bool = False
    """Whether a model that reads digits must read the corpus's own."""


class Corpus:
    """The files in a folder, made when it is."""

    def __init__(self, folder: Path, digit: Image.Image, label: str) -> None:
        """`digit` is an RGB photograph with a digit, and `label` its name: what its variants lie in."""
        self.folder = folder
        self.entries: list[Entry] = []
        self._label = label
        folder.mkdir(parents=True)
        _add_formats(self, digit)
        _add_modes(self, digit)
        _add_odd_shapes(self, digit)
        _add_broken(self, digit)
        _add_impostors(self)
        _add_bombs(self)
        _add_names(self, digit)
        _add_what_is_passed_over(self, digit)

    def of(self, *outcomes: str) -> dict[str, Entry]:
        """The entries that come to such an end, by name."""
        return {entry.name: entry for entry in self.entries if entry.outcome in outcomes}

    def path(self, entry: Entry) -> Path:
        """The file of an entry."""
        return self.folder / entry.name

    def digit(self, name: str, data: bytes, picture: Image.Image, tolerance: float = 3.0, *, read: bool = True) -> None:
        """A file that shows the digit; in a sub-folder that tells its label."""
        named = f"{self._label}/{name}"
        self._write(named, data)
        entry = Entry(name=named, outcome="ok", picture=picture, tolerance=tolerance, has_digit=read)
        self.entries.append(entry)

    def ok(self, name: str, data: bytes, picture: Image.Image | None = None) -> None:
        """A file that must be decoded."""
        self._write(name, data)
        self.entries.append(Entry(name=name, outcome="ok", picture=picture))

    def error(self, name: str, data: bytes, reason: str) -> None:
        """A file that must be refused."""
        self._write(name, data)
        self.entries.append(Entry(name=name, outcome="error", reason=reason))

    def passed_over(self, name: str, reason: str, make: Callable[[Path], object]) -> None:
        """An entry that must not even be listed."""
        make(self.folder / name)
        self.entries.append(Entry(name=name, outcome="passed over", reason=reason))

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


# -- what must be seen -------------------------------------------------------------------------------------------


def _add_formats(corpus: Corpus, digit: Image.Image) -> None:
    """The same picture in every format."""
    frames = [Image.new("RGB", digit.size, colour) for colour in ("red", "blue")]
    animated = {"save_all": True, "append_images": frames}
    corpus.digit("jpeg.jpg", encoded(digit, "JPEG", quality=92), digit)
    corpus.digit("progressive.jpg", encoded(digit, "JPEG", quality=92, progressive=True), digit)
    corpus.digit("jpeg named.PNG", encoded(digit, "JPEG", quality=92), digit)
    corpus.digit("png.png", encoded(digit, "PNG"), digit, 0)
    corpus.digit("interlaced.png", interlaced_png(digit), digit, 0)
    corpus.digit("webp.webp", encoded(digit, "WEBP", quality=92), digit)
    corpus.digit("lossless.webp", encoded(digit, "WEBP", lossless=True), digit, 0)
    corpus.digit("animated.webp", encoded(digit, "WEBP", lossless=True, **animated), digit, 0)
    corpus.digit("gif.gif", encoded(digit, "GIF"), digit, 8)
    corpus.digit("animated.gif", encoded(digit, "GIF", **animated), digit, 8)
    corpus.digit("30,000 frames.gif", long_gif(digit.quantize(), FRAMES), digit, 8)
    corpus.digit("bmp.bmp", encoded(digit, "BMP"), digit, 0)
    corpus.digit("tiff.tiff", encoded(digit, "TIFF", compression="tiff_lzw"), digit, 0)
    corpus.digit("pages.tif", encoded(digit, "TIFF", **animated), digit, 0)
    corpus.digit("jpeg inside.tif", encoded(digit, "TIFF", compression="jpeg", quality=92), digit)
    corpus.digit("two pictures.jpg", encoded(digit, "MPO", quality=92, **animated), digit)
    if features.check("avif"):
        corpus.digit("avif.avif", encoded(digit, "AVIF", quality=92), digit)


def _add_modes(corpus: Corpus, digit: Image.Image) -> None:
    """The same picture in every colour model, and lying on its side."""
    grey = digit.convert("L")
    shades = np.asarray(grey).astype(np.uint16) * 257
    window = Image.new("L", digit.size, 0)
    window.paste(255, (BORDER, BORDER, digit.width - BORDER, digit.height - BORDER))
    framed, framed_grey = (_over_white(picture, window) for picture in (digit, grey.convert("RGB")))
    palette = digit.quantize(255)
    see_through = palette.copy()
    see_through.putpalette([*(palette.getpalette() or [])[: 3 * 255], 0, 0, 0])
    see_through.paste(255, mask=window.point(lambda value: 255 - value))
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with_alpha, grey_with_alpha = digit.copy(), grey.copy()
    with_alpha.putalpha(window)
    grey_with_alpha.putalpha(window)

    corpus.digit("cmyk.jpg", encoded(digit.convert("CMYK"), "JPEG", quality=92), digit)
    corpus.digit("cmyk.tif", encoded(digit.convert("CMYK"), "TIFF"), digit, 1)
    corpus.digit("grey.jpg", encoded(grey, "JPEG", quality=92), grey.convert("RGB"))
    corpus.digit("profile.jpg", encoded(digit, "JPEG", quality=92, icc_profile=profile), digit)
    corpus.digit("palette.png", encoded(palette, "PNG"), digit, 8)
    corpus.digit("palette with a hole.png", encoded(see_through, "PNG", transparency=255), framed, 8)
    corpus.digit("rgba.png", encoded(with_alpha, "PNG"), framed, 0)
    corpus.digit("rgba.webp", encoded(with_alpha, "WEBP", lossless=True), framed, 0)
    corpus.digit("grey with alpha.png", encoded(grey_with_alpha, "PNG"), framed_grey, 0)
    corpus.digit("16 bits.png", encoded(Image.fromarray(shades), "PNG"), grey.convert("RGB"), 0)
    corpus.digit("16 bits.tif", encoded(Image.fromarray(shades), "TIFF"), grey.convert("RGB"), 0)
    negative = tiff(*digit.size, [(65535 - shades).astype("<u2").tobytes()], bits=[16], meaning=0)
    corpus.digit("16 bits, white is zero.tif", negative, grey.convert("RGB"), 0)
    dots = digit.convert("1")
    corpus.digit("1 bit.png", encoded(dots, "PNG"), dots.convert("RGB"), 0)
    on_its_side = digit.transpose(Image.Transpose.ROTATE_90)
    corpus.digit("turned.jpg", encoded(on_its_side, "JPEG", quality=92, exif=exif), digit)


def _add_odd_shapes(corpus: Corpus, digit: Image.Image) -> None:
    corpus.ok("1x1.png", encoded(Image.new("RGB", (1, 1), "red"), "PNG"), Image.new("RGB", (1, 1), "red"))
    corpus.ok("1x900.png", encoded(Image.new("RGB", (1, 900), "red"), "PNG"), Image.new("RGB", (1, 900), "red"))
    strip = encoded(Image.new("RGB", (1, 4000), "red"), "PNG")
    corpus.error("1x4000.png", strip, "1 × 4000 pixels: one side is more than 1,000 times as long as the other")
    screen = Image.new("RGB", (digit.width + 100, digit.height + 50), "white")
    screen.paste(digit.quantize(64).convert("RGB"), (100, 50))
    frame = partial_gif(digit.quantize(64), screen.size, (100, 50))
    corpus.ok("a frame within its screen.gif", frame, screen)


# -- what must be refused ----------------------------------------------------------------------------------------


def _add_broken(corpus: Corpus, digit: Image.Image) -> None:
    whole, lossless = encoded(digit, "JPEG"), encoded(digit, "PNG")
    wrong_sum, wrong_pixels = bytearray(lossless), bytearray(lossless)
    wrong_sum[8 + 4 + 4 + 13] ^= 1  # of the header
    wrong_pixels[len(lossless) // 2] ^= 1
    corpus.error("empty.jpg", b"", "the file is empty")
    corpus.error("cut in its header.jpg", whole[:150], "broken: .+")
    corpus.error("cut early.jpg", whole[: len(whole) // 10], "broken: .*truncated.*")
    corpus.error("cut late.jpg", whole[:-200], "broken: .*truncated.*")
    corpus.error("cut.png", lossless[: len(lossless) // 2], "broken: .*truncated.*")
    corpus.error("wrong check sum.png", bytes(wrong_sum), "broken: its header cannot be read")
    corpus.error("wrong pixels.png", bytes(wrong_pixels), "broken: .+")
    fractions = Image.fromarray(np.asarray(digit.convert("L")).astype(np.float32) / 255)
    corpus.error("fractions.tif", encoded(fractions, "TIFF"), "its grey values are .*: nothing says which .* is white")


def _add_impostors(corpus: Corpus) -> None:
    corpus.error("text.jpg", b"no picture, only words\n", NO_FORMAT)
    corpus.error("eps.jpg", EPS, NO_FORMAT)
    corpus.error("fits.jpg", FITS, NO_FORMAT)
    corpus.error("html.jpg", HTML, NO_FORMAT)
    corpus.error("heic.jpg", HEIC, NO_FORMAT)
    corpus.error("svg with a script.png", SVG, NO_FORMAT)


def _add_bombs(corpus: Corpus) -> None:
    """Small files that would unpack to gigabytes."""
    megapixels = "larger than 100 megapixels"
    pixel = {"depth": 8, "colour": GREY, "rows": [b"\0"]}
    text = b"Comment\0\1\0\0\0" + packed_zeros(1_000_000_000)
    corpus.error("20000x20000.png", black_png(20_000, 20_000), megapixels)
    few_too_many = "12000 × 9000 pixels are more than the 100 megapixels that we decode"
    corpus.error("12000x9000.png", black_png(12_000, 9_000), few_too_many)
    corpus.error("only a header.png", png(60_000, 60_000, colour=RGB), megapixels)
    corpus.error("text bomb.png", png(1, 1, extra=chunk(b"iTXt", text), **pixel), ".*unpack to more than we read")
    tile = {258: [8, 8, 8], 259: [8], 322: [20_000], 323: [20_000]}
    bomb = tiff(16, 16, [packed_zeros(1_200_000_000)], bits=[8, 8, 8], meaning=2, tags=tile)
    corpus.error("tile bomb.tif", bomb, "its tiles are larger than the 100 megapixels that we decode")


def _add_names(corpus: Corpus, digit: Image.Image) -> None:
    """Good pictures whose names mean something to a browser, a spreadsheet or a terminal."""
    small = digit.resize((64, 48))
    for name in (
        "<script>alert(1)</script>.jpg",  # a folder and a file
        "<img src=x onerror=alert(1)>.png",
        "=1+1.jpg",
        f"{RIGHT_TO_LEFT}gnp.evil.png",
        "two\nlines.png",
        "\x1b[31mred\x07.png",
        ":red[x] ![p](http:%2F%2F127.0.0.1%2Fp.png).png",
        "😀 🏳️‍🌈.png",
        f"{'n' * 196}.png",
        "a folder.jpg/inside.png",
    ):
        corpus.ok(name, encoded(small, "PNG"), small)


# -- what must not even be listed --------------------------------------------------------------------------------


def _add_what_is_passed_over(corpus: Corpus, digit: Image.Image) -> None:
    outside = corpus.folder.parent / f"outside {corpus.folder.name}"
    outside.mkdir()
    (outside / "secret.png").write_bytes(encoded(digit.resize((64, 48)), "PNG"))
    leads_out = "a link that leads out of the folder"
    corpus.passed_over("pipe.jpg", "no regular file: a pipe", os.mkfifo)
    corpus.passed_over("zero.jpg", leads_out, lambda path: path.symlink_to("/dev/zero"))
    corpus.passed_over("secret.png", leads_out, lambda path: path.symlink_to(outside / "secret.png"))
    corpus.passed_over("broken link.jpg", "a link to a file that is not there", lambda path: path.symlink_to("gone"))
    corpus.passed_over("circle.jpg", "links in a circle", lambda path: path.symlink_to("circle.jpg"))
    not_followed = "a link to a folder, which is not followed"
    corpus.passed_over("linked folder/", not_followed, lambda path: path.symlink_to(outside))
    no_text = os.path.join(os.fsencode(corpus.folder), b"caf\xe9.jpg")
    with open(no_text, "wb") as file:
        file.write(encoded(digit.resize((64, 48)), "JPEG"))
    corpus.entries.append(Entry(name=r"caf\xe9.jpg", outcome="passed over", reason="its name is no text in UTF-8"))


def _over_white(picture: Image.Image, window: Image.Image) -> Image.Image:
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(picture, mask=window)
    return paper
