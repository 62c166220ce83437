"""Models of a hub on loopback are found, judged and refused through the real client, before they could harm."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference import checkpoints
from inference.bundled import DIGITS_MODEL_DIR
from inference.errors import ModelUnavailable
from tests.support import hub, silence
from tests.support.hub_client import MODEL, find, hub_environment

WEIGHTS = DIGITS_MODEL_DIR / "model.safetensors"
CLASSIFIER = {"architectures": ["ResNetForImageClassification"], "model_type": "resnet"}
ANSWER_S = 15.0


@pytest.fixture
def served() -> Iterator[hub.Hub]:
    with hub.serving() as running:
        running.add(MODEL, DIGITS_MODEL_DIR)
        yield running


def config(**settings: object) -> bytes:
    return json.dumps(CLASSIFIER | settings).encode()


def output_of(script: str, served: hub.Hub, cache: Path) -> str:
    """What a script prints in a process that knows this hub."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=hub_environment(served.url, cache),
    )
    return done.stdout.strip()


# -- the cache ---------------------------------------------------------------------------------------------------


def test_a_model_is_downloaded_into_the_hubs_own_cache(served: hub.Hub, tmp_path: Path) -> None:
    found = find(MODEL, served.url, tmp_path)

    assert found.error is None
    assert found.folder == str(tmp_path / "cache" / "hub" / "models--someone--digits" / "snapshots" / hub.COMMIT)
    assert (found.cached_before, found.cached_after) == (False, True)
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        assert (Path(found.folder) / name).read_bytes() == (DIGITS_MODEL_DIR / name).read_bytes()


def test_a_cached_model_needs_no_hub(served: hub.Hub, tmp_path: Path) -> None:
    first = find(MODEL, served.url, tmp_path)
    asked = len(served.asked)

    with_the_hub = find(MODEL, served.url, tmp_path)
    without_it = find(MODEL, silence.closed_address(), tmp_path)
    offline = find(MODEL, served.url, tmp_path, HF_HUB_OFFLINE="1")

    assert [with_the_hub.folder, without_it.folder, offline.folder] == [first.folder] * 3
    assert without_it.cached_before
    assert len(served.asked) == asked
    assert max(with_the_hub.seconds, without_it.seconds) < 5


def test_the_clients_own_functions_find_the_model_and_fetch_nothing_again(served: hub.Hub, tmp_path: Path) -> None:
    found = find(MODEL, served.url, tmp_path)
    sent = served.weights_sent

    script = f"""
import huggingface_hub
print(huggingface_hub.try_to_load_from_cache({MODEL!r}, "model.safetensors"))
print(huggingface_hub.hf_hub_download({MODEL!r}, "model.safetensors"))
(kept,) = huggingface_hub.scan_cache_dir().repos
print(kept.repo_id, *sorted(file.file_name for revision in kept.revisions for file in revision.files))
"""
    seen, downloaded, scanned = output_of(script, served, tmp_path / "cache").splitlines()

    assert seen == downloaded == f"{found.folder}/model.safetensors"
    assert scanned == f"{MODEL} config.json model.safetensors preprocessor_config.json"
    assert served.weights_sent == sent


def test_only_settings_and_safetensors_are_fetched_and_the_weights_last(served: hub.Hub, tmp_path: Path) -> None:
    served.models[MODEL] |= {"pytorch_model.bin": b"pickle", "modeling.py": b"", "onnx/model.json": b""}

    find(MODEL, served.url, tmp_path)

    # The configuration twice: once to judge the model by, once to keep.
    assert served.files_sent() == ["config.json", "config.json", "preprocessor_config.json", "model.safetensors"]


@pytest.mark.parametrize("deleted", ["link", "content"])
def test_a_model_of_which_the_weights_are_missing_is_not_cached_and_completed(
    served: hub.Hub, tmp_path: Path, deleted: str
) -> None:
    folder = find(MODEL, served.url, tmp_path).folder
    assert folder is not None
    weights = Path(folder) / "model.safetensors"
    (weights if deleted == "link" else weights.resolve()).unlink()

    found = find(MODEL, served.url, tmp_path)

    assert (found.cached_before, found.cached_after) == (False, True)
    assert found.folder == folder
    assert weights.is_symlink()
    assert served.ranges == [""] * (1 if deleted == "link" else 2)


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


def test_a_branch_is_cached_beside_the_main_one(served: hub.Hub, tmp_path: Path) -> None:
    of_commit = find(f"{MODEL}@{hub.COMMIT}", served.url, tmp_path)
    of_main = find(MODEL, served.url, tmp_path)

    assert (of_commit.folder, of_commit.cached_after) == (of_main.folder, True)
    assert of_main.cached_before is False  # nothing told yet which commit `main` is
    assert served.files_sent().count("model.safetensors") == 1


def test_the_size_of_a_download_counts_what_is_fetched(served: hub.Hub, tmp_path: Path) -> None:
    served.models[MODEL]["pytorch_model.bin"] = bytes(1000)

    told = output_of(
        f"from inference import hub; print(hub.download_bytes({MODEL!r}, timeout_s=5))", served, tmp_path / "cache"
    )

    names = ("config.json", "model.safetensors", "preprocessor_config.json")
    assert int(told) == sum((DIGITS_MODEL_DIR / name).stat().st_size for name in names)


# -- what the hub refuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_says_where_to_accept_its_terms(served: hub.Hub, tmp_path: Path, status: int) -> None:
    served.refused[MODEL] = (status, "GatedRepo")

    found = find(MODEL, served.url, tmp_path)

    assert found.error == (
        f"{MODEL} is gated: accept its terms on the hub, at {served.url}/{MODEL}, then log in here with "
        "`hf auth login`, or set HF_TOKEN, and run it again."
    )
    assert served.files_sent() == ["config.json"]  # asked for, and refused


def test_an_unknown_model_is_told_from_a_gated_one(served: hub.Hub, tmp_path: Path) -> None:
    found = find("someone/nothing", served.url, tmp_path)

    assert found.error == (
        "The hub has no model someone/nothing, or it is private. Check the spelling; if it is yours, log in here with "
        "`hf auth login`."
    )
    assert served.files_sent() == []


def test_an_unknown_revision_is_told_from_an_unknown_model(served: hub.Hub, tmp_path: Path) -> None:
    found = find(f"{MODEL}@v9", served.url, tmp_path)

    assert found.error == (f"{MODEL} has no branch, tag or commit v9 on the hub. Check its spelling, or leave out @v9.")


def test_a_token_that_is_not_accepted_is_told_of(served: hub.Hub, tmp_path: Path) -> None:
    served.refused[MODEL] = (401, "InvalidToken")

    found = find(MODEL, served.url, tmp_path, HF_TOKEN="hf_expired")

    assert found.error is not None
    assert f"does not let this machine read {MODEL}" in found.error
    assert "unset HF_TOKEN" in found.error


def test_a_hub_that_asks_for_patience_is_asked_again_when_it_wishes(served: hub.Hub, tmp_path: Path) -> None:
    served.busy = [429, 503]

    found = find(MODEL, served.url, tmp_path)

    assert (found.error, found.cached_after) == (None, True)
    assert 2 < found.seconds < ANSWER_S


def test_a_hub_that_asks_for_more_patience_than_anyone_has_is_not_waited_for(served: hub.Hub, tmp_path: Path) -> None:
    served.busy, served.retry_after = [429], "3600"

    found = find(MODEL, served.url, tmp_path)

    assert found.error is not None
    assert found.error.startswith(f"{served.url} has had too many requests from here: run it again in 60 min, ")
    assert found.seconds < 5


def test_a_hub_that_fails_is_named_with_its_error(served: hub.Hub, tmp_path: Path) -> None:
    served.busy, served.retry_after = [500], "60"

    found = find(MODEL, served.url, tmp_path)

    assert found.error is not None
    assert f"answered with error 500 when it was asked for {MODEL}" in found.error
    assert found.seconds < ANSWER_S


# -- a hub that is not there -------------------------------------------------------------------------------------


def test_a_hub_that_is_gone_is_told_at_once_with_what_works_instead(tmp_path: Path) -> None:
    url = silence.closed_address()

    found = find(MODEL, url, tmp_path)

    assert found.error == (
        f"{MODEL} is not cached here, and {url} could not be reached: Connection refused. Check the connection and run "
        "it again, or choose digits or resnet-50-untrained."
    )
    assert found.seconds < 5


def test_a_hub_that_never_answers_is_given_up_within_fifteen_seconds(tmp_path: Path) -> None:
    with silence.never_answering() as url:
        found = find(MODEL, url, tmp_path)

    assert found.error is not None
    assert "could not be reached: it does not answer in time" in found.error
    assert found.seconds < ANSWER_S


def test_a_hub_that_falls_silent_after_its_first_answer_is_given_up_too(served: hub.Hub, tmp_path: Path) -> None:
    served.silent.add(MODEL)

    found = find(MODEL, served.url, tmp_path)

    assert found.error is not None
    assert "it does not answer in time" in found.error
    assert found.seconds < ANSWER_S


def test_a_hub_whose_answer_comes_byte_by_byte_is_given_up_too(served: hub.Hub, tmp_path: Path) -> None:
    served.dripping = True

    found = find(MODEL, served.url, tmp_path)

    assert found.error is not None
    assert "it does not answer in time" in found.error
    assert found.seconds < ANSWER_S


def test_whoever_waits_for_a_hub_may_leave(served: hub.Hub, tmp_path: Path) -> None:
    served.silent.add(MODEL)

    found = find(MODEL, served.url, tmp_path, stop_at=0)

    assert found.error == "stop"
    assert found.seconds < 5


def test_a_page_that_wants_a_login_is_no_hub(served: hub.Hub, tmp_path: Path) -> None:
    served.told_as = b"<html>Welcome to our network</html>"

    found = find(MODEL, served.url, tmp_path)

    assert found.error is not None
    assert found.error.startswith(f"{served.url} does not answer as a Hugging Face hub does. Check HF_ENDPOINT, and ")


def test_without_permission_to_go_online_the_reason_is_the_setting(served: hub.Hub, tmp_path: Path) -> None:
    found = find(MODEL, served.url, tmp_path, HF_HUB_OFFLINE="1")

    assert found.error is not None
    assert "HF_HUB_OFFLINE forbids to download it" in found.error
    assert served.asked == []


# -- what may not be loaded --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"config.json": config(), "pytorch_model.bin": b"pickle"}, "Pickled weights can run code and are not loaded"),
        ({"config.json": config(auto_map={"AutoModel": "m.py"}), "m.py": b""}, "brings its own code (auto_map)"),
        ({"config.json": config(architectures=["LlamaForCausalLM"])}, "its architecture is LlamaForCausalLM"),
        ({"config.json": b"[]"}, "config.json of someone/digits cannot be read"),
        ({"config.json": b"{", "m.py": b""}, "config.json of someone/digits cannot be read"),
        ({"config.json": b"[" * 100_000}, "config.json of someone/digits cannot be read"),
        ({"config.json": config(transformers_weights="adapter_model.bin")}, "is none that is understood here"),
        ({"README.md": b"# A data set"}, "has no config.json"),
        ({"config.json": config()} | {"model.safetensors": b"w"}, "has no preprocessor_config.json"),
    ],
    ids=[
        "pickle",
        "auto_map",
        "no classifier",
        "config is a list",
        "config is broken",
        "config is deep",
        "weights of another name",
        "no config",
        "no processor",
    ],
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


@pytest.mark.parametrize("name", ["preprocessor_config.json", "tokenizer_config.json"])
def test_own_code_that_other_settings_ask_for_is_refused_before_the_weights_are_fetched(
    served: hub.Hub, tmp_path: Path, name: str
) -> None:
    settings = {"image_processor": {"auto_map": {"AutoImageProcessor": "mine.Processor"}}}
    served.models[MODEL] |= {name: json.dumps(settings).encode(), "mine.py": b""}

    found = find(MODEL, served.url, tmp_path)

    assert found.error == f"{MODEL} brings its own code (auto_map), which is never run here. Choose another."
    assert served.ranges == []


@pytest.mark.parametrize("model", ["a/b/c", "a b", "../../etc", "a/..", "https://example.org/model", "model?x=1"])
def test_what_can_be_no_hub_id_never_reaches_the_hub(tmp_path: Path, model: str) -> None:
    if model != "../../etc":  # the command line and the pages make a path of it
        assert checkpoints.absolute(model) == model

    with pytest.raises(ModelUnavailable, match="neither a folder on this machine nor a hub id"):
        checkpoints.folder_of(model, tmp_path, make_untrained=lambda folder: None)
