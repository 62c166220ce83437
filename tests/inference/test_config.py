"""What a run may be asked to do."""

import math

import pytest

from inference.config import RunConfig, differences
from inference.errors import InvalidConfig


@pytest.mark.parametrize("value", [0, -1, 1025, 10**9, 2.5, math.nan, "4", True, None])
def test_a_batch_size_outside_its_range_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidConfig, match="batch_size must be a whole number between 1 and 1024"):
        RunConfig(batch_size=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, math.nan, math.inf, -1, "1"])
def test_cpus_per_worker_that_are_no_positive_number_are_refused(value: object) -> None:
    with pytest.raises(InvalidConfig, match="cpus_per_worker"):
        RunConfig(cpus_per_worker=value)  # type: ignore[arg-type]


def test_an_unknown_strategy_is_refused_with_the_choices() -> None:
    with pytest.raises(InvalidConfig, match="strategy must be one of naive, actor"):
        RunConfig(strategy="magic")


@pytest.mark.parametrize("value", ["", "  ", "a\x00b", "x" * 5000, 3])
def test_a_model_must_be_a_name_or_a_path(value: object) -> None:
    with pytest.raises(InvalidConfig, match="model must be a name or a path"):
        RunConfig(model=value)  # type: ignore[arg-type]


def test_fractions_of_several_gpus_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="gpus_per_worker"):
        RunConfig(gpus_per_worker=1.5)


def test_a_config_survives_its_own_dictionary_and_settings_of_other_versions() -> None:
    config = RunConfig(strategy="naive", batch_size=16, cpus_per_worker=0.5)

    assert RunConfig.from_dict(config.to_dict() | {"from_the_future": 1}) == config


def test_threads_follow_the_reserved_cpus_and_are_at_least_one() -> None:
    assert [RunConfig(cpus_per_worker=cpus).threads_per_worker for cpus in (0.5, 1, 2.9)] == [1, 1, 2]


def test_differences_name_only_the_settings_that_differ() -> None:
    configs = [RunConfig(strategy="naive"), RunConfig(strategy="actor")]

    assert differences(configs) == {"strategy": ("naive", "actor")}
