"""What a machine could do at best: the arithmetic, and the record."""

import json

import pytest

from inference import limits
from inference.config import RunConfig
from inference.limits import ForwardRate, Limit, LimitKey


def forward(images_per_s: float, backend: str = "eager") -> ForwardRate:
    return ForwardRate(
        backend=backend, channels_last=True, batch_size=32, workers=2, threads=1, images_per_s=images_per_s
    )


def limit(prepare: float, *forwards: ForwardRate, shared_cores: bool = True, flops_per_image: int = 0) -> Limit:
    return Limit(
        measured_at=1.5,
        prepare_images_per_s=prepare,
        forwards=forwards,
        shared_cores=shared_cores,
        flops_per_image=flops_per_image,
    )


def test_on_shared_cores_the_seconds_of_preparing_and_computing_an_image_add_up() -> None:
    # A quarter of a hundredth of a second for one, three quarters for the other: a hundred images in a second.
    assert limit(400.0, forward(100 * 4 / 3)).images_per_s == pytest.approx(100.0)


@pytest.mark.parametrize(("prepare", "computed"), [(400.0, 3000.0), (5000.0, 400.0)])
def test_beside_a_gpu_the_slower_of_the_two_decides(prepare: float, computed: float) -> None:
    assert limit(prepare, forward(computed), shared_cores=False).images_per_s == 400.0


def test_the_fastest_of_what_was_tried_counts() -> None:
    measured = limit(100.0, forward(50.0), forward(100.0, "openvino"), forward(70.0, "compile"))

    assert measured.best_forward.backend == "openvino"
    assert measured.images_per_s == pytest.approx(50.0)


def test_operations_per_second_are_those_of_the_best_forward_pass() -> None:
    assert limit(1.0, forward(5.0), forward(20.0), flops_per_image=8_200_000_000).gflops_per_s == pytest.approx(164.0)


def test_a_limit_survives_its_own_dictionary_as_json() -> None:
    measured = limit(123.4, forward(50.0), forward(100.0, "openvino"), shared_cores=False, flops_per_image=7)

    assert Limit.from_dict(json.loads(json.dumps(measured.to_dict()))) == measured


def test_a_limit_of_one_model_is_not_taken_for_that_of_an_ensemble_or_of_typed_labels() -> None:
    alone = RunConfig()
    for other in (RunConfig(members=("other",)), RunConfig(labels=("a", "b"))):
        assert not limits.measurable(other)
        assert LimitKey.of(other, "here") != LimitKey.of(alone, "here")
    assert limits.measurable(alone)
