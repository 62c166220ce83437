"""A model's weights come whole from a hub on loopback, whatever happens on the way, and no byte comes twice."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.bundled import DIGITS_MODEL_DIR
from tests.support import hub
from tests.support.hub_client import MODEL, find, finding, found

WEIGHTS = (DIGITS_MODEL_DIR / "model.safetensors").read_bytes()
HALF = len(WEIGHTS) // 2
NAME = "model.safetensors"
ANSWER_S = 15.0
HARDLY_ANY = 1000
"""Bytes a second, so that nothing ends before a test has had its look, and nothing is silent."""


@pytest.fixture
def served() -> Iterator[hub.Hub]:
    with hub.serving() as running:
        running.add(MODEL, DIGITS_MODEL_DIR)
        yield running


def start_of(asked: str) -> int:
    return int(asked.removeprefix("bytes=").partition("-")[0])


def kept_in(tmp_path: Path) -> list[Path]:
    """What the cache has of files that are not whole."""
    return list((tmp_path / "cache" / "hub").glob("*/blobs/*.incomplete"))


def wait_for_bytes(process: subprocess.Popen[str], count: int) -> None:
    """Read what a process tells until that much is there."""
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)[0] >= count:
            return
    pytest.fail("it ended before that")


def wait_for_lines(process: subprocess.Popen[str], count: int) -> None:
    """Read what a process tells that often."""
    assert process.stderr is not None
    for _ in range(count):
        process.stderr.readline()


# -- taken up where it stopped -----------------------------------------------------------------------------------


def test_a_download_that_was_cancelled_goes_on_where_it_stopped(served: hub.Hub, tmp_path: Path) -> None:
    served.bytes_per_s = 4 * len(WEIGHTS)
    cancelled = find(MODEL, served.url, tmp_path, stop_at=HALF)
    (partial,) = kept_in(tmp_path)
    kept = partial.stat().st_size

    resumed = find(MODEL, served.url, tmp_path)

    assert (cancelled.error, resumed.error) == ("stop", None)
    assert served.ranges == ["", f"bytes={kept}-"]
    assert kept > 0.9 * HALF
    assert served.sent[1] == len(WEIGHTS) - kept
    assert resumed.weights == WEIGHTS
    assert kept_in(tmp_path) == []


def test_a_download_whose_process_was_killed_goes_on_where_it_stopped(served: hub.Hub, tmp_path: Path) -> None:
    served.bytes_per_s = len(WEIGHTS)
    process = finding(MODEL, served.url, tmp_path)
    wait_for_bytes(process, HALF)
    process.kill()
    process.communicate()
    served.bytes_per_s = None

    resumed = find(MODEL, served.url, tmp_path)

    assert resumed.error is None
    assert start_of(served.ranges[1]) > 0.9 * HALF
    assert resumed.weights == WEIGHTS


def test_a_download_tells_how_far_it_is_with_what_was_there_before(served: hub.Hub, tmp_path: Path) -> None:
    served.bytes_per_s = 4 * len(WEIGHTS)
    first = find(MODEL, served.url, tmp_path, stop_at=HALF).told
    second = find(MODEL, served.url, tmp_path).told

    names = ("config.json", NAME, "preprocessor_config.json")
    total = sum((DIGITS_MODEL_DIR / name).stat().st_size for name in names)
    for told in (first, second):
        done = [bytes_done for bytes_done, _ in told]
        assert done == sorted(done)
        assert len(done) > 5
        assert {in_all for _, in_all in told} <= {0, total}  # nothing is known before the hub's first answer
    assert HALF <= first[-1][0] < total
    assert second[-1] == [total, total]
    small = total - len(WEIGHTS)
    assert not [done for done, _ in second if small < done < 0.9 * HALF]


def test_a_connection_that_is_cut_off_is_taken_up_where_it_broke(served: hub.Hub, tmp_path: Path) -> None:
    served.cut_after = [1_000_000, 500_000]

    whole = find(MODEL, served.url, tmp_path)

    assert whole.error is None
    assert whole.weights == WEIGHTS
    assert served.ranges == ["", "bytes=1000000-", "bytes=1500000-"]
    assert served.weights_sent == len(WEIGHTS)


def test_a_connection_that_falls_silent_is_taken_up_where_it_stopped(served: hub.Hub, tmp_path: Path) -> None:
    served.silent_after = [1_000_000]

    whole = find(MODEL, served.url, tmp_path)

    assert whole.error is None
    assert served.ranges == ["", "bytes=1000000-"]
    assert whole.seconds < ANSWER_S


def test_a_server_that_knows_no_ranges_sends_everything_again(served: hub.Hub, tmp_path: Path) -> None:
    served.cut_after, served.ignores_ranges = [1_000_000], True

    whole = find(MODEL, served.url, tmp_path)

    assert whole.error is None
    assert served.ranges == ["", "bytes=1000000-"]
    assert whole.weights == WEIGHTS


def test_a_file_that_has_changed_meanwhile_is_fetched_anew(served: hub.Hub, tmp_path: Path) -> None:
    served.bytes_per_s = 4 * len(WEIGHTS)
    find(MODEL, served.url, tmp_path, stop_at=HALF)
    changed = WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1])
    served.models[MODEL][NAME] = changed

    whole = find(MODEL, served.url, tmp_path)

    assert whole.error is None
    assert served.ranges == ["", ""]
    assert whole.weights == changed


def test_two_processes_fetch_a_model_only_once(served: hub.Hub, tmp_path: Path) -> None:
    served.bytes_per_s = len(WEIGHTS)
    first = finding(MODEL, served.url, tmp_path)
    wait_for_bytes(first, HALF)
    served.bytes_per_s = HARDLY_ANY

    second = finding(MODEL, served.url, tmp_path)
    wait_for_bytes(second, HALF)  # it tells of the other's progress
    served.bytes_per_s = None

    assert found(second).weights == found(first).weights == WEIGHTS
    assert served.ranges == [""]


def test_whoever_waits_for_another_process_may_leave_and_takes_over_when_that_is_killed(
    served: hub.Hub, tmp_path: Path
) -> None:
    served.bytes_per_s = len(WEIGHTS)
    first = finding(MODEL, served.url, tmp_path)
    wait_for_bytes(first, HALF)
    served.bytes_per_s = HARDLY_ANY

    left = find(MODEL, served.url, tmp_path, stop_at=HALF)
    waiting = finding(MODEL, served.url, tmp_path)
    wait_for_bytes(waiting, HALF)
    assert served.ranges == [""]  # only the first of the three has asked for weights
    first.kill()
    first.communicate()
    served.bytes_per_s = None

    assert (left.error, left.seconds < 10) == ("stop", True)
    assert found(waiting).weights == WEIGHTS
    assert start_of(served.ranges[1]) > 0.9 * HALF


# -- no answer is an answer too ----------------------------------------------------------------------------------


def test_a_hub_that_stays_silent_in_mid_file_is_given_up_and_what_is_there_is_kept(
    served: hub.Hub, tmp_path: Path
) -> None:
    served.silent_after = [1_000_000] + [0] * 20

    given_up = find(MODEL, served.url, tmp_path)

    assert given_up.error == (
        f"{NAME} of {MODEL} broke off after 1 MB: nothing more came from {served.store_url} for 12 s. What is here is "
        "kept: run it again to go on from there."
    )
    assert given_up.seconds < ANSWER_S
    assert [partial.stat().st_size for partial in kept_in(tmp_path)] == [1_000_000]


def test_a_download_can_be_cancelled_while_the_hub_is_silent(served: hub.Hub, tmp_path: Path) -> None:
    served.silent_after = [HALF]

    cancelled = find(MODEL, served.url, tmp_path, stop_at=HALF)

    assert cancelled.error == "stop"
    assert cancelled.seconds < 5


def test_a_hub_that_is_gone_in_mid_file_is_given_up(served: hub.Hub, tmp_path: Path) -> None:
    served.bytes_per_s = len(WEIGHTS)
    process = finding(MODEL, served.url, tmp_path)
    wait_for_bytes(process, HALF)

    with hub.gone(served):
        given_up = found(process)

    assert given_up.error is not None
    assert f"{NAME} of {MODEL} broke off after 2 MB: nothing more came from {served.url} for 12 s" in given_up.error
    assert given_up.seconds < ANSWER_S + 1


def test_a_hub_that_is_back_in_time_is_not_given_up(served: hub.Hub, tmp_path: Path) -> None:
    served.bytes_per_s = len(WEIGHTS)
    process = finding(MODEL, served.url, tmp_path)
    wait_for_bytes(process, HALF)

    with hub.gone(served):
        wait_for_lines(process, 8)  # four in each second without a byte
    served.bytes_per_s = None

    assert found(process).weights == WEIGHTS


# -- what must not happen ----------------------------------------------------------------------------------------


def test_weights_that_arrive_broken_are_removed_and_fetched_anew_the_next_time(served: hub.Hub, tmp_path: Path) -> None:
    served.spoilt = [HALF]

    broken = find(MODEL, served.url, tmp_path)
    left = kept_in(tmp_path)
    again = find(MODEL, served.url, tmp_path)

    assert broken.error == (
        f"{NAME} of {MODEL} arrived broken: its SHA-256 is not the one that the hub tells. It was removed: run it "
        f"again to fetch it anew. If that does not help, something between {served.url} and this disk changes files."
    )
    assert (broken.folder, broken.cached_after, left) == (None, False, [])
    assert (again.error, again.weights) == (None, WEIGHTS)
    assert served.ranges == ["", ""]


def test_what_was_kept_is_verified_too(served: hub.Hub, tmp_path: Path) -> None:
    served.spoilt, served.bytes_per_s = [1000], 4 * len(WEIGHTS)
    find(MODEL, served.url, tmp_path, stop_at=HALF)

    resumed = find(MODEL, served.url, tmp_path)

    assert resumed.error is not None
    assert "arrived broken" in resumed.error
    assert kept_in(tmp_path) == []


def test_weights_that_are_broken_on_the_hub_are_found_before_anything_is_loaded(
    served: hub.Hub, tmp_path: Path
) -> None:
    served.models[MODEL][NAME] = b"\xff" * 1000

    broken = find(MODEL, served.url, tmp_path)

    assert broken.error is not None
    assert "model.safetensors of someone/digits is broken" in broken.error
    assert str(tmp_path / "cache") in broken.error


def test_the_token_is_shown_to_the_hub_and_to_nobody_else(served: hub.Hub, tmp_path: Path) -> None:
    served.cut_after = [1_000_000]

    find(MODEL, served.url, tmp_path, HF_TOKEN="hf_secret")

    assert served.tokens == {("hub", "Bearer hf_secret"), ("store", None)}


def test_a_disk_that_takes_no_more_is_named_and_given_its_room_back(served: hub.Hub, tmp_path: Path) -> None:
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({HALF}, {HALF}))"
    (tmp_path / "sitecustomize.py").write_text(limit)

    full = find(MODEL, served.url, tmp_path, PYTHONPATH=str(tmp_path))

    assert full.error is not None
    assert full.error.startswith(f"{MODEL} could not be kept in {tmp_path}/cache/hub: File too large. Make room there")
    assert [partial.stat().st_size for partial in kept_in(tmp_path)] == [0]


def test_a_model_for_which_there_is_no_room_is_refused_before_its_weights_are_fetched(
    served: hub.Hub, tmp_path: Path
) -> None:
    shards = {f"model-{n}.safetensors": b"" for n in range(2000)}
    served.models[MODEL] |= shards
    served.told_sizes = dict.fromkeys(shards, 49_000_000_000)

    refused = find(MODEL, served.url, tmp_path)

    assert refused.error is not None
    assert refused.error.startswith(f"{MODEL} needs 98,000.0 GB more, and {tmp_path}/cache/hub has room for ")
    assert served.ranges == []


def test_a_file_that_the_hub_does_not_send_in_one_go_is_left_to_its_own_client(served: hub.Hub, tmp_path: Path) -> None:
    served.told_sizes = {NAME: 60_000_000_000}

    refused = find(MODEL, served.url, tmp_path)

    assert refused.error == (
        f"{NAME} of {MODEL} has 60.0 GB: that is too large to be fetched here. Fetch it in a terminal with: "
        f"hf download {MODEL}"
    )


def test_a_cache_that_cannot_be_written_is_named(served: hub.Hub, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")

    refused = find(MODEL, served.url, tmp_path)

    assert refused.error is not None
    assert refused.error.startswith(f"{MODEL} could not be kept in {tmp_path}/cache/hub: ")
