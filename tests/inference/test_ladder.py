"""Which steps a machine has, and what hand-made measurements of them amount to."""

import itertools
from dataclasses import replace

import pytest

from inference.config import STRATEGIES, RunConfig, differences, interleaved
from inference.hardware import Gpu, Hardware
from inference.ladder import climbed, described, is_ladder, steps
from inference.limits import ForwardRate, Limit
from inference.preflight import check, default_config
from inference.results import Prediction, RunRecord, Span

GIB = 1024**3

TWO_CORES = Hardware(cpus=2, cpu_limit=2.0, memory_bytes=24 * GIB, instructions=("AVX2", "AVX-512", "AVX-512 bf16"))
ONE_CORE = Hardware(cpus=1, cpu_limit=1.0, memory_bytes=8 * GIB, instructions=("AVX2",))
EQUIPPED = replace(TWO_CORES, compiler="/usr/bin/g++", versions=(("torch", "2.13.0"), ("openvino", "2026.4.1")))


def with_gpu(capability: str) -> Hardware:
    card = Gpu(index=0, name="NVIDIA", memory_bytes=16 * GIB, capability=capability)
    return Hardware(
        cpus=16,
        cpu_limit=16.0,
        memory_bytes=128 * GIB,
        gpus=(card,),
        compiler="/usr/bin/g++",
        versions=(("torch", "2.13.0+cu130"), ("openvino", "2026.4.1")),
    )


MACHINES = {
    "two cores": TWO_CORES,
    "one core": ONE_CORE,
    "two cores with everything installed": EQUIPPED,
    "four cores": replace(EQUIPPED, cpus=4, cpu_limit=4.0),
    "sixty-four cores": replace(EQUIPPED, cpus=64, cpu_limit=64.0),
    "a GPU of capability 9": with_gpu("9.0"),
    "a GPU of capability 7": with_gpu("7.5"),
}


def names(hardware: Hardware, config: RunConfig | None = None) -> list[str]:
    return [step.name for step in steps(config or default_config(hardware), hardware)]


def test_the_steps_of_two_cores_that_compute_in_bfloat16() -> None:
    assert names(TWO_CORES) == [
        "naive",
        "load once",
        "whole batches",
        "batch 16",
        "overlap",
        "bfloat16",
        "channels last",
        "all cores",
    ]


def test_one_core_has_neither_another_precision_nor_cores_to_share() -> None:
    assert names(ONE_CORE) == ["naive", "load once", "whole batches", "batch 16", "overlap", "channels last"]


def test_a_compiler_and_openvino_add_a_step_each() -> None:
    assert names(EQUIPPED) == [*names(TWO_CORES), "compile", "openvino"]


def test_a_gpu_keeps_its_own_batch_size_and_is_not_offered_openvino() -> None:
    ladder = steps(default_config(with_gpu("9.0")), with_gpu("9.0"))

    assert [step.name for step in ladder] == [
        "naive",
        "load once",
        "whole batches",
        "overlap",
        "bfloat16",
        "channels last",
        "compile",
    ]
    assert {(step.config.batch_size, step.config.gpus_per_worker) for step in ladder} == {(32, 1.0)}


def test_an_older_gpu_is_offered_float16() -> None:
    assert "float16" in names(with_gpu("7.5"))
    assert "bfloat16" not in names(with_gpu("7.5"))


@pytest.mark.parametrize("machine", MACHINES)
def test_every_step_fits_its_machine(machine: str) -> None:
    here = MACHINES[machine]

    for step in steps(default_config(here), here):
        assert check(step.config, here).fits, (step.name, check(step.config, here).sentence)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_step_changes_one_thing_of_the_one_before(machine: str) -> None:
    here = MACHINES[machine]
    configs = [step.config for step in steps(default_config(here), here)]

    for before, after in itertools.pairwise(configs):
        changed = set(differences([before, after]))
        assert len(changed) == 1 or changed <= {"concurrency", "cpus_per_worker", "threads"}, changed


@pytest.mark.parametrize("machine", MACHINES)
def test_a_ladder_climbs_through_all_strategies_and_has_no_step_twice(machine: str) -> None:
    here = MACHINES[machine]
    ladder = steps(default_config(here), here)

    assert is_ladder([step.config for step in ladder])
    assert list(dict.fromkeys(step.config.strategy for step in ladder)) == list(STRATEGIES)
    assert len({step.config for step in ladder}) == len({step.name for step in ladder}) == len(ladder)
    assert all(step.change for step in ladder)


def test_a_ladder_begins_at_the_plainest_run_whatever_it_is_asked_from() -> None:
    fast = RunConfig(
        strategy="pipelined", limit=50, batch_size=64, dtype="bfloat16", channels_last=True, backend="openvino"
    )

    ladder = steps(fast, EQUIPPED)

    assert ladder[0].config == RunConfig(strategy="naive", limit=50, batch_size=64)
    assert "batch 64" not in [step.name for step in ladder]
    assert {step.config.limit for step in ladder} == {50}


def test_two_strategies_alone_are_no_ladder() -> None:
    assert not is_ladder([RunConfig(strategy=strategy) for strategy in ("naive", "actor")])


def test_a_step_is_named_after_what_it_changes() -> None:
    base = RunConfig(strategy="pipelined", batch_size=16)
    changes = [{"decoders": 2}, {"batch_size": 32}, {"backend": "compile"}, {"backend": "eager"}, {"concurrency": 2}]
    configs = [base]
    for change in changes:
        configs.append(configs[-1].with_(**change))

    assert [step.name for step in described(configs)] == [
        "pipelined",
        "decoders 2",
        "batch 32",
        "compile",
        "eager",
        "all cores",
    ]


# -- what was measured -----------------------------------------------------------------------------------------------

LADDER = [step.config.with_(limit=100) for step in steps(default_config(TWO_CORES), TWO_CORES)]
LABELS = [f"class {i % 7}" for i in range(100)]


def measured(
    config: RunConfig, images_per_s: float, *, wrong: int = 0, setup_s: float = 1.0, state: str = "finished"
) -> RunRecord:
    """A run at an even pace, whose first `wrong` answers are others than those of the rest."""
    moments = [setup_s + (i + 1) / images_per_s for i in range(len(LABELS))]
    first_batch_s = moments[config.batch_size - 1]
    return RunRecord(
        id="r",
        state=state,
        config=config,
        created_at=0.0,
        spans=(
            Span("worker 1", "forward", setup_s, first_batch_s, config.batch_size, 0),
            Span("worker 1", "forward", first_batch_s, moments[-1], len(LABELS) - config.batch_size, 1),
        ),
        predictions=tuple(
            Prediction(f"{i}.jpg", "wrong" if i < wrong else label, 0.9, done_s=done_s, worker="worker 1")
            for i, (label, done_s) in enumerate(zip(LABELS, moments, strict=True))
        ),
    )


def test_rungs_stand_in_the_order_of_launch_also_with_repeats() -> None:
    runs = [measured(config, 10.0) for config in interleaved(LADDER, 3)]

    ladder = climbed(runs)

    assert ladder is not None
    assert [rung.step.config for rung in ladder.rungs] == LADDER
    assert [rung.step.name for rung in ladder.rungs] == names(TWO_CORES)
    assert {len(rung.runs) for rung in ladder.rungs} == {3}


def test_each_rung_is_compared_with_the_one_before_and_with_the_first() -> None:
    ladder = climbed([measured(config, rate) for config, rate in zip(LADDER, (2.0, 10.0, 30.0), strict=False)])

    assert ladder is not None
    first, second, third = ladder.rungs
    assert (first.versus_previous, first.versus_first, first.agreement) == (None, None, None)
    assert second.versus_previous is not None
    assert third.versus_previous is not None
    assert third.versus_first is not None
    assert second.versus_previous.ratio == pytest.approx(5.0)
    assert third.versus_previous.ratio == pytest.approx(3.0)
    assert third.versus_first.ratio == pytest.approx(15.0)


def test_a_rungs_speed_is_that_of_the_steady_state_and_its_set_up_does_not_slow_it() -> None:
    ladder = climbed([measured(LADDER[0], 10.0), measured(LADDER[1], 20.0, setup_s=60.0)])

    assert ladder is not None
    assert ladder.rungs[1].versus_first is not None
    assert ladder.rungs[1].versus_first.ratio == pytest.approx(2.0)
    assert ladder.rungs[1].metrics.setup_s == 60.0
    assert ladder.best is ladder.rungs[1]


def test_the_repeat_in_the_middle_speaks_for_a_rung() -> None:
    runs = [measured(LADDER[0], 1.0), *(measured(LADDER[1], rate) for rate in (9.0, 3.0, 6.0))]

    ladder = climbed(runs)

    assert ladder is not None
    assert ladder.rungs[1].metrics.steady_images_per_s == pytest.approx(6.0)


def test_a_fast_step_with_wrong_answers_is_shown_and_never_the_best() -> None:
    ladder = climbed(
        [measured(LADDER[0], 2.0), measured(LADDER[1], 10.0, wrong=1), measured(LADDER[2], 100.0, wrong=2)]
    )

    assert ladder is not None
    assert [rung.agrees for rung in ladder.rungs] == [True, True, False]
    assert ladder.best is ladder.rungs[1]
    assert len(ladder.rungs) == 3


def test_an_even_pace_makes_a_tie() -> None:
    ladder = climbed([measured(LADDER[0], 10.0), measured(LADDER[1], 10.0)])

    assert ladder is not None
    assert ladder.rungs[1].versus_previous is not None
    assert ladder.rungs[1].versus_previous.tie
    assert ladder.rungs[1].versus_previous.ratio == pytest.approx(1.0)


def test_runs_that_did_not_finish_are_no_rungs() -> None:
    runs = [measured(LADDER[0], 1.0), measured(LADDER[1], 1.0, state="failed"), measured(LADDER[2], 4.0)]

    ladder = climbed(runs)

    assert ladder is not None
    assert [rung.step.config for rung in ladder.rungs] == [LADDER[0], LADDER[2]]


@pytest.mark.parametrize("count", [0, 1])
def test_less_than_two_steps_are_no_ladder(count: int) -> None:
    assert climbed([measured(LADDER[0], 1.0)] * count) is None


def test_the_sentence_says_what_the_steps_to_the_best_one_bought() -> None:
    limit = Limit(
        measured_at=0.0,
        prepare_images_per_s=100.0,
        forwards=(
            ForwardRate(backend="eager", channels_last=True, batch_size=32, workers=2, threads=1, images_per_s=100.0),
        ),
        shared_cores=True,
        flops_per_image=1,
    )
    rates = (2.0, 10.0, 30.0, 20.0)
    ladder = climbed([measured(config, rate) for config, rate in zip(LADDER, rates, strict=False)], limit)

    assert ladder is not None
    assert ladder.sentence.startswith("With load once and whole batches it is 15 × as fast as naive, 60")
    assert ladder.sentence.endswith("of what this machine could do; answers agree on 100 of 100 images.")


def test_the_sentence_says_so_when_no_step_is_faster() -> None:
    ladder = climbed([measured(LADDER[0], 10.0), measured(LADDER[1], 5.0)])

    assert ladder is not None
    assert ladder.sentence == "No step is faster than naive here."
