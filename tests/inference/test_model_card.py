"""What a model is, told without loading it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inference import checkpoints, model_card
from inference.bundled import DIGITS_MODEL_DIR, LABELS
from inference.errors import ModelUnavailable
from tests.inference.test_checkpoints import MODEL, hub_environment
from tests.support import hub

TELL = """
import dataclasses, json, sys
from pathlib import Path
from inference import model_card
print(json.dumps(dataclasses.asdict(model_card.card(sys.argv[1], Path(sys.argv[2])))))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DIGITS_MODEL_DIR, tmp_path / "model"))


def rewritten(folder: Path, name: str, **changes: object) -> None:
    settings = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps(settings | changes), encoding="utf-8")


def test_the_bundled_model_is_told_whole(tmp_path: Path) -> None:
    found = model_card.card("digits", tmp_path)

    weights = DIGITS_MODEL_DIR / "model.safetensors"
    assert found.architecture == "ResNetForImageClassification"
    assert found.labels == LABELS
    assert found.precision == "F32"
    assert found.size_bytes == weights.stat().st_size
    assert found.parameters is not None
    assert 0 <= found.size_bytes - 4 * found.parameters < 50_000  # what is left is the header
    assert found.cached


@pytest.mark.parametrize(
    ("settings", "pixels"),
    [
        ({"size": {"height": 96, "width": 128}, "crop_size": None}, (96, 128)),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, (224, 224)),
        (
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": False},
            (256, 256),
        ),
        ({"size": 384, "crop_size": None}, (384, 384)),
        ({"size": "odd", "crop_size": None}, None),
    ],
)
def test_what_the_model_sees_is_read_from_its_image_processor(
    copy: Path, tmp_path: Path, settings: dict[str, object], pixels: tuple[int, int] | None
) -> None:
    rewritten(copy, "preprocessor_config.json", **settings)

    assert model_card.card(str(copy), tmp_path).input_pixels == pixels


def test_broken_weights_are_found_before_anything_runs(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"\xff" * 100)

    with pytest.raises(ModelUnavailable, match=r"model\.safetensors of .* is broken: .*Delete .* download or copy it"):
        model_card.card(str(copy), tmp_path)


def test_what_may_not_be_loaded_has_no_card(copy: Path, tmp_path: Path) -> None:
    rewritten(copy, "config.json", auto_map={"AutoModel": "evil.Model"})

    with pytest.raises(ModelUnavailable, match="brings its own code"):
        model_card.card(str(copy), tmp_path)


def test_a_model_that_is_not_made_yet_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="at its first use"):
        model_card.card(checkpoints.RESNET_50_UNTRAINED, tmp_path)


@pytest.mark.parametrize("revision", ["", "@main", f"@{hub.COMMIT}"])
def test_a_model_on_the_hub_is_told_without_fetching_its_weights(tmp_path: Path, revision: str) -> None:
    with hub.serving() as served:
        served.add(MODEL, DIGITS_MODEL_DIR)
        done = subprocess.run(
            [sys.executable, "-c", TELL, f"{MODEL}{revision}", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=hub_environment(served.url, tmp_path / "cache"),
        )
        fetched = served.files_sent()

    found = json.loads(done.stdout)
    assert (found["architecture"], found["cached"]) == ("ResNetForImageClassification", False)
    assert found["size_bytes"] == (DIGITS_MODEL_DIR / "model.safetensors").stat().st_size
    assert tuple(found["labels"]) == LABELS
    assert "model.safetensors" not in fetched
