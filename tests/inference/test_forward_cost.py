"""What one image costs a model, counted from its settings alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
import transformers

from inference import counting, forward_cost, models, untrained
from inference.bundled import DIGITS_MODEL_DIR
from inference.counting import Counts, ForwardCost, Settings
from tests.inference import tiny

MOBILENET = Path(__file__).parents[3] / "shared" / "models" / "mobilenet_v2_1.0_224"
VIT: dict[str, Any] = {"architectures": ["ViTForImageClassification"], "model_type": "vit"}
LABELS = ("a", "b", "c")


def without_weights(model: Path, folder: Path) -> Path:
    """The settings of a model in a folder of their own."""
    ignored = shutil.ignore_patterns("*.safetensors", "tokenizer*")
    return Path(shutil.copytree(model, folder, ignore=ignored))


def settings(config: object, processor: object = untrained.PROCESSOR) -> Settings:
    return ("config.json", json.dumps(config)), ("preprocessor_config.json", json.dumps(processor))


def written(folder: Path, found: Settings) -> Path:
    for name, text in found:
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def tiny_vit(folder: Path) -> None:
    config = transformers.ViTConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8
    )
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    tiny.processor("ViT", size={"height": 32, "width": 32}).save_pretrained(folder)


def loaded(folder: Path, labels: tuple[str, ...] = ()) -> models.Classifier:
    return models.Classifier(str(folder), geometry=models.geometry_of(str(folder)), labels=labels)


# -- the same as with weights ----------------------------------------------------------------------------------------


def test_the_bundled_model_costs_what_a_run_counts(tmp_path: Path) -> None:
    cost = forward_cost.count(without_weights(DIGITS_MODEL_DIR, tmp_path / "settings"))

    assert cost == ForwardCost(parameters=891_818, input_pixels=(112, 112), flops_per_image=121_847_552)
    assert cost.flops_per_image == loaded(DIGITS_MODEL_DIR).flops_per_image()


@pytest.mark.parametrize("family", ["ResNet and ConvNeXt at 224", "a crop that is larger than the picture", "ViT"])
def test_a_model_costs_what_a_run_counts(tmp_path: Path, family: str) -> None:
    name, options = tiny.PLAIN[family]
    tiny.resnet(tmp_path / "model", tiny.processor(name, **options))
    classifier = loaded(tmp_path / "model")

    cost = forward_cost.count(without_weights(tmp_path / "model", tmp_path / "settings"))

    assert cost.flops_per_image == classifier.flops_per_image()
    assert cost.input_pixels == classifier.pixels(tiny.noise((500, 375))).shape[:2]
    assert cost.reason == ""


@pytest.mark.parametrize("family", ["CLIP", "Siglip"])
def test_of_a_model_that_compares_with_texts_the_side_of_the_pictures_is_counted(tmp_path: Path, family: str) -> None:
    tiny.compares_with_texts(tmp_path / "model", family)
    whole = getattr(transformers, f"{family}Model").from_pretrained(tmp_path / "model")

    cost = forward_cost.count(without_weights(tmp_path / "model", tmp_path / "settings"))

    width = 8 if family == "CLIP" else 16
    comparing = 2 * width * len(LABELS)
    assert cost.flops_per_image == loaded(tmp_path / "model", LABELS).flops_per_image() - comparing
    assert cost.parameters == sum(parameter.numel() for parameter in whole.parameters())


def test_attention_is_counted_as_with_a_pencil_with_and_without_weights(tmp_path: Path) -> None:
    tiny_vit(tmp_path / "model")

    cost = forward_cost.count(without_weights(tmp_path / "model", tmp_path / "settings"))

    # 16 patches of 8 × 8 over 3 colours, and the token of the class; to 2 labels at the end.
    tokens, width = 16 + 1, 16
    patches = 16 * width * (8 * 8 * 3)
    projections = 4 * tokens * width * width
    attention = 2 * tokens * tokens * width
    layers = 2 * tokens * width * 32
    assert cost.flops_per_image == 2 * (patches + projections + attention + layers + 2 * width)
    assert cost.flops_per_image == loaded(tmp_path / "model").flops_per_image()


def test_running_averages_are_no_parameters(tmp_path: Path) -> None:
    tiny.resnet(tmp_path / "model", tiny.processor("Bit", size={"shortest_edge": 32}))
    model = transformers.ResNetForImageClassification.from_pretrained(tmp_path / "model")

    cost = forward_cost.count(without_weights(tmp_path / "model", tmp_path / "settings"))

    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert cost.parameters < sum(values.numel() for values in model.state_dict().values())


@pytest.mark.skipif(not MOBILENET.is_dir(), reason="this checkpoint is not on this machine")
def test_a_published_model_has_the_figures_of_its_paper(tmp_path: Path) -> None:
    cost = forward_cost.count(without_weights(MOBILENET, tmp_path / "settings"))

    # Sandler et al., MobileNetV2, 2018: 3.4 million parameters, 300 million multiplications with addition at 224.
    assert (cost.parameters or 0) / 1e6 == pytest.approx(3.4, abs=0.15)
    assert (cost.flops_per_image or 0) / 2e6 == pytest.approx(300, abs=5)


def test_a_model_whose_pictures_keep_their_shape_says_that_the_cost_varies(tmp_path: Path) -> None:
    uncropped = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 96}, "do_center_crop": False}

    cost = forward_cost.count(written(tmp_path, settings(untrained.CONFIG, uncropped)))

    assert (cost.input_pixels, cost.input_varies) == ((96, 128), True)


# -- what cannot be counted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (VIT | {"model_type": "nobody's"}, "cannot build this model from its configuration: .* model type"),
        (VIT | {"hidden_size": "many"}, "cannot build this model from its configuration: .*'hidden_size'"),
        (VIT | {"hidden_size": 10**9, "intermediate_size": 10**12}, "cannot build this model .*overflow"),
        (VIT | {"auto_map": {"AutoModel": "evil.Model"}}, "brings its own code"),
        ({"architectures": ["BertModel"], "model_type": "bert"}, "is not an image classifier"),
    ],
)
def test_a_configuration_that_no_model_is_built_from_says_so(tmp_path: Path, config: object, why: str) -> None:
    cost = forward_cost.count(written(tmp_path, settings(config)))

    assert (cost.parameters, cost.flops_per_image) == (None, None)
    assert str(tmp_path) not in cost.reason
    assert re.search(why, cost.reason)


@pytest.mark.parametrize(
    ("processor", "why"),
    [
        (None, "Its image processor cannot prepare a picture"),
        ({"image_processor_type": "Siglip2ImageProcessor"}, "what it makes is no picture of rows, columns and colours"),
    ],
)
def test_what_was_counted_before_something_failed_is_kept(tmp_path: Path, processor: object, why: str) -> None:
    files = settings(untrained.CONFIG, processor)

    cost = forward_cost.count(written(tmp_path, files if processor else files[:1]))

    assert (cost.parameters, cost.flops_per_image) == (25_557_032, None)
    assert why in cost.reason


def test_sizes_beyond_all_reason_cost_neither_memory_nor_time(tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss

    cost = forward_cost.count(written(tmp_path, settings(VIT | {"hidden_size": 10**9, "num_attention_heads": 1})))

    assert (cost.parameters or 0) > 10**18
    assert psutil.Process().memory_info().rss - before < 2 * 1024**3


# -- in a process of its own -----------------------------------------------------------------------------------------


@pytest.mark.alone  # counting lets everything else go first
def test_a_configuration_that_takes_all_memory_is_stopped_and_said_so() -> None:
    cost = counting.count(settings(VIT | {"num_labels": 10**9}))

    assert cost.parameters is None
    assert "that takes more than 2 GiB of memory" in cost.reason


def test_a_count_that_takes_too_long_is_stopped_and_leaves_no_process() -> None:
    cost = counting.count(settings(VIT | {"num_hidden_layers": 10**6}), timeout_s=2)

    assert "Counting took more than 2 s and was stopped" in cost.reason
    counts = [child.cmdline() for child in psutil.Process().children() if "inference.forward_cost" in child.cmdline()]
    assert all(Path(folder).exists() for *_, folder in counts)  # another test's still goes on, and has its folder


@pytest.mark.alone
def test_a_configuration_that_asks_for_a_million_layers_is_stopped_and_said_so() -> None:
    cost = counting.count(settings(VIT | {"num_hidden_layers": 10**6}))

    assert "Counting took more than 15 s of a processor's time and was stopped" in cost.reason


@pytest.mark.alone
def test_it_is_one_json_object_on_the_command_line_and_ends_with_whoever_asked(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inference.forward_cost"]
    endless = written(tmp_path, settings(VIT | {"num_hidden_layers": 10**6}))
    with (
        subprocess.Popen([*command, str(DIGITS_MODEL_DIR)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asked,
        subprocess.Popen([*command, str(endless)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as deserted,
    ):
        assert asked.stdout is not None
        assert deserted.stdin is not None
        found = ForwardCost.from_dict(json.loads(asked.stdout.read()))
        deserted.stdin.close()

        assert deserted.wait(timeout=30) == 1
    assert found.flops_per_image == 121_847_552


@pytest.mark.alone
def test_counts_are_made_in_the_background_once_and_remembered() -> None:
    counts, files = Counts(), settings(untrained.CONFIG)
    assert counts.known(files) is None

    before = set(threading.enumerate())
    for _ in range(3):
        counts.begin(files)
    assert len(set(threading.enumerate()) - before) == 1
    deadline = time.monotonic() + 60
    while counts.known(files) is None and time.monotonic() < deadline:
        time.sleep(0.05)

    cost = counts.known(files)
    assert cost is not None
    assert asdict(cost) == {
        "parameters": 25_557_032,
        "input_pixels": (224, 224),
        "input_varies": False,
        "flops_per_image": 8_178_368_512,
        "reason": "",
    }
    counts.begin(files)
    assert counts.known(files) is cost


def test_a_full_disk_is_a_reason_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", os.devnull)

    assert "Counting needs a temporary folder" in counting.count(settings(VIT)).reason
