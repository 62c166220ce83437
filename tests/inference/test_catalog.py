"""The catalogue says what is there and what is not, and never waits for a network."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inference import catalog, checkpoints, listing
from inference.bundled import DIGITS_MODEL_DIR
from inference.errors import DataUnavailable
from tests.support import bucket, hub, silence
from tests.support.hub_client import find, hub_environment

RESNET = checkpoints.RESNET_50
SLOWEST_CALL_S = 2.0  # half of what the network is given to answer: who waited for it would take longer

WATCH = """
import json, sys, time
from pathlib import Path
from inference import catalog
home, name = Path(sys.argv[1]), sys.argv[2]
seen, slowest, deadline = [], 0.0, time.monotonic() + 15
while time.monotonic() < deadline:
    start = time.monotonic()
    entries = (*catalog.models(home), *catalog.datasets(home))
    slowest = max(slowest, time.monotonic() - start)
    entry = next(entry for entry in entries if entry.name == name)
    if [entry.state, entry.note] not in seen:
        seen.append([entry.state, entry.note])
    if entry.state != "checking":
        break
    time.sleep(0.01)
print(json.dumps([seen, slowest]))
"""


@dataclass(frozen=True)
class Watched:
    """The states of one entry in the order in which they showed, until it was no longer `checking`."""

    seen: list[tuple[str, str]]
    slowest_call_s: float

    @property
    def states(self) -> list[str]:
        return [state for state, _ in self.seen]


def watch(name: str, tmp_path: Path, *, hub_url: str = "", **environment: str) -> Watched:
    """Ask for the catalogue again and again, as a page does, in a process whose network is what the arguments say."""
    nowhere = silence.closed_address()
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(tmp_path / "home"), name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=hub_environment(hub_url or nowhere, tmp_path / "cache", **({"AWS_ENDPOINT_URL": nowhere} | environment)),
    )
    assert done.returncode == 0, done.stderr
    seen, slowest = json.loads(done.stdout)
    return Watched([(state, note) for state, note in seen], slowest)


@pytest.fixture(scope="module", autouse=True)
def nothing_leaves_this_machine() -> Iterator[None]:
    """The catalogue asks in the background: not beyond loopback while it is asked from this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", silence.closed_address())
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield


@pytest.fixture
def served() -> Iterator[hub.Hub]:
    with hub.serving() as running:
        yield running


# -- models ------------------------------------------------------------------------------------------------------


def test_without_a_network_the_hubs_model_settles_to_unreachable(tmp_path: Path) -> None:
    watched = watch(RESNET, tmp_path)

    assert watched.seen == [
        ("checking", "Asking the network."),
        ("unreachable", "Not reachable: the Hugging Face hub does not answer."),
    ]
    assert watched.slowest_call_s < SLOWEST_CALL_S


def test_no_call_waits_for_a_hub_and_a_bucket_that_never_answer(tmp_path: Path) -> None:
    with silence.never_answering() as url:
        model = watch(RESNET, tmp_path, hub_url=url, AWS_ENDPOINT_URL=url)

    assert model.states == ["checking", "unreachable"]
    assert model.slowest_call_s < SLOWEST_CALL_S


def test_a_reachable_model_tells_the_size_of_its_download_and_is_cached_after_it(
    served: hub.Hub, tmp_path: Path
) -> None:
    weights = bytes(102_400_000 - sum(path.stat().st_size for path in DIGITS_MODEL_DIR.glob("*.json")))
    served.add(RESNET, DIGITS_MODEL_DIR, **{"model.safetensors": weights, "pytorch_model.bin": bytes(1000)})

    before = watch(RESNET, tmp_path, hub_url=served.url)
    served.add(RESNET, DIGITS_MODEL_DIR)
    find(RESNET, served.url, tmp_path)
    after = watch(RESNET, tmp_path)

    assert before.seen == [
        ("checking", "Asking the network."),
        ("download", "Needs a download of 102 MB."),
    ]
    assert after.seen == [("cached", "Cached: works with no network.")]
    assert max(before.slowest_call_s, after.slowest_call_s) < SLOWEST_CALL_S


def test_where_the_hub_may_not_be_asked_it_is_not_asked(served: hub.Hub, tmp_path: Path) -> None:
    served.add(RESNET, DIGITS_MODEL_DIR)

    watched = watch(RESNET, tmp_path, hub_url=served.url, HF_HUB_OFFLINE="1")

    assert watched.seen == [("unreachable", "Not cached, and HF_HUB_OFFLINE is set.")]
    assert served.asked == []


def test_a_hub_that_answers_nonsense_counts_as_unreachable(served: hub.Hub, tmp_path: Path) -> None:
    assert watch(RESNET, tmp_path, hub_url=f"{served.url}/somewhere/else").states == ["checking", "unreachable"]
    assert watch(RESNET, tmp_path, hub_url="no address at all").states == ["checking", "unreachable"]


def test_models_that_work_offline_come_first_and_are_ready(tmp_path: Path) -> None:
    entries = catalog.models(tmp_path)

    assert [entry.name for entry in entries] == ["digits", "resnet-50-untrained", RESNET]
    assert [entry.state for entry in entries[:2]] == ["ready", "ready"]
    assert "meaningless" in entries[1].description


def test_the_untrained_model_says_whether_it_is_made_yet(tmp_path: Path) -> None:
    assert catalog.models(tmp_path)[1].note == "Made on this machine at first use; needs no network."
    folder = checkpoints.untrained_folder(tmp_path)
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()

    assert catalog.models(tmp_path)[1].note == "Ready."


# -- data sets ---------------------------------------------------------------------------------------------------


def test_without_a_network_the_bucket_settles_to_unreachable(tmp_path: Path) -> None:
    watched = watch("imagenette", tmp_path)

    assert watched.seen == [
        ("checking", "Asking the network."),
        ("unreachable", "Not reachable: the bucket does not answer."),
    ]
    assert watched.slowest_call_s < SLOWEST_CALL_S


def test_a_bucket_that_answers_is_reachable(tmp_path: Path) -> None:
    with bucket.serving() as running:
        watched = watch("imagenette", tmp_path, AWS_ENDPOINT_URL=running.url)
        for_s3_alone = watch("imagenette", tmp_path, AWS_ENDPOINT_URL_S3=running.url)

    assert watched.seen[-1] == ("download", "Reachable: each run reads it over the network.")
    assert for_s3_alone.seen[-1] == watched.seen[-1]
    assert watched.slowest_call_s < SLOWEST_CALL_S


@pytest.mark.parametrize("endpoint", ["localhost:1", "no address at all", "http://127.0.0.1:999999"])
def test_an_endpoint_that_is_no_address_does_not_leave_the_bucket_checking(tmp_path: Path, endpoint: str) -> None:
    assert watch("imagenette", tmp_path, AWS_ENDPOINT_URL=endpoint).states == ["checking", "unreachable"]


def test_the_samples_say_whether_they_are_made_yet(tmp_path: Path) -> None:
    assert catalog.datasets(tmp_path)[0].note == "Made on this machine at first use; needs no network."
    listing.samples_folder(tmp_path).mkdir(parents=True)

    assert catalog.datasets(tmp_path)[0].note == "Ready."


# -- images ------------------------------------------------------------------------------------------------------


def test_a_preview_is_the_first_images_of_a_folder(tmp_path: Path) -> None:
    for name in ("c.jpg", "a.jpg", "b.jpg"):
        (tmp_path / name).touch()

    assert [image.image_id for image in catalog.preview(str(tmp_path), tmp_path, 2)] == ["a.jpg", "b.jpg"]


def test_a_preview_of_a_bucket_is_empty_and_asks_nobody(tmp_path: Path) -> None:
    assert catalog.preview("imagenette", tmp_path) == []


def test_a_preview_of_a_missing_folder_tells_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="There is no folder"):
        catalog.preview(str(tmp_path / "nothing"), tmp_path)


def test_an_image_is_found_where_it_lies_and_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.jpg").touch()
    (tmp_path / "secret.jpg").touch()

    assert catalog.image_path(str(folder), "sub/a.jpg", tmp_path) == folder / "sub" / "a.jpg"
    for image_id in ("../secret.jpg", str(tmp_path / "secret.jpg"), "sub", "missing.jpg", "a\0b"):
        assert catalog.image_path(str(folder), image_id, tmp_path) is None
    assert catalog.image_path("imagenette", "sub/a.jpg", tmp_path) is None
    assert catalog.image_path("s3://bucket", "sub/a.jpg", tmp_path) is None


# -- a machine that has just started -----------------------------------------------------------------------------

JUST_STARTED = """
import sys, time
from pathlib import Path
time.monotonic = (lambda real, start: lambda: real() - start + 5.0)(time.monotonic, time.monotonic())
from inference import catalog
deadline = time.monotonic() + 15
while (state := catalog.models(Path(sys.argv[1]))[-1].state) == "checking" and time.monotonic() < deadline:
    time.sleep(0.01)
print(state)
"""


def test_a_machine_that_has_just_started_asks_the_network_too(tmp_path: Path) -> None:
    # The monotonic clock counts from the machine's start: here it stands at five seconds.
    done = subprocess.run(
        [sys.executable, "-c", JUST_STARTED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=hub_environment(silence.closed_address(), tmp_path / "cache"),
    )

    assert done.stdout.strip() == "unreachable"
