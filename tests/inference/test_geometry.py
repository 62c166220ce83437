"""Where the pixels go that a model sees: the same as in its own image processor, pixel by pixel."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference import models
from inference.config import RunConfig
from inference.geometry import OWN, Geometry
from inference.store import Store
from tests.inference.tiny import OTHERS, PLAIN, SHAPES, noise, photo_like, processor

PICTURES = {"noise": noise, "a photograph": photo_like}


@pytest.fixture(scope="module", params=PLAIN)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Geometry]:
    """A processor as it is loaded from its folder, and what was found out about it."""
    family, settings = PLAIN[request.param]
    folder = tmp_path_factory.mktemp("processor")
    processor(family, **settings).save_pretrained(folder)
    geometry = models.geometry_of(str(folder))
    assert geometry is not None, "it does nothing but resize, crop, rescale and normalise"
    return models.load_processor(str(folder)), geometry


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_pixels_are_those_of_the_image_processor_exactly(
    plain: tuple[Any, Geometry], shape: str, picture: str
) -> None:
    theirs, geometry = plain
    image = PICTURES[picture](SHAPES[shape])

    wanted = theirs(images=image, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
    pixels = geometry.pixels(image)

    assert pixels.dtype == np.uint8
    assert pixels.shape == (*(geometry.shape or ()), 3)
    np.testing.assert_array_equal(np.moveaxis(pixels, -1, 0), wanted)


@pytest.mark.parametrize("shape", SHAPES)
def test_normalised_they_are_the_image_processors_own_values(plain: tuple[Any, Geometry], shape: str) -> None:
    theirs, geometry = plain
    image = noise(SHAPES[shape])
    scale, shift = models._normalisation(theirs)

    ours = geometry.pixels(image) * scale + shift

    # Far less than one step of a pixel's eight bits: what is left is the rounding of float32.
    steps = np.abs(ours - models.processed(theirs, image)) / scale
    assert ours.dtype == np.float32
    assert steps.max() < 1 / 255


OLD_SETTINGS = {
    "feature_extractor_type": "ConvNextFeatureExtractor",
    "crop_pct": 0.875,
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": 224,
}
"""As in microsoft/resnet-50, which was saved before there were image processors."""


def test_settings_of_the_days_of_feature_extractors_are_understood(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "resnet"}')
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(OLD_SETTINGS))

    geometry = models.geometry_of(str(tmp_path))

    assert geometry == Geometry(shortest_edge=256, crop=(224, 224), resample=Image.Resampling.BICUBIC)


@pytest.mark.parametrize("family", OTHERS)
def test_a_processor_that_does_more_has_no_geometry(tmp_path: Path, family: str) -> None:
    processor(family).save_pretrained(tmp_path)

    assert models.geometry_of(str(tmp_path)) is None


def test_a_processor_whose_results_differ_in_shape_has_no_geometry(tmp_path: Path) -> None:
    processor("Bit", do_center_crop=False).save_pretrained(tmp_path)

    assert models.geometry_of(str(tmp_path)) is None


def test_the_bundled_model_has_a_geometry() -> None:
    from inference.bundled import DIGITS_MODEL_DIR

    assert models.geometry_of(str(DIGITS_MODEL_DIR)) is not None


def test_the_shorter_side_is_resized_and_the_other_rounded_down() -> None:
    pixels = Geometry(shortest_edge=100, crop=None).pixels(Image.new("RGB", (299, 200)))

    assert pixels.shape == (100, 149, 3)


def test_what_a_crop_lacks_is_black_and_lies_around_the_picture() -> None:
    pixels = Geometry(crop=(5, 4)).pixels(Image.new("RGB", (2, 1), "white"))

    assert pixels[2, 1:3].min() == 255
    assert pixels.sum() == 2 * 3 * 255


def test_the_shape_of_every_result_is_known_before_or_not_at_all() -> None:
    assert Geometry(shortest_edge=256, crop=(224, 200)).shape == (224, 200)
    assert Geometry(size=(64, 48)).shape == (64, 48)
    assert Geometry(shortest_edge=256).shape is None


def test_a_process_that_decodes_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, inference.geometry, inference.images;"
        "print([m for m in ('torch', 'transformers', 'ray') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "geometry",
    [Geometry(shortest_edge=36, crop=(32, 30)), Geometry(size=(224, 200), resample=3), Geometry(), None],
)
def test_how_a_run_saw_its_pictures_is_kept_with_it(tmp_path: Path, geometry: Geometry | None) -> None:
    store = Store(tmp_path)
    (run_id,) = store.enqueue([RunConfig()])
    assert store.geometry(run_id) is None

    store.save_geometry(run_id, geometry)

    assert store.geometry(run_id) == (OWN if geometry is None else geometry)
