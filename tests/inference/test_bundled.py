"""The bundled model and samples: real pictures, the real model, no network."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.bundled import DIGITS_MODEL_DIR, LABELS
from inference.bundled.drawing import render
from inference.bundled.samples import SAMPLE_COUNT, ensure_samples, sample_name, sample_truth
from inference.bundled.scenes import (
    PHOTO_NAMES,
    held_out_scans,
    sample_digit,
    sample_scene,
    training_scans,
    training_scene,
)


@pytest.fixture(scope="module")
def hundred_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_samples(tmp_path_factory.mktemp("samples"), 100)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, inference.bundled, inference.bundled.samples;"
        "print([m for m in ('sklearn', 'torch', 'transformers', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_samples_show_only_scans_and_places_that_training_never_sees() -> None:
    held_out, training = set(held_out_scans()), set(training_scans())
    assert len(held_out) == 500
    assert not held_out & training
    assert len(held_out | training) == 1797
    samples = [sample_scene(index) for index in range(SAMPLE_COUNT)]
    assert {scene.scan for scene in samples} == held_out
    learned = [training_scene(0, index)[0] for index in range(1000)]
    assert {scene.scan for scene in learned} <= training
    for photo in range(len(PHOTO_NAMES)):
        seen_to_x = max(scene.crop[2] for scene in learned if scene.photo == photo)
        shown_from_x = min(scene.crop[0] for scene in samples if scene.photo == photo)
        assert seen_to_x <= shown_from_x


def test_the_truth_of_every_sample_is_what_its_scan_shows() -> None:
    from sklearn.datasets import load_digits

    shown = load_digits().target
    for index in range(SAMPLE_COUNT):
        assert sample_truth(sample_name(index)) == LABELS[shown[sample_scene(index).scan]]
    scenes = [training_scene(3, index) for index in range(200)]
    assert all(shown[scene.scan] == digit for scene, digit in scenes)


def test_any_ten_samples_in_a_row_from_a_multiple_of_ten_show_each_digit() -> None:
    for start in range(0, SAMPLE_COUNT, 10):
        assert sorted(sample_digit(index) for index in range(start, start + 10)) == list(range(10))


def test_names_give_order_index_and_truth() -> None:
    names = [sample_name(index) for index in range(SAMPLE_COUNT)]
    assert names == sorted(names)
    assert names[7].startswith("0007_")
    assert sample_truth("some/folder/0007_three.jpg") == "three"


@pytest.mark.parametrize(
    "name", ["three.jpg", "0007_three.png", "0007_eleven.jpg", "x_three.jpg", ".0007_three.jpg.1.part"]
)
def test_a_name_that_is_no_sample_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"0007_three\.jpg"):
        sample_truth(name)


def test_samples_are_the_same_bytes_whatever_the_folder_and_count(hundred_samples: Path, tmp_path: Path) -> None:
    few = ensure_samples(tmp_path / "not" / "there" / "yet", 6)
    for index in range(6):
        name = sample_name(index)
        assert (few / name).read_bytes() == (hundred_samples / name).read_bytes()


def test_samples_are_rgb_jpegs_of_photo_size(hundred_samples: Path) -> None:
    sizes = set()
    for path in hundred_samples.glob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            sizes.add(image.size)
    assert sizes == {(500, 375), (375, 500)}


def test_a_scene_drawn_small_looks_like_the_large_one_made_small() -> None:
    for index in range(8):
        scene = sample_scene(index)
        small = np.asarray(render(scene, (112, 112)), dtype=float)
        shrunk = np.asarray(render(scene).resize((112, 112), Image.Resampling.BILINEAR), dtype=float)
        assert np.abs(small - shrunk).mean() < 8


def test_only_missing_samples_are_made(tmp_path: Path) -> None:
    ensure_samples(tmp_path, 6)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.jpg")}
    lost = tmp_path / sample_name(2)
    content = lost.read_bytes()
    lost.unlink()
    calls: list[tuple[int, int]] = []
    assert ensure_samples(tmp_path, 6, lambda done, total: calls.append((done, total))) == tmp_path
    assert calls == [(5, 6), (6, 6)]
    assert lost.read_bytes() == content
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.jpg")}
    assert {name for name in after if after[name] != before[name]} == {lost.name}
    calls.clear()
    ensure_samples(tmp_path, 6, lambda done, total: calls.append((done, total)))
    assert calls == [(6, 6)]


def test_samples_of_another_version_are_made_again_and_other_files_kept(tmp_path: Path) -> None:
    ensure_samples(tmp_path, 2)
    content = (tmp_path / sample_name(0)).read_bytes()
    (tmp_path / ".batchscope-samples").write_text("0\n")
    (tmp_path / sample_name(0)).write_bytes(b"an older picture")
    (tmp_path / "holiday.jpg").write_bytes(b"not ours")
    ensure_samples(tmp_path, 1)
    assert (tmp_path / sample_name(0)).read_bytes() == content
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == [sample_name(0), "holiday.jpg"]


def test_progress_counts_up_to_the_total_and_leaves_no_partial_files(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    ensure_samples(tmp_path, 12, lambda done, total: calls.append((done, total)))
    assert calls == [(done, 12) for done in range(13)]
    assert len(list(tmp_path.iterdir())) == 13  # the images and the marker


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        ensure_samples(tmp_path / "file", 1)


@pytest.mark.parametrize("count", [0, 10_001])
def test_a_count_out_of_range_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match=f"count must be between 1 and 10000, got {count}"):
        ensure_samples(tmp_path, count)


def test_the_model_is_small_and_carries_no_path() -> None:
    assert (DIGITS_MODEL_DIR / "model.safetensors").stat().st_size <= 4_000_000
    config = json.loads((DIGITS_MODEL_DIR / "config.json").read_text())
    assert [config["id2label"][str(digit)] for digit in range(10)] == list(LABELS)
    for path in DIGITS_MODEL_DIR.glob("*.json"):
        assert "_name_or_path" not in path.read_text()


def test_the_model_reads_a_hundred_samples_through_a_transformers_pipeline(hundred_samples: Path) -> None:
    from transformers import pipeline

    classify = pipeline("image-classification", model=str(DIGITS_MODEL_DIR), device="cpu")
    names = [sample_name(index) for index in range(100)]
    answers = classify([str(hundred_samples / name) for name in names], batch_size=10, top_k=1)
    right = sum(answer[0]["label"] == sample_truth(name) for name, answer in zip(names, answers, strict=True))
    assert right >= 97
