"""Draw a `Scene` as a picture, at any size."""

import math
from typing import TYPE_CHECKING

import numpy as np

from inference.bundled.scenes import Scene, digit_scans, photos

if TYPE_CHECKING:
    from PIL import Image

Colour = tuple[int, int, int]

_CELLS = 8  # a scan is 8 x 8 cells
_MARGIN_CELLS = 3  # room around the scan for its plate, outline and shadow
_PATCH_CELLS = _CELLS + 2 * _MARGIN_CELLS

_INKS: tuple[Colour, ...] = (
    (250, 250, 246),
    (255, 214, 74),
    (255, 170, 150),
    (158, 232, 214),
    (24, 28, 38),
    (20, 52, 110),
    (140, 22, 40),
    (16, 84, 66),
    (92, 32, 116),
    (176, 58, 10),
)
_PAPERS: tuple[Colour, ...] = (
    (252, 250, 243),
    (255, 240, 176),
    (222, 240, 250),
    (250, 226, 220),
    (230, 244, 222),
)
_PLATES: tuple[Colour, ...] = (
    (22, 62, 128),
    (172, 32, 44),
    (14, 96, 76),
    (36, 40, 52),
    (244, 190, 48),
    (246, 244, 238),
)
_MIN_CONTRAST = 4.5  # WCAG 2 AA for text


def render(scene: Scene, size: tuple[int, int] | None = None) -> "Image.Image":
    """Draw a scene as an RGB picture.

    `size` is (width, height) in pixels, by default the scene's own; another shape squeezes the picture, as an
    exact resize would, at the cost of the smaller one.
    """
    width, height = size or (scene.width, scene.height)
    picture = _background(scene, (width, height))
    scale_x, scale_y = width / scene.width, height / scene.height
    reach = scene.digit_height * 0.5
    around = (
        int((scene.center_x - reach) * scale_x),
        int((scene.center_y - reach) * scale_y),
        math.ceil((scene.center_x + reach) * scale_x),
        math.ceil((scene.center_y + reach) * scale_y),
    )
    red, green, blue = np.asarray(picture.resize((1, 1), box=_within(around, picture.size)))[0, 0].tolist()
    patch_side = max(_PATCH_CELLS, round(scene.digit_height / _CELLS * _PATCH_CELLS * max(scale_x, scale_y)))
    _place(picture, _patch(scene, patch_side, (red, green, blue)), scene)
    return picture


def _within(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Cut a box to a picture of the given size."""
    left, top, right, bottom = box
    return (max(0, left), max(0, top), min(size[0], right), min(size[1], bottom))


def _background(scene: Scene, size: tuple[int, int]) -> "Image.Image":
    """The scene's part of its photo, in the scene's colours."""
    from PIL import Image, ImageOps

    picture = photos()[scene.photo].resize(size, Image.Resampling.BICUBIC, box=scene.crop)
    if scene.mirrored:
        picture = ImageOps.mirror(picture)
    return picture.convert("RGB", matrix=_colour_matrix(scene.hue_deg, scene.saturation, scene.brightness))


def _colour_matrix(hue_deg: float, saturation: float, brightness: float) -> tuple[float, ...]:
    """3 x 4 RGB matrix that turns the hue about the grey axis, then scales saturation and brightness.

    The rotation is Rodrigues' formula about (1, 1, 1); saturation mixes with the mean of the channels.
    """
    cos, sin = math.cos(math.radians(hue_deg)), math.sin(math.radians(hue_deg)) / math.sqrt(3)
    third = (1 - cos) / 3
    turn = np.array(
        [
            [cos + third, third - sin, third + sin],
            [third + sin, cos + third, third - sin],
            [third - sin, third + sin, cos + third],
        ]
    )
    mixed = brightness * (saturation * turn + (1 - saturation) / 3)
    return tuple(float(value) for row in mixed for value in (*row, 0.0))


def _luminance(colour: Colour) -> float:
    """Relative luminance, 0 to 1, of an sRGB colour (WCAG 2)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: Colour, other: Colour) -> float:
    """Contrast ratio, 1 to 21 (WCAG 2)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _ink_on(surface: Colour, draw: float) -> Colour:
    """One of the inks that can be read on `surface`."""
    readable = [ink for ink in _INKS if _contrast(ink, surface) >= _MIN_CONTRAST]
    if not readable:
        return max(_INKS, key=lambda ink: _contrast(ink, surface))
    return readable[int(draw * len(readable))]


def _patch(scene: Scene, side: int, behind: Colour) -> "Image.Image":
    """The digit with its rim, paper or plate, upright, as RGBA `side` x `side`.

    `behind` is the mean colour of the photo where the digit goes: ink must be legible on it.
    """
    from PIL import Image, ImageChops, ImageFilter

    cell = side / _PATCH_CELLS
    strokes = _glyph(scene, side)
    digit = strokes.point(_brush(scene.stroke_level))
    rim = None
    surface = behind
    if scene.style == "sticker":
        rim = strokes.filter(ImageFilter.GaussianBlur(0.55 * cell)).point(_edge(0.10, 0.05))
    elif scene.style in ("card", "plate"):
        choices = _PAPERS if scene.style == "card" else _PLATES
        surface = choices[int(scene.surface_draw * len(choices))]
        rim = _board(side, cell, round_board=scene.style == "plate")
    ink = _ink_on(surface, scene.colour_draw)
    dark_ink = _luminance(ink) < 0.2
    if scene.style == "sticker":
        surface = (252, 252, 250) if dark_ink else (24, 26, 34)

    patch = Image.new("RGBA", (side, side), (*surface, 0))
    if rim is None:
        # Paint needs a glow of the opposite tone, beside and beneath it, to be read on a busy photo.
        surface = (255, 255, 255) if dark_ink else (0, 0, 0)
        rim = strokes.point(_edge(scene.stroke_level, 0.06))
        _stamp(patch, rim.filter(ImageFilter.GaussianBlur(0.5 * cell)), surface, 0.75)
    else:
        shadow = rim.filter(ImageFilter.GaussianBlur(0.42 * cell))
        _stamp(patch, ImageChops.offset(shadow, round(0.15 * cell), round(0.28 * cell)), (0, 0, 0), 0.6)
    _stamp(patch, rim, surface, 1.0)
    _stamp(patch, digit, ink, 1.0)
    return patch


def _glyph(scene: Scene, side: int) -> "Image.Image":
    """Stroke coverage of the digit as L, `side` x `side`: smoothly enlarged, the patch's margin around it."""
    from PIL import Image, ImageFilter

    scans, _ = digit_scans()
    mixed = (1 - scene.blend_share) * scans[scene.scan] + scene.blend_share * scans[scene.blend_scan]
    cells = np.pad(np.rint(mixed).astype(np.uint8), _MARGIN_CELLS)
    smooth = Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC)
    # A cell is a mean over 4 x 4 dots, which fills loops and corners: sharpening at that scale opens them.
    return smooth.filter(ImageFilter.UnsharpMask(1.2 * side / _PATCH_CELLS, 60, 0))


def _board(side: int, cell: float, *, round_board: bool) -> "Image.Image":
    """Mask (L) of a round plate or of a sheet of paper, with a smooth edge."""
    from PIL import Image, ImageDraw

    fine = 2 * side  # drawn at twice the size: ImageDraw has no smooth edges of its own
    mask = Image.new("L", (fine, fine), 0)
    draw = ImageDraw.Draw(mask)
    if round_board:
        inset = 2 * cell * (_PATCH_CELLS / 2 - 5.9)
        draw.ellipse((inset, inset, fine - inset, fine - inset), fill=255)
    else:
        across, down = 2 * cell * (_PATCH_CELLS / 2 - 4.9), 2 * cell * (_PATCH_CELLS / 2 - 5.3)
        draw.rounded_rectangle((across, down, fine - across, fine - down), radius=0.7 * cell, fill=255)
    return mask.resize((side, side), Image.Resampling.BOX)


def _edge(level: float, softness: float) -> list[int]:
    """Look-up table (256) of a smooth step from 0 to 255 around `level`, `softness` to either side."""
    ramp = np.clip((np.arange(256) / 255 - level + softness) / (2 * softness), 0, 1)
    return [int(value) for value in np.rint(255 * ramp * ramp * (3 - 2 * ramp))]


def _brush(level: float) -> list[int]:
    """Look-up table (256) from stroke coverage to ink: a crisp edge at `level`, thin ink where it is low.

    The thin ink keeps what a bare outline would lose, such as the loop of a small six.
    """
    edge, coverage = np.array(_edge(level, 0.06)), np.arange(256) / 255
    density = 0.4 + 0.6 * np.clip((coverage - level) / (0.95 - level), 0, 1)
    return [int(value) for value in np.rint(edge * density)]


def _stamp(patch: "Image.Image", mask: "Image.Image", colour: Colour, opacity: float) -> None:
    """Lay one colour over `patch` (RGBA, changed in place) where `mask` (L) says."""
    from PIL import Image

    layer = Image.new("RGBA", patch.size, (*colour, 0))
    layer.putalpha(mask if opacity == 1.0 else mask.point([round(value * opacity) for value in range(256)]))
    patch.alpha_composite(layer)


def _place(picture: "Image.Image", patch: "Image.Image", scene: Scene) -> None:
    """Turn, slant and scale `patch` onto `picture` (RGB, changed in place)."""
    from PIL import Image

    scale = np.array([picture.width / scene.width, picture.height / scene.height])
    angle = math.radians(scene.angle_deg)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shape = np.array([[scene.stretch, -scene.slant], [0.0, 1.0]])
    per_patch_pixel = scene.digit_height / _CELLS * _PATCH_CELLS / patch.width
    forward = scale[:, None] * (turn @ shape) * per_patch_pixel  # patch pixels to picture pixels, about the centres
    center = scale * (scene.center_x, scene.center_y)
    reach = np.abs(forward).sum(axis=1) * patch.width / 2
    left, top = np.maximum(0, np.floor(center - reach)).astype(int)
    right, bottom = np.minimum(picture.size, np.ceil(center + reach)).astype(int)
    back = np.linalg.inv(forward)
    offset = patch.width / 2 - back @ (center - (left, top))
    coefficients = (*back[0], offset[0], *back[1], offset[1])
    turned = patch.transform(
        (int(right - left), int(bottom - top)),
        Image.Transform.AFFINE,
        tuple(float(value) for value in coefficients),
        Image.Resampling.BILINEAR,
    )
    picture.paste(turned, (int(left), int(top)), turned)
