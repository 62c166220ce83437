"""What a model is, told without loading it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inference import checkpoints, forward_cost, model_card, models
from inference.bundled import DIGITS_MODEL_DIR, LABELS
from inference.cli_words import model_lines
from inference.counting import ForwardCost, Settings
from inference.errors import ModelUnavailable
from tests.inference import tiny
from tests.support import hub
from tests.support.hub_client import MODEL, hub_environment

COMMAND = [sys.executable, "-m", "inference", "model"]


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
    assert found.precision == "float32"
    assert found.weights_bytes == weights.stat().st_size
    assert found.stored_values is not None
    assert 0 <= found.weights_bytes - 4 * found.stored_values < 50_000  # what is left is the header
    assert (found.cached, found.place) == (True, "on this machine")
    assert [name for name, _ in found.settings] == ["config.json", "preprocessor_config.json"]


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
        ({"size": {"height": "odd", "width": 3}, "crop_size": None}, None),
    ],
)
def test_what_the_model_sees_is_read_from_the_settings_of_its_image_processor(
    copy: Path, tmp_path: Path, settings: dict[str, object], pixels: tuple[int, int] | None
) -> None:
    rewritten(copy, "preprocessor_config.json", **settings)

    assert model_card.card(str(copy), tmp_path).stated_pixels == pixels


def test_broken_weights_are_found_before_anything_runs(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"\xff" * 100)

    with pytest.raises(ModelUnavailable, match=r"model\.safetensors of .* is broken: .*Delete .* download or copy it"):
        model_card.card(str(copy), tmp_path)


def test_what_may_not_be_loaded_has_no_card(copy: Path, tmp_path: Path) -> None:
    rewritten(copy, "config.json", auto_map={"AutoModel": "evil.Model"})

    with pytest.raises(ModelUnavailable, match="brings its own code"):
        model_card.card(str(copy), tmp_path)


def test_a_model_that_is_not_made_yet_is_told_as_it_will_be(tmp_path: Path) -> None:
    before = model_card.card(checkpoints.RESNET_50_UNTRAINED, tmp_path)
    models.make_untrained_resnet50(checkpoints.untrained_folder(tmp_path))
    after = model_card.card(checkpoints.RESNET_50_UNTRAINED, tmp_path)

    assert (before.weights_bytes, before.place) == (None, "made at its first use")
    for name in ("architecture", "labels", "compares_with_texts"):
        assert getattr(before, name) == getattr(after, name)
    costs = [forward_cost.count(written(tmp_path, found.settings)) for found in (before, after)]
    assert costs[0] == costs[1]
    assert (costs[0].reason, after.place) == ("", "on this machine")


def test_a_model_that_compares_with_texts_has_no_labels_of_its_own(tmp_path: Path) -> None:
    found = model_card.card(tiny.compares_with_texts(tmp_path / "model"), tmp_path)

    assert (found.compares_with_texts, found.labels) == (True, ())


@pytest.mark.parametrize(("number", "labels"), [({}, ("LABEL_0", "LABEL_1")), ({"num_labels": 10**12}, None)])
def test_labels_without_names_get_those_of_transformers_in_bounded_number(
    copy: Path, tmp_path: Path, number: dict[str, int], labels: tuple[str, ...] | None
) -> None:
    rewritten(copy, "config.json", id2label=None, **number)

    found = model_card.card(str(copy), tmp_path).labels

    assert found == labels if labels else len(found) == model_card.MAX_UNNAMED_LABELS


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"[" * 100_000, "config.json cannot be read"), (b" " * (model_card.MAX_SETTINGS_BYTES + 1), "has 16 MiB")],
)
def test_settings_that_would_choke_a_reader_are_refused(copy: Path, tmp_path: Path, content: bytes, why: str) -> None:
    (copy / "config.json").write_bytes(content)

    with pytest.raises(ModelUnavailable, match=why):
        model_card.card(str(copy), tmp_path)


# -- on the command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ["", f"@{hub.COMMIT}"])
def test_a_model_on_the_hub_is_told_whole_without_fetching_its_weights(tmp_path: Path, revision: str) -> None:
    with hub.serving() as served:
        served.add(MODEL, DIGITS_MODEL_DIR)
        done = subprocess.run(
            [*COMMAND, f"{MODEL}{revision}", "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=hub_environment(served.url, tmp_path / "cache") | {"BATCHSCOPE_HOME": str(tmp_path / "home")},
        )
        fetched = served.files_sent()

    assert json.loads(done.stdout) == {
        "model": f"{MODEL}{revision}",
        "architecture": "ResNetForImageClassification",
        "parameters": 891_818,
        "flops_per_image": 121_847_552,
        "gflop_per_image": 0.121847552,
        "input_pixels": {"height": 112, "width": 112},
        "input_varies": False,
        "num_labels": 10,
        "labels": list(LABELS),
        "compares_with_texts": False,
        "weights_bytes": (DIGITS_MODEL_DIR / "model.safetensors").stat().st_size,
        "precision": None,
        "cached": False,
        "not_counted": None,
    }
    assert "model.safetensors" not in fetched


def test_a_model_that_is_not_there_is_a_bad_argument_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, str(tmp_path / "gone")], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"batchscope: There is no folder {tmp_path / 'gone'}. Give a folder with a model, or a hub id.\n"
    )


def test_the_lines_of_a_terminal_tell_all_and_obey_nothing_foreign(copy: Path, tmp_path: Path) -> None:
    rewritten(copy, "config.json", id2label={"0": "a\x1b[2Jcat, feline", "1": "dog"})
    found = model_card.card(str(copy), tmp_path)
    cost = ForwardCost(parameters=1_234_567, input_pixels=(96, 128), flops_per_image=1_234_000_000)

    lines = [line.split(maxsplit=1) for line in model_lines("mine", found, cost)]

    told = "\n".join(" ".join(line) for line in lines)
    for words in ("1,234,567", "1.23, a multiplication", "128 × 96 pixels", "Labels 2: ", "float32, on this machine"):
        assert words in told
    assert "\x1b" not in told


def test_a_figure_that_could_not_be_counted_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    found = model_card.card("digits", tmp_path)

    told = "\n".join(model_lines("digits", found, ForwardCost(reason="Counting was stopped.")))

    assert "GFLOP per image  –" in told
    assert "Not counted      Counting was stopped." in told


def written(folder: Path, settings: Settings) -> Path:
    for name, text in settings:
        (folder / name).write_text(text, encoding="utf-8")
    return folder
