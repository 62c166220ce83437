"""A bucket that denies, stalls or is not there costs a run what it must and no more; no address leads anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from streamlit.testing.v1 import AppTest

from inference import bundle, folders, images
from inference.config import RunConfig
from inference.datasets import read_block
from inference.results import Prediction, RunRecord
from inference.store import Store
from inference.supervisor import Supervisor
from pages.ui.format import literal
from tests.conftest import wait_until
from tests.engine.conftest import Lab, new_home
from tests.inference.test_buckets import clean
from tests.support import bucket, unreliable
from tests.support.command_line import batchscope
from tests.support.unreliable import BUSY, DENIED, SILENT, STALLED, Fault, Unreliable

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "s3://anonymous@ray-benchmark-data"
FOLDER = f"{BUCKET}/digits"
IN_TIME_S = 10.0
NO_DATA_SETS = [
    "http://127.0.0.1/x",
    "file:///etc",
    "gs://bucket/folder",
    "s3://169.254.169.254/latest",
    "s3://localhost/x",
    "s3://bucket/folder?endpoint_override=http://127.0.0.1:1",
    "s3://user:secret@bucket/folder",
]


@dataclass
class Remote:
    """An engine, and the only server that it knows."""

    lab: Lab
    bucket: bucket.Bucket
    server: Unreliable
    """In front of it."""
    names: list[str]
    """Of the images in `FOLDER`."""

    def run(self, dataset: str = FOLDER, limit: int = 100) -> RunRecord:
        (record,) = self.lab.finish(RunConfig(dataset=dataset, limit=limit, batch_size=4))
        return record


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[Remote]:
    home = new_home(tmp_path_factory.mktemp("remote") / "home", samples)
    pictures = sorted(samples.glob("*.jpg"))[:16]
    with (
        bucket.serving() as served,
        unreliable.in_front_of(served.url) as server,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        served.put_photographs("digits", pictures)
        clean(monkeypatch, server.url)
        lab = Lab(Store(home), Supervisor(home))
        lab.supervisor.start()  # the engine inherits the environment of this moment
        lab.wait_until_ready()
        yield Remote(lab, served, server, [f"{path.stem}.JPEG" for path in pictures])
        lab.supervisor.stop()


@pytest.fixture(autouse=True)
def _all_is_well(request: pytest.FixtureRequest) -> None:
    if "remote" in request.fixturenames:
        request.getfixturevalue("remote").server.well()


def lasted_s(record: RunRecord) -> float:
    assert record.started_at is not None
    assert record.finished_at is not None
    return record.finished_at - record.started_at


def reasons(record: RunRecord) -> dict[str, str | None]:
    return {prediction.image_id: prediction.reason for prediction in record.predictions if prediction.reason}


# -- runs --------------------------------------------------------------------------------------------------------------


def test_objects_that_are_denied_stalled_or_gone_cost_only_themselves(remote: Remote) -> None:
    denied, stalled, gone, busy, *others = remote.names
    remote.server.let(denied, DENIED)
    remote.server.let(f"GET /ray-benchmark-data/digits/{stalled}", STALLED)
    remote.server.let(gone, Fault(status=404, code="NoSuchKey"))
    remote.server.let(busy, Fault(status=503, code="SlowDown", times=1))

    record = remote.run()

    assert (record.state, record.error) == ("finished", None)
    assert [prediction.image_id for prediction in sorted(record.predictions, key=lambda p: p.image_id)] == remote.names
    assert reasons(record) == {
        denied: "the file could not be read: access denied",
        stalled: "the file could not be read: no answer in time",
        gone: "the file could not be read: there is nothing of that name",
    }
    assert {p.image_id for p in record.predictions if p.status == "ok"} == {busy, *others}


def test_a_list_of_addresses_is_read_and_bad_ones_are_passed_over(remote: Remote, tmp_path: Path) -> None:
    rows = [f"{FOLDER}/{name}" for name in remote.names[:3]]
    (tmp_path / "list.csv").write_text("\n".join(["path", *rows, *NO_DATA_SETS]), encoding="utf-8")

    record = remote.run(str(tmp_path / "list.csv"))

    assert {(p.image_id, p.status) for p in record.predictions} == {(row, "ok") for row in rows}
    assert any(f"{len(NO_DATA_SETS)} entries were passed over" in message for message in record.messages)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(SILENT, "no answer within 8 s"), (BUSY, "its server is busy"), (DENIED, "access denied")],
    ids=["silent", "busy", "denied"],
)
def test_a_bucket_that_cannot_be_listed_fails_the_run_in_time_with_the_reason(
    remote: Remote, fault: Fault, reason: str
) -> None:
    remote.server.let("", fault)

    record = remote.run()

    assert record.state == "failed"
    assert f"s3://ray-benchmark-data/digits could not be listed: {reason}." in (record.error or "")
    assert lasted_s(record) < IN_TIME_S
    assert record.predictions == ()


def test_a_run_is_cancelled_while_its_bucket_is_listed(remote: Remote) -> None:
    remote.bucket.put_many([f"many/{number:04d}.jpg" for number in range(5_001)], b"x")
    remote.server.let("list-type=2", Fault(pause_s=2.0))
    engine = remote.lab.store.engine()
    (run_id,) = remote.lab.store.enqueue([RunConfig(dataset=f"{BUCKET}/many", limit=10_000)])

    def phase() -> str:
        progress = remote.lab.record(run_id).progress
        return progress.phase if progress is not None else ""

    wait_until(lambda: phase() == "listing images: 1,000 found", seconds=30, what="a thousand images")
    remote.lab.store.request_cancel(run_id)
    wait_until(lambda: not remote.lab.record(run_id).active, seconds=IN_TIME_S, what="the end of the run")

    assert remote.lab.record(run_id).state == "cancelled"
    assert (remote.lab.store.engine() or engine).engine_id == (engine and engine.engine_id)  # nobody had to end it


def test_a_bucket_that_falls_silent_during_a_run_fails_its_images_and_keeps_nobody_long(remote: Remote) -> None:
    remote.server.let("GET /ray-benchmark-data/digits/", SILENT)

    record = remote.run()

    assert record.state == "finished"
    assert set(reasons(record)) == set(remote.names)
    assert any("has not answered" in str(reason) for reason in reasons(record).values())


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_file_of_ten_gigabytes_named_as_an_image_is_not_read(tmp_path: Path) -> None:
    huge, small = tmp_path / "huge.jpg", tmp_path / "small.jpg"
    small.write_bytes(b"small")
    with open(huge, "wb") as file:
        file.truncate(10 * 1024**3)  # takes no room on the disk

    read = block_of([(str(huge), None), (str(small), None)])

    assert read["bytes"].to_pylist() == [None, b"small"]
    assert read["reason"].to_pylist() == [
        "the file could not be read: it is larger than the 200 MB that an image may have",
        None,
    ]


def test_an_image_in_a_list_that_is_too_large_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 1_000_000)
    parquet.write_table(pa.table({"image": [bytes(1_000_001), b"small"]}), tmp_path / "list.parquet")

    read = block_of([(str(tmp_path / "list.parquet"), row) for row in (0, 1)])

    assert read["bytes"].to_pylist() == [None, b"small"]
    assert "larger than the 1 MB" in read["reason"].to_pylist()[0]


def block_of(places: list[tuple[str, int | None]]) -> pa.Table:
    uris, rows = ([place[part] for place in places] for part in (0, 1))
    return read_block(pa.table({"image_id": uris, "uri": uris, "row": pa.array(rows, pa.int64())}), 0.0)


# -- addresses that are typed, or come with a file ---------------------------------------------------------------------


@pytest.mark.parametrize("dataset", [NO_DATA_SETS[0], NO_DATA_SETS[3], NO_DATA_SETS[5]])
def test_the_command_line_takes_no_other_address(tmp_path: Path, dataset: str) -> None:
    start = time.monotonic()
    done = batchscope(tmp_path / "home", "run", "--strategy", "actor", "--dataset", dataset)

    assert done.returncode != 0
    assert "is not" in done.stderr
    assert "s3://bucket/folder" in done.stderr
    assert time.monotonic() - start < IN_TIME_S


@pytest.fixture
def page_server(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unreliable]:
    """What pages in this process ask for images."""
    with bucket.serving() as served, unreliable.in_front_of(served.url) as server:
        served.put_photographs("digits", sorted(samples.glob("*.jpg"))[:5])
        clean(monkeypatch, server.url)
        monkeypatch.setenv("BATCHSCOPE_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("BATCHSCOPE_NO_ENGINE", "1")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr("inference.remote.WAIT_S", 30.0)  # a busy machine is no slow bucket
        monkeypatch.setenv(folders.NAMED, str(tmp_path))  # or the page would set it, and nobody take it back
        yield server


@pytest.fixture
def nobody_asks(page_server: Unreliable, tmp_path: Path) -> Iterator[Store]:
    """A home folder for pages; that nobody was asked for anything is checked afterwards."""
    yield Store(tmp_path / "home")
    assert [request for request in page_server.requests if "imagenette2" not in request] == []  # the catalogue's own


def page(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.switch_page(f"pages/{name}.py")
    app.query_params.update(query)
    return app.run()


@pytest.mark.parametrize("dataset", NO_DATA_SETS)
def test_the_form_takes_no_other_address(nobody_asks: Store, dataset: str) -> None:
    app = page("run", dataset=dataset)

    assert not app.exception
    assert any(literal("s3://bucket/folder") in error.value for error in app.error)
    assert not [button for button in app.button if button.label.startswith("Run ")]


@pytest.mark.parametrize("dataset", [NO_DATA_SETS[0], NO_DATA_SETS[3], NO_DATA_SETS[5], FOLDER])
def test_the_pages_of_a_run_from_elsewhere_ask_nobody(nobody_asks: Store, tmp_path: Path, dataset: str) -> None:
    there = Store(tmp_path / "there")
    (run_id,) = there.enqueue([RunConfig(dataset=dataset)])
    there.claim("engine", {})
    names = ("0000_zero.JPEG", "latest/meta-data")
    answers = [Prediction(name, "three", 0.9, done_s=0.5, worker="w") for name in names]
    there.end(run_id, "finished", predictions=answers)
    bundle.read_in(nobody_asks, bundle.packed(there, [run_id]))

    for name, query in (
        ("predictions", {"run": run_id}),
        ("predictions", {"run": run_id, "image": "1"}),
        ("run", {"run": run_id}),
        ("history", {}),
        ("compare", {"runs": run_id}),
        ("replay", {"run": run_id}),
    ):
        assert not page(name, **query).exception, name


def test_a_run_from_elsewhere_has_its_pictures_fetched_once_it_was_run_here(
    page_server: Unreliable, tmp_path: Path
) -> None:
    there, here = Store(tmp_path / "there"), Store(tmp_path / "home")
    (run_id,) = there.enqueue([RunConfig(dataset=FOLDER)])
    there.claim("engine", {})
    there.end(run_id, "finished", predictions=[Prediction("0000_zero.JPEG", "zero", 0.9, done_s=0.5, worker="w")])
    bundle.read_in(here, bundle.packed(there, [run_id]))

    app = page("predictions", run=run_id)
    assert any(literal("the run came from elsewhere: run it again") in caption.value for caption in app.caption)
    assert len(app.get("image")) == 0

    here.enqueue([RunConfig(dataset=FOLDER)])
    assert len(page("predictions", run=run_id).get("image")) == 1


def test_the_form_shows_the_first_pictures_of_a_bucket_and_says_why_one_is_missing(page_server: Unreliable) -> None:
    page_server.let("0001_", DENIED)

    app = page("run", dataset=FOLDER)

    assert not app.exception
    assert len(app.get("image")) == 3
    (missing,) = (caption for caption in app.caption if caption.value == "no picture")
    assert "access denied" in missing.help


def test_the_form_says_why_a_bucket_has_no_pictures(page_server: Unreliable) -> None:
    page_server.let("", DENIED)

    app = page("run", dataset=FOLDER)

    assert not app.exception
    assert any(literal("could not be listed: access denied") in caption.value for caption in app.caption)
