"""Decide what each photograph with a handwritten digit shows.

The digits are scikit-learn's `load_digits` scans, the backgrounds its two sample photographs. A `Scene` says what
a picture shows, and `drawing.render` draws it. Training and samples share both, but never a scan, nor a part of a
photo.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.bundled import LABELS

if TYPE_CHECKING:
    from PIL import Image

Region = tuple[float, float, float, float]

HELD_OUT_PER_DIGIT = 50
"""Scans of each digit that training never sees: 500 of 1,797 in all."""

PHOTO_NAMES = ("china.jpg", "flower.jpg")

# Left, top, right, bottom in photo pixels. Each photo is cut in two: no sample shows a place the model saw.
_SAMPLE_REGIONS: tuple[Region, ...] = ((210, 0, 640, 427), (250, 0, 640, 427))
_TRAINING_REGIONS: tuple[Region, ...] = ((0, 0, 210, 427), (0, 0, 250, 427))

_SPLIT_SEED = 1797
_SAMPLE_SEED = 8128

STYLES = ("painted", "sticker", "card", "plate")
"""Straight on the photo; cut out with a contrasting rim; on a paper note; on a round coloured plate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One picture, described but not yet drawn. Lengths are pixels of a `width` x `height` picture."""

    scan: int
    """Row of `load_digits`, 0 to 1796."""
    blend_scan: int
    """Row of a second scan of the same digit, mixed in to make a new handwriting; samples have none."""
    blend_share: float
    """Weight of the second scan, 0 to 1."""
    width: int
    height: int
    photo: int
    """Index into `PHOTO_NAMES`."""
    crop: Region
    """Left, top, right, bottom of the background, in photo pixels."""
    mirrored: bool
    hue_deg: float
    """Rotation of the background's hue."""
    saturation: float
    """1 keeps the photo's saturation, 0 is grey."""
    brightness: float
    style: str
    """One of `STYLES`."""
    colour_draw: float
    """0 to 1: which of the colours with enough contrast is taken."""
    surface_draw: float
    """0 to 1: which paper or plate is taken."""
    digit_height: float
    stretch: float
    """Width of the scan relative to its height."""
    slant: float
    """Horizontal shear: shift to the right per pixel upwards."""
    angle_deg: float
    """Clockwise."""
    center_x: float
    center_y: float
    stroke_level: float
    """Scan value (0 to 1) taken as the edge of a stroke; lower draws bolder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranges:
    """How far the looks of a set of scenes may vary."""

    regions: tuple[Region, ...]
    crop_share: tuple[float, float]
    hue_deg: float
    any_hue_share: tuple[float, ...]
    """Per photo: share of backgrounds of any hue. A blue flower looks natural, a green tower not."""
    saturation: tuple[float, float]
    brightness: tuple[float, float]
    digit_share: tuple[float, float]
    stretch: tuple[float, float]
    slant: float
    angle_deg: float
    stroke_level: tuple[float, float]
    blend_share: tuple[float, float]


_SAMPLE_RANGES = _Ranges(
    regions=_SAMPLE_REGIONS,
    crop_share=(0.65, 1.0),
    hue_deg=14.0,
    any_hue_share=(0.0, 0.6),
    saturation=(0.7, 1.15),
    brightness=(0.72, 1.05),
    digit_share=(0.44, 0.70),
    stretch=(0.92, 1.1),
    slant=0.06,
    angle_deg=12.0,
    stroke_level=(0.36, 0.44),
    blend_share=(0.0, 0.0),
)
# Wider than the samples in every direction, so that a sample is never at the edge of what the model has seen.
_TRAINING_RANGES = _Ranges(
    regions=_TRAINING_REGIONS,
    crop_share=(0.4, 1.0),
    hue_deg=20.0,
    any_hue_share=(0.6, 0.6),
    saturation=(0.3, 1.4),
    brightness=(0.55, 1.15),
    digit_share=(0.38, 0.76),
    stretch=(0.82, 1.2),
    slant=0.15,
    angle_deg=17.0,
    stroke_level=(0.33, 0.48),
    blend_share=(0.0, 0.35),
)


@lru_cache(maxsize=1)
def digit_scans() -> tuple[np.ndarray, np.ndarray]:
    """All scans as uint8 (1797, 8, 8) from 0 to 255, and their digits as int64 (1797,)."""
    from sklearn.datasets import load_digits  # imported late: takes about a second

    bunch: Any = load_digits()
    return np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int64)


@lru_cache(maxsize=1)
def photos() -> tuple["Image.Image", ...]:
    """The background photographs, RGB, 640 x 427 pixels."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    return tuple(Image.fromarray(load_sample_image(name)) for name in PHOTO_NAMES)


@lru_cache(maxsize=1)
def _split() -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Training and held-out scans, each as one tuple of `load_digits` rows per digit."""
    _, digit = digit_scans()
    rng = np.random.default_rng(_SPLIT_SEED)
    shuffled = [tuple(int(row) for row in rng.permutation(np.flatnonzero(digit == d))) for d in range(len(LABELS))]
    training = tuple(rows[HELD_OUT_PER_DIGIT:] for rows in shuffled)
    return training, tuple(rows[:HELD_OUT_PER_DIGIT] for rows in shuffled)


def load_sources() -> None:
    """Read the scans and photographs into memory, once; threads that draw scenes call this before they start.

    Threads that import scikit-learn at the same moment can find it half initialised.
    """
    _split()
    photos()


def training_scans() -> tuple[int, ...]:
    """Rows of `load_digits` that training may use (1,297), in ascending order."""
    return tuple(sorted(row for rows in _split()[0] for row in rows))


def held_out_scans() -> tuple[int, ...]:
    """Rows of `load_digits` kept for samples and evaluation (500, 50 of each digit), in ascending order."""
    return tuple(sorted(row for rows in _split()[1] for row in rows))


def sample_digit(index: int) -> int:
    """Digit, 0 to 9, that sample `index` shows. Every ten samples in a row show each digit once."""
    turn, place = divmod(index, len(LABELS))
    return int(np.random.default_rng((_SAMPLE_SEED, turn)).permutation(len(LABELS))[place])


def sample_scene(index: int) -> Scene:
    """Scene of sample `index` (0 or more): a held-out scan, 500 x 375 pixels or, one in four, 375 x 500."""
    rng = np.random.default_rng((_SAMPLE_SEED, 1, index))
    scan = _split()[1][sample_digit(index)][index // len(LABELS) % HELD_OUT_PER_DIGIT]
    return _draw_scene(rng, (scan, scan), portrait=rng.random() < 0.25, ranges=_SAMPLE_RANGES)


def training_scene(seed: int, index: int) -> tuple[Scene, int]:
    """Scene `index` (0 or more) of the training stream `seed`, and the digit it shows; no two are alike."""
    rng = np.random.default_rng((seed, 2, index))
    digit = index % len(LABELS)
    rows = _split()[0][digit]
    first, second = (rows[int(place)] for place in rng.integers(len(rows), size=2))
    scene = _draw_scene(rng, (first, second), portrait=rng.random() < 0.35, ranges=_TRAINING_RANGES)
    return scene, digit


def _draw_scene(rng: np.random.Generator, scans: tuple[int, int], *, portrait: bool, ranges: _Ranges) -> Scene:
    """Draw a scene at random from `ranges`, the whole digit within the picture."""
    width, height = (375, 500) if portrait else (500, 375)
    photo = int(rng.integers(len(PHOTO_NAMES)))
    hue_limit = 180.0 if rng.random() < ranges.any_hue_share[photo] else ranges.hue_deg
    digit_height = min(width, height) * rng.uniform(*ranges.digit_share)
    # Room for the board, which is larger than the digit.
    reach = min(digit_height * 0.68, min(width, height) / 2)
    return Scene(
        scan=scans[0],
        blend_scan=scans[1],
        blend_share=rng.uniform(*ranges.blend_share),
        width=width,
        height=height,
        photo=photo,
        crop=_draw_crop(rng, ranges.regions[photo], width / height, rng.uniform(*ranges.crop_share)),
        mirrored=bool(rng.random() < 0.5),
        hue_deg=rng.uniform(-hue_limit, hue_limit),
        saturation=rng.uniform(*ranges.saturation),
        brightness=rng.uniform(*ranges.brightness),
        style=STYLES[int(rng.integers(len(STYLES)))],
        colour_draw=rng.random(),
        surface_draw=rng.random(),
        digit_height=digit_height,
        stretch=rng.uniform(*ranges.stretch),
        slant=rng.uniform(-ranges.slant, ranges.slant),
        angle_deg=rng.uniform(-ranges.angle_deg, ranges.angle_deg),
        center_x=rng.uniform(reach, width - reach),
        center_y=rng.uniform(reach, height - reach),
        stroke_level=rng.uniform(*ranges.stroke_level),
    )


def _draw_crop(rng: np.random.Generator, region: Region, aspect: float, share: float) -> Region:
    """Draw a box of the given aspect (width / height), `share` times the largest that fits in `region`."""
    left, top, right, bottom = region
    width = share * min(right - left, (bottom - top) * aspect)
    height = width / aspect
    x, y = rng.uniform(left, right - width), rng.uniform(top, bottom - height)
    return (x, y, x + width, y + height)
