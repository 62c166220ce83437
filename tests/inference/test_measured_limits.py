"""What is kept of the machine's limits, on a real file."""

from pathlib import Path

import pytest

from inference.limits import ForwardRate, Limit, LimitKey
from inference.store import Store

KEY = LimitKey("machine", "digits", "digits", "float32")
LIMIT = Limit(
    measured_at=1.0,
    prepare_images_per_s=200.0,
    forwards=(
        ForwardRate(backend="eager", channels_last=True, batch_size=32, workers=2, threads=1, images_per_s=100.0),
    ),
    shared_cores=True,
    flops_per_image=5,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def test_a_limit_that_nobody_asked_for_is_unknown(store: Store) -> None:
    assert store.limits.get(KEY) is None
    assert store.limits.state(KEY) == "unknown"
    assert store.limits.requested("machine") is None


def test_a_limit_that_is_asked_for_waits_for_its_own_machine(store: Store) -> None:
    store.limits.request(KEY)

    assert store.limits.state(KEY) == "requested"
    assert store.limits.requested("machine") == KEY
    assert store.limits.requested("another machine") is None


def test_a_measured_limit_comes_back_as_it_was_and_is_asked_for_no_more(store: Store) -> None:
    store.limits.request(KEY)
    store.limits.save(KEY, LIMIT)

    assert store.limits.get(KEY) == LIMIT
    assert store.limits.state(KEY) == "measured"
    assert store.limits.requested("machine") is None


def test_a_limit_belongs_to_one_model_data_set_and_precision_on_one_machine(store: Store) -> None:
    store.limits.save(KEY, LIMIT)

    for other in (
        LimitKey("other", "digits", "digits", "float32"),
        LimitKey("machine", "resnet", "digits", "float32"),
        LimitKey("machine", "digits", "photos", "float32"),
        LimitKey("machine", "digits", "digits", "bfloat16"),
    ):
        assert store.limits.get(other) is None


def test_a_limit_that_is_measured_again_is_there_until_the_new_one_takes_its_place(store: Store) -> None:
    store.limits.save(KEY, LIMIT)
    store.limits.request(KEY)
    assert (store.limits.get(KEY), store.limits.state(KEY)) == (LIMIT, "requested")

    newer = Limit.from_dict(LIMIT.to_dict() | {"measured_at": 2.0})
    store.limits.save(KEY, newer)

    assert (store.limits.get(KEY), store.limits.state(KEY)) == (newer, "measured")


def test_why_a_limit_could_not_be_measured_is_told_and_what_was_known_stays(store: Store) -> None:
    store.limits.save(KEY, LIMIT)
    store.limits.request(KEY)
    store.limits.save(KEY, None, problem="The model is not here.")

    assert store.limits.state(KEY) == "The model is not here."
    assert store.limits.get(KEY) == LIMIT
    assert store.limits.requested("machine") is None


def test_asking_again_forgets_the_problem(store: Store) -> None:
    store.limits.save(KEY, None, problem="The model is not here.")
    store.limits.request(KEY)

    assert store.limits.state(KEY) == "requested"
    assert store.limits.get(KEY) is None
