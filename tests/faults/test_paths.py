"""No path leads out of the folders that may be read: not when it is typed, listed, read or loaded, nor after a swap."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from inference import catalog, checkpoints, folders, listing, model_card, survey
from inference.bundled import DIGITS_MODEL_DIR, LABELS
from inference.config import RunConfig
from inference.datasets import read_block
from inference.errors import BatchscopeError, DataUnavailable, ModelUnavailable
from inference.store import Store
from inference.supervisor import Supervisor
from inference.thumbnails import picture, thumbnail
from pages.ui.format import literal
from tests.conftest import wait_until
from tests.engine.conftest import Lab, new_home
from tests.pages import seed
from tests.pages.conftest import home, open_page, store, words

__all__ = ["home", "open_page", "store"]  # fixtures

OUTSIDE = "lies outside the folders that this server may read"
LED_OUT = "a link on its way leads out of the folders that may be read"


class Disk:
    """One folder that may be read, one beside it that may not, both with pictures and a model."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.inside, self.outside = root / "inside", root / "outside"
        for folder in (self.inside, self.outside):
            (folder / "cats").mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (40, 30), (number, 0, 0)).save(folder / "cats" / f"{number}.png")
            shutil.copytree(DIGITS_MODEL_DIR, folder / "model")
        (self.inside / "link").symlink_to(self.outside)

    def restrict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As the server does when it starts."""
        monkeypatch.setenv(folders.NAMED, str(self.inside))
        folders.restrict(self.home, "localhost")

    def swap(self, name: str) -> None:
        """Put a link that leads out in the place of a folder."""
        (self.inside / name).rename(self.inside / f"{name}-before")
        (self.inside / name).symlink_to(self.outside / name)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path)
    disk.restrict(monkeypatch)
    return disk


# -- every use, every way out ------------------------------------------------------------------------------------------

WAYS_OUT = (
    "{inside}/../outside/{what}",
    "{inside}/cats/../../outside/{what}",
    "{inside}/../../../../../../etc",
    "{inside}/link/{what}",
    "{inside}/link/../outside/{what}",
    "{inside}/%2e%2e/outside/{what}",
    "{inside}/?/../../outside/{what}",
    "{inside}/cats#/../../outside/{what}",
    "{outside}/{what}",
    "~root",
    "~root/{what}",
    "/",
    "/etc/passwd",
    "/proc/self/root{outside}/{what}",
    "\\\\localhost\\c$\\{what}",
    "//localhost/share/{what}",
    "file://{outside}/{what}",
)
DATASET_USES: dict[str, Callable[[str, Path], object]] = {
    "list": lambda dataset, home: listing.list_images(dataset, home, 10),
    "draw by lot": lambda dataset, home: listing.list_images(dataset, home, 10, seed=1),
    "require": lambda dataset, home: catalog.require("digits", dataset, home),
    "preview": lambda dataset, home: catalog.preview(dataset, home),
    "survey": lambda dataset, home: survey.survey(dataset, home),
}
MODEL_USES: dict[str, Callable[[str, Path], object]] = {
    "require": lambda model, home: folder_of(catalog.require(model, "digits", home)[0], home),
    "card": lambda model, home: model_card.card(model, home),
    "engine": lambda model, home: folder_of(model, home),
}


def folder_of(model: str, home: Path) -> Path:
    return checkpoints.folder_of(model, home, make_untrained=lambda folder: None)


def written(way: str, disk: Disk, what: str) -> str:
    return way.format(inside=disk.inside, outside=disk.outside, what=what)


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("use", DATASET_USES)
def test_no_data_set_leads_out_however_it_is_used(disk: Disk, use: str, way: str) -> None:
    with pytest.raises(DataUnavailable):
        DATASET_USES[use](written(way, disk, "cats"), disk.home)


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("use", MODEL_USES)
def test_no_model_leads_out_however_it_is_used(disk: Disk, monkeypatch: pytest.MonkeyPatch, use: str, way: str) -> None:
    monkeypatch.setattr("inference.hub.describe", _refuse)  # what is taken for a hub's id must not be asked for either
    monkeypatch.setattr("inference.hub.download", _refuse)
    with pytest.raises(BatchscopeError):
        MODEL_USES[use](written(way, disk, "model"), disk.home)


def _refuse(model: str, *_: object, **__: object) -> None:
    raise ModelUnavailable(f"{model} would be asked for")


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("show", [thumbnail, picture, listing.image_file])
def test_no_image_of_a_run_is_shown_from_outside(disk: Disk, show: Callable[..., object], way: str) -> None:
    """Names of data sets and images of imported runs are whatever somebody wrote."""
    arguments = [(written(way, disk, "cats"), "0.png"), (str(disk.inside), written(way, disk, "cats/0.png"))]
    for dataset, image_id in arguments:
        if show is listing.image_file:
            assert listing.image_file(dataset, image_id, disk.home) is None
        else:
            assert show(disk.home, dataset, image_id) is None


@pytest.mark.parametrize("pattern", ["{inside}/link/*.png", "{inside}/l?nk/cats/*.png", "{inside}/**/../*/*.png"])
def test_no_pattern_leads_out(disk: Disk, pattern: str) -> None:
    with pytest.raises(DataUnavailable):
        listing.list_images(written(pattern, disk, ""), disk.home, 10)


@pytest.mark.parametrize("odd", ["%2e%2e", "what?", "a#b", "~root"])
def test_signs_that_lead_out_elsewhere_are_part_of_a_folders_name_here(disk: Disk, odd: str) -> None:
    shutil.copytree(disk.inside / "cats", disk.inside / odd)

    found = listing.list_images(str(disk.inside / odd), disk.home, 10)

    assert [image.path.parent for image in found.images] == [disk.inside / odd] * 3
    assert thumbnail(disk.home, str(disk.inside / odd), "0.png") is not None


def test_rows_of_a_list_lead_nowhere_outside(disk: Disk) -> None:
    ways = [written(way, disk, "cats/0.png") for way in WAYS_OUT]
    with (disk.inside / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path"], ["cats/0.png"], *([way] for way in ways)])

    found = listing.list_images(str(disk.inside / "list.csv"), disk.home, 100)

    assert [image.uri for image in found.images] == [str(disk.inside / "cats" / "0.png")]
    assert len(found.skipped) == len(ways)


def test_a_list_of_images_that_is_a_link_to_one_outside_is_passed_over(disk: Disk) -> None:
    shutil.rmtree(disk.inside / "cats")
    for place in (disk.inside / "own.parquet", disk.outside / "secret.parquet"):
        parquet.write_table(pa.table({"image": [b"bytes"], "label": [place.stem]}), place)
    (disk.inside / "linked.parquet").symlink_to(disk.outside / "secret.parquet")

    found = listing.list_images(str(disk.inside), disk.home, 10)

    assert [(image.image_id, image.truth) for image in found.images] == [("own.parquet/000000", "own")]
    assert "linked.parquet" in {entry.name for entry in found.skipped}


def test_labels_are_not_read_from_a_list_outside(disk: Disk) -> None:
    (disk.outside / "secret.csv").write_text("file_name,label\ncats/0.png,secret\n", encoding="utf-8")
    (disk.inside / "metadata.csv").symlink_to(disk.outside / "secret.csv")

    found = listing.list_images(str(disk.inside), disk.home, 10)

    assert {image.truth for image in found.images} == {"cats"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_fifo_that_is_called_a_list_does_not_block(disk: Disk, ending: str) -> None:
    os.mkfifo(disk.inside / f"list.{ending}")

    with pytest.raises(DataUnavailable, match="it is no regular file"):
        listing.list_images(str(disk.inside / f"list.{ending}"), disk.home, 10)


# -- a model's folder and its links ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("target", ["{outside}/model/{name}", "/etc/passwd", "../../outside/model/{name}"])
@pytest.mark.parametrize("use", MODEL_USES)
def test_no_file_of_a_model_may_be_a_link_that_leads_out(disk: Disk, use: str, target: str, name: str) -> None:
    (disk.inside / "model" / name).unlink()
    (disk.inside / "model" / name).symlink_to(target.format(outside=disk.outside, name=name))

    with pytest.raises(ModelUnavailable, match=OUTSIDE):
        MODEL_USES[use](str(disk.inside / "model"), disk.home)


def test_a_link_within_what_may_be_read_is_a_file_like_any_other(disk: Disk) -> None:
    (disk.inside / "model" / "model.safetensors").rename(disk.inside / "weights")
    (disk.inside / "model" / "model.safetensors").symlink_to("../weights")

    assert model_card.card(str(disk.inside / "model"), disk.home).labels == LABELS


def test_the_hubs_cache_of_links_may_be_used_wherever_it_lies(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = disk.outside / "cache"
    kept = cache / "models--someone--digits"
    snapshot, blobs = kept / "snapshots" / ("0" * 40), kept / "blobs"
    shutil.copytree(DIGITS_MODEL_DIR, blobs)
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(f"../../blobs/{blob.name}")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    (disk.inside / "mine").mkdir()
    for blob in blobs.iterdir():
        (disk.inside / "mine" / blob.name).symlink_to(snapshot / blob.name)

    for model, place in (("someone/digits", snapshot), (str(disk.inside / "mine"), disk.inside / "mine")):
        folder = folder_of(model, disk.home)
        assert folder == place
        checkpoints.check_place(folder)  # as the process does that loads it
    with pytest.raises(ModelUnavailable, match=OUTSIDE):
        checkpoints.absolute(str(snapshot))  # a cache outside is nobody's to roam by its path


@pytest.mark.parametrize("shard", ["/etc/passwd", "../../outside/model/model.safetensors", "link/model.safetensors"])
def test_an_index_of_weights_names_no_other_folder(disk: Disk, shard: str) -> None:
    index = {"weight_map": {"some.weight": shard}}
    (disk.inside / "model" / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")

    with pytest.raises(ModelUnavailable, match="names weights in another folder"):
        catalog.require(str(disk.inside / "model"), "digits", disk.home)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "notes"])
def test_a_fifo_in_a_models_folder_does_not_block(disk: Disk, name: str) -> None:
    (disk.inside / "model" / name).unlink(missing_ok=True)
    os.mkfifo(disk.inside / "model" / name)

    for use in MODEL_USES.values():
        with pytest.raises(ModelUnavailable, match="is no regular file"):
            use(str(disk.inside / "model"), disk.home)


# -- swapped after the check -------------------------------------------------------------------------------------------


def test_a_folder_that_became_a_link_after_listing_is_not_read(disk: Disk) -> None:
    images = listing.list_images(str(disk.inside / "cats"), disk.home, 10).images
    assert [len(listing.read_image(image)) > 0 for image in images] == [True] * 3

    disk.swap("cats")

    for image in images:
        with pytest.raises(OSError, match=LED_OUT):
            listing.read_image(image)


def test_the_task_that_reads_refuses_each_image_by_itself(disk: Disk) -> None:
    good, swapped = (str(disk.inside / "model-pictures" / "0.png"), str(disk.inside / "cats" / "0.png"))
    shutil.copytree(disk.inside / "cats", disk.inside / "model-pictures")
    disk.swap("cats")
    block = pa.table({"image_id": ["a", "b"], "uri": [good, swapped], "row": pa.array([None, None], pa.int64())})

    read = read_block(block, 0.0)

    assert [data is not None for data in read["bytes"].to_pylist()] == [True, False]
    assert read["reason"].to_pylist() == [None, f"the file could not be read: {LED_OUT}"]


def test_a_list_of_images_whose_folder_became_a_link_is_not_read(disk: Disk) -> None:
    for folder in (disk.inside, disk.outside):
        parquet.write_table(
            pa.table({"image": [b"bytes of " + folder.name.encode()]}), folder / "cats" / "list.parquet"
        )
    (image,) = listing.list_images(str(disk.inside / "cats" / "list.parquet"), disk.home, 10).images
    assert listing.read_image(image) == b"bytes of inside"

    disk.swap("cats")

    with pytest.raises(OSError, match=LED_OUT):
        listing.read_image(image)


def test_what_a_page_shows_is_checked_when_it_is_shown(disk: Disk) -> None:
    dataset = str(disk.inside / "cats")
    shown = thumbnail(disk.home, dataset, "0.png")
    disk.swap("cats")

    assert shown is not None
    assert thumbnail(disk.home, dataset, "0.png") is None  # though it has been kept


def test_an_allowed_folder_that_becomes_a_link_itself_leads_nowhere(disk: Disk) -> None:
    images = listing.list_images(str(disk.inside / "cats"), disk.home, 10).images
    disk.inside.rename(disk.inside.with_name("before"))
    disk.inside.symlink_to(disk.outside)

    with pytest.raises(OSError, match=LED_OUT):
        listing.read_image(images[0])
    with pytest.raises(DataUnavailable, match=OUTSIDE):
        listing.list_images(str(disk.inside / "cats"), disk.home, 10)


def test_who_loads_a_model_looks_again_where_it_lies(disk: Disk) -> None:
    models = pytest.importorskip("inference.models")
    folder = folder_of(str(disk.inside / "model"), disk.home)
    assert models.geometry_of(str(folder)) is not None

    disk.swap("model")

    with pytest.raises(ModelUnavailable, match=OUTSIDE):
        models.Classifier(str(folder), geometry=None)
    with pytest.raises(ModelUnavailable, match=OUTSIDE):
        models.load_pipeline(str(folder), device="cpu", dtype="float32", compiled=False)


# -- pages -------------------------------------------------------------------------------------------------------------

ASKED = [
    *((page, "dataset", way) for page in ("run", "ladder", "overview") for way in ("link/cats", "../outside/cats")),
    *((page, "model", way) for page in ("run", "ladder") for way in ("link/model", "../outside/model")),
    ("run", "members", "link/model"),
]


@pytest.mark.parametrize(("page", "name", "way"), ASKED)
def test_an_address_leads_no_page_out(open_page: Any, store: Store, disk: Disk, page: str, name: str, way: str) -> None:
    seed.engine(store)

    app = open_page(page, {name: str(disk.inside / way)})

    assert not app.exception
    launches = [button for button in app.button if button.label.startswith(("Run ", "Measure all"))]
    assert all(button.disabled for button in launches)
    if page == "overview":  # takes no settings from its address
        assert "outside/" not in words(app)
    else:
        assert any(OUTSIDE in error.value for error in app.error)


def test_pages_say_once_why_the_pictures_of_a_run_are_not_shown(open_page: Any, store: Store, disk: Disk) -> None:
    run_id = seed.finished(store, seed.ACTOR.with_(dataset=str(disk.outside)))
    other = seed.finished(store, seed.BATCHED.with_(dataset=str(disk.outside)), wrong=(1, 2))

    for page, query, galleries in (
        ("run", {"run": run_id}, 1),
        ("predictions", {"run": run_id}, 1),
        ("compare", {"runs": f"{run_id},{other}"}, 2),  # what they disagree on, and one run's pictures
    ):
        told = words(open_page(page, query))
        assert told.count(f"not shown: {literal(disk.outside)} {OUTSIDE}") == galleries
    one = words(open_page("predictions", {"run": run_id, "image": "1"}))
    assert f"No picture: {literal(disk.outside)} {OUTSIDE}" in one


def test_pages_say_of_pictures_that_are_gone_or_not_made_yet_why_they_are_not_shown(
    open_page: Any, store: Store, home: Path
) -> None:
    for dataset, why in ((str(home / "gone"), f"There is no {home}/gone/"), ("digits", "The next run on this machine")):
        run_id = seed.finished(store, seed.ACTOR.with_(dataset=dataset))

        told = words(open_page("run", {"run": run_id}))

        assert "12 pictures not shown: " in told
        assert literal(why) in told


# -- the engine --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[tuple[Lab, Disk]]:
    """An engine that a server with allowed folders has started."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk = Disk(tmp_path_factory.mktemp("paths"))
        new_home(disk.home, samples)
        disk.restrict(monkeypatch)
        lab = Lab(Store(disk.home), Supervisor(disk.home))
        lab.supervisor.start()
        lab.wait_until_ready()
        yield lab, disk
        lab.supervisor.stop()


def own_folders(disk: Disk, name: str) -> RunConfig:
    """Settings with a data set and a model of this name, which no other test swaps."""
    for folder in (disk.inside, disk.outside):
        shutil.copytree(folder / "cats", folder / f"{name}-pictures")
        shutil.copytree(folder / "model", folder / f"{name}-model")
    return RunConfig(dataset=str(disk.inside / f"{name}-pictures"), model=str(disk.inside / f"{name}-model"), limit=3)


def test_images_swapped_between_listing_and_reading_are_refused_one_by_one(laboratory: tuple[Lab, Disk]) -> None:
    lab, disk = laboratory
    config = own_folders(disk, "listed").with_(model=checkpoints.RESNET_50_UNTRAINED)
    (run_id,) = lab.store.enqueue([config])

    def listed() -> bool:  # making the model comes between listing and reading, and takes a second or more
        progress = lab.record(run_id).progress
        return progress is not None and progress.phase == "making the untrained ResNet-50"

    wait_until(listed, seconds=60, what="the images to be listed")
    disk.swap("listed-pictures")
    run = lab.wait_for_end(run_id)

    assert (run.state, len(run.predictions)) == ("finished", 3)
    assert {prediction.reason for prediction in run.predictions} == {f"the file could not be read: {LED_OUT}"}


def test_what_was_swapped_while_its_run_was_queued_is_refused_by_the_engine(laboratory: tuple[Lab, Disk]) -> None:
    lab, disk = laboratory
    config = own_folders(disk, "queued")
    first, pictures, model = lab.store.enqueue(
        [
            RunConfig(strategy="naive", batch_size=1, limit=200),
            config.with_(model="digits"),
            config.with_(dataset="digits"),
        ]
    )
    lab.wait_for_images(first, 1)
    disk.swap("queued-pictures")
    disk.swap("queued-model")
    lab.store.request_cancel(first)

    for run_id in (pictures, model):
        run = lab.wait_for_end(run_id)
        assert (run.state, run.predictions) == ("failed", ())
        assert OUTSIDE in str(run.error)


def test_a_model_swapped_while_its_run_goes_is_not_loaded_again(laboratory: tuple[Lab, Disk]) -> None:
    lab, disk = laboratory
    config = own_folders(disk, "running").with_(strategy="naive", dataset="digits", batch_size=1, limit=1000)
    (run_id,) = lab.store.enqueue([config])
    lab.wait_for_images(run_id, 1)

    disk.swap("running-model")

    run = lab.wait_for_end(run_id)
    assert run.state == "failed"
    assert str(run.error).startswith(f"The workers failed: {disk.inside / 'running-model'} {OUTSIDE}")
