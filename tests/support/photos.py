"""Real photographs and a real model for them, beside the checkout; whoever has none skips what needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).parents[3] / "shared"
FOLDER = _SHARED / "photos"
MODEL = _SHARED / "models" / "mobilenet_v2_1.0_224"
NUM_PHOTOS = 249

needed = pytest.mark.skipif(
    not (FOLDER.is_dir() and MODEL.is_dir()), reason="needs photographs and a model beside the checkout"
)
