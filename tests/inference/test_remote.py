"""Pictures of images in buckets: fetched once, without keeping a page waiting, and only those of the data set."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
from PIL import Image

from inference import catalog, images, remote, survey, thumbnails
from inference.bundled.samples import ensure_samples
from inference.config import RunConfig
from inference.errors import DataUnavailable
from inference.fetches import Latest
from inference.remote import WAIT_S
from inference.store import Store
from inference.thumbnails import picture
from tests.conftest import wait_until
from tests.inference.test_buckets import NO_BUCKETS, clean
from tests.support import bucket, silence, unreliable
from tests.support.unreliable import BUSY, DENIED, SILENT, STALLED, Fault, Unreliable

PICTURES = "s3://anonymous@ray-benchmark-data/pictures"
MANY = [f"{number:02d}.jpg" for number in range(24)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bucket.Bucket]:
    (photograph,) = ensure_samples(tmp_path_factory.mktemp("few"), 1).glob("*.jpg")
    with bucket.serving() as served:
        served.put_many([f"pictures/{name}" for name in MANY], photograph.read_bytes())
        served.put("pictures/broken.jpg", b"no picture")
        served.put("elsewhere/secret.jpg", photograph.read_bytes())
        yield served


@pytest.fixture
def server(served: bucket.Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unreliable]:
    with unreliable.in_front_of(served.url) as server:
        clean(monkeypatch, server.url)
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where these images were classified."""
    queued(tmp_path / "home", PICTURES)
    return tmp_path / "home"


def queued(home: Path, dataset: str) -> None:
    Store(home).enqueue([RunConfig(dataset=dataset)])


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow bucket: how long a page waits is the matter of one test alone."""
    monkeypatch.setattr(remote, "WAIT_S", 30.0)
    monkeypatch.setattr(remote, "PICTURE_WAIT_S", 30.0)


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What a process that has just been started does not know."""
    return lambda: monkeypatch.setattr(thumbnails, "_fetched", Latest[bytes](512, 600))


def shown(home: Path, dataset: str, image_ids: list[str]) -> list[bool]:
    return [data is not None for data in thumbnails.thumbnails(home, dataset, image_ids)]


def test_pictures_of_a_bucket_are_fetched_once_and_kept(
    home: Path, server: Unreliable, forget: Callable[[], None]
) -> None:
    first = thumbnails.thumbnails(home, PICTURES, MANY)
    forget()
    server.well()
    again = thumbnails.thumbnails(home, PICTURES, MANY)

    assert {Image.open(io.BytesIO(data or b"")).format for data in first} == {"JPEG"}
    assert again == first
    assert server.requests == []


def test_pictures_of_another_server_are_others(
    home: Path, served: bucket.Bucket, server: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(home, PICTURES, MANY[:1]) == [True]
    monkeypatch.setenv("AWS_ENDPOINT_URL", silence.closed_address())

    assert shown(home, PICTURES, MANY[:1]) == [False]


def test_where_nothing_can_be_kept_a_picture_is_shown_and_not_fetched_again(home: Path, server: Unreliable) -> None:
    (home / "thumbnails").write_text("a file where a folder should be", encoding="utf-8")

    assert shown(home, PICTURES, MANY[:2]) == [True, True]
    server.well()
    assert shown(home, PICTURES, MANY[:2]) == [True, True]
    assert server.requests == []


def test_what_nobody_has_run_or_chosen_here_is_not_fetched(tmp_path: Path, server: Unreliable) -> None:
    home = tmp_path / "other"

    assert shown(home, PICTURES, MANY[:1]) == [False]
    assert picture(home, PICTURES, MANY[0]) is None
    assert "the run came from elsewhere" in str(catalog.why_no_picture(PICTURES, MANY[0], home))
    assert server.requests == []
    assert thumbnails.thumbnails(home, PICTURES, MANY[:1], chosen=True) != [None]
    queued(home, PICTURES)
    assert picture(home, PICTURES, MANY[0]) is not None


def test_a_page_waits_a_moment_for_a_silent_bucket_and_the_next_ones_do_not(
    home: Path, server: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAIT_S", WAIT_S)
    server.let("", SILENT)
    start = monotonic()
    first = shown(home, PICTURES, MANY)
    first_s = monotonic() - start
    for _ in range(5):
        shown(home, PICTURES, MANY)
    all_s = monotonic() - start

    assert not any(first)
    assert first_s < 2 * WAIT_S
    assert all_s - first_s < WAIT_S
    assert len(server.requests) <= 8
    assert catalog.why_no_picture(PICTURES, MANY[0], home) == "It is still on its way from its bucket."


def test_a_picture_that_comes_late_is_there_when_the_page_is_drawn_again(
    home: Path, server: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAIT_S", 0.1)
    server.let("GET ", Fault(pause_s=0.7))

    assert shown(home, PICTURES, MANY[:3]) == [False] * 3
    wait_until(lambda: all(shown(home, PICTURES, MANY[:3])), seconds=10, what="three pictures")
    assert server.asked_for("GET ") == 3


def test_after_a_failure_of_the_network_the_rest_is_given_up_for_a_minute(home: Path, server: Unreliable) -> None:
    server.let("", BUSY)

    assert not any(shown(home, PICTURES, MANY))
    wait_until(lambda: "busy" in str(catalog.why_no_picture(PICTURES, MANY[-1], home)), seconds=10, what="the reason")
    server.well()
    assert not any(shown(home, PICTURES, MANY))
    assert server.requests == []


def test_an_image_that_may_not_be_read_costs_only_itself_and_is_not_asked_for_again(
    home: Path, server: Unreliable
) -> None:
    server.let(MANY[1], DENIED)

    assert shown(home, PICTURES, [*MANY[:3], "broken.jpg", "gone.jpg"]) == [True, False, True, False, False]
    server.well()
    assert shown(home, PICTURES, [*MANY[:3], "broken.jpg", "gone.jpg"]) == [True, False, True, False, False]
    assert server.requests == []
    why = [str(catalog.why_no_picture(PICTURES, name, home)) for name in (MANY[1], "broken.jpg", "gone.jpg")]
    assert why == [
        "It could not be had from its bucket: access denied.",
        "It could not be had from its bucket: not an image of a known format.",
        "It could not be had from its bucket: there is nothing of that name.",
    ]


def test_an_image_that_is_too_large_is_not_fetched(
    home: Path, server: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 1000)
    server.let("GET ", STALLED)

    assert shown(home, PICTURES, MANY[:2]) == [False, False]
    assert "larger than" in str(catalog.why_no_picture(PICTURES, MANY[1], home))


@pytest.mark.parametrize(
    "image_id",
    [
        "../elsewhere/secret.jpg",
        "x/../../elsewhere/secret.jpg",
        "./00.jpg",
        "/00.jpg",
        "x//00.jpg",
        "",
        ".",
        "..",
        "x\0/../../y",
        "s3://anonymous@ray-benchmark-data/elsewhere/secret.jpg",
    ],
)
def test_nothing_but_the_data_sets_own_images_is_fetched(home: Path, server: Unreliable, image_id: str) -> None:
    assert shown(home, PICTURES, [image_id]) == [False]
    assert picture(home, PICTURES, image_id) is None
    assert server.requests == []


@pytest.mark.parametrize("dataset", [*NO_BUCKETS, "http://127.0.0.1/x", "file:///etc", "gs://bucket/x", "//host/x"])
def test_a_run_from_elsewhere_with_an_address_that_is_none_has_no_pictures_and_asks_nobody(
    home: Path, server: Unreliable, dataset: str
) -> None:
    assert shown(home, dataset, ["a.jpg", "169.254.169.254/latest"]) == [False, False]
    assert picture(home, dataset, "a.jpg") is None
    assert catalog.why_no_picture(dataset, "a.jpg", home)
    assert server.requests == []


def test_a_list_of_addresses_shows_what_it_names_and_nothing_else(
    home: Path, server: Unreliable, tmp_path: Path
) -> None:
    named = [f"{PICTURES}/{name}" for name in MANY[:2]]
    (tmp_path / "list.csv").write_text("\n".join(["path", *named, "s3://169.254.169.254/x.jpg"]), encoding="utf-8")
    dataset = str(tmp_path / "list.csv")
    queued(home, dataset)

    assert shown(home, dataset, named) == [True, True]
    assert picture(home, dataset, named[0]) is not None
    server.well()
    assert shown(home, dataset, [f"{PICTURES}/{MANY[2]}", "s3://169.254.169.254/x.jpg"]) == [False, False]
    assert server.requests == []


def test_a_picture_with_all_its_pixels_is_fetched_once(home: Path, server: Unreliable) -> None:
    whole = picture(home, PICTURES, MANY[0])
    server.well()

    assert whole is not None
    assert picture(home, PICTURES, MANY[0]) == whole
    assert server.requests == []


def test_looking_inside_a_bucket_fetches_each_image_once(home: Path, server: Unreliable) -> None:
    found = survey.survey(PICTURES, home)

    assert (found.images, found.looked_at, len(found.shown)) == (25, 8, 8)
    fetched = server.asked_for("GET /ray-benchmark-data/pictures/")
    assert all(shown(home, PICTURES, list(found.shown)))
    assert server.asked_for("GET /ray-benchmark-data/pictures/") == fetched == 8


# -- the first images of a bucket --------------------------------------------------------------------------------------


def test_the_first_images_are_listed_once(home: Path, server: Unreliable) -> None:
    found = remote.first_images(PICTURES, home, 4)
    server.well()

    assert [image.image_id for image in found or ()] == MANY[:4]
    assert remote.first_images(PICTURES, home, 4) == found
    assert server.requests == []


def test_a_bucket_that_cannot_be_listed_says_why_and_is_not_asked_again(home: Path, server: Unreliable) -> None:
    server.let("list-type=2", DENIED)

    for _ in range(2):
        with pytest.raises(DataUnavailable, match="could not be listed: access denied"):
            remote.first_images(PICTURES, home, 4)
        server.well()
    assert server.requests == []
    with pytest.raises(DataUnavailable, match="is not the address of a bucket"):
        remote.first_images("s3://169.254.169.254/x", home, 4)


def test_first_images_that_come_late_are_there_when_the_page_is_drawn_again(
    home: Path, server: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAIT_S", 0.1)
    server.let("list-type=2", Fault(pause_s=0.7))

    assert remote.first_images(PICTURES, home, 3) is None
    wait_until(lambda: remote.first_images(PICTURES, home, 3), seconds=10, what="the first images")
