"""Images in buckets, as S3's own clients and a real server on loopback see them: listed, read, and refused in time."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import monotonic

import pytest

from inference import buckets, images, listing, s3
from inference.bundled.samples import ensure_samples
from inference.errors import DataUnavailable
from tests.support import bucket, silence, unreliable
from tests.support.unreliable import BUSY, DENIED, SILENT, STALLED, Fault, Unreliable

PUBLIC = "s3://anonymous@ray-benchmark-data"
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
IN_TIME_S = 10.0
OF_B = b"of b" * 200
TRICKLING = Fault(piece_bytes=1, pause_s=0.2)
HOW = ["says nothing", "stops in the middle", "sends a byte now and then"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sorted(ensure_samples(tmp_path_factory.mktemp("few"), 5).glob("*.jpg"))


@pytest.fixture(scope="module")
def served(photographs: list[Path]) -> Iterator[bucket.Bucket]:
    with bucket.serving() as served:
        served.put_photographs(bucket.CHURCH, photographs[3:])
        served.put_photographs(bucket.TENCH, photographs[:3])
        served.put("imagenette2/train/readme.txt", b"no picture")
        served.put("imagenette2/val/n01440764/other.JPEG", b"of another part")
        served.put("few/a.jpg", bytes(range(256)) * 400)
        served.put("few/b.jpg", OF_B)
        yield served


@pytest.fixture
def stored(served: bucket.Bucket, monkeypatch: pytest.MonkeyPatch) -> bucket.Bucket:
    """The bucket, where everybody in this process looks for S3; nobody has credentials."""
    clean(monkeypatch, served.url)
    return served


@pytest.fixture
def server(served: bucket.Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unreliable]:
    """The same with a proxy in front that does what a test wants, and of which nothing is remembered."""
    with unreliable.in_front_of(served.url) as server:
        clean(monkeypatch, server.url)
        yield server


@pytest.fixture
def nobody(server: Unreliable, monkeypatch: pytest.MonkeyPatch) -> Unreliable:
    """The same, and no credentials are to be found anywhere."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    return server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than two seconds; one test waits as long as a person would."""
    monkeypatch.setattr(s3, "ANSWER_S", 2.0)


def clean(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in (*CREDENTIALS, *REGIONS, "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)


def ids(found: listing.ImageList) -> list[str]:
    return [image.image_id for image in found.images]


def listed(dataset: str, limit: int = 100) -> listing.ImageList:
    return listing.list_images(dataset, Path("unused"), limit)


def refused(dataset: str) -> str:
    """Why a data set is refused, which must be known in time."""
    start = monotonic()
    with pytest.raises(DataUnavailable) as refusal:
        listed(dataset)
    assert monotonic() - start < IN_TIME_S
    return str(refusal.value)


def unread(uri: str) -> OSError:
    """What goes wrong when an object is read, which must be known in time."""
    start = monotonic()
    with pytest.raises(OSError) as failure:  # noqa: PT011  # the tests look at the words
        buckets.read(uri)
    assert monotonic() - start < IN_TIME_S
    return failure.value


# -- what is listed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_a_bucket_is_listed_by_key_with_labels(
    stored: bucket.Bucket, photographs: list[Path], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv(variable, stored.url)
    stems = [path.stem for path in photographs]

    found = listed(listing.IMAGENETTE)

    tenches = [f"n01440764/{stem}.JPEG" for stem in stems[:3]]
    churches = [f"n03028079/{stem}.JPEG" for stem in stems[3:5]]
    assert ids(found) == tenches + churches
    assert [image.truth for image in found.images] == ["tench"] * 3 + ["church"] * 2
    assert found.images[0].uri == f"s3://anonymous@ray-benchmark-data/imagenette2/train/{tenches[0]}"


def test_five_thousand_objects_are_listed_in_order_with_their_labels(stored: bucket.Bucket) -> None:
    keys = [f"many/{label}/{number:04d}.jpg" for label in ("ant", "bee", "cat", "dog", "elk") for number in range(1000)]
    stored.put_many(["many/cover.jpg", *keys], b"x")  # the server tells a thousand at a time

    found = listed(f"{PUBLIC}/many", 10_000)
    some = listed(f"{PUBLIC}/many", 3_500)

    assert [f"many/{image_id}" for image_id in ids(found)] == sorted([*keys, "many/cover.jpg"])
    assert [found.images[place].truth for place in (0, 999, 1000, 5000)] == ["ant", "ant", "bee", "elk"]
    assert found.images[1000].size_bytes == 1
    assert (some.images, some.found) == (found.images[:3_500], 3_501)


def test_whoever_takes_the_first_images_waits_for_no_others(server: Unreliable, served: bucket.Bucket) -> None:
    served.put_many([f"crowd/{label}/{number:04d}.jpg" for label in "ab" for number in range(1000)], b"x")

    found = listed(f"{PUBLIC}/crowd", 3)

    assert ids(found) == ["a/0000.jpg", "a/0001.jpg", "a/0002.jpg"]
    assert server.asked_for("list-type=2") == 1  # the server tells a thousand at a time


def test_images_in_folders_are_listed_by_key(stored: bucket.Bucket) -> None:
    keys = ["a/1.jpg", "a-b/2.jpg", "a.jpg", "b/c/3.jpg", "b/d.jpg", "z.jpg"]
    stored.put_many([f"deep/{key}" for key in keys], b"x")

    assert ids(listed(f"{PUBLIC}/deep")) == sorted(keys)


def test_what_is_hidden_is_not_listed_and_what_has_no_name_is_passed_over(stored: bucket.Bucket) -> None:
    odd = ("a.jpg", ".hidden.jpg", ".trash/b.jpg", "/nameless.jpg", "n.txt", "", "empty folder.jpg/")
    stored.put_many([f"odd/{key}" for key in odd], b"x")

    found = listed(f"{PUBLIC}/odd")

    assert ids(found) == ["a.jpg"]
    assert [entry.name for entry in found.skipped] == ["/nameless.jpg"]


@pytest.mark.parametrize("name", ["IMG #1?.jpg", "ü &+%2F.jpg", "a=b;c.jpg"])
def test_an_object_of_any_name_is_listed_and_read(stored: bucket.Bucket, name: str) -> None:
    stored.put(f"names/{name}", name.encode())

    (image,) = (image for image in listed(f"{PUBLIC}/names").images if image.image_id == name)

    assert listing.read_image(image) == name.encode()


def test_any_public_bucket_is_read_when_asked_anonymously(stored: bucket.Bucket) -> None:
    found = listed(f"{PUBLIC}/imagenette2/val")

    assert ids(found) == ["n01440764/other.JPEG"]
    assert found.images[0].truth == "tench"


def test_credentials_in_the_environment_are_not_sent(stored: bucket.Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    assert len(listed(listing.IMAGENETTE).images) == 5


# -- what is refused ---------------------------------------------------------------------------------------------------

NO_BUCKETS = [
    "s3://bucket/folder?endpoint_override=http://127.0.0.1",
    "s3://bucket/folder?scheme=http",
    "s3://bucket/folder#part",
    "s3://user:secret@bucket/folder",
    "s3://somebody@bucket/folder",
    "s3://bucket:9000/folder",
    "s3://169.254.169.254/latest",
    "s3://169.254.169.254:80/latest",
    "s3://anonymous@127.0.0.1/x",
    "s3://localhost/x",
    "s3://localhost:8501/x",
    "s3://bucket/../other",
    "s3://bucket/./other",
    "s3://bucket//folder",
    "s3://",
    "s3:///etc",
    "s3://UPPER/x",
    "s3://bucket\n",
]


@pytest.mark.parametrize("address", NO_BUCKETS)
def test_an_address_that_is_no_bucket_is_refused_with_how_to_write_one(address: str) -> None:
    for use in (listing.absolute, listed):
        with pytest.raises(DataUnavailable, match="is not the address of a bucket: write s3://bucket/folder"):
            use(address)


def test_no_object_is_read_by_dots_in_its_name(server: Unreliable) -> None:
    for name in ("../few/a.jpg", "x/../a.jpg", "./a.jpg", "/a.jpg"):
        assert "is not the address of an object" in str(unread(f"{PUBLIC}/few/{name}"))
    assert server.requests == []


@pytest.mark.parametrize("address", [f"{PUBLIC}/no-such-folder", "s3://anonymous@no-such-bucket/folder/"])
def test_a_bucket_or_folder_that_does_not_exist_is_refused_with_the_reason(stored: bucket.Bucket, address: str) -> None:
    said = refused(address)

    assert said.startswith(f"{address.replace('anonymous@', '').rstrip('/')} could not be listed: the")
    assert said.endswith(
        ("there is nothing of that name. Check the name.", "the bucket does not exist. Check the name.")
    )


def test_credentials_that_the_server_does_not_know_are_told(
    stored: bucket.Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    with stored.asking_for_credentials():
        said = refused("s3://ray-benchmark-data/few")
        object_said = str(unread("s3://ray-benchmark-data/few/a.jpg"))

    assert object_said == "the server does not accept these credentials (InvalidAccessKeyId)"
    assert f"could not be listed: {object_said}. Set AWS_ACCESS_KEY_ID and" in said


def test_a_bucket_that_is_not_public_says_whose_credentials_it_needs(server: Unreliable) -> None:
    server.let("list-type=2", DENIED)

    said = refused(f"{PUBLIC}/few")

    assert "access denied" in said
    assert said.endswith("to those of somebody who may read it, and leave out anonymous@.")


def test_without_credentials_the_answer_tells_how_to_read_a_public_bucket(nobody: Unreliable) -> None:
    said = refused("s3://ray-benchmark-data/few")

    assert "could not be listed: there are no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    assert said.endswith("or write s3://anonymous@ray-benchmark-data/few if it is public.")
    assert str(unread("s3://ray-benchmark-data/few/a.jpg")) == "there are no credentials"
    assert nobody.requests == []


def test_a_bucket_that_denies_somebody_known_says_how_a_public_one_is_read(
    server: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "known")
    server.let("", DENIED)

    said = refused("s3://ray-benchmark-data/few")

    assert "could not be listed: access denied. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    assert said.endswith("or write s3://anonymous@ray-benchmark-data/few if it is public.")


def test_a_profile_that_does_not_exist_is_told(nobody: Unreliable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobodys")

    assert "nobodys" in refused("s3://ray-benchmark-data/few")


def test_instance_metadata_is_asked_only_by_who_allows_it(nobody: Unreliable, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its address can be moved, and the server behind this one gives credentials to whoever asks there.
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", nobody.url)

    assert "there are no credentials" in refused("s3://ray-benchmark-data/few")
    assert nobody.asked_for("latest/") == 0

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setattr(s3, "_made", {})

    assert ids(listed("s3://ray-benchmark-data/few")) == ["a.jpg", "b.jpg"]
    assert nobody.asked_for("latest/") > 0


def test_an_endpoint_where_nobody_listens_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clean(monkeypatch, silence.closed_address())

    said = refused(listing.IMAGENETTE)

    assert said.startswith("s3://ray-benchmark-data/imagenette2/train could not be listed: could not connect to its")
    assert said.endswith("Check that this machine reaches it, or choose digits, which needs no network.")
    assert "s3://anonymous@ray-benchmark-data/few" in refused("s3://ray-benchmark-data/few")


def test_an_endpoint_that_never_answers_is_given_up_within_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with silence.never_answering() as url:
        clean(monkeypatch, url)

        assert "could not be listed: no answer within 8 s" in refused(listing.IMAGENETTE)


def test_a_server_that_answers_byte_by_byte_is_given_up_within_ten_seconds(server: Unreliable) -> None:
    server.let("list-type=2", TRICKLING)

    assert "could not be listed: no answer within 8 s" in refused(f"{PUBLIC}/few")


def test_a_server_whose_name_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clean(monkeypatch, "http://nobody.invalid")

    assert "there is no server of the name nobody.invalid" in refused(listing.IMAGENETTE)


@pytest.mark.parametrize("fault", [SILENT, STALLED, TRICKLING], ids=HOW)
@pytest.mark.usefixtures("impatient")
def test_a_listing_that_gets_stuck_on_its_way_is_given_up(
    server: Unreliable, served: bucket.Bucket, fault: Fault
) -> None:
    served.put_many([f"stuck/{number:04d}.jpg" for number in range(1_001)], b"x")
    server.let("continuation-token", fault)  # all but the first thousand
    found = buckets.stored(buckets.Address.of(f"{PUBLIC}/stuck"))
    assert len(list(islice(found, 1_000))) == 1_000

    start = monotonic()
    with pytest.raises(DataUnavailable, match="could not be listed: no answer within 2 s"):
        next(found)
    assert monotonic() - start < IN_TIME_S


def test_a_single_object_is_no_data_set(stored: bucket.Bucket) -> None:
    assert "is one object: give the folder that it lies in" in refused(f"{PUBLIC}/few/a.jpg")


# -- where it lies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "elsewhere",
    [
        Fault(status=301, code="PermanentRedirect", headers={"x-amz-bucket-region": "eu-north-1"}, times=1),
        Fault(status=400, code="AuthorizationHeaderMalformed", more="<Region>eu-north-1</Region>", times=1),
    ],
    ids=["redirected", "signed for another"],
)
def test_a_bucket_in_another_region_is_asked_there(server: Unreliable, elsewhere: Fault) -> None:
    server.let("ray-benchmark-data", elsewhere)

    assert buckets.read(f"{PUBLIC}/few/b.jpg") == OF_B


def test_a_bucket_whose_region_nobody_tells_says_what_to_set(server: Unreliable) -> None:
    server.let("ray-benchmark-data", Fault(status=301, code="PermanentRedirect"))

    assert "the bucket lies in another region: set AWS_DEFAULT_REGION to it" in refused(f"{PUBLIC}/few")
    assert len(server.requests) < 10


# -- what is read ------------------------------------------------------------------------------------------------------


def test_a_large_object_is_read_whole_in_pieces(server: Unreliable, served: bucket.Bucket) -> None:
    content = os.urandom(2 * buckets.PIECE_BYTES + 5)
    served.put("large/a.jpg", content)

    assert buckets.read(f"{PUBLIC}/large/a.jpg") == content
    assert server.asked_for("/ray-benchmark-data/large/a.jpg") == 1


def test_an_object_that_is_too_large_is_refused_before_its_content_comes(
    server: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 100_000)
    server.let("few/a.jpg", STALLED)

    assert "larger than the 0 MB that an image may have" in str(unread(f"{PUBLIC}/few/a.jpg"))


def test_a_busy_server_is_asked_again(server: Unreliable) -> None:
    server.let("few/b.jpg", Fault(status=503, code="SlowDown", times=2))

    assert buckets.read(f"{PUBLIC}/few/b.jpg") == OF_B
    assert server.asked_for("few/b.jpg") == 3


def test_a_transfer_that_breaks_off_is_begun_again(server: Unreliable) -> None:
    server.let("few/a.jpg", Fault(sent_bytes=1000, broken=True, times=2))

    assert buckets.read(f"{PUBLIC}/few/a.jpg") == bytes(range(256)) * 400
    assert server.asked_for("few/a.jpg") == 3


def test_a_transfer_that_breaks_off_each_time_is_given_up(server: Unreliable) -> None:
    server.let("few/a.jpg", Fault(sent_bytes=1000, broken=True))

    assert str(unread(f"{PUBLIC}/few/a.jpg")) == "the connection broke off"
    assert server.asked_for("few/a.jpg") == 3


def test_a_busy_server_is_not_asked_for_ever(server: Unreliable) -> None:
    server.let("few/b", BUSY)

    failure = unread(f"{PUBLIC}/few/b.jpg")

    assert (str(failure), server.asked_for("few/b")) == ("its server is busy", 3)
    assert isinstance(failure, ConnectionError)


def test_a_busy_server_is_asked_again_for_a_list(server: Unreliable) -> None:
    server.let("list-type=2", Fault(status=503, code="SlowDown", times=1))

    assert ids(listed(f"{PUBLIC}/few")) == ["a.jpg", "b.jpg"]


def test_an_object_that_may_not_be_read_says_so(server: Unreliable) -> None:
    server.let("few/b", DENIED)

    failure = unread(f"{PUBLIC}/few/b.jpg")

    assert str(failure) == "access denied"
    assert not isinstance(failure, ConnectionError)


def test_an_object_that_is_gone_says_so(stored: bucket.Bucket) -> None:
    assert str(unread(f"{PUBLIC}/few/gone.jpg")) == "there is nothing of that name"


def test_a_slow_transfer_that_moves_is_waited_for(server: Unreliable) -> None:
    server.let("GET /ray-benchmark-data/few/a.jpg", Fault(piece_bytes=20_000, pause_s=0.3))

    assert len(buckets.read(f"{PUBLIC}/few/a.jpg")) == 102_400


@pytest.mark.parametrize("fault", [SILENT, STALLED, TRICKLING], ids=HOW)
@pytest.mark.usefixtures("impatient")
def test_a_transfer_that_does_not_move_is_given_up(server: Unreliable, fault: Fault) -> None:
    server.let("GET /ray-benchmark-data/few/a.jpg", fault)

    failure = unread(f"{PUBLIC}/few/a.jpg")

    assert str(failure) == "no answer within 2 s"
    assert isinstance(failure, ConnectionError)


def test_a_bucket_that_has_not_answered_some_times_in_a_row_is_not_asked_for_a_while(
    server: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "MOST_SILENCES", 2)
    server.let("few/b", BUSY)
    unread(f"{PUBLIC}/few/b.jpg")
    unread(f"{PUBLIC}/few/gone.jpg")  # somebody answers
    assert [str(unread(f"{PUBLIC}/few/b.jpg")) for _ in range(2)] == ["its server is busy"] * 2
    server.well()

    assert str(unread(f"{PUBLIC}/few/b.jpg")) == "its bucket has not answered 2 times in a row"
    assert server.requests == []
    monkeypatch.setattr(buckets, "SILENT_S", 0.0)
    assert buckets.read(f"{PUBLIC}/few/b.jpg") == OF_B
