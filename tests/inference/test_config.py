"""What a run may be asked to do."""

import math

import pytest

from inference.config import ONE_BY_ONE, STRATEGIES, RunConfig, differences, interleaved
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
    config = RunConfig(
        strategy="pipelined",
        batch_size=16,
        cpus_per_worker=0.5,
        threads=2,
        decoders=2,
        channels_last=True,
        backend="openvino",
    )

    assert RunConfig.from_dict(config.to_dict() | {"from_the_future": 1}) == config


def test_threads_follow_the_reserved_cpus_and_are_at_least_one() -> None:
    assert [RunConfig(cpus_per_worker=cpus).threads_per_worker for cpus in (0.5, 1, 2.9)] == [1, 1, 2]


def test_threads_that_are_asked_for_win_over_the_reserved_cpus() -> None:
    assert RunConfig(cpus_per_worker=0.5, threads=2).threads_per_worker == 2


@pytest.mark.parametrize(
    ("name", "value"), [("threads", -1), ("threads", 2.0), ("decoders", 0), ("decoders", 257), ("decoders", True)]
)
def test_threads_and_decoders_outside_their_range_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidConfig, match=f"{name} must be a whole number between"):
        RunConfig(**{name: value})  # type: ignore[arg-type]


def test_an_unknown_backend_is_refused_with_the_choices() -> None:
    with pytest.raises(InvalidConfig, match="backend must be one of eager, compile, openvino"):
        RunConfig(backend="onnx")


def test_channels_last_must_be_a_truth_value() -> None:
    with pytest.raises(InvalidConfig, match="channels_last must be true or false, got 1"):
        RunConfig(strategy="batched", channels_last=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("option", [{"channels_last": True}, {"backend": "openvino"}])
def test_options_of_whole_batches_are_refused_where_images_go_one_by_one(
    strategy: str, option: dict[str, object]
) -> None:
    if strategy in ONE_BY_ONE:
        with pytest.raises(InvalidConfig, match=f"needs the strategy batched or pipelined, got {strategy}"):
            RunConfig(strategy=strategy, **option)  # type: ignore[arg-type]
    else:
        RunConfig(strategy=strategy, **option)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("compile_before", "backend"), [(True, "compile"), (False, "eager")], ids=["compiled", "not compiled"]
)
def test_a_config_of_version_0_1_keeps_whether_it_was(compile_before: bool, backend: str) -> None:
    old = {"strategy": "actor", "batch_size": 8, "dtype": "float32", "compile": compile_before}

    assert RunConfig.from_dict(old) == RunConfig(batch_size=8, backend=backend)


def test_under_another_strategy_a_config_loses_only_the_options_that_it_does_not_have() -> None:
    config = RunConfig(
        strategy="pipelined",
        batch_size=32,
        decoders=3,
        threads=2,
        channels_last=True,
        backend="openvino",
        dtype="bfloat16",
    )

    assert config.as_strategy("pipelined") == config
    assert config.as_strategy("batched") == config.with_(strategy="batched", decoders=1)
    for strategy in ONE_BY_ONE:
        assert config.as_strategy(strategy) == RunConfig(
            strategy=strategy, batch_size=32, threads=2, dtype="bfloat16", backend="eager"
        )


def test_compiling_stays_under_every_strategy() -> None:
    config = RunConfig(strategy="batched", backend="compile")

    assert {config.as_strategy(strategy).backend for strategy in STRATEGIES} == {"compile"}


def test_every_other_round_of_repeats_is_reversed() -> None:
    a, b, c = (RunConfig(batch_size=size) for size in (1, 2, 3))

    assert interleaved([a, b, c], 3) == [a, b, c, c, b, a, a, b, c]


def test_differences_name_only_the_settings_that_differ() -> None:
    configs = [RunConfig(strategy="naive"), RunConfig(strategy="actor")]

    assert differences(configs) == {"strategy": ("naive", "actor")}
