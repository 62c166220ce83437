"""Models on this machine are found, and refused before they could harm."""

import json
from pathlib import Path

import pytest

from inference import checkpoints
from inference.bundled import DIGITS_MODEL_DIR
from inference.errors import ModelUnavailable

CLASSIFIER = {"architectures": ["ResNetForImageClassification"], "model_type": "resnet"}


def config(**settings: object) -> bytes:
    return json.dumps(CLASSIFIER | settings).encode()


def of_local(folder: Path, tmp_path: Path) -> Path:
    return checkpoints.folder_of(str(folder), tmp_path / "home", make_untrained=lambda folder: None)


def test_the_bundled_model_is_there_without_a_network(tmp_path: Path) -> None:
    assert checkpoints.folder_of("digits", tmp_path, make_untrained=lambda folder: None) == DIGITS_MODEL_DIR


def test_the_untrained_model_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        folder.mkdir(parents=True)
        for path in DIGITS_MODEL_DIR.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())

    folders = [checkpoints.folder_of("resnet-50-untrained", tmp_path, make_untrained=make) for _ in range(2)]

    assert folders == [tmp_path / "models" / "resnet-50-untrained"] * 2
    assert made == folders[:1]


def test_a_local_folder_with_a_whole_model_is_accepted(tmp_path: Path) -> None:
    assert of_local(DIGITS_MODEL_DIR, tmp_path) == DIGITS_MODEL_DIR


def test_a_missing_local_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=f"There is no folder {tmp_path}/nothing"):
        of_local(tmp_path / "nothing", tmp_path)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "has no config.json"),
        ({"config.json": b"\xff\xfe"}, "cannot be read"),
        ({"config.json": config(architectures=None)}, "its architecture is nothing that it names"),
        ({"config.json": config(auto_map={}), "model.safetensors": b""}, "brings its own code"),
        ({"config.json": config(attn_implementation="owner/kernel"), "model.safetensors": b""}, "brings its own code"),
        ({"config.json": config(), "model.bin": b"", "preprocessor_config.json": b"{}"}, "no safetensors weights"),
        (
            {"config.json": config(), "other.safetensors": b"", "model.bin": b"", "preprocessor_config.json": b"{}"},
            "has neither model.safetensors nor model.safetensors.index.json",
        ),
        ({"config.json": config(), "model.safetensors": b""}, "no preprocessor_config.json"),
        (
            {"config.json": config(), "model.safetensors": b"", "preprocessor_config.json": b'{"auto_map": {}}'},
            "brings its own code",
        ),
        (
            {"config.json": config(), "model.safetensors": b"", "preprocessor_config.json": b"{"},
            "The preprocessor_config.json of /",
        ),
        (
            {
                "config.json": config(),
                "preprocessor_config.json": b"{}",
                "model-1.safetensors": b"",
                "model.safetensors.index.json": b'{"weight_map": {"a": "model-1.safetensors", "b": "2.safetensors"}}',
            },
            "is not whole: 2.safetensors is missing",
        ),
        (
            {
                "config.json": config(),
                "preprocessor_config.json": b"{}",
                "model.safetensors": b"",
                "model.safetensors.index.json": b"{}",
            },
            "is not whole: model.safetensors.index.json is missing",
        ),
    ],
)
def test_a_local_folder_that_is_not_safe_or_not_whole_is_refused(
    tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ModelUnavailable, match=reason.replace(".", r"\.")):
        of_local(tmp_path, tmp_path)


def test_a_path_becomes_absolute_and_a_hub_id_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert checkpoints.absolute("my/model") == str(tmp_path / "my" / "model")
    assert checkpoints.absolute("./elsewhere") == str(tmp_path / "elsewhere")
    assert checkpoints.absolute("~/my") == str(tmp_path / "my")
    for name in ("digits", "resnet-50-untrained", "microsoft/resnet-50", "", " "):
        assert checkpoints.absolute(name) == name


@pytest.mark.parametrize("model", ["~nobody-has-this-name/model", "/a\0b"])
def test_a_path_that_no_system_could_have_is_refused(model: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"neither a folder nor a hub id|is not the path of a folder"):
        checkpoints.absolute(model)
