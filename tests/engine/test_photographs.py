"""A trained model over real photographs: from folders, and over a network; one by one, and in batches."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inference.config import RunConfig
from inference.parity import agreement
from inference.results import RunRecord
from tests.engine.conftest import Lab
from tests.support import bucket, hub
from tests.support.command_line import document, succeeded
from tests.support.photos import FOLDER, MODEL, NUM_PHOTOS, needed

pytestmark = needed

RIGHT = 0.85
RUN = ("run", "--strategy", "batched", "--limit", 500, "--batch-size", 32, "--json")


@pytest.fixture(scope="module", autouse=True)
def _network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The photographs in a bucket and the model on a hub; whatever engine starts finds them."""
    with bucket.serving() as images, hub.serving() as models, pytest.MonkeyPatch.context() as patch:
        images.put_photographs("photos", FOLDER.glob("*.JPEG"))
        models.add("someone/mobilenet", MODEL)
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", images.url)
        patch.setenv("HF_ENDPOINT", models.url)
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize(
    ("model", "dataset"),
    [(str(MODEL), str(FOLDER)), ("someone/mobilenet", f"s3://anonymous@{bucket.NAME}/photos")],
    ids=["folders", "hub and bucket"],
)
def test_the_command_line_tells_photographs_right(lab: Lab, model: str, dataset: str) -> None:
    told = document(succeeded(lab.store.home, *RUN, "--model", model, "--dataset", dataset))

    assert (told["metrics"]["images"], told["metrics"]["errors"]) == (NUM_PHOTOS, 0)
    assert told["metrics"]["accuracy"] >= RIGHT


@pytest.fixture(scope="module")
def photographs(lab: Lab) -> dict[str, RunRecord]:
    """One by one, in batches, and in batches at half the precision."""
    base = RunConfig(strategy="naive", model=str(MODEL), dataset=str(FOLDER), limit=250, batch_size=32)
    batches = base.with_(strategy="pipelined")
    configs = {"naive": base, "float32": batches, "bfloat16": batches.with_(dtype="bfloat16", channels_last=True)}
    return dict(zip(configs, lab.finish(*configs.values()), strict=True))


def test_batches_of_photographs_score_as_they_do_one_by_one(photographs: dict[str, RunRecord]) -> None:
    agreed = agreement(photographs["naive"], photographs["float32"])

    assert len(photographs["float32"].predictions) == NUM_PHOTOS
    assert agreed.images > 200
    assert agreed.agree == agreed.images
    assert agreed.max_score_difference is not None
    assert agreed.max_score_difference < 1e-3


def test_bfloat16_agrees_on_99_of_100_photographs(photographs: dict[str, RunRecord]) -> None:
    agreed = agreement(photographs["naive"], photographs["bfloat16"])

    assert len(photographs["bfloat16"].predictions) == NUM_PHOTOS
    assert agreed.share is not None
    assert agreed.share >= 0.99
