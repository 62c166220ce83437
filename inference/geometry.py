"""Where the pixels go that a model sees: resize and crop, exactly as its image processor does them, and nothing else.

Light: Pillow and numpy. A process that only decodes needs neither torch nor transformers, which cost it seconds and
half a gigabyte. What a processor does is found out, and checked against the processor itself, by
`inference.models.geometry_of`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from PIL import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Resize, then crop the centre; the result has the same shape for every image."""

    shortest_edge: int | None = None
    """Resize so that the shorter side has this many pixels and the proportions stay; None to use `size`."""
    size: tuple[int, int] | None = None
    """Resize to this (height, width), whatever the proportions; None to use `shortest_edge`, or not to resize."""
    resample: int = Image.Resampling.BILINEAR
    """Pillow's number of the filter."""
    crop: tuple[int, int] | None = None
    """Cut this (height, width) out of the middle; black where the picture is smaller."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """(height, width) of every result; None where it depends on the image."""
        return self.crop or self.size

    def pixels(self, image: Image.Image) -> np.ndarray:
        """The pixels of an RGB image that the model sees: uint8 of shape (height, width, 3)."""
        width, height = image.size
        target = self._target(height, width)
        if target != (height, width):
            image = image.resize((target[1], target[0]), self.resample)
        if self.crop is not None:
            image = _centre(image, *self.crop)
        return np.asarray(image)

    def picture(self, image: Image.Image) -> Image.Image:
        """The same pixels as a picture."""
        return Image.fromarray(self.pixels(image))

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if self.size is not None:
            return self.size
        if self.shortest_edge is None:
            return height, width
        # Rounded down, as transformers 5 does (`image_transforms.get_resize_output_image_size`).
        if width <= height:
            return int(self.shortest_edge * height / width), self.shortest_edge
        return self.shortest_edge, int(self.shortest_edge * width / height)


def _centre(image: Image.Image, height: int, width: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


OWN: Literal["own"] = "own"
"""In place of a geometry: the model's image processor does something of its own."""

Seen = Geometry | Literal["own"]
"""How the model of a run saw its pictures."""


def seen_to_json(geometry: Geometry | None) -> str:
    """A geometry as it is kept with a run; `OWN` stands for None."""
    return json.dumps(OWN if geometry is None else asdict(geometry))


def seen_from_json(text: str) -> Seen:
    """What `seen_to_json` wrote."""
    values = json.loads(text)
    if values == OWN:
        return OWN
    sides = {name: tuple(values[name]) if values[name] else None for name in ("size", "crop")}
    return Geometry(shortest_edge=values["shortest_edge"], resample=values["resample"], **sides)
