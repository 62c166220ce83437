"""Models are found, downloaded through the real client from a hub on loopback, and refused before they could harm."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inference import checkpoints
from inference.bundled import DIGITS_MODEL_DIR
from inference.errors import ModelUnavailable
from tests.support import hub, silence

MODEL = "someone/digits"
WEIGHTS = DIGITS_MODEL_DIR / "model.safetensors"
CLASSIFIER = {"architectures": ["ResNetForImageClassification"], "model_type": "resnet"}

FIND_MODEL = """
import json, sys, time
from pathlib import Path
from inference import checkpoints, hub
from inference.errors import ModelUnavailable
model, home = sys.argv[1], Path(sys.argv[2])
cached_before = hub.is_cached(model)
start = time.monotonic()
try:
    folder, error = str(checkpoints.folder_of(model, home, make_untrained=None)), None
except ModelUnavailable as problem:
    folder, error = None, str(problem)
seconds = time.monotonic() - start
print(json.dumps([folder, error, seconds, cached_before, hub.is_cached(model)]))
"""


@dataclass(frozen=True)
class Found:
    folder: str | None
    error: str | None
    seconds: float
    cached_before: bool
    cached_after: bool


def hub_environment(url: str, cache: Path, **more: str) -> dict[str, str]:
    """The environment with this hub and this cache, and nothing else that the client listens to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE"))}
    return kept | {"HF_ENDPOINT": url, "HF_HOME": str(cache), "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | more


def find(model: str, url: str, tmp_path: Path, **more: str) -> Found:
    """What `folder_of` says in a process of its own: the client reads its settings when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", FIND_MODEL, model, str(tmp_path / "home")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=hub_environment(url, tmp_path / "cache", **more),
    )
    assert done.returncode == 0, done.stderr
    return Found(*json.loads(done.stdout))


@pytest.fixture
def served() -> Iterator[hub.Hub]:
    with hub.serving() as running:
        yield running


def config(**settings: object) -> bytes:
    return json.dumps(CLASSIFIER | settings).encode()


# -- from the hub ------------------------------------------------------------------------------------------------


def test_a_model_is_downloaded_into_the_hubs_own_cache(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)

    found = find(MODEL, served.url, tmp_path)

    assert found.error is None
    assert found.folder == str(tmp_path / "cache" / "hub" / "models--someone--digits" / "snapshots" / hub.COMMIT)
    assert (found.cached_before, found.cached_after) == (False, True)
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        assert (Path(found.folder) / name).read_bytes() == (DIGITS_MODEL_DIR / name).read_bytes()


def test_a_cached_model_needs_no_hub(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)
    first = find(MODEL, served.url, tmp_path)
    asked = len(served.asked)

    with_the_hub = find(MODEL, served.url, tmp_path)
    without_it = find(MODEL, silence.closed_address(), tmp_path)
    offline = find(MODEL, served.url, tmp_path, HF_HUB_OFFLINE="1")

    assert [with_the_hub.folder, without_it.folder, offline.folder] == [first.folder] * 3
    assert without_it.cached_before
    assert len(served.asked) == asked
    assert max(with_the_hub.seconds, without_it.seconds) < 1


def test_the_clients_own_function_agrees_that_the_model_is_cached(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)
    found = find(MODEL, served.url, tmp_path)

    script = f"import huggingface_hub; print(huggingface_hub.try_to_load_from_cache({MODEL!r}, 'model.safetensors'))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=hub_environment(served.url, tmp_path / "cache"),
    )

    assert done.stdout.strip() == f"{found.folder}/model.safetensors"


def test_only_settings_and_safetensors_are_fetched_and_the_weights_last(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR, **{"pytorch_model.bin": b"pickle", "modeling.py": b"", "onnx/model.json": b""})

    find(MODEL, served.url, tmp_path)

    # The configuration twice: once to judge the model by, once to keep.
    assert served.files_sent() == ["config.json", "config.json", "preprocessor_config.json", "model.safetensors"]


def test_a_model_of_which_the_weights_are_missing_is_not_cached_and_completed(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)
    folder = find(MODEL, served.url, tmp_path).folder
    assert folder is not None
    (Path(folder) / "model.safetensors").unlink()

    found = find(MODEL, served.url, tmp_path)

    assert (found.cached_before, found.cached_after) == (False, True)
    assert found.folder == folder


def test_a_model_of_which_one_of_several_weight_files_is_missing_is_not_cached(served: hub.Hub, tmp_path: Path) -> None:
    shards = {f"model-0000{n}-of-00002.safetensors": WEIGHTS.read_bytes() for n in (1, 2)}
    index = {"weight_map": {"first": "model-00001-of-00002.safetensors", "second": "model-00002-of-00002.safetensors"}}
    served.models[MODEL] = {
        "config.json": config(),
        "preprocessor_config.json": b"{}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        **shards,
    }
    folder = find(MODEL, served.url, tmp_path).folder
    assert folder is not None
    (Path(folder) / "model-00002-of-00002.safetensors").unlink()

    without_the_hub = find(MODEL, silence.closed_address(), tmp_path)
    completed = find(MODEL, served.url, tmp_path)

    assert (without_the_hub.cached_before, without_the_hub.folder) == (False, None)
    assert (completed.folder, completed.cached_after) == (folder, True)


def test_a_model_that_the_hub_does_not_have_is_told_from_one_that_is_gated(served: hub.Hub, tmp_path: Path) -> None:
    served.add("someone/gated", DIGITS_MODEL_DIR)
    served.refused["someone/gated"] = (403, "GatedRepo")
    served.add("someone/private", DIGITS_MODEL_DIR)
    served.refused["someone/private"] = (401, "GatedRepo")

    unknown = find("someone/nothing", served.url, tmp_path)
    gated = find("someone/gated", served.url, tmp_path)
    needs_login = find("someone/private", served.url, tmp_path)

    assert unknown.error == "The hub has no model someone/nothing, or it is private. Check the spelling."
    wanted = "{} is gated: accept its terms on the hub, and set HF_TOKEN to a token of yours."
    assert gated.error == wanted.format("someone/gated")
    assert needs_login.error == wanted.format("someone/private")
    assert served.files_sent() == ["config.json", "config.json"]  # asked for, and refused


def test_a_hub_that_is_gone_is_told_at_once_with_what_works_instead(tmp_path: Path) -> None:
    found = find(MODEL, silence.closed_address(), tmp_path)

    assert found.error is not None
    assert found.error.startswith(f"{MODEL} is not cached here, and http://127.0.0.1:")
    assert "could not be reached (ConnectError)" in found.error
    assert found.error.endswith("choose digits or resnet-50-untrained.")
    assert found.seconds < 5


def test_a_hub_that_never_answers_is_given_up_within_fifteen_seconds(tmp_path: Path) -> None:
    with silence.never_answering() as url:
        found = find(MODEL, url, tmp_path)

    assert found.error is not None
    assert "could not be reached" in found.error
    assert found.seconds < 15


def test_a_hub_that_falls_silent_after_its_first_answer_is_given_up_too(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)
    served.silent.add(MODEL)

    found = find(MODEL, served.url, tmp_path)

    assert found.error is not None
    assert "could not be reached (ReadTimeout)" in found.error
    assert found.seconds < 15


def test_without_permission_to_go_online_the_reason_is_the_setting(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)

    found = find(MODEL, served.url, tmp_path, HF_HUB_OFFLINE="1")

    assert found.error is not None
    assert "HF_HUB_OFFLINE forbids to download it" in found.error
    assert served.asked == []


def test_a_cache_that_cannot_be_written_is_named(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)
    (tmp_path / "cache").write_text("a file where the folder should be")

    found = find(MODEL, served.url, tmp_path)

    assert found.error is not None
    assert found.error.startswith(f"{MODEL} could not be kept in {tmp_path}/cache/hub: ")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"config.json": config(), "pytorch_model.bin": b"pickle"}, "Pickled weights can run code and are not loaded"),
        ({"config.json": config(auto_map={"AutoModel": "m.py"}), "m.py": b""}, "brings its own code (auto_map)"),
        ({"config.json": config(architectures=["LlamaForCausalLM"])}, "its architecture is LlamaForCausalLM"),
        ({"config.json": b"[]"}, "config.json of someone/digits cannot be read"),
        ({"config.json": b"{", "m.py": b""}, "config.json of someone/digits cannot be read"),
        ({"README.md": b"# A data set"}, "has no config.json"),
        ({"config.json": config()} | {"model.safetensors": b"w"}, "has no preprocessor_config.json"),
    ],
    ids=["pickle", "auto_map", "no classifier", "config is a list", "config is broken", "no config", "no processor"],
)
def test_what_may_not_be_loaded_is_refused_before_its_weights_are_fetched(
    served: hub.Hub, tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    refused_for_its_files = reason.startswith(("Pickled", "has no preprocessor"))
    served.models[MODEL] = files if refused_for_its_files else files | {"model.safetensors": b"many bytes"}

    found = find(MODEL, served.url, tmp_path)

    assert found.error is not None
    assert reason in found.error
    assert found.folder is None
    assert set(served.files_sent()) <= {"config.json"}


def test_a_download_that_is_cut_off_goes_on_where_it_stopped(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)
    served.cut_after = [1_000_000, 500_000]

    found = find(MODEL, served.url, tmp_path)

    assert found.error is None
    assert found.folder is not None
    assert (Path(found.folder) / "model.safetensors").read_bytes() == WEIGHTS.read_bytes()
    first, second, third = served.ranges
    assert first == ""
    assert 0 < start_of(second) <= 1_000_000
    assert start_of(second) < start_of(third) <= start_of(second) + 500_000


def start_of(asked: str) -> int:
    return int(asked.removeprefix("bytes=").partition("-")[0])


def test_a_hub_that_asks_for_patience_is_asked_again(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)
    served.busy = [429]

    found = find(MODEL, served.url, tmp_path)

    assert found.error is None or "429" in found.error
    assert found.seconds < 15


def test_weights_that_arrive_broken_are_found_before_anything_is_loaded(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR, **{"model.safetensors": b"\xff" * 1000})

    found = find(MODEL, served.url, tmp_path)

    assert found.error is not None
    assert "model.safetensors of someone/digits is broken" in found.error
    assert str(tmp_path / "cache") in found.error


def test_a_download_tells_how_far_it_is_and_can_be_stopped(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR)
    served.bytes_per_s = 2_000_000
    script = f"""
import json, sys, time
from pathlib import Path
from inference import checkpoints
from inference.errors import RunCancelled
told = []
def listen(done, total):
    told.append((done, total))
    if {{stop}} and done > 1_000_000:
        raise RunCancelled("stop")
start = time.monotonic()
try:
    checkpoints.folder_of({MODEL!r}, Path(sys.argv[1]), make_untrained=None, on_download=listen)
    ended = "whole"
except RunCancelled:
    ended = "stopped"
print(json.dumps([ended, told, time.monotonic() - start]))
"""

    def run(stop: bool) -> tuple[str, list[list[int]], float]:
        done = subprocess.run(
            [sys.executable, "-c", script.replace("{stop}", str(stop)), str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=hub_environment(served.url, tmp_path / "cache"),
        )
        return tuple(json.loads(done.stdout))  # type: ignore[return-value]

    ended, told, _ = run(stop=True)
    assert ended == "stopped"
    assert 1_000_000 < told[-1][0] < told[-1][1]

    ended, told, _ = run(stop=False)
    assert ended == "whole"
    done = [bytes_done for bytes_done, _ in told]
    assert done == sorted(done)
    assert told[-1][0] == told[-1][1]


def test_the_size_of_a_download_counts_what_is_fetched(served: hub.Hub, tmp_path: Path) -> None:
    served.add(MODEL, DIGITS_MODEL_DIR, **{"pytorch_model.bin": bytes(1000)})
    script = f"from inference import hub; print(hub.download_bytes({MODEL!r}, timeout_s=5))"

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=hub_environment(served.url, tmp_path / "cache"),
    )

    wanted = sum(path.stat().st_size for path in DIGITS_MODEL_DIR.iterdir() if path.suffix in (".json", ".safetensors"))
    assert int(done.stdout) == wanted


@pytest.mark.parametrize("model", ["a/b/c", "a b", "../../etc", "a/..", "https://example.org/model", "model?x=1"])
def test_what_can_be_no_hub_id_never_reaches_the_hub(served: hub.Hub, tmp_path: Path, model: str) -> None:
    if model != "../../etc":  # the command line and the pages make a path of it
        assert checkpoints.absolute(model) == model

    with pytest.raises(ModelUnavailable, match="neither a folder on this machine nor a hub id"):
        checkpoints.folder_of(model, tmp_path, make_untrained=lambda folder: None)


# -- on this machine ---------------------------------------------------------------------------------------------


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
        ({"config.json": config(), "model.bin": b"", "preprocessor_config.json": b"{}"}, "no safetensors weights"),
        ({"config.json": config(), "model.safetensors": b""}, "no preprocessor_config.json"),
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
