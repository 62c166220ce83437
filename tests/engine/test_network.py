"""Runs over a network: images from a bucket and a model from a hub, both on loopback, through the real clients."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inference.bundled import DIGITS_MODEL_DIR
from inference.bundled.samples import sample_truth
from inference.config import RunConfig
from inference.results import RunRecord
from inference.store import Store
from inference.supervisor import Supervisor
from tests.engine.conftest import Lab, new_home
from tests.support import bucket, hub

MODEL = "someone/digits"
TENCHES, CHURCHES = 6, 4


@dataclass
class Network:
    """An engine and the two servers that it believes to be the world."""

    lab: Lab
    hub: hub.Hub
    bucket: bucket.Bucket
    cache: Path
    photographs: list[Path]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[Network]:
    home = new_home(tmp_path_factory.mktemp("network") / "home", samples)
    cache = tmp_path_factory.mktemp("cache")
    photographs = sorted(samples.glob("*.jpg"))[: TENCHES + CHURCHES]
    with bucket.serving() as images, hub.serving() as models, pytest.MonkeyPatch.context() as patch:
        images.put_photographs(bucket.TENCH, photographs[:TENCHES])
        images.put_photographs(bucket.CHURCH, photographs[TENCHES:])
        models.add(MODEL, DIGITS_MODEL_DIR)
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", images.url)
        patch.setenv("HF_ENDPOINT", models.url)
        patch.setenv("HF_HOME", str(cache))
        lab = Lab(Store(home), Supervisor(home))
        lab.supervisor.start()  # the engine inherits the environment of this moment
        lab.wait_until_ready()
        yield Network(lab, models, images, cache, photographs)
        lab.supervisor.stop()


@pytest.fixture(scope="module")
def from_bucket(network: Network) -> RunRecord:
    (record,) = network.lab.finish(RunConfig(dataset="imagenette", limit=TENCHES + CHURCHES, batch_size=4))
    return record


def test_a_run_over_a_bucket_finishes_with_an_answer_for_every_image(network: Network, from_bucket: RunRecord) -> None:
    folders = ["n01440764"] * TENCHES + ["n03028079"] * CHURCHES
    wanted = {f"{folder}/{path.stem}.JPEG" for folder, path in zip(folders, network.photographs, strict=True)}

    assert (from_bucket.state, from_bucket.error) == ("finished", None)
    assert {prediction.image_id for prediction in from_bucket.predictions} == wanted
    assert {prediction.status for prediction in from_bucket.predictions} == {"ok"}


def test_images_from_a_bucket_are_read_whole(from_bucket: RunRecord) -> None:
    # The pictures are digits samples: the model reads what is in them, not what the bucket calls them.
    right = [
        p.label == sample_truth(f"{p.image_id.split('/')[1].removesuffix('.JPEG')}.jpg")
        for p in from_bucket.predictions
    ]

    assert sum(right) >= 0.9 * len(right)


def test_classes_of_the_bucket_are_the_truths_of_its_images(from_bucket: RunRecord) -> None:
    truths = {prediction.image_id.split("/")[0]: prediction.truth for prediction in from_bucket.predictions}

    assert truths == {"n01440764": "tench", "n03028079": "church"}


def test_an_object_that_may_not_be_read_costs_only_itself(network: Network) -> None:
    network.bucket.put(f"{bucket.TENCH}/0-private.JPEG", b"secret", public=False)

    (record,) = network.lab.finish(RunConfig(dataset="imagenette", limit=4, batch_size=4))

    reasons = {p.image_id: p.reason for p in record.predictions if p.status == "error"}
    assert (record.state, len(record.predictions)) == ("finished", 4)
    assert list(reasons) == ["n01440764/0-private.JPEG"]
    assert "access denied" in (reasons["n01440764/0-private.JPEG"] or "")


@pytest.mark.parametrize("strategy", ["actor", "naive"])
def test_a_run_with_a_model_of_the_hub_finishes_and_the_workers_ask_the_hub_nothing(
    network: Network, strategy: str
) -> None:
    (record,) = network.lab.finish(RunConfig(model=MODEL, strategy=strategy, limit=12, batch_size=4))

    assert (record.state, record.error) == ("finished", None)
    assert len(record.predictions) == 12
    assert sum(bool(prediction.correct) for prediction in record.predictions) >= 10
    # Once to judge it by and once to keep, by the engine; the second run finds everything in the cache.
    assert network.hub.files_sent().count("config.json") == 2
    assert network.hub.files_sent().count("model.safetensors") == 1
    assert any((network.cache / "hub").glob("models--someone--digits/snapshots/*/model.safetensors"))
